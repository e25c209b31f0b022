"""Contexts: what is reported after a restart, and what several workers agree on."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from gkm.errors import InputError
from gkm.training.context import LocalContext, TuneContext, agreed, from_first, is_agreed
from gkm.training.store import open_store

HISTORY = [{"epoch": 1.0, "val/psnr": 30.0, "time": 5.0}, {"epoch": 2.0, "val/psnr": 31.0, "time": 6.0}]


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What Tune is told."""
    told: list[dict[str, Any]] = []
    ray, tune = ModuleType("ray"), ModuleType("ray.tune")
    tune.report = told.append  # type: ignore[attr-defined]
    ray.tune = tune  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setitem(sys.modules, "ray.tune", tune)
    return told


@pytest.mark.parametrize(("known", "again"), [(0, HISTORY), (1, HISTORY[1:]), (2, [])])
def test_tune_is_told_again_what_it_may_not_have_heard(
    tmp_path: Path, reported: list[dict[str, Any]], known: int, again: list[dict[str, Any]]
) -> None:
    TuneContext(open_store(str(tmp_path)), known_epoch=known).resumed(HISTORY, None)
    assert reported == again


@pytest.mark.parametrize("known", [0, 2])
def test_a_note_goes_along_with_the_first_report(tmp_path: Path, reported: list[dict[str, Any]], known: int) -> None:
    context = TuneContext(open_store(str(tmp_path)), known_epoch=known)
    context.resumed(HISTORY, "said")
    context.report({"epoch": 3.0})
    assert reported[0]["note"] == "said"
    assert all("note" not in metrics for metrics in reported[1:])
    assert reported[-1]["epoch"] == 3


def test_alone_there_is_nobody_to_agree_with(tmp_path: Path) -> None:
    context = LocalContext(open_store(str(tmp_path)))
    assert agreed(context, lambda: 3, InputError) == 3
    assert from_first(context, lambda: 4, InputError) == 4
    with pytest.raises(InputError, match="none") as caught:
        agreed(context, lambda: _refuse("none"), InputError)
    assert is_agreed(caught.value)
    assert not is_agreed(InputError("none"))


def _refuse(text: str) -> None:
    raise InputError(text)


WORKER = """
import sys
import torch
from gkm.config import DataConfig, LossConfig, ModelConfig, TrainingConfig, TrialConfig
from gkm.errors import InputError
from gkm.networks.gkmnet.gkmnet import GKMNet
from gkm.training.context import GroupContext, agreed, from_first, is_agreed
from gkm.training.loop import TrainingDivergedError, fit
from gkm.training.store import open_store

rank, folder = int(sys.argv[1]), sys.argv[2]
torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
context = GroupContext(open_store(f"{folder}/trial"), rank, 2, torch.device("cpu"))
assert context.gather([rank, 10 + rank][: 2 - rank]) == [0, 10, 1], "shares may differ in length"
assert context.sum([1.0, rank]) == [2.0, 1.0]
assert from_first(context, lambda: f"from {rank}", InputError) == "from 0"

def refuse(refusing):
    if rank in refusing:
        raise InputError(f"rank {rank}")

for refusing in ([1], [0, 1]):
    try:
        agreed(context, lambda: refuse(refusing), InputError)
    except InputError as error:
        assert str(error) == f"rank {refusing[0]}" and is_agreed(error)
    else:
        raise AssertionError("one worker went on alone")

class Crops:
    def __init__(self, factor):
        self.input_BCHW = torch.rand(1, 3, 32, 32)
        self.sharp_B3HW = self.input_BCHW * factor

class Batches:
    def epoch(self, epoch, start_batch=0):
        for step in range(3):
            yield Crops(float("nan") if rank == 1 and step == 1 else 1.2)

config = TrialConfig(
    model=ModelConfig(max_kernel_size=5, num_kernels=3, num_scales=1, width=2),
    data=DataConfig(crop_pixels=32, batch_size=2),
    loss=LossConfig(schedule="l2"),
    training=TrainingConfig(epochs=2),
)
try:
    fit(GKMNet(config.model), Batches(), lambda model: None, config, context)
except TrainingDivergedError as error:
    print(error)
torch.distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_two_workers_agree_and_hear_of_a_loss_that_one_of_them_met(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WORKER]
    workers = [
        subprocess.Popen([*command, str(rank), str(tmp_path)], stdout=subprocess.PIPE, text=True) for rank in (0, 1)
    ]
    said = [worker.communicate(timeout=120)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0]
    assert "loss became nan at epoch 1, step 2;" in said[0], "where it began, not where another worker met it"
    assert said[0] == said[1]
