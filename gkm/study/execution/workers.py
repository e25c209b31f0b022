"""One trial's settings and data in, its training on several Ray Train workers out."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gkm.config import TrialConfig
from gkm.errors import InputError
from gkm.training.scratch import clean, scratch
from gkm.training.selection import Selection

if TYPE_CHECKING:
    from gkm.data.reading.cache import NodeCache

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
    cpus: float = 1.0
    gpus: float = 0.0

    def check(self, config: TrialConfig) -> None:
        """Raises InputError where the batch cannot be divided among the workers."""
        if (problem := config.division_problem(self.workers)) is not None:
            raise InputError(problem)

    def tune_resources(self) -> dict[str, float]:
        """What Tune reserves for a trial: all of it for one worker, next to nothing where Ray Train reserves more."""
        return {"CPU": self.cpus, "GPU": self.gpus} if self.workers == 1 else {"CPU": TRIAL_CPUS}

    def most_at_once(self) -> int | None:
        """Trials whose groups fit the cluster together (more would wait for each other for ever); None: up to Tune.

        Raises InputError where not even one fits.
        """
        if self.workers == 1:
            return None
        import ray

        there = ray.cluster_resources()
        needs = {"CPU": self.workers * self.cpus + TRIAL_CPUS, "GPU": self.workers * self.gpus}
        fit = min(int(there.get(name, 0) // need) for name, need in needs.items() if need)
        if fit < 1:
            asked, has = (", ".join(f"{of.get(name, 0):g} {name}" for name in needs) for of in (needs, there))
            raise InputError(
                f"a trial of {self.workers} workers needs {asked}, but the cluster has {has}; "
                "use fewer workers or a larger cluster"
            )
        return fit


def fit_on_workers(
    group: WorkerGroup,
    config: TrialConfig,
    data: str,
    place: str,
    cache: NodeCache | str | None,
    *,
    name: str,
    selection: Selection | None = None,
    callbacks: Sequence[Any] = (),
    known_epoch: int = 0,
) -> None:
    """Train on `group` in the Ray session at hand, keeping everything in the store at `place`; again, it resumes.

    `callbacks` (of ray.train) hear of every validated epoch after `known_epoch`. `name` is what Ray calls the run.

    Raises InputError where the batch cannot be divided among the workers or they cannot use their settings, data or
    checkpoint, TrainingDivergedError when training diverges, OSError where the store cannot be written: all at once.
    Raises ray.train.TrainingFailedError when the workers died and would not start again.
    """
    from ray import train
    from ray.train.torch import TorchTrainer

    group.check(config)
    settings = {
        "config": config,
        "data": data,
        "place": place,
        "cache": cache,
        "selection": selection,
        "known_epoch": known_epoch,
    }
    temporary = Path(tempfile.gettempdir())
    clean(temporary, _RAY_FOLDER)
    with scratch(temporary, _RAY_FOLDER) as folder:
        result = TorchTrainer(
            _worker,
            train_loop_config=settings,
            scaling_config=train.ScalingConfig(
                num_workers=group.workers,
                use_gpu=group.gpus > 0,
                resources_per_worker={"CPU": group.cpus, **({"GPU": group.gpus} if group.gpus else {})},
            ),
            run_config=train.RunConfig(
                name=name,
                storage_path=str(folder),
                failure_config=train.FailureConfig(
                    max_failures=WORKER_RETRIES, controller_failure_limit=CONTROLLER_RETRIES
                ),
                callbacks=list(callbacks),
            ),
        ).fit()
    if (failure := result.return_value) is not None:
        raise failure


def _worker(settings: dict[str, Any]) -> Exception | None:
    """Train; returns what another attempt would only meet again, for Ray starts a worker that raises anew."""
    from gkm.training.context import RayTrainContext, is_agreed
    from gkm.training.loop import TrainingDivergedError
    from gkm.training.store import open_store
    from gkm.trial import run_trial

    context = RayTrainContext(open_store(settings["place"]), settings["known_epoch"])
    try:
        run_trial(
            settings["config"], settings["data"], context, cache=settings["cache"], selection=settings["selection"]
        )
    except (TrainingDivergedError, InputError, OSError) as error:
        if not isinstance(error, TrainingDivergedError) and not is_agreed(error):
            raise  # the others wait for this worker; Ray ends them when it fails
        return error
    return None
