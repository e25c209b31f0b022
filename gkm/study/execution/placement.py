"""What a trial runs on in, how many trials a cluster can hold at a time out; what it can never hold is refused."""

from __future__ import annotations

import os

import ray

from gkm.errors import InputError
from gkm.study.execution.workers import TRIAL_CPUS, WorkerGroup

MOST_SLOTS = 1000
"""Trials at a time where a cluster's files set no limit."""
ANNOUNCED = "gkm_most_"
"""Before "CPU" or "GPU": what a cluster has of it at most, as a resource of its head.

Ray's autoscaler does not tell its limits: a cluster that starts with no worker would seem to have no room."""


def needs(group: WorkerGroup, workers: int | None = None) -> dict[str, float]:
    """What one trial needs in all, with so many `workers` (default: the most)."""
    own, size = 0.0 if group.workers == 1 else TRIAL_CPUS, workers or group.workers
    wanted = {"CPU": size * group.cpus + own, "GPU": size * group.gpu_share}
    return {name: amount for name, amount in wanted.items() if amount}


def local_cpus(group: WorkerGroup) -> int:
    """What a Ray of this machine's own offers: its cores, and one for the processes of trials that wait for workers."""
    return len(os.sched_getaffinity(0)) + (group.workers > 1)


def slots(group: WorkerGroup, wanted: int | None = None) -> int:
    """How many trials run at a time: those that fit the cluster when it has grown to its limit, `wanted` at most.

    Of an elastic group that fits with fewer workers alone, one.

    Raises InputError where the cluster, with all nodes it may start, can never hold a single one.
    """
    most, fit = ceiling(), 0
    for size in reversed(group.sizes):
        need = needs(group, size)
        fit = min((int(most.get(name, 0.0) / amount + 1e-6) for name, amount in need.items()), default=1)
        if fit:
            break
    if fit < 1:
        asked, has = (", ".join(f"{of.get(name, 0):g} {name}" for name in need) for of in (need, most))
        workers = f"{group.sizes[0]} workers" if group.workers > 1 else "one worker"
        raise InputError(
            f"a trial of {workers} needs {asked}, but the cluster has at most {has}; "
            "use fewer workers or a larger cluster"
        )
    return max(1, min(wanted or fit, fit, MOST_SLOTS))


def ceiling() -> dict[str, float]:
    """The resources of the cluster at hand when its autoscaler has started every node that it may."""
    there = {name: float(amount) for name, amount in ray.cluster_resources().items()}
    try:
        from ray._private.state import state

        most = state.get_max_resources_from_cluster_config()
    except (ImportError, AttributeError, RuntimeError):
        most = None
    limits = {name.removeprefix(ANNOUNCED): amount for name, amount in there.items() if name.startswith(ANNOUNCED)}
    for name, amount in [*limits.items(), *(most or {}).items()]:
        there[name] = max(there.get(name, 0.0), float(amount))
    return there
