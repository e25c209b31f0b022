"""The id of a run in; what it was trained with, to be trained again, and how the two compare, out."""

from __future__ import annotations

import re

from gkm.data.dataset.dataset import open_dataset
from gkm.errors import InputError
from gkm.tracking import Tracking, TrialRecord

DATA, LOCATION, REPEATS = "gkm.data", "gkm.data_location", "gkm.repeats"
"""Tags: fingerprint of the data set, where it lay, and the run that a run repeats."""
_PARENT = "mlflow.parentRunId"


def find_run(tracking: Tracking, run: str) -> TrialRecord:
    """The trial whose run id is, or begins with, `run`.

    Raises InputError where there is none, or more than one.
    """
    if not re.fullmatch(r"[0-9a-f]{4,32}", run):
        raise InputError(f"{run}: is no run id; give its 32 hexadecimal digits, or at least the first four")
    found = [entry for entry in tracking.find({"gkm.kind": "trial"}) if entry.info.run_id.startswith(run)]
    if len(found) > 1:
        raise InputError(f"{run}: {len(found)} runs begin so; give more digits of the run id")
    if not found:
        raise InputError(f"{run}: there is no trial with that run id in {tracking.address}; look it up with the runs")
    return tracking.trial(found[0].info.run_id)


def data_of(tracking: Tracking, record: TrialRecord, given: str | None) -> str:
    """Where the photographs are that a run was trained on: `given`, or as the run (or its study) has it.

    Raises InputError where that is not known, or other photographs are there.
    """
    tags = dict(record.tags)
    parent = tags.get(_PARENT)
    while LOCATION not in tags and parent is not None:
        above = tracking.tags(parent)
        parent, tags = above.get(_PARENT), {**above, **tags}
    place = given or tags.get(LOCATION)
    if place is None:
        raise InputError(f"run {record.run_id}: does not say where its data set is; give its place")
    there, wanted = open_dataset(place).fingerprint, tags.get(DATA)
    if wanted not in (None, there):
        raise InputError(
            f"{place}: holds the data set {there}, but run {record.run_id} was trained on {wanted}; "
            "give the place of that one"
        )
    return place


def compared(again: TrialRecord, first: TrialRecord, metric: str) -> str:
    """Both results and their difference, in a sentence."""
    ours, theirs = (_best(record, metric) for record in (again, first))
    if theirs is None or ours is None:
        return f"run {first.run_id}, which this one repeats, was never validated"
    return (
        f"run {first.run_id}, which this one repeats, reached {theirs:.4f} dB: "
        f"this one {ours:.4f} dB, a difference of {ours - theirs:+.4f} dB"
    )


def _best(record: TrialRecord, metric: str) -> float | None:
    return max((metrics[metric] for metrics in record.history if metric in metrics), default=None)
