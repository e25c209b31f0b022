"""An address in, a Ray session for the length of a `with` block out."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import ray

from gkm.errors import InputError


@contextmanager
def start_ray(address: str, cpus: int | None = None) -> Iterator[None]:
    """A session on the cluster at `address`, or, where that is "local", on a Ray of its own with `cpus` cores.

    Raises InputError where no cluster answers at `address`.
    """
    if address == "local":
        ray.init(
            address="local",
            num_cpus=cpus or len(os.sched_getaffinity(0)),
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
        )
    else:
        try:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        except (ConnectionError, RuntimeError) as error:
            reason = str(error).strip().splitlines()[0]
            raise InputError(
                f"{address}: no Ray cluster answers there ({reason}); start one, or use --ray local"
            ) from None
    logging.getLogger("ray.tune.execution.experiment_state").addFilter(_is_worth_showing)
    try:
        yield
    finally:
        ray.shutdown()


def _is_worth_showing(record: logging.LogRecord) -> bool:
    """Tune copies a study's state while it writes the next; a file renamed meanwhile is copied the next time."""
    return not (record.exc_info and isinstance(record.exc_info[1], FileNotFoundError))
