"""DPDNet-S and DPDNet-D (Abuolaim and Brown, ECCV 2020)."""

from gkm.networks.dpdnet.dpdnet import DPDNet

__all__ = ["DPDNet"]
