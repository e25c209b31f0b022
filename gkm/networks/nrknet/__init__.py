"""NRKNet (Quan, Wu and Ji, CVPR 2023): what the other rooms may ask of it."""

from gkm.networks.network import Kind
from gkm.networks.nrknet.nrknet import NRKNet
from gkm.networks.nrknet.official import load_official

__all__ = ["KIND", "NRKNet"]

KIND = Kind(build=NRKNet, load_official=load_official)
