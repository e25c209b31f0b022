"""SRN (Tao et al., CVPR 2018): what the other rooms may ask of it."""

from gkm.networks.network import Kind
from gkm.networks.srn.srn import SRN

__all__ = ["KIND", "SRN"]

KIND = Kind(build=SRN)
