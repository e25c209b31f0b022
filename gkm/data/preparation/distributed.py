"""Shards to be made in, made shards out: tasks of the Ray session at hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import ray
from ray.exceptions import RayError, RayTaskError

from gkm.data.preparation.preparation import Runner
from gkm.data.preparation.shard_jobs import Receipt, ShardJob
from gkm.errors import InputError

LOST_WORKERS = 3
"""How often a shard is tried again when its worker dies."""


def on_ray(workers: int) -> Runner:
    """Makes at most `workers` shards at a time, the largest first, each on one core.

    The runner raises what the first failing shard raised, or InputError if a shard's workers keep dying.
    """

    def run(jobs: Sequence[ShardJob]) -> Iterator[tuple[ShardJob, Receipt]]:
        make = ray.remote(num_cpus=1, max_retries=LOST_WORKERS)(_make)
        waiting = sorted(jobs, key=lambda job: job.pixel_bytes)
        running: dict[ray.ObjectRef, ShardJob] = {}
        try:
            while waiting or running:
                while waiting and len(running) < workers:
                    job = waiting.pop()
                    running[make.remote(job)] = job
                ready, _ = ray.wait(list(running), num_returns=1)
                job = running.pop(ready[0])
                yield job, _result(ready[0], job)
        finally:
            for reference in running:
                ray.cancel(reference, force=True)

    return run


def _make(job: ShardJob) -> Receipt:
    return job()


def _result(reference: ray.ObjectRef, job: ShardJob) -> Receipt:
    try:
        receipt: Receipt = ray.get(reference)
        return receipt
    except RayTaskError as error:
        if isinstance(error.cause, InputError):
            raise InputError(str(error.cause)) from None
        raise
    except RayError as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"{job.name}: its workers died {LOST_WORKERS + 1} times ({reason}); give them more memory and start again"
        ) from None
