"""A trained module in; a frozen copy out whose batch norms are folded into the convolutions before them."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from gkm.networks.gkmnet.sram import SRAM, ConvNorm
from gkm.networks.ops.attention import Gate

Module = TypeVar("Module", bound=nn.Module)


def fold(module: Module, dtype: torch.dtype = torch.float32) -> Module:
    """A copy of `module` in evaluation mode, frozen, folded and with its weights' channels last; same results.

    `dtype` is the arithmetic of the backbones (SRAM); filtering, weighting and images keep theirs.
    """
    folded = copy.deepcopy(module).eval()
    for part in folded.modules():
        if isinstance(part, Gate | ConvNorm) and isinstance(part.norm, nn.BatchNorm2d):
            transposed = isinstance(part.conv, nn.ConvTranspose2d)
            part.conv = fuse_conv_bn_eval(part.conv, part.norm, transpose=transposed)  # type: ignore[type-var]
            part.norm = nn.Identity()
    for part in folded.modules():
        if isinstance(part, SRAM) and dtype != torch.float32:
            part.to(dtype)
    for part in folded.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            part.weight.data = part.weight.data.contiguous(memory_format=torch.channels_last)
    frozen: Module = folded.requires_grad_(False)
    return frozen
