"""One trial on several Ray Train workers: what it keeps, how it goes on, and what no worker tries twice."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from ray.train import UserCallback
from safetensors.torch import load_file, save_file

from gkm.config import DataConfig, LossConfig, ModelConfig, TrainingConfig, TrialConfig
from gkm.errors import InputError
from gkm.study.execution import workers
from gkm.study.execution.placement import slots
from gkm.study.execution.session import start_ray
from gkm.study.execution.workers import WorkerGroup, fit_on_workers
from gkm.training.checkpoint import CHECKPOINT_NAMES, seal
from gkm.training.context import LocalContext
from gkm.training.loop import TrainingDivergedError
from gkm.training.store import open_store, read_history, read_validation
from gkm.trial import run_trial

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of Ray's, at Ray's own use of its options
]

CONFIG = TrialConfig(
    model=ModelConfig(max_kernel_size=5, num_kernels=3, num_scales=2, width=2),
    data=DataConfig(crop_pixels=32, batch_size=2),
    loss=LossConfig(schedule="l2"),
    training=TrainingConfig(epochs=3),
)


class Stopped(Exception):  # noqa: N818
    pass


@pytest.fixture(scope="module")
def ray() -> Iterator[None]:
    with start_ray("local", 3):
        yield


def _left_in(folder: Path) -> list[Path]:
    """What lies there, but for the compiler's cache that PyTorch makes once for each user."""
    return [path for path in folder.iterdir() if not path.name.startswith("torchinductor_")]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The machine's folder for temporary files, as far as this process goes."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def _fit(config: TrialConfig, data: Path, place: Path, *callbacks: UserCallback) -> None:
    cache = str(place.parent / "cache")
    fit_on_workers(WorkerGroup(2), config, str(data), str(place), cache, name="trial", callbacks=callbacks)


def _begun_alone(config: TrialConfig, data: Path, place: Path) -> None:
    """Trained for one epoch by a single process, which then died."""

    def stop(metrics: Mapping[str, Any]) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        run_trial(config, str(data), LocalContext(open_store(str(place)), stop), cache=str(place.parent / "cache"))


@pytest.mark.usefixtures("ray")
def test_two_workers_go_on_from_a_store_and_keep_everything_in_it(
    tmp_path: Path, tiny_data: Path, temporary: Path
) -> None:
    place = tmp_path / "trial"
    _begun_alone(CONFIG, tiny_data, place)
    first = read_history(str(place))
    _fit(CONFIG, tiny_data, place)
    history = read_history(str(place))
    assert history[:1] == first
    assert [metrics["epoch"] for metrics in history] == [1, 2, 3]
    best = int(history[-1]["best/epoch"])
    scores = read_validation(str(place), best)
    assert [score.scene for score in scores] == ["validation-0", "validation-1"], "in the order of the data set"
    assert sum(score.psnr for score in scores) / 2 == history[best - 1]["val/psnr"]
    assert not _left_in(temporary)


@pytest.mark.usefixtures("ray")
def test_workers_that_diverge_end_at_once_with_the_reason(tmp_path: Path, tiny_data: Path, temporary: Path) -> None:
    place = tmp_path / "trial"
    _begun_alone(CONFIG, tiny_data, place)
    directory = place / "checkpoints" / "epoch-0000001"
    weights = load_file(directory / "model.safetensors")
    huge = {
        name: torch.full_like(weight, 1e38) if weight.is_floating_point() else weight
        for name, weight in weights.items()
    }
    save_file(huge, directory / "model.safetensors")
    seal(directory, CHECKPOINT_NAMES)

    class Raised(UserCallback):
        """Local, so that Ray takes it along to another process."""

        def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
            (tmp_path / "raised").touch()

    with pytest.raises(TrainingDivergedError, match=r"epoch 2.*; lower optim\.learning_rate"):
        _fit(CONFIG, tiny_data, place, Raised())
    assert not (tmp_path / "raised").exists(), "a worker that raises is started again"
    assert not _left_in(temporary)


@pytest.mark.usefixtures("ray")
def test_what_workers_cannot_use_is_refused_at_once(tmp_path: Path, tiny_data: Path, temporary: Path) -> None:
    place = tmp_path / "trial"
    _begun_alone(CONFIG, tiny_data, place)
    with pytest.raises(InputError, match=r"model\.width is 2 in the checkpoint, 4 now"):
        _fit(CONFIG.with_values({"model.width": 4}), tiny_data, place)
    assert not _left_in(temporary)


@pytest.mark.usefixtures("ray")
def test_groups_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"needs 4\.01 CPU"):
        slots(WorkerGroup(4))
    with pytest.raises(InputError, match="cannot be divided among 3 workers"):
        fit_on_workers(WorkerGroup(3), CONFIG, "nowhere", str(tmp_path / "trial"), None, name="trial")
    assert not (tmp_path / "trial").exists()


@pytest.mark.usefixtures("ray")
def test_a_group_that_has_fallen_below_its_least_size_gives_up(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As nodes that are lost after the start leave it: there was room, and Ray Train finds none any more."""
    monkeypatch.setattr(workers, "await_room", lambda group: None)
    group, config = WorkerGroup(5, least=4, patience_minutes=0.02), CONFIG.with_values({"data.batch_size": 20})
    with pytest.raises(
        InputError, match=r"^nodes were lost: the cluster had no room for 4 workers of 1 CPU each within"
    ):
        fit_on_workers(group, config, "nowhere", str(tmp_path / "trial"), None, name="trial")
    assert not _left_in(temporary)
