"""What a training process knows about its surroundings: rank, size, device, where reports and checkpoints go.

The training loop sees the `TrainingContext` protocol alone. `LocalContext` is a plain process, `RemoteContext` one
whose checkpoints go to S3, `TuneContext` a Ray Tune function trial, `RayTrainContext` one worker of a Ray Train group.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from gkm import storage
from gkm.training.checkpoint import SUMS_NAME, is_complete

WriteCheckpoint = Callable[[Path], object]
"""Writes a checkpoint into the directory it is given."""


class TrainingContext(Protocol):
    """The surroundings of one training process."""

    rank: int
    world_size: int
    device: torch.device

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model on this context's device, its gradients averaged over the workers."""

    def sum(self, values: Sequence[float]) -> list[float]:
        """Each value summed over the workers."""

    def report(self, metrics: Mapping[str, float], write_checkpoint: WriteCheckpoint) -> None:
        """Publish one validated epoch and its checkpoint. The process may be stopped before this returns."""

    @contextmanager
    def latest_checkpoint(self) -> Iterator[Path | None]:
        """The directory of the newest complete checkpoint, or None."""


def best_device() -> torch.device:
    """The current CUDA device where there is one, else the CPU."""
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")


def has_bfloat16(device: torch.device) -> bool:
    """Whether `device` has instructions for bfloat16; without them it takes about ten times as long as float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return any(there for name, there in torch.cpu.get_capabilities().items() if name.endswith("bf16"))


class _SingleProcess:
    """What contexts without other workers share."""

    rank = 0
    world_size = 1

    def __init__(self) -> None:
        self.device = best_device()

    def wrap(self, model: nn.Module) -> nn.Module:
        return model.to(self.device)

    def sum(self, values: Sequence[float]) -> list[float]:
        return list(values)


class LocalContext(_SingleProcess):
    """A plain process; checkpoints are kept in `directory`, the newest two at most."""

    def __init__(self, directory: Path, on_report: Callable[[Mapping[str, float]], None] | None = None) -> None:
        super().__init__()
        self._directory = directory
        self._on_report = on_report

    def report(self, metrics: Mapping[str, float], write_checkpoint: WriteCheckpoint) -> None:
        older = self._checkpoints()
        write_checkpoint(self._directory / _name(metrics))
        for directory in older[:-1]:
            shutil.rmtree(directory, ignore_errors=True)
        if self._on_report:
            self._on_report(metrics)

    @contextmanager
    def latest_checkpoint(self) -> Iterator[Path | None]:
        complete = (directory for directory in reversed(self._checkpoints()) if is_complete(directory))
        yield next(complete, None)

    def _checkpoints(self) -> list[Path]:
        return sorted(self._directory.glob("epoch-*")) if self._directory.is_dir() else []


class RemoteContext(_SingleProcess):
    """A plain process; checkpoints are kept below `location` in S3, the newest two at most."""

    def __init__(self, location: str, on_report: Callable[[Mapping[str, float]], None] | None = None) -> None:
        super().__init__()
        self._location = location
        self._on_report = on_report

    def report(self, metrics: Mapping[str, float], write_checkpoint: WriteCheckpoint) -> None:
        older = self._checkpoints()
        with tempfile.TemporaryDirectory(prefix="gkm-checkpoint-") as directory:
            write_checkpoint(Path(directory))
            storage.upload_folder(Path(directory), storage.join(self._location, _name(metrics)), last=SUMS_NAME)
        for name in older[:-1]:
            storage.delete(storage.join(self._location, name))
        if self._on_report:
            self._on_report(metrics)

    @contextmanager
    def latest_checkpoint(self) -> Iterator[Path | None]:
        with tempfile.TemporaryDirectory(prefix="gkm-checkpoint-") as directory:
            copies = (self._copy(name, Path(directory)) for name in reversed(self._checkpoints()))
            yield next((copy for copy in copies if is_complete(copy)), None)

    def _copy(self, name: str, directory: Path) -> Path:
        storage.fetch(storage.join(self._location, name), directory / name)
        return directory / name

    def _checkpoints(self) -> list[str]:
        return sorted({file.partition("/")[0] for file in storage.list_files(self._location)})


class TuneContext(_SingleProcess):
    """A Ray Tune function trial with one worker."""

    def report(self, metrics: Mapping[str, float], write_checkpoint: WriteCheckpoint) -> None:
        from ray import tune

        with tempfile.TemporaryDirectory(prefix="gkm-checkpoint-") as directory:
            write_checkpoint(Path(directory))
            tune.report(dict(metrics), checkpoint=tune.Checkpoint.from_directory(directory))

    @contextmanager
    def latest_checkpoint(self) -> Iterator[Path | None]:
        from ray import tune

        with _opened(tune.get_checkpoint()) as directory:
            yield directory


class RayTrainContext:
    """One worker of a Ray Train group: gradients averaged by DistributedDataParallel, checkpoints kept by worker 0."""

    def __init__(self) -> None:
        from ray import train
        from ray.train.torch import get_device

        context = train.get_context()
        self.rank: int = context.get_world_rank()
        self.world_size: int = context.get_world_size()
        self.device: torch.device = get_device()

    def wrap(self, model: nn.Module) -> nn.Module:
        model = model.to(self.device)
        if self.world_size == 1:
            return model
        device_ids = [self.device.index] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(model, device_ids=device_ids)

    def sum(self, values: Sequence[float]) -> list[float]:
        if self.world_size == 1:
            return list(values)
        summed = torch.tensor(values, dtype=torch.float64, device=self.device)
        torch.distributed.all_reduce(summed)
        return [float(value) for value in summed]

    def report(self, metrics: Mapping[str, float], write_checkpoint: WriteCheckpoint) -> None:
        from ray import train

        if self.rank != 0:
            train.report(dict(metrics))
            return
        with tempfile.TemporaryDirectory(prefix="gkm-checkpoint-") as directory:
            write_checkpoint(Path(directory))
            train.report(dict(metrics), checkpoint=train.Checkpoint.from_directory(directory))

    @contextmanager
    def latest_checkpoint(self) -> Iterator[Path | None]:
        from ray import train

        with _opened(train.get_checkpoint()) as directory:
            yield directory


def _name(metrics: Mapping[str, float]) -> str:
    """Of the directory of an epoch's checkpoint: in their order, the oldest comes first."""
    return f"epoch-{int(metrics['epoch']):07d}"


@contextmanager
def _opened(checkpoint: Any) -> Iterator[Path | None]:
    if checkpoint is None:
        yield None
        return
    with checkpoint.as_directory() as directory:
        path = Path(directory)
        yield path if is_complete(path) else None
