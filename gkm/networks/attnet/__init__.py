"""AttNet (after Xu, Zhu, Quan and Ji, CVIU 2021): what the other rooms may ask of it."""

from gkm.networks.attnet.attnet import AttNet
from gkm.networks.network import Kind

__all__ = ["KIND", "AttNet"]

KIND = Kind(build=AttNet)
