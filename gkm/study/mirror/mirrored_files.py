"""The place of a trial in; its best weights, their scores and its pictures, kept with its run in MLflow, out.

What is missing or damaged there is returned as a sentence; what MLflow cannot take is raised.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from gkm.errors import InputError
from gkm.study.record.results import TrialRow
from gkm.tracking import Tracking

PICTURES = "validation"
"""The key under which MLflow shows the pictures of a trial."""


def copy_weights(tracking: Tracking, run_id: str, place: str, epoch: int) -> str | None:
    """Keep the best weights, those of `epoch`, and their scores; returns what is wrong with them, if anything."""
    from gkm.training.best import VALIDATION_NAME
    from gkm.training.checkpoint import CONFIG_NAME, WEIGHTS_NAME
    from gkm.training.store import fetch_best

    with tempfile.TemporaryDirectory(prefix="gkm-") as folder:
        try:
            weights = fetch_best(place, epoch, Path(folder) / "weights")
        except (InputError, OSError) as error:
            return str(error)
        for name in (WEIGHTS_NAME, CONFIG_NAME):
            tracking.log_file(run_id, weights / name, "weights")
        tracking.log_file(run_id, weights / VALIDATION_NAME)
    return None


def copy_pictures(tracking: Tracking, run_id: str, row: TrialRow, has_none: bool) -> str | None:
    """Keep the pictures that the run lacks (`has_none`: all); returns what is wrong with them, if anything."""
    from gkm.training.store import fetch_picture, list_pictures

    try:
        epochs = list_pictures(row.place)
    except (InputError, OSError) as error:
        return str(error)
    there = set() if has_none or not epochs else tracking.picture_steps(run_id, PICTURES)
    times = {int(metrics["epoch"]): metrics.get("time") for metrics in row.history}
    for epoch in epochs:
        if epoch not in there:
            try:
                png = fetch_picture(row.place, epoch)
            except (InputError, OSError) as error:
                return str(error)
            tracking.log_picture(run_id, PICTURES, epoch, png, times.get(epoch))
    return None
