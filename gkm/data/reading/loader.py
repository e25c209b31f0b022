"""Cached pairs in, training batches out: deterministic for a seed, shared out over ranks, resumable at any batch.

The crops of an epoch follow from the seed and the epoch alone. A rank takes its share of each batch, so that the
same global batches are seen with one worker or with several, and starting at a batch needs no replay.

Shape letters: B batch, C three channels for each photograph that the network sees, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from gkm.data.dataset.encoding import Planes
from gkm.data.reading.batch_memory import BatchMemory
from gkm.data.reading.cache import CachedSplit
from gkm.data.reading.crops import Crops, corner, draw, turned
from gkm.data.reading.noise import add_noise
from gkm.data.reading.prefetch import in_order
from gkm.errors import InputError

STREAMING_WORKERS = 4
"""Threads for pairs that are not cached."""
KEPT_BATCHES = 4
"""Batches whose memory waits for the next ones."""
MOST_BRIGHTER = 1.25
"""How much brighter, or darker, a sharp crop is made at most to match its blurred partner."""
DESCRIBED_CROPS = 8
"""Of a batch, in a sentence."""


@dataclass(frozen=True)
class Batch:
    """Crops of what the network sees and of the sharp partners, float32 in [0, 1]; noise may go beyond.

    The input is the blurred photograph, or its left and then its right view: the split's `inputs`, in their order.
    """

    input_BCHW: Tensor  # noqa: N815
    sharp_B3HW: Tensor  # noqa: N815


class CropLoader:
    """Random paired crops of a split: all photographs of a pair are cut, mirrored and turned alike.

    Mirroring and turning do not exchange the views: what was the left one in the data set stays the left one.

    Args:
        batch_size: crops per batch over all ranks; each rank gets batch_size // world_size of them, at least one.
        crops_per_photo: crops of each photograph in an epoch. The last batch is filled with crops of random ones.
        flips: adds mirror images and quarter turns to the paper's random crop.
        noise_sigma_8bit: standard deviation of the noise added to what the network sees, in 8-bit grey levels.
        match_brightness: gives sharp crops the mean of their blurred partners, in each colour.
        side_at: side of the crops in an epoch, from 0, at most `crop_pixels`. Left out: always `crop_pixels`.
        workers: threads that make batches ahead of time. Left out: none if all pairs are cached, for then a batch costs
            less than handing it over; else as many as hide the way to the storage.

    Raises:
        InputError: a photograph is smaller than the crops.
    """

    def __init__(
        self,
        split: CachedSplit,
        *,
        batch_size: int,
        crop_pixels: int,
        crops_per_photo: int = 1,
        flips: bool = False,
        noise_sigma_8bit: float = 0.0,
        match_brightness: bool = False,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        side_at: Callable[[int], int] | None = None,
        workers: int | None = None,
    ) -> None:
        if not 0 <= rank < world_size:
            raise ValueError(f"rank {rank} is not below world_size {world_size}")
        _refuse_small(split, crop_pixels)
        self.split = split
        self.crop_pixels = crop_pixels
        self.crops_per_photo = crops_per_photo
        self.flips = flips
        self.noise_sigma_8bit = noise_sigma_8bit
        self.match_brightness = match_brightness
        self.seed = seed
        self.rank = rank
        self.share = max(1, batch_size // world_size)
        self.global_batch_size = self.share * world_size
        self._side_at = side_at or (lambda epoch: crop_pixels)
        self._memory: tuple[int, BatchMemory, BatchMemory] | None = None
        self.workers = workers if workers is not None else (STREAMING_WORKERS if split.streamed else 0)

    @property
    def batches_per_epoch(self) -> int:
        """Batches in an epoch, the same on every rank."""
        return -(-len(self.split) * self.crops_per_photo // self.global_batch_size)

    def crops(self, epoch: int) -> Crops:
        """All crops of an epoch, over all ranks: batch b, rank r takes b * global_batch_size + r * share and on."""
        total = self.batches_per_epoch * self.global_batch_size
        generator = np.random.default_rng([self.seed, epoch])
        return draw(len(self.split), self.crops_per_photo, total, self.flips, generator)

    def epoch(self, epoch: int, start_batch: int = 0) -> Iterator[Batch]:
        """This rank's batches of an epoch from `start_batch` on."""
        crops = self.crops(epoch)
        firsts = (
            batch * self.global_batch_size + self.rank * self.share
            for batch in range(start_batch, self.batches_per_epoch)
        )
        chosen = (range(first, first + self.share) for first in firsts)
        yield from in_order(partial(self._batch, crops, *self._memory_of(self._side_at(epoch))), chosen, self.workers)

    def described(self, epoch: int, batch: int) -> str:
        """What this rank's share of a batch shows: photographs and the places of the crops in them."""
        crops, side, shown = self.crops(epoch), self._side_at(epoch), []
        first = batch * self.global_batch_size + self.rank * self.share
        for index in range(first, first + min(self.share, DESCRIBED_CROPS)):
            entry = self.split.entries[int(crops.photo[index])]
            top, left = corner(crops, index, entry.height, entry.width, side)
            shown.append(f"{entry.scene}/{entry.name} at row {top}, column {left}")
        more = f" and {self.share - len(shown)} more" if self.share > len(shown) else ""
        return f"crops of {'; '.join(shown)}{more}"

    def _memory_of(self, side: int) -> tuple[int, BatchMemory, BatchMemory]:
        """`side`, and memory for crops of it, seen and sharp: that of other sides is freed."""
        if self._memory is None or self._memory[0] != side:
            inputs, sharps = (
                BatchMemory((self.share, channels, side, side), keep=KEPT_BATCHES)
                for channels in (3 * len(self.split.inputs), 3)
            )
            self._memory = side, inputs, sharps
        return self._memory

    def _batch(self, crops: Crops, side: int, inputs: BatchMemory, sharps: BatchMemory, chosen: range) -> Batch:
        input_BCHW, sharp_B3HW = inputs.tensor(), sharps.tensor()
        for place, index in enumerate(chosen):
            photo = int(crops.photo[index])
            entry = self.split.entries[photo]
            top, left = corner(crops, index, entry.height, entry.width, side)
            window = self.split.window(photo, top, left, side, side)
            crop_3HW = dict(zip(self.split.columns, window, strict=True))
            for channel, name in zip(range(0, input_BCHW.shape[1], 3), self.split.inputs, strict=True):
                _scale(turned(crop_3HW[name], crops, index), input_BCHW[place, channel : channel + 3])
            _scale(turned(crop_3HW["sharp"], crops, index), sharp_B3HW[place])
            if self.match_brightness:
                _match_brightness(sharp_B3HW[place], input_BCHW[place])
            if self.noise_sigma_8bit:
                generator = torch.Generator().manual_seed(int(crops.noise_seed[index]))
                input_BCHW[place] = add_noise(input_BCHW[place], self.noise_sigma_8bit, generator)
        return Batch(input_BCHW, sharp_B3HW)


def _scale(crop_3HW: Planes, target_3HW: Tensor) -> None:
    """Scales a crop to [0, 1] straight into its place in the batch."""
    white = np.float32(np.iinfo(crop_3HW.dtype).max)
    samples_3HW = np.ascontiguousarray(crop_3HW)  # one long loop is quicker than one for every row
    np.divide(samples_3HW, white, out=target_3HW.numpy(), dtype=np.float32)


def _match_brightness(sharp_3HW: Tensor, input_CHW: Tensor) -> None:
    """Scales the sharp crop, in place, to the mean of the blurred one, or of both views, in each colour.

    Not beyond MOST_BRIGHTER: a dark crop may be brightened by what is blurred into it from outside.
    """
    wanted_3 = input_CHW.view(-1, 3, *input_CHW.shape[1:]).mean((0, 2, 3))
    gain_3 = wanted_3 / sharp_3HW.mean((1, 2)).clamp(min=1e-6)
    sharp_3HW.mul_(gain_3.clamp(1 / MOST_BRIGHTER, MOST_BRIGHTER)[:, None, None])


def _refuse_small(split: CachedSplit, crop_pixels: int) -> None:
    for entry in split.entries:
        smaller = min(entry.width, entry.height)
        if smaller < crop_pixels:
            raise InputError(
                f"{entry.scene}/{entry.name} of the {split.split} photographs is {entry.width}x{entry.height} pixels, "
                f"smaller than data.crop_pixels = {crop_pixels}; set data.crop_pixels to {smaller} or less"
            )
