"""A batch that does not fit: how many of its crops do, and what to set."""

from pathlib import Path
from typing import Any

import pytest
import torch

from gkm.config import TrialConfig
from gkm.networks import build
from gkm.training.context import LocalContext
from gkm.training.course.memory import BatchTooLargeError, is_out_of_memory, keep_to_share, largest_share
from gkm.training.course.position import StepLosses
from gkm.training.epoch import Trainer
from gkm.training.store import open_store

CPU = "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate"


@pytest.mark.parametrize(
    ("error", "is_it"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError(CPU), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_it_is_told_from_other_errors(error: Exception, is_it: bool) -> None:
    assert is_out_of_memory(error) == is_it


@pytest.mark.parametrize(("fits", "largest"), [(5, 4), (1, 1), (0, 0)])
def test_half_as_many_crops_are_tried_until_they_fit(fits: int, largest: int) -> None:
    def attempt(crops: int) -> None:
        if crops > fits:
            raise MemoryError

    assert largest_share(attempt, 16) == largest


class Batches:
    def __init__(self, crops: int) -> None:
        self.crops = crops

    def epoch(self, epoch: int, start_batch: int = 0) -> Any:
        yield self

    @property
    def input_BCHW(self) -> torch.Tensor:
        return torch.rand(self.crops, 3, 32, 32)

    sharp_B3HW = input_BCHW  # noqa: N815


@pytest.mark.parametrize(
    ("settings", "fits", "sentence"),
    [
        (
            {"model.kind": "dpdnet", "model.width": 2, "model.depth": 2},
            3,
            "8 crops of 32 pixels a step do not fit into the memory, 2 would: set data.batch_size=2, "
            "or training.accumulate=4 for the same step in pieces",
        ),
        (
            {"model.num_kernels": 3, "model.max_kernel_size": 5, "model.num_scales": 1, "model.width": 2},
            4,
            "8 crops of 32 pixels a step do not fit into the memory, 4 would: set data.batch_size=4, "
            "or training.accumulate=2 for the same step in less memory",
        ),
        (
            {"model.kind": "dpdnet", "model.width": 2, "model.depth": 2},
            0,
            "8 crops of 32 pixels a step do not fit into the memory, nor does one; "
            "set data.crop_pixels to less than 32",
        ),
        (
            {
                "model.num_kernels": 3,
                "model.max_kernel_size": 5,
                "model.num_scales": 1,
                "model.width": 2,
                "data.batch_size": 9,
            },
            4,
            "9 crops of 32 pixels a step do not fit into the memory, 4 would: set data.batch_size=4, "
            "or training.accumulate=3 for the same step in less memory",
        ),
        (
            {"model.kind": "dpdnet", "model.width": 2, "model.depth": 2, "data.batch_size": 14},
            3,
            "14 crops of 32 pixels a step do not fit into the memory, 3 would: set data.batch_size=3, "
            "or training.accumulate=7 for the same step in pieces",
        ),
        (
            {"model.kind": "dpdnet", "model.width": 2, "model.depth": 2, "training.accumulate": 2},
            3,
            "8 crops of 32 pixels a step, in 2 pieces, do not fit into the memory, 4 would: set data.batch_size=4, "
            "or training.accumulate=4 for the same step in pieces",
        ),
    ],
)
def test_what_would_fit_is_tried_out_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], fits: int, sentence: str
) -> None:
    config = TrialConfig().with_values({"data.crop_pixels": 32, "data.batch_size": 8, **settings})
    model = build(config.model)
    trainer = Trainer(model, torch.optim.Adam(model.parameters()), config, LocalContext(open_store(str(tmp_path))))
    inner = trainer._loss

    def limited(input_BCHW: torch.Tensor, *arguments: Any) -> torch.Tensor:
        if len(input_BCHW) > fits:
            raise RuntimeError(CPU)
        return inner(input_BCHW, *arguments)

    monkeypatch.setattr(trainer, "_loss", limited)
    with pytest.raises(BatchTooLargeError) as raised:
        trainer.train(Batches(config.data.batch_size), 0, 1e-4, StepLosses())
    assert str(raised.value) == sentence


@pytest.mark.parametrize(("there", "asked"), [(True, [0.225]), (False, [])])
def test_a_process_keeps_to_its_share_of_a_gpu(
    monkeypatch: pytest.MonkeyPatch, there: bool, asked: list[float]
) -> None:
    seen: list[float] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", seen.append)
    keep_to_share(4)
    assert seen == pytest.approx(asked)
