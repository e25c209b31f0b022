"""One trial's settings and data in, its training on several Ray Train workers out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray import train
from ray.train.torch import TorchTrainer

from gkm import storage
from gkm.config import TrialConfig
from gkm.data.cache import NodeCache
from gkm.errors import InputError
from gkm.tracking import TrialRun
from gkm.training.context import RayTrainContext
from gkm.trial import run_trial

CONTROLLER_RETRIES = 3
"""Ray's own default starts a group that cannot start again for ever."""
WORKER_RETRIES = 2
TRIAL_CPUS = 0.01
"""Of the trial's own process, which only waits for its workers; Tune admits no trial without any."""


@dataclass(frozen=True)
class WorkerGroup:
    """How many workers train one trial together, and what each of them gets."""

    workers: int = 1
    cpus: float = 1.0
    gpus: float = 0.0

    def check(self, config: TrialConfig) -> None:
        """Raises InputError where the batch cannot be divided among the workers."""
        batch = config.data.batch_size
        if batch % self.workers:
            raise InputError(
                f"data.batch_size = {batch} cannot be divided among {self.workers} workers; use a multiple of it"
            )

    def tune_resources(self) -> dict[str, float]:
        """What Tune reserves for a trial: all of it for one worker, next to nothing where Ray Train reserves more."""
        return {"CPU": self.cpus, "GPU": self.gpus} if self.workers == 1 else {"CPU": TRIAL_CPUS}

    def most_at_once(self) -> int | None:
        """Trials whose groups fit the cluster together (more would wait for each other for ever); None: up to Tune.

        Raises InputError where not even one fits.
        """
        if self.workers == 1:
            return None
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
    run: TrialRun,
    cache: NodeCache | str | None,
    *,
    name: str,
    folder: str,
    callbacks: Sequence[Any] = (),
) -> None:
    """Train on `group` in the Ray session at hand, reporting to `run`; started again under that name, it resumes.

    Checkpoints go to the folder `name` in `folder`. Raises ray.train.TrainingFailedError when the workers failed for
    good, InputError where the batch cannot be divided among them.
    """
    group.check(config)
    filesystem, path = storage.arrow_filesystem(folder)
    TorchTrainer(
        _worker,
        train_loop_config={"config": config, "data": data, "run": run, "cache": cache},
        scaling_config=train.ScalingConfig(
            num_workers=group.workers,
            use_gpu=group.gpus > 0,
            resources_per_worker={"CPU": group.cpus, **({"GPU": group.gpus} if group.gpus else {})},
        ),
        run_config=train.RunConfig(
            name=name,
            storage_path=path,
            storage_filesystem=filesystem,
            failure_config=train.FailureConfig(
                max_failures=WORKER_RETRIES, controller_failure_limit=CONTROLLER_RETRIES
            ),
            checkpoint_config=train.CheckpointConfig(num_to_keep=2),
            callbacks=list(callbacks),
        ),
    ).fit()


def _worker(settings: dict[str, Any]) -> None:
    context = RayTrainContext()
    run = settings["run"] if context.rank == 0 else None
    run_trial(settings["config"], settings["data"], context, run, settings["cache"])
