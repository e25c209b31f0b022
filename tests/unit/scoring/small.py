"""A network of a few hundred weights, and as what it is scored."""

import torch

from gkm.config import ModelConfig
from gkm.networks.gkmnet.gkmnet import GKMNet
from gkm.scoring.subjects import Subject, identity_of


def small_network(seed: int = 0) -> GKMNet:
    torch.manual_seed(seed)
    return GKMNet(ModelConfig(max_kernel_size=5, num_kernels=3, num_scales=1, width=2)).eval()


def subject_of(network: GKMNet, label: str = "small") -> Subject:
    return Subject(label=label, kind="network", identity=identity_of(network), network=network)
