"""A training that leaves within an epoch goes on at the next batch: same losses, same scores, same weights."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from gkm.config import DataConfig, LossConfig, OptimConfig, TrainingConfig, TrialConfig
from gkm.networks import Network, build
from gkm.training.checkpoint import CHECKPOINT_NAMES, STATE_NAME, seal
from gkm.training.context import LocalContext
from gkm.training.course.leaving import Left
from gkm.training.loop import Metrics, TrainingDivergedError, Validation, fit
from gkm.training.store import open_store, read_history

BATCHES = 4
BASE = TrialConfig(
    data=DataConfig(crop_pixels=32, batch_size=2),
    loss=LossConfig(schedule="l2"),
    optim=OptimConfig(learning_rate=1e-2, clip_norm=1.0),
    training=TrainingConfig(epochs=4, validate_every=2),
)
SMALL = {"model.max_kernel_size": 5, "model.num_kernels": 3, "model.num_scales": 1, "model.width": 2}
RUNS: dict[str, dict[str, Any]] = {
    "batch norm": SMALL,
    "average": {**SMALL, "training.ema": 0.9},
    "float16": {**SMALL, "training.precision": "float16"},
    "dropout": {"model.kind": "dpdnet", "model.width": 2, "model.depth": 2},
}


@dataclass(frozen=True)
class Crops:
    input_BCHW: Tensor  # noqa: N815
    sharp_B3HW: Tensor  # noqa: N815


class Batches:
    """Crops that follow from their epoch and number, as the loader's do; `asked` are those that were asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []

    def epoch(self, epoch: int, start_batch: int = 0) -> Iterator[Crops]:
        for batch in range(start_batch, BATCHES):
            self.asked.append((epoch, batch))
            blurred = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(10 * epoch + batch)) * 0.5
            yield Crops(blurred, blurred * 1.3)


def _score(model: Network) -> Validation:
    """Depends on the weights."""
    seen = torch.full((1, 3, 32, 32), 0.4)
    with torch.no_grad():
        return Validation({"val/psnr": float(model(seen)[-1].mean())})


class After:
    """Asks to leave once so many steps were taken."""

    def __init__(self, batches: Batches, steps: int) -> None:
        self.batches, self.steps = batches, steps

    def __call__(self) -> bool:
        return len(self.batches.asked) >= self.steps


def _run(
    config: TrialConfig, place: Path, leave_after: int | None = None, batches: Batches | None = None
) -> tuple[Network, list[Metrics], Batches]:
    torch.manual_seed(0)
    model, batches = build(config.model), batches or Batches()
    leaving = After(batches, leave_after) if leave_after else lambda: False
    history = fit(model, batches, _score, config, LocalContext(open_store(str(place)), leaving=leaving))
    return model, history, batches


def _lasting(history: list[Metrics]) -> list[Metrics]:
    passing = ("seconds", "time", "system/")
    return [{key: value for key, value in metrics.items() if not key.startswith(passing)} for metrics in history]


@pytest.mark.slow
@pytest.mark.parametrize("run", RUNS)
def test_leaving_three_times_changes_nothing(tmp_path: Path, run: str) -> None:
    config = BASE.with_values(RUNS[run])
    expected, undisturbed, whole = _run(config, tmp_path / "whole")
    asked: list[tuple[int, int]] = []
    for steps in (2, 4, 5):  # within an epoch, within one that is not validated, within one that is
        batches = Batches()
        with pytest.raises(Left):
            _run(config, tmp_path / "parts", steps, batches)
        asked += batches.asked
    model, history, rest = _run(config, tmp_path / "parts")
    assert asked + rest.asked == whole.asked, "no step is missing, none is doubled"
    assert _lasting(history) == _lasting(undisturbed)
    for name, tensor in expected.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], tensor, rtol=0, atol=0)
    assert not list((tmp_path / "parts" / "checkpoints").glob("*-batch-*")), "of no use any more"


def test_leaving_while_validating_keeps_the_epochs_batches(tmp_path: Path) -> None:
    config = BASE.with_values(SMALL)

    def leave(model: Network) -> Validation:
        raise Left("left while the network was validated")

    batches = Batches()
    with pytest.raises(Left):
        fit(build(config.model), batches, leave, config, LocalContext(open_store(str(tmp_path / "parts"))))
    assert batches.asked[-1] == (1, 3)
    _, history, rest = _run(config, tmp_path / "parts")
    assert rest.asked[0] == (2, 0)
    assert [metrics["epoch"] for metrics in history] == [2, 4]


@pytest.mark.slow
def test_a_checkpoint_comes_every_so_many_minutes_and_can_be_left_out(tmp_path: Path) -> None:
    class Killed(Exception):  # noqa: N818
        pass

    class Killing(Batches):
        def epoch(self, epoch: int, start_batch: int = 0) -> Iterator[Crops]:
            for crops in super().epoch(epoch, start_batch):
                if self.asked[-1] == (0, 3):
                    raise Killed
                yield crops

    for minutes, kept in ((1e-9, ["epoch-0000000-batch-0000003"]), (0, []), (5, [])):
        config, place = BASE.with_values({**SMALL, "training.checkpoint_minutes": minutes}), tmp_path / f"{minutes}"
        with pytest.raises(Killed):
            fit(build(config.model), Killing(), _score, config, LocalContext(open_store(str(place))))
        assert [path.name for path in place.glob("checkpoints/*")] == kept
    _, _, rest = _run(BASE.with_values(SMALL), tmp_path / "1e-09")
    assert rest.asked[0] == (0, 3), "how often is no part of what a checkpoint belongs to"


def test_one_that_is_damaged_is_passed_over_and_noted_for_good(tmp_path: Path) -> None:
    config = BASE.with_values(SMALL)
    with pytest.raises(Left):
        _run(config, tmp_path, 9)
    (within,) = tmp_path.glob("checkpoints/*-batch-*")
    assert within.name == "epoch-0000002-batch-0000001"
    (within / "model.safetensors").write_bytes(b"torn")
    heard: list[dict[str, Any]] = []

    def hear(metrics: Mapping[str, Any]) -> None:
        heard.append(dict(metrics))

    torch.manual_seed(0)
    fit(build(config.model), Batches(), _score, config, LocalContext(open_store(str(tmp_path)), hear))
    note = "checkpoint of epoch 3, batch 1 is damaged; training goes on from epoch 2"
    assert heard[0]["note"] == note
    state = json.loads((tmp_path / "checkpoints" / "epoch-0000004" / STATE_NAME).read_text())["training"]
    assert state["notes"] == [note]
    assert [metrics["epoch"] for metrics in read_history(str(tmp_path))] == [2, 4]


@pytest.mark.slow
def test_other_code_is_said_and_checkpoints_from_before_positions_were_kept_go_on(tmp_path: Path) -> None:
    config = BASE.with_values(SMALL)
    _, expected, _ = _run(config, tmp_path / "whole")
    with pytest.raises(Left):
        _run(config, tmp_path / "parts", 9)
    (within,) = (tmp_path / "parts").glob("checkpoints/*-batch-*")
    (within / "SHA256SUMS").unlink()
    directory = tmp_path / "parts" / "checkpoints" / "epoch-0000002"
    content = json.loads((directory / STATE_NAME).read_text())
    for key in ("position", "notes", "seconds"):
        del content["training"][key]
    content["training"]["code"] = "0.0.1"
    (directory / STATE_NAME).write_text(json.dumps(content))
    seal(directory, CHECKPOINT_NAMES)
    _, history, rest = _run(config, tmp_path / "parts")
    assert rest.asked[0] == (2, 0)
    assert _lasting(history) == _lasting(expected)
    state = json.loads((tmp_path / "parts" / "checkpoints" / "epoch-0000004" / STATE_NAME).read_text())["training"]
    (note,) = state["notes"]
    assert note.startswith("the checkpoint was written by gkm 0.0.1, training goes on with ")


def test_no_checkpoint_is_written_of_weights_that_are_no_numbers(tmp_path: Path) -> None:
    config = BASE.with_values({**SMALL, "training.checkpoint_minutes": 1e-9})

    class Bad(Batches):
        def epoch(self, epoch: int, start_batch: int = 0) -> Iterator[Crops]:
            for crops in super().epoch(epoch, start_batch):
                yield crops if self.asked[-1] != (0, 2) else Crops(crops.input_BCHW, crops.sharp_B3HW * float("nan"))

    with pytest.raises(TrainingDivergedError, match=r"at epoch 1, step 3, with batch 2 of epoch 0; lower"):
        fit(
            build(config.model),
            Bad(),
            _score,
            config,
            LocalContext(open_store(str(tmp_path))),
            describe=lambda epoch, batch: f"batch {batch} of epoch {epoch}",
        )
    assert [path.name for path in tmp_path.glob("checkpoints/*")] == ["epoch-0000000-batch-0000002"]
