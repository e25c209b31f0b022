"""A study and what it will run on in; its plan out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from gkm.errors import InputError

if TYPE_CHECKING:
    from gkm.data.dataset.dataset import Dataset
    from gkm.study.execution.opening import Study
    from gkm.study.planning.plan import StudyPlan

ASSUMED = {False: "cpu", True: "a10g"}
"""Device that trials are planned for if none is named and none is measured: without GPUs, and with."""


def plan_of(
    study: Study,
    dataset: Dataset,
    ray_address: str,
    device: str | None,
    cluster: str | None,
    prices: Path | None,
    *,
    measured: bool,
) -> StudyPlan:
    """The plan of `study`; with `measured`, and no device or cluster named, this machine's speed is measured.

    Raises InputError where device, cluster or prices are not known, or where the budget is in money and there are none.
    """
    if study.space.limits.cost is not None and cluster is None:
        raise InputError("a budget in money needs prices; name the cluster with --cluster (see cluster/prices.json)")

    from gkm.study.planning.plan import plan_for

    if device is None and cluster is None and not measured:
        device = ASSUMED[study.workers.gpus > 0]
    slots = study.concurrent or study.workers.trials_per_gpu
    if ray_address == "local" and not study.workers.gpus:
        fit = max(1, int(len(os.sched_getaffinity(0)) / (study.workers.workers * study.workers.cpus)))
        slots = min(study.concurrent or fit, fit)
    planned = plan_for(
        study.space,
        dataset,
        slots=slots,
        device=device,
        cluster=cluster,
        prices_path=prices,
        confirm=study.confirm,
        trials_per_gpu=study.workers.trials_per_gpu,
    )
    if study.space.limits.cost is not None and not price_of(planned):
        raise InputError(
            f"a budget in money needs prices, but {cluster} has none; put them into {prices or 'cluster/prices.json'}"
        )
    return planned


def price_of(planned: StudyPlan) -> float:
    """Of the whole cluster for an hour; 0 where it is not known."""
    return (planned.price.per_hour(planned.devices) if planned.price else None) or 0.0
