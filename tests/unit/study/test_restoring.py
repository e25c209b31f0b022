"""Which checkpoint takes the place of one that is gone."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pyarrow.fs
import pytest
from ray import tune

from gkm.study.restoring import SurvivingCheckpoint, first_complete


@pytest.fixture
def trial(tmp_path: Path) -> Path:
    """A trial's folder with the checkpoints 3 to 6; that of 5 is torn."""
    for number in range(3, 7):
        checkpoint = tmp_path / f"checkpoint_{number:06d}"
        checkpoint.mkdir()
        if number != 5:
            (checkpoint / "SHA256SUMS").touch()
    (tmp_path / "result.json").touch()
    return tmp_path


@pytest.mark.parametrize("local", [True, False])
@pytest.mark.parametrize(("named", "found"), [(3, 3), (1, 3), (2, 3), (5, 6), (6, 6), (7, None)])
def test_the_named_one_or_the_next_that_is_complete(trial: Path, named: int, found: int | None, local: bool) -> None:
    name = f"checkpoint_{named:06d}"
    if local:
        checkpoint = tune.Checkpoint(str(trial / name))
    else:
        checkpoint = tune.Checkpoint(name, pyarrow.fs.SubTreeFileSystem(str(trial), pyarrow.fs.LocalFileSystem()))
    survivor = first_complete(checkpoint)
    assert (survivor and survivor.path[-6:]) == (found and f"{found:06d}")


def test_a_trial_starts_anew_where_none_is_left(trial: Path) -> None:
    class Trainable:
        restored = None

        def restore(self, result) -> None:
            self.restored = result.checkpoint.path

    class Trial(SurvivingCheckpoint, Trainable):
        pass

    resumed, anew = Trial(), Trial()
    resumed.restore(SimpleNamespace(checkpoint=tune.Checkpoint(str(trial / "checkpoint_000002"))))
    assert resumed.restored == str(trial / "checkpoint_000003")
    shutil.rmtree(trial)
    anew.restore(SimpleNamespace(checkpoint=tune.Checkpoint(str(trial / "checkpoint_000002"))))
    assert anew.restored is None
