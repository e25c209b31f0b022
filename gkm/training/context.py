"""What a training process knows about its surroundings: rank, size, device, its store, and where reports go.

The training loop sees the `TrainingContext` protocol alone. `LocalContext` is a plain process, `TuneContext` a Ray Tune
function trial, `GroupContext` one of several processes that train a network together, `RayTrainContext` the same as a
worker of Ray Train. All keep and find their checkpoints in the same way: in the trial's store.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import torch
from torch import nn

from gkm.training.course.leaving import Leaving, Wish, never
from gkm.training.group import with_global_statistics
from gkm.training.store import TrialStore

Value = TypeVar("Value")
_ON_EVERY_WORKER = "raised on every worker"
LOOKS_PER_PREEMPTION = 5
"""Looks of workers at what is asked of them, about a second apart, for each at whether a node is about to go."""


class TrainingContext(Protocol):
    """The surroundings of one training process."""

    rank: int
    world_size: int
    device: torch.device
    store: TrialStore
    """Written to by rank 0 only."""

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model on this context's device, its gradients averaged over the workers, batch norms over all crops."""

    def sum(self, values: Sequence[float]) -> list[float]:
        """Each value summed over the workers."""

    def gather(self, values: Sequence[Value]) -> list[Value]:
        """The values of all workers, in the order of their ranks, on every one."""

    def leaving(self) -> bool:
        """Whether this process knows that it is to leave: soon after a step, with a checkpoint."""

    def wish(self) -> Wish:
        """What is asked of this process now; called between the same steps on every worker."""

    def resumed(self, history: Sequence[Mapping[str, float]], note: str | None) -> None:
        """Called once, before the first epoch: the validated epochs that are in the store, and what is to be said.

        Those that whoever listens may not have heard of are reported again: an epoch is kept before it is reported.
        The note goes along with the first report as "note".
        """

    def report(self, metrics: Mapping[str, float]) -> None:
        """Publish one validated epoch, which is in the store. The process may be stopped before this returns."""


def agreed(context: TrainingContext, action: Callable[[], Value], *expected: type[Exception]) -> Value:
    """What `action` returns on this worker, once it has returned on all of them.

    An error of the `expected` types on any worker is raised on every one: none is left waiting for the others.
    """
    result: list[Value] = []
    failures: list[Exception] = []
    try:
        result.append(action())
    except expected as error:
        failures.append(error)
    if everywhere := context.gather(failures):
        everywhere[0].add_note(_ON_EVERY_WORKER)
        raise everywhere[0]
    return result[0]


def is_agreed(error: Exception) -> bool:
    """Whether `error` was raised on every worker, by `agreed`, so that none waits for this one."""
    return _ON_EVERY_WORKER in getattr(error, "__notes__", ())


def from_first(context: TrainingContext, action: Callable[[], Value], *expected: type[Exception]) -> Value:
    """What `action` returns on rank 0, on every worker; errors of the `expected` types are raised on every one."""
    found = agreed(context, lambda: [action()] if context.rank == 0 else [], *expected)
    return context.gather(found)[0]


def best_device() -> torch.device:
    """The current CUDA device where there is one, else the CPU."""
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")


def has_bfloat16(device: torch.device) -> bool:
    """Whether `device` has instructions for bfloat16; without them it takes about ten times as long as float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return any(there for name, there in torch.cpu.get_capabilities().items() if name.endswith("bf16"))


class _Reporting:
    """What all contexts do about reports (those of resumed epochs, the note) and about being asked to leave."""

    def __init__(self, store: TrialStore, known_epoch: int, leaving: Leaving) -> None:
        self.store = store
        self._known_epoch = known_epoch
        self._note: str | None = None
        self._leaving = leaving

    def leaving(self) -> bool:
        return self._leaving()

    def wish(self) -> Wish:
        return Wish.LEAVE if self._leaving() else Wish.NOTHING

    def resumed(self, history: Sequence[Mapping[str, float]], note: str | None) -> None:
        self._note = note
        for metrics in history:
            if metrics["epoch"] > self._known_epoch:
                self.report(metrics)

    def report(self, metrics: Mapping[str, float]) -> None:
        note = {"note": self._note} if self._note else {}
        self._note = None
        self._send({**metrics, **note})

    def _send(self, metrics: dict[str, Any]) -> None:
        raise NotImplementedError


class _SingleProcess(_Reporting):
    """What contexts without other workers share."""

    rank = 0
    world_size = 1

    def __init__(self, store: TrialStore, known_epoch: int = 0, leaving: Leaving = never) -> None:
        super().__init__(store, known_epoch, leaving)
        self.device = best_device()

    def wrap(self, model: nn.Module) -> nn.Module:
        return model.to(self.device)

    def sum(self, values: Sequence[float]) -> list[float]:
        return list(values)

    def gather(self, values: Sequence[Value]) -> list[Value]:
        return list(values)


class LocalContext(_SingleProcess):
    """A plain process; `on_report` hears of every validated epoch, after a restart of the earlier ones again."""

    def __init__(
        self,
        store: TrialStore,
        on_report: Callable[[Mapping[str, Any]], None] | None = None,
        leaving: Leaving = never,
    ) -> None:
        super().__init__(store, leaving=leaving)
        self._on_report = on_report

    def _send(self, metrics: dict[str, Any]) -> None:
        if self._on_report:
            self._on_report(metrics)


class TuneContext(_SingleProcess):
    """A Ray Tune function trial with one worker, of which Tune has heard up to `known_epoch`."""

    def _send(self, metrics: dict[str, Any]) -> None:
        from ray import tune

        tune.report(metrics)


class GroupContext(_Reporting):
    """One process of a `torch.distributed` group: the same experiment as in one, see docs/training.md."""

    def __init__(
        self,
        store: TrialStore,
        rank: int,
        world_size: int,
        device: torch.device,
        known_epoch: int = 0,
        leaving: Leaving = never,
    ) -> None:
        super().__init__(store, known_epoch, leaving)
        self.rank, self.world_size, self.device = rank, world_size, device
        if device.type == "cuda":
            torch.cuda.set_device(device)  # where NCCL puts the objects that are gathered

    def wrap(self, model: nn.Module) -> nn.Module:
        model = model.to(self.device)
        if self.world_size == 1:
            return model
        with_global_statistics(model)
        device_ids = [self.device.index] if self.device.type == "cuda" else None
        # Statistics are the same everywhere as they are, since all workers take them from the same numbers.
        return nn.parallel.DistributedDataParallel(model, device_ids=device_ids, forward_sync_buffers=False)

    def sum(self, values: Sequence[float]) -> list[float]:
        if self.world_size == 1:
            return list(values)
        summed = torch.tensor(values, dtype=torch.float64, device=self.device)
        torch.distributed.all_reduce(summed)
        return [float(value) for value in summed]

    def gather(self, values: Sequence[Value]) -> list[Value]:
        if self.world_size == 1:
            return list(values)
        shares: list[list[Value]] = [[] for _ in range(self.world_size)]
        torch.distributed.all_gather_object(shares, list(values))
        return [value for share in shares for value in share]

    def _send(self, metrics: dict[str, Any]) -> None:
        """Nobody listens: the store has it all."""


class RayTrainContext(GroupContext):
    """One worker of a Ray Train group; a node that is about to be taken away is answered with a checkpoint."""

    def __init__(self, store: TrialStore, known_epoch: int = 0, leaving: Leaving = never) -> None:
        from ray import train
        from ray.train.torch import get_device

        context = train.get_context()
        size = context.get_world_size()
        super().__init__(store, context.get_world_rank(), size, get_device(), known_epoch, leaving)
        self._looks = 0
        self._warned: object = None
        """What Ray said of nodes that go, as far as it was answered."""

    def wish(self) -> Wish:
        own = super().wish()
        self._looks += 1
        if self._looks % LOOKS_PER_PREEMPTION:
            return own
        from ray import train

        warned = train.get_preemption_info()  # workers wait for each other here
        if warned is None or warned == self._warned:
            return own
        self._warned = warned
        return max(own, Wish.CHECKPOINT)

    def _send(self, metrics: dict[str, Any]) -> None:
        from ray import train

        train.report(metrics)
