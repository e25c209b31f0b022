"""A network and a photograph of any size in, the photograph deblurred in little memory out.

Photograph and features pass through the network in strips of whole rows, each with a halo of rows above and below that
are computed and thrown away. Triplet attention pools over whole columns, which no halo reaches: a block's features are
made for all strips first, the pooled values are gathered meanwhile, and then the features are weighted where they lie.
So the result is the network's own but for rounding. What is no longer needed is let go strip by strip.

Shape legend: 1 image, 3 or C channels, H x W pixels, K kernels, h rows of a strip.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from gkm.networks.gkmnet.gkmnet import Block, GKMNet, ImageBlock
from gkm.networks.gkmnet.pools import HALO_ROWS, Pools, with_halo, within
from gkm.networks.gkmnet.sram import SRAM, AttentiveBlock, ConvNorm
from gkm.networks.network import check_size
from gkm.networks.ops.conv_lstm import State
from gkm.networks.ops.pyramid import doubled, pyramid

STRIP_NUMBERS = 12_000_000
"""Numbers in one strip of features, about 50 MB."""


class Strips:
    """Maps [1, C, H, W] as strips of rows that follow each other."""

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        self._strips: list[tuple[slice, Tensor]] = []

    @classmethod
    def of(cls, maps_1CHW: Tensor) -> Strips:
        """One strip, which is not copied."""
        strips = cls(*maps_1CHW.shape[2:])
        strips._strips.append((slice(0, strips.height), maps_1CHW))
        return strips

    def __iter__(self) -> Iterator[tuple[slice, Tensor]]:
        """(rows, strip) from top to bottom."""
        return iter(self._strips)

    def append(self, strip_1ChW: Tensor) -> Tensor:
        """Copy the next rows, channels last: a view would keep the halo that it was cut from. Gives the copy."""
        top = self._strips[-1][0].stop if self._strips else 0
        kept = strip_1ChW.clone(memory_format=torch.channels_last)
        self._strips.append((slice(top, top + kept.shape[2]), kept))
        return kept

    def take(self, rows: slice, *, last_use: bool = False) -> Tensor:
        """Maps [1, C, h, W] of `rows`; with `last_use`, strips that end above them are let go."""
        if last_use:
            self._strips = [(at, strip) for at, strip in self._strips if at.stop > rows.start]
        parts = [
            strip[:, :, max(rows.start - at.start, 0) : rows.stop - at.start]
            for at, strip in self._strips
            if at.start < rows.stop and at.stop > rows.start
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)

    def take_at(self, height: int, rows: slice) -> Tensor:
        """`rows` of the maps of that height, which is their own or twice as much; strips above are let go."""
        if height == self.height:
            return self.take(rows, last_use=True)
        near = with_halo(_scaled(rows, 0.5), self.height, 1)
        return doubled(self.take(near, last_use=True))[:, :, within(rows, _scaled(near, 2))]


StripState = tuple[Strips, Strips]
"""Hidden and cell maps of the Conv-LSTM."""


@torch.no_grad()
def restore_by_strips(model: GKMNet, blurred_13HW: Tensor, *, strip_numbers: int = STRIP_NUMBERS) -> Tensor:
    """The finest result of `model` in evaluation mode for one photograph [1, 3, H, W], within a fraction of its memory.

    At width 32 and in float32 a photograph of 24 megapixels takes 5.2 GB, of which 3.1 are the features of one level.
    `strip_numbers` is how many numbers a strip of features holds: fewer take less memory and more time.
    Raises ValueError for a batch, and for images that the network refuses.
    """
    if len(blurred_13HW) != 1:
        raise ValueError(f"strips are made of one photograph at a time, but {len(blurred_13HW)} are given")
    check_size(model, blurred_13HW)
    height, width = blurred_13HW.shape[-2:]
    config = model.config
    net = model.for_inference()
    images = pyramid(blurred_13HW, config.num_scales)[::-1]
    x: Tensor | None = None
    state: StripState | None = None
    for scale in range(config.num_scales):
        y = images.pop()
        for iteration in range(config.iterations_per_scale):
            block = net.blocks[iteration % len(net.blocks)]
            assert isinstance(block, Block | ImageBlock)
            last = not images and iteration == config.iterations_per_scale - 1
            gammas = _coefficients(block.sram, y, state, strip_numbers, net.window_at(scale))
            state = None if last or config.recurrent == "conv" else _empty_state(y)
            x = _combine(net, block, scale, y, x, gammas, state)
    assert x is not None
    return x[..., :height, :width]


def _empty_state(y_13HW: Tensor) -> StripState:
    height, width = y_13HW.shape[2] // 2, y_13HW.shape[3] // 2
    return Strips(height, width), Strips(height, width)


def _combine(
    net: GKMNet,
    block: Block | ImageBlock,
    scale: int,
    y_13HW: Tensor,
    x_13HW: Tensor | None,
    gammas: Iterator[tuple[slice, Tensor, State | None]],
    following: StripState | None,
) -> Tensor:
    """The block's result for all strips of coefficient maps; their states are added to `following`."""
    height = y_13HW.shape[2]
    before = None if x_13HW is None else Strips.of(x_13HW)
    result = torch.empty_like(y_13HW)
    for rows, gamma, near in gammas:
        if following is not None and near is not None:
            for kept, part in zip(following, near, strict=True):
                kept.append(part)
        if isinstance(block, ImageBlock):
            result[:, :, rows] = torch.sigmoid(block.to_image(gamma))
            continue
        assert net.gcm is not None
        wide = with_halo(rows, height, -(-net.gcm.reach // HALO_ROWS) * HALO_ROWS)
        padded = functional.pad(gamma.contiguous(), (0, 0, rows.start - wide.start, wide.stop - rows.stop))
        x = None if before is None else before.take_at(height, wide)
        mixed = block.mixture(net.gcm, scale, y_13HW[:, :, wide], x, padded)
        result[:, :, rows] = mixed[:, :, within(rows, wide)]
    return result


def _coefficients(
    sram: SRAM, y_13HW: Tensor, state: StripState | None, strip_numbers: int, window: int | None
) -> Iterator[tuple[slice, Tensor, State | None]]:
    """SRAM.forward: for one strip after the other its rows, coefficient maps [1, 2K, h, W] and new state."""
    of_half, of_quarter = (None, None) if window is None else (window // 2, window // 4)
    half = _attentive(sram.stem, Strips.of(y_13HW), 1, strip_numbers, window)
    half = _attentive(sram.encoder1, half, 0.5, strip_numbers, of_half)
    quarter = _attentive(sram.encoder2, half, 0.5, strip_numbers, of_quarter, keep=True)
    x = _add(_attentive(sram.bottleneck, quarter, 1, strip_numbers, of_quarter, keep=True), quarter)
    x = _add(_attentive(sram.decoder1, x, 2, strip_numbers, of_half), half)
    x = _attentive(sram.decoder2, x, 2, strip_numbers, window)
    for rows in _cuts(x.height, x.width, _channels(sram.prediction.detail), strip_numbers):
        wide = with_halo(rows, x.height)
        half_rows, half_wide = _scaled(rows, 0.5), _scaled(wide, 0.5)
        near: State | None = None
        if state is not None:
            near = state[0].take_at(x.height // 2, half_wide), state[1].take_at(x.height // 2, half_wide)
        gamma, near = sram.prediction(x.take(wide, last_use=True), near)
        if near is not None:
            inside = within(half_rows, half_wide)
            near = near[0][:, :, inside], near[1][:, :, inside]
        yield rows, gamma[:, :, within(rows, wide)], near


def _attentive(
    block: AttentiveBlock,
    source: Strips,
    growth: float,
    strip_numbers: int,
    window: int | None,
    *,
    keep: bool = False,
) -> Strips:
    """AttentiveBlock.forward, whose entry makes maps `growth` times as high and wide; `source` is used up."""
    features = Strips(int(source.height * growth), int(source.width * growth))
    pools = Pools(features.height, features.width, window)
    dtype = next(block.parameters()).dtype
    for rows in _cuts(features.height, features.width, _channels(block.first), strip_numbers):
        wide = with_halo(rows, features.height)
        x = block.entry(source.take(_scaled(wide, 1 / growth), last_use=not keep).to(dtype))
        x = block.first(x).add_(x)
        x = block.second(x).add_(x)
        pools.add(features.append(x[:, :, within(rows, wide)]))
    weights = pools.gates(block.attention)
    for rows, strip in features:
        strip.mul_(weights(rows))
    return features


def _add(maps: Strips, others: Strips) -> Strips:
    """The sum, in place of the first; the second is used up."""
    for rows, strip in maps:
        strip.add_(others.take(rows, last_use=True))
    return maps


def _channels(layer: ConvNorm) -> int:
    return next(layer.parameters()).shape[0]


def _cuts(height: int, width: int, channels: int, strip_numbers: int) -> Iterator[slice]:
    """Rows of strips that hold about `strip_numbers` numbers, cut where every level of the encoder has whole rows."""
    step = max(strip_numbers // (channels * width) // HALO_ROWS, 2) * HALO_ROWS
    for top in range(0, height, step):
        yield slice(top, min(top + step, height))


def _scaled(rows: slice, factor: float) -> slice:
    return slice(int(rows.start * factor), int(rows.stop * factor))
