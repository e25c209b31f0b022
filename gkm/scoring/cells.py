"""Models, data sets and noise levels in; the scores of each combination out, none computed twice.

What is finished is kept in a folder, a file for each combination, written whole: after a kill the same call goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from gkm.data.dataset.dataset import Dataset
from gkm.data.dataset.pair import Pair
from gkm.data.photos import Split
from gkm.data.reading.cache import NodeCache, open_split
from gkm.errors import InputError
from gkm.evaluation import GKM, ImageScore, Protocol, Restore, evaluate, restorer, two_stage_restorer
from gkm.evaluation.fixed_point import best_iterations, fixed_point_restorer
from gkm.metrics import LPIPS_SMALLEST_PIXELS
from gkm.registry.promotion import Watch
from gkm.scoring.rows import Block, Row, read_block, write_block
from gkm.scoring.subjects import BLURRED, Subject
from gkm.tracking.environment import processor
from gkm.training.context import best_device


@dataclass(frozen=True)
class Place:
    """A data set with its name in tables."""

    label: str
    dataset: Dataset


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What all combinations have in common."""

    split: Split = "test"
    protocol: Protocol = GKM
    seed: int = 0
    """Of the noise."""


@dataclass(frozen=True)
class Cell:
    """One combination."""

    subject: Subject
    place: Place
    noise_sigma_8bit: float

    @property
    def names(self) -> tuple[str, str, float]:
        """Model, data set and noise level as tables call them."""
        return self.subject.label, self.place.label, self.noise_sigma_8bit

    @property
    def label(self) -> str:
        """In a progress display."""
        return f"{self.subject.label}, {self.place.label}, sigma {self.noise_sigma_8bit:g}"

    def key(self, conditions: Conditions) -> dict[str, Any]:
        """All that the scores depend on; the seed only where there is noise."""
        return {
            "model": self.subject.identity,
            "data": self.place.dataset.fingerprint,
            "split": conditions.split,
            "noise_sigma_8bit": self.noise_sigma_8bit,
            "seed": conditions.seed if self.noise_sigma_8bit else None,
            "protocol": conditions.protocol.to_dict(),
        }

    def read(self, folder: str, conditions: Conditions) -> Block | None:
        """What is on record of it; None if it has to be computed."""
        entries = self.place.dataset.entries(conditions.split)
        return read_block(folder, self.key(conditions), [(entry.scene, entry.name) for entry in entries])


def with_blurred(cells: Iterable[Cell]) -> list[Cell]:
    """The cells, each once, behind the blurred input of the same photographs and noise."""
    every = [cell for one in cells for cell in (replace(one, subject=BLURRED), one)]
    return list({(cell.subject.identity, *cell.names): cell for cell in every}.values())


def check(cells: Sequence[Cell], conditions: Conditions) -> None:
    """Raises InputError where one of the cells cannot be computed, before anything is."""
    smallest = LPIPS_SMALLEST_PIXELS + 2 * conditions.protocol.border_pixels
    for cell in cells:
        dataset = cell.place.dataset
        dataset.require(conditions.split, inputs=cell.subject.inputs)
        if cell.subject.kind == "fixed-point":
            dataset.require("validation")  # they say when to stop
        for entry in dataset.entries(conditions.split):
            if min(side - side % conditions.protocol.size_multiple for side in (entry.height, entry.width)) < smallest:
                raise InputError(
                    f"{dataset.place}: the photograph {entry.scene}/{entry.name} has {entry.width} x {entry.height} "
                    f"pixels, too few for the metrics, which need {smallest} on either side; leave it out"
                )


def score_cells(
    cells: Sequence[Cell],
    folder: str,
    conditions: Conditions,
    *,
    cache: NodeCache | str | None = None,
    watch: Watch | None = None,
) -> list[Block]:
    """The scores of every cell, in their order: read from `folder`, or computed and kept there.

    Raises InputError for a model whose results are no pictures; what was finished before is kept.
    """
    blocks = []
    iterations: dict[str, int] = {}
    for cell in cells:
        block = cell.read(folder, conditions)
        if block is None:
            block = _compute(cell, conditions, iterations, cache, watch)
            write_block(folder, cell.key(conditions), block)
        blocks.append(block)
    return blocks


def _compute(
    cell: Cell,
    conditions: Conditions,
    iterations: dict[str, int],
    cache: NodeCache | str | None,
    watch: Watch | None,
) -> Block:
    device, subject = torch.device(best_device()), cell.subject
    photos = open_split(cell.place.dataset, conditions.split, cache, inputs=subject.inputs)
    method = _method(cell, device, iterations, cache)
    settings: Mapping[str, Any] = {
        "inputs": subject.inputs,
        "noise_sigma_8bit": cell.noise_sigma_8bit,
        "seed": conditions.seed,
        "device": device,
        "protocol": conditions.protocol,
    }
    rows = []
    try:
        for pair in watch(cell.label, photos) if watch else photos:
            restore = method(pair)
            timed = None if restore is None else _Timed(restore)
            (score,) = evaluate(timed, [pair], **settings)
            rows.append(_row(pair, score, None if timed is None else timed.seconds))
    except FloatingPointError as error:
        raise InputError(f"{subject.label}: {error}; choose another --model") from None
    finally:
        if subject.network is not None:
            subject.network.to("cpu")
    return Block(tuple(rows), _name(device), round(time.time() * 1000))


def _method(
    cell: Cell, device: torch.device, iterations: dict[str, int], cache: NodeCache | str | None
) -> Callable[[Pair], Restore | None]:
    """A pair -> what restores its photograph; `iterations` remembers those that suit a data set's validation split."""
    dataset = cell.place.dataset
    if (network := cell.subject.network) is not None:
        restore = restorer(network.to(device))
        return lambda pair: restore
    if cell.subject.method is not None:
        two_stage = two_stage_restorer(cell.subject.method)
        return lambda pair: two_stage
    if cell.subject.kind == "fixed-point":
        if (count := iterations.get(dataset.fingerprint)) is None:
            count = iterations[dataset.fingerprint] = best_iterations(open_split(dataset, "validation", cache), device)
        return lambda pair: fixed_point_restorer(pair, count)
    return lambda pair: None


class _Timed:
    """A restoring function that remembers how long it took."""

    def __init__(self, restore: Restore) -> None:
        self._restore = restore
        self.seconds = 0.0

    def __call__(self, input_1CHW: Tensor) -> Tensor:
        began = self._now(input_1CHW)
        restored_13HW = self._restore(input_1CHW)
        self.seconds = self._now(restored_13HW) - began
        return restored_13HW

    @staticmethod
    def _now(tensor: Tensor) -> float:
        if tensor.device.type == "cuda":
            torch.cuda.synchronize(tensor.device)
        return time.perf_counter()


def _row(pair: Pair, score: ImageScore, seconds: float | None) -> Row:
    height, width = pair.sharp_HW3.shape[:2]
    assert score.lpips is not None
    return Row(
        scene=pair.scene,
        name=pair.name,
        height=height,
        width=width,
        psnr=score.psnr,
        ssim=score.ssim,
        lpips=score.lpips,
        seconds=seconds,
    )


def _name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{device.type}: {processor()}, {threads} thread{'s' if threads > 1 else ''}"


def grid(subjects: Sequence[Subject], places: Sequence[Place], sigmas_8bit: Sequence[float]) -> Iterator[Cell]:
    """Every model on every data set at every noise level."""
    for place in places:
        for sigma in dict.fromkeys(sigmas_8bit):
            for subject in subjects:
                yield Cell(subject, place, sigma)
