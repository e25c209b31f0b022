"""DPDNet-S and DPDNet-D (Abuolaim and Brown, ECCV 2020): what the other rooms may ask of them."""

from gkm.networks.dpdnet.dpdnet import DPDNet
from gkm.networks.network import Kind

__all__ = ["KIND", "DPDNet"]

KIND = Kind(build=DPDNet)
