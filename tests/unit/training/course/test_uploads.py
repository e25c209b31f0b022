"""What is saved to S3 while training goes on: in order, nothing lost, reported once it is there."""

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from gkm.config import TrialConfig
from gkm.errors import InputError
from gkm.networks import Network, build
from gkm.training.context import LocalContext
from gkm.training.course.leaving import Left
from gkm.training.course.uploads import Uploads
from gkm.training.loop import Validation, fit
from gkm.training.store import open_store

CONFIG = TrialConfig().with_values(
    {
        "model.max_kernel_size": 5,
        "model.num_kernels": 3,
        "model.num_scales": 1,
        "model.width": 2,
        "data.crop_pixels": 32,
        "loss.schedule": "l2",
        "training.epochs": 2,
    }
)


@dataclass(frozen=True)
class Crops:
    input_BCHW: Tensor  # noqa: N815
    sharp_B3HW: Tensor  # noqa: N815


class Batches:
    """Three an epoch; `before` is called with the number of each before it is given."""

    def __init__(self, before: Any) -> None:
        self.before = before

    def epoch(self, epoch: int, start_batch: int = 0) -> Iterator[Crops]:
        for batch in range(start_batch, 3):
            self.before(epoch, batch)
            yield Crops(torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32))


class Bucket:
    """An S3 whose uploads of folders begin when they are let."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.let = threading.Semaphore(0)
        self.there: list[str] = []
        self.broken = False
        for name in ("delete", "write_bytes"):
            monkeypatch.setattr(f"gkm.storage.{name}", lambda *arguments, **more: None)
        monkeypatch.setattr("gkm.storage.list_files", lambda location: [])
        monkeypatch.setattr("gkm.storage.upload_folder", self.upload)

    def upload(self, folder: Path, location: str, last: str) -> None:
        assert self.let.acquire(timeout=60)
        if self.broken:
            raise InputError(f"{location}: is away")
        assert (folder / last).is_file(), "it is there until it is uploaded"
        self.there.append(location.removeprefix("s3://bucket/trial/"))


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Bucket]:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    yield Bucket(monkeypatch)
    assert not list(tmp_path.iterdir()), "nothing is left lying about"


def _fit(before: Any, heard: list[float], leaving: Any = lambda: False) -> None:
    def hear(metrics: Mapping[str, Any]) -> None:
        heard.append(metrics["epoch"])

    def validate(model: Network) -> Validation:
        return Validation({"val/psnr": float(len(heard))})

    context = LocalContext(open_store("s3://bucket/trial", background=True), hear, leaving)
    fit(build(CONFIG.model), Batches(before), validate, CONFIG, context)


ALL = ["best/epoch-0000001", "checkpoints/epoch-0000001", "best/epoch-0000002", "checkpoints/epoch-0000002"]


def test_an_epoch_is_reported_once_it_is_there_and_training_goes_on_meanwhile(bucket: Bucket) -> None:
    heard: list[float] = []
    seen: list[tuple[int, int, int]] = []

    def before(epoch: int, batch: int) -> None:
        seen.append((epoch, batch, len(heard)))
        if (epoch, batch) == (1, 1):
            assert not bucket.there, "a step was taken before anything was uploaded"
            bucket.let.release(2)
            while len(bucket.there) < 2:
                time.sleep(0.01)
        if (epoch, batch) == (1, 2):
            bucket.let.release(2)

    _fit(before, heard)
    assert bucket.there == ALL
    assert heard == [1, 2]
    assert (1, 1, 0) in seen


def test_leaving_waits_for_what_is_under_way(bucket: Bucket) -> None:
    heard: list[float] = []
    asked: list[int] = []
    threading.Timer(3.0, lambda: bucket.let.release(9)).start()
    with pytest.raises(Left):
        _fit(lambda epoch, batch: asked.append(epoch), heard, lambda: len(asked) >= 5)
    assert bucket.there == [*ALL[:2], "checkpoints/epoch-0000001-batch-0000002"]
    assert heard == [1]


def test_an_upload_that_fails_for_good_ends_training_and_is_not_reported(bucket: Bucket) -> None:
    heard: list[float] = []
    bucket.broken = True
    bucket.let.release(99)
    with pytest.raises(InputError, match="is away"):
        _fit(lambda epoch, batch: None, heard)
    assert heard == []
    assert bucket.there == []


def test_nothing_is_done_after_what_failed_until_that_was_heard_of() -> None:
    uploads, done = Uploads(), list[int]()

    def fail() -> None:
        raise OSError("full")

    for work in (lambda: done.append(1), fail, lambda: done.append(2)):
        uploads.put(work)
    with pytest.raises(OSError, match="full"):
        uploads.wait()
    uploads.put(lambda: done.append(3))
    uploads.wait()
    assert uploads.idle
    assert done == [1, 3]
