"""NRKNet (Quan, Yao and Ji, CVPR 2023)."""

from gkm.networks.nrknet.nrknet import NRKNet

__all__ = ["NRKNet"]
