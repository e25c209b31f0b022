"""One trial's settings and data in, its training on several Ray Train workers out."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gkm.config import TrialConfig
from gkm.errors import InputError
from gkm.training.scratch import clean, scratch
from gkm.training.selection import Selection

if TYPE_CHECKING:
    from gkm.data.reading.cache import NodeCache
    from gkm.training.course.leaving import LeaveRequest

CONTROLLER_RETRIES = 3
"""Ray's own default starts a group that cannot start again for ever."""
WORKER_RETRIES = 2
TRIAL_CPUS = 0.01
"""Of the trial's own process, which only waits for its workers; Tune admits no trial without any."""
_RAY_FOLDER = "gkm-workers-"
"""Of what Ray writes about a run, which is of no use afterwards: the store has it all."""


@dataclass(frozen=True)
class WorkerGroup:
    """How many workers train one trial together, and what each of them gets."""

    workers: int = 1
    """The most."""
    cpus: float = 1.0
    gpus: float = 0.0
    least: int | None = None
    """An elastic group goes on with so few where nodes are taken away, and grows again; None: always `workers`."""
    patience_minutes: float = 15.0
    """How long a group waits for nodes to start in."""
    trials_per_gpu: int = 1
    """Trials, of one worker each, that have the GPU of a worker together."""

    @property
    def sizes(self) -> range:
        """Numbers of workers that it may have."""
        return range(self.workers if self.least is None else self.least, self.workers + 1)

    @property
    def gpu_share(self) -> float:
        """What one worker gets of GPUs."""
        return self.gpus / self.trials_per_gpu

    @property
    def is_elastic(self) -> bool:
        """Whether its size may change."""
        return len(self.sizes) > 1

    def __str__(self) -> str:
        number = f"{self.sizes[0]} to {self.workers}" if self.is_elastic else f"{self.workers}"
        return f"{number} worker{'s' * (self.workers > 1)}"

    def check(self, config: TrialConfig) -> None:
        """Raises InputError where the batch cannot be divided among the workers, at any size of the group.

        So it does where their precision needs GPUs, and they get none.
        """
        if not self.gpus and (problem := config.processor_problem()) is not None:
            raise InputError(problem)
        for size in self.sizes:
            if (problem := config.division_problem(size)) is not None:
                if self.is_elastic:
                    needed = math.lcm(*self.sizes) * config.training.accumulate
                    problem = f"{problem.partition(';')[0]}; for a group of {self} use a multiple of {needed}"
                raise InputError(problem)

    def bundle(self) -> dict[str, float]:
        """What one worker needs."""
        return {"CPU": self.cpus, **({"GPU": self.gpu_share} if self.gpus else {})}

    def tune_resources(self) -> dict[str, float]:
        """What Tune reserves for a trial: all of it for one worker, next to nothing where Ray Train reserves more."""
        return {"CPU": self.cpus, "GPU": self.gpu_share} if self.workers == 1 else {"CPU": TRIAL_CPUS}


def fit_on_workers(
    group: WorkerGroup,
    config: TrialConfig,
    data: str,
    place: str,
    cache: NodeCache | str | None,
    *,
    name: str,
    selection: Selection | None = None,
    init: str | None = None,
    callbacks: Sequence[Any] = (),
    known_epoch: int = 0,
    leave: LeaveRequest | None = None,
    grace_seconds: float = 0.0,
    profiled: bool = False,
) -> None:
    """Train on `group` in the Ray session at hand, keeping everything in the store at `place`; again, it resumes.

    `callbacks` (of ray.train) hear of every validated epoch after `known_epoch`. `name` is what Ray calls the run.
    `leave`, once posted, has the workers leave `grace_seconds` later. For `init`, `profiled` see `run_trial`. A group
    that lost workers starts again, with as many as there are where it is elastic, for as long as it gets further.

    Raises InputError where the batch cannot be divided among the workers, they cannot use their settings, data or
    checkpoint, or the cluster has no room for them in time, be it later that nodes are lost, TrainingDivergedError when
    training diverges, BatchTooLargeError where the memory does not suffice, OSError where the store cannot be written,
    Left where they were asked to leave: all at once. Raises ray.train.TrainingFailedError, or
    ray.exceptions.RayActorError, when the workers, or what controls them, died and would not get further.
    """
    from ray.exceptions import RayActorError
    from ray.train import TrainingFailedError

    from gkm.training.store import newest_checkpoint  # not for drivers, which import this module as well

    group.check(config)
    settings = {
        "config": config,
        "data": data,
        "place": place,
        "cache": cache,
        "selection": selection,
        "init": init,
        "known_epoch": known_epoch,
        "leave": leave,
        "grace_seconds": grace_seconds,
        "profiled": profiled,
    }
    temporary = Path(tempfile.gettempdir())
    clean(temporary, _RAY_FOLDER)
    while True:
        before = newest_checkpoint(place)
        await_room(group)
        try:
            with scratch(temporary, _RAY_FOLDER) as folder:
                failure = _fit(group, settings, name, folder, callbacks)
        except (TrainingFailedError, RayActorError) as error:
            if _gave_up(error):
                raise _no_room(group, "nodes were lost: ") from None
            if newest_checkpoint(place) == before and not _found_no_room(error):
                raise
            continue  # on nodes that are still there, or start in time
        if failure is not None:
            raise failure
        return


def _fit(
    group: WorkerGroup, settings: dict[str, Any], name: str, folder: Path, callbacks: Sequence[Any]
) -> Exception | None:
    """One run of Ray Train; what its workers would only meet again, if anything."""
    from ray import train
    from ray.exceptions import RayError
    from ray.train.torch import TorchTrainer

    from gkm.study.execution.patience import Patience
    from gkm.study.execution.remains import Remains

    scaling = train.ScalingConfig(
        num_workers=(group.sizes[0], group.workers) if group.is_elastic else group.workers,
        use_gpu=group.gpus > 0,
        resources_per_worker=group.bundle(),
    )
    failures = train.FailureConfig(max_failures=WORKER_RETRIES, controller_failure_limit=CONTROLLER_RETRIES)
    remains = Remains()
    heard = [*callbacks, Patience(60 * group.patience_minutes), remains]
    run = train.RunConfig(name=name, storage_path=str(folder), failure_config=failures, callbacks=heard)
    trainer = TorchTrainer(_worker, train_loop_config=settings, scaling_config=scaling, run_config=run)
    _coordinate_from_head()
    try:
        failure: Exception | None = trainer.fit().return_value
    finally:
        with suppress(RayError, RuntimeError):  # of a cluster that is gone
            remains.clear()  # a controller that was killed could not
    return failure


def _coordinate_from_head() -> None:
    """Start the actor through which Ray Train asks for nodes on the head, unless it is there.

    It outlives every training. Ray Train would start it on this node, which then would never be idle again, and no
    autoscaler would remove it.
    """
    import ray
    from ray._common.constants import HEAD_NODE_RESOURCE_NAME
    from ray.data._internal.cluster_autoscaler.default_autoscaling_coordinator import _AutoscalingCoordinatorActor

    name = "AutoscalingCoordinator"
    ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(_AutoscalingCoordinatorActor).options(
        name=name,
        namespace=name,
        get_if_exists=True,
        lifetime="detached",
        resources={HEAD_NODE_RESOURCE_NAME: 0.001},
        scheduling_strategy="DEFAULT",
    ).remote()


def await_room(group: WorkerGroup) -> None:
    """Return once the cluster has room for the smallest size of `group`; its autoscaler starts nodes meanwhile.

    Raises InputError where that takes longer than the group's patience.
    """
    from ray.util.placement_group import placement_group, remove_placement_group

    least = group.sizes[0]
    room = placement_group([group.bundle()] * least, strategy="PACK")
    try:
        if room.wait(max(1.0, 60 * group.patience_minutes)):
            return
    finally:
        remove_placement_group(room)
    raise _no_room(group)


def _no_room(group: WorkerGroup, why: str = "") -> InputError:
    """The error for a cluster that had no room for the smallest size of `group` in time."""
    least = group.sizes[0]
    each = ", ".join(f"{amount:g} {name}" for name, amount in group.bundle().items())
    return InputError(
        f"{why}the cluster had no room for {least} worker{'s' * (least > 1)} of {each} each "
        f"within {group.patience_minutes:g} minutes; use fewer workers, a larger cluster or more patience"
    )


def _found_no_room(error: Exception) -> bool:
    """Whether a group did not start because its nodes were gone, or taken, when it was to."""
    from ray.train import ControllerError

    return isinstance(error, ControllerError) and "Startup" in type(error.controller_failure).__name__


def _gave_up(error: Exception) -> bool:
    """Whether a group waited in vain for nodes in the place of those that were lost."""
    from ray.train import ControllerError

    from gkm.study.execution.patience import NoRoomError

    return isinstance(error, ControllerError) and isinstance(error.controller_failure, NoRoomError)


def _worker(settings: dict[str, Any]) -> Exception | None:
    """Train; returns what another attempt would only meet again, for Ray starts a worker that raises anew."""
    from gkm.training.context import RayTrainContext, is_agreed
    from gkm.training.course.divergence import TrainingDivergedError
    from gkm.training.course.leaving import Left, never
    from gkm.training.course.memory import BatchTooLargeError
    from gkm.training.store import open_store
    from gkm.trial import run_trial

    leave, grace = settings["leave"], settings["grace_seconds"]
    with nullcontext(never) if leave is None else leave.watched(grace) as leaving:
        context = RayTrainContext(open_store(settings["place"], background=True), settings["known_epoch"], leaving)
        known = {name: settings[name] for name in ("cache", "selection", "init", "profiled")}
        try:
            run_trial(settings["config"], settings["data"], context, **known)
        except (TrainingDivergedError, BatchTooLargeError, InputError, OSError, Left) as error:
            if isinstance(error, BatchTooLargeError | InputError | OSError) and not is_agreed(error):
                raise  # the others wait for this worker; Ray ends them when it fails
            return error
    return None
