"""A trial on several workers, or with its batches in pieces, is the same experiment as on one and in one piece."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from gkm.config import DataConfig, GKMNetConfig, LossConfig, OptimConfig, TrainingConfig, TrialConfig
from gkm.data.dataset.pair import Pair
from gkm.data.preparation.preparation import write_dataset
from gkm.training.context import LocalContext
from gkm.training.store import open_store, read_validation

WORKER = Path(__file__).with_name("group_worker.py")
_SPEC = importlib.util.spec_from_file_location("group_worker", WORKER)
assert _SPEC is not None
assert _SPEC.loader is not None
group_worker = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(group_worker)

BASE = TrialConfig(
    model=GKMNetConfig(max_kernel_size=5, num_kernels=3, num_scales=2, width=2),
    data=DataConfig(crop_pixels=32, batch_size=4, crops_per_photo=6, flips=True, noise_sigma_8bit=3),
    loss=LossConfig(schedule="l2"),
    optim=OptimConfig(learning_rate=3e-3, clip_norm=0.5),
    training=TrainingConfig(epochs=5),
)
"""Thirty steps."""
DROPOUT = {"model.kind": "dpdnet", "model.width": 4, "model.depth": 3, "training.ema": 0.9}
RUNS: dict[str, dict[str, Any]] = {"whole": {}, "dropout": DROPOUT}
Result = dict[str, Any]
MOST_SECONDS = 2000


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four photographs to train on, and three to validate on, which no number of workers here divides."""
    generator, pairs = np.random.default_rng(7), []
    for split, number in (("train", 4), ("validation", 3)):
        for index in range(number):
            sharp = np.kron(generator.uniform(0, 255, (12, 16, 3)), np.ones((4, 4, 1)))
            photos = [image.round().astype(np.uint8) for image in (gaussian_filter(sharp, (1.5, 1.5, 0)), sharp)]
            pairs.append((split, Pair(f"{split}-{index}", "0", *photos)))
    folder = tmp_path_factory.mktemp("group") / "data"
    write_dataset(pairs, folder, {"kind": "synthetic"})
    return folder


@pytest.fixture(scope="module")
def alone(data: Path) -> dict[str, Result]:
    """The runs in one process."""
    return {name: _alone(data, name, settings) for name, settings in RUNS.items()}


def _alone(data: Path, name: str, settings: Mapping[str, Any]) -> Result:
    context = LocalContext(open_store(str(data.parent / f"alone-{name}")))
    found: Result = group_worker.trained(
        BASE.with_values(settings), str(data), context, str(data.parent / "cache-alone")
    )
    return found


def _together(
    data: Path, size: int, runs: Mapping[str, Mapping[str, Any]], name: str = "", **more: Any
) -> list[dict[str, Result]]:
    """What each of `size` processes finds; for `more` see `group_worker.main`."""
    folder = data.parent / f"group-of-{size}{name}"
    folder.mkdir()
    base = BASE.model_dump(mode="json")
    task = {"data": str(data), "cache": str(folder / "cache"), "base": base, "runs": runs, **more}
    (folder / "task.json").write_text(json.dumps(task))
    command = [sys.executable, str(WORKER)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    workers = [subprocess.Popen([*command, str(rank), str(size), str(folder)], env=environment) for rank in range(size)]
    try:
        assert [worker.wait(timeout=MOST_SECONDS) for worker in workers] == [0] * size
    finally:
        for worker in workers:
            worker.kill()
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(size)]


def _assert_same(found: Result, expected: Result) -> None:
    assert len(expected["losses"]) == 30
    assert expected["losses"][-1] < expected["losses"][0]
    assert found["losses"] == pytest.approx(expected["losses"], abs=1e-4, rel=0)
    for one, other in zip(found["history"], expected["history"], strict=True):
        assert one["val/psnr"] == pytest.approx(other["val/psnr"], abs=0.01)
        assert one["train/loss"] == pytest.approx(other["train/loss"], abs=1e-4)


def _assert_group_agrees(results: list[Result]) -> None:
    """Weights and statistics to the bit after every epoch, and all that was measured of them."""
    for result in results[1:]:
        assert result["hashes"] == results[0]["hashes"]
        for one, other in zip(result["history"], results[0]["history"], strict=True):
            ours = {key: value for key, value in one.items() if not key.startswith(("system/", "time", "seconds"))}
            assert ours == {key: other[key] for key in ours}
            assert one["seconds_per_megapixel"] == other["seconds_per_megapixel"]


def _assert_scored_in_order(data: Path, size: int, result: Result) -> None:
    best = int(result["history"][-1]["best/epoch"])
    scores = read_validation(str(data.parent / f"group-of-{size}" / "whole"), best)
    assert [score.scene for score in scores] == ["validation-0", "validation-1", "validation-2"]
    assert sum(score.psnr for score in scores) / 3 == pytest.approx(result["history"][best - 1]["val/psnr"], rel=1e-12)


@pytest.mark.slow
def test_two_workers_train_the_same_network_as_one(data: Path, alone: dict[str, Result]) -> None:
    group = _together(data, 2, {"whole": {}})
    _assert_group_agrees([worker["whole"] for worker in group])
    _assert_same(group[0]["whole"], alone["whole"])
    _assert_scored_in_order(data, 2, group[0]["whole"])


@pytest.mark.slow
def test_two_workers_with_dropout_or_pieces_train_the_same_network(data: Path, alone: dict[str, Result]) -> None:
    runs = {"dropout": DROPOUT, "pieces": {"training.accumulate": 2}}
    group = _together(data, 2, runs, "-more")
    for name, expected in (("dropout", "dropout"), ("pieces", "whole")):
        _assert_group_agrees([worker[name] for worker in group])
        _assert_same(group[0][name], alone[expected])


@pytest.mark.slow
@pytest.mark.parametrize("run", RUNS)
def test_a_group_that_shrinks_and_grows_within_epochs_trains_the_same_network(
    data: Path, alone: dict[str, Result], tmp_path: Path, run: str
) -> None:
    store, runs, config = str(tmp_path / "trial"), {run: RUNS[run]}, BASE.with_values(RUNS[run])
    first = _together(data, 2, runs, f"-{run}-before", store=store, leave_after=8)[0][run]
    assert [path.name for path in (tmp_path / "trial" / "checkpoints").glob("*-batch-*")] == [
        "epoch-0000001-batch-0000002"
    ]
    after = group_worker.After(7)
    context = LocalContext(open_store(store), leaving=after)
    second = group_worker.trained(config, str(data), context, str(tmp_path / "cache"), after)
    third = _together(data, 2, runs, f"-{run}-after", store=store)
    _assert_group_agrees([worker[run] for worker in third])
    losses = first["losses"] + second["losses"] + third[0][run]["losses"]
    assert [len(part["losses"]) for part in (first, second)] == [8, 7]
    _assert_same({"losses": losses, "history": third[0][run]["history"]}, alone[run])


@pytest.mark.slow
def test_four_workers_train_the_same_network_as_one(data: Path, alone: dict[str, Result]) -> None:
    group = _together(data, 4, RUNS)
    for name in RUNS:
        _assert_group_agrees([worker[name] for worker in group])
        _assert_same(group[0][name], alone[name])
    _assert_scored_in_order(data, 4, group[0]["whole"])


@pytest.mark.slow
@pytest.mark.parametrize("pieces", [2, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize("run", RUNS)
def test_pieces_give_the_same_network(data: Path, alone: dict[str, Result], run: str, pieces: int) -> None:
    found = _alone(data, f"{run}-{pieces}", {**RUNS[run], "training.accumulate": pieces})
    _assert_same(found, alone[run])
