"""Several GKMNets of one shape in, one network out that passes all their batches at once, each with its own weights.

The joined network has no weights of its own: it uses those of the networks, which learn as if each were alone. What has
weights sees the batch of each network by itself, batch norm too; everything else sees all batches as a single one, so
that its start-up is paid once. Convolutions in groups, one for each network, were measured: on a processor they take
as long as one after the other, or longer. Shape legend: N networks, B images of each.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from gkm.networks.gkmnet.gcm import GaussianConvolution
from gkm.networks.gkmnet.gkmnet import Block, GKMNet
from gkm.networks.gkmnet.sram import ConvNorm, PlainConv
from gkm.networks.ops.attention import Gate
from gkm.networks.ops.conv_lstm import ConvLSTM, State

Part = TypeVar("Part", bound=nn.Module)


def join(networks: Sequence[GKMNet]) -> GKMNet:
    """A network from images [N B, 3, H, W], those of the first network first, to results in the same order.

    It is for training alone; ValueError where the networks have different settings.
    """
    if any(network.config != networks[0].config for network in networks):
        raise ValueError("networks can be joined that have the same settings, but these differ")
    joined = _shell(networks)
    blocks = zip(*(network.blocks for network in networks), strict=True)
    banks = [network.gcm for network in networks if network.gcm is not None]
    joined.blocks = nn.ModuleList(
        _JoinedBlock([part for part in parts if isinstance(part, Block)], banks)
        if isinstance(parts[0], Block)
        else _joined(parts)
        for parts in blocks
    )
    return joined


class _Apart(nn.Module):
    """Tensors [N B, ..] in, what each network's part makes of its own images out, [N B, ..]."""

    def __init__(self, parts: Sequence[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, *tensors: Tensor) -> Tensor:
        shares = zip(*(tensor.chunk(len(self.parts)) for tensor in tensors), strict=True)
        return torch.cat([part(*share) for part, share in zip(self.parts, shares, strict=True)])


class _RecurrentApart(nn.Module):
    """The same for the link between scales, which has a state."""

    def __init__(self, parts: Sequence[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, x_BCHW: Tensor, state: State | None) -> tuple[Tensor, State | None]:
        count = len(self.parts)
        states: list[State | None] = [None] * count
        if state is not None:
            states = list(zip(*(maps.chunk(count) for maps in state), strict=True))
        shares = zip(self.parts, x_BCHW.chunk(count), states, strict=True)
        outputs, kept = zip(*(part(x, own) for part, x, own in shares), strict=True)
        if kept[0] is None:
            return torch.cat(outputs), None
        hidden, cell = (torch.cat(maps) for maps in zip(*kept, strict=True))
        return hidden, (hidden, cell)


class _JoinedBlock(nn.Module):
    """One block of all networks: a joined SRAM, then equation (9) of each network with its own omega and kernels."""

    def __init__(self, blocks: Sequence[Block], banks: Sequence[GaussianConvolution]) -> None:
        super().__init__()
        self.own = list(blocks)
        self.banks = banks
        self.sram = _joined([block.sram for block in blocks])

    def forward(
        self,
        _: GaussianConvolution,
        scale: int,
        y_B3HW: Tensor,
        x_B3HW: Tensor | None,
        state: State | None,
        window: None = None,
    ) -> tuple[Tensor, State | None]:
        gamma_B2KHW, state = self.sram(y_B3HW, state)
        count = len(self.own)
        xs = [None] * count if x_B3HW is None else x_B3HW.chunk(count)
        shares = zip(self.own, self.banks, y_B3HW.chunk(count), xs, gamma_B2KHW.chunk(count), strict=True)
        return torch.cat([block.mixture(bank, scale, *share) for block, bank, *share in shares]), state


def _joined(parts: Sequence[nn.Module]) -> nn.Module:
    if isinstance(parts[0], nn.Conv2d | ConvNorm | Gate):
        return _Apart(parts)
    if isinstance(parts[0], ConvLSTM | PlainConv):
        return _RecurrentApart(parts)
    if next(parts[0].parameters(recurse=False), None) is not None:
        raise TypeError(f"{type(parts[0]).__name__} has weights and no joined form")
    shell = _shell(parts)
    for name, _ in parts[0].named_children():
        setattr(shell, name, _joined([getattr(part, name) for part in parts]))
    return shell


def _shell(parts: Sequence[Part]) -> Part:
    """A copy of the first part that can be given children of its own."""
    shell = copy.copy(parts[0])
    shell._modules = dict(parts[0]._modules)
    return shell
