"""A study's trials in; one tidy table out, a row for each trial and validated epoch, as Parquet."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from gkm import storage
from gkm.study.record.results import StudyResults, TrialRow

IDENTITY = ("study", "number", "group", "arm", "seed", "phase", "status", "reason")
"""The first columns; then come all settings by dotted path, "epoch", and the metrics."""


def export_study(results: StudyResults, out: storage.Location) -> int:
    """Write the table to the file `out`, whole or not at all; returns the number of its rows.

    A trial without a validated epoch has one row, without epoch and metrics.
    """
    import pyarrow as pa
    from pyarrow import parquet

    rows = [_row(results, trial, metrics) for trial in results.trials for metrics in trial.history or ({},)]
    names = list(dict.fromkeys([*IDENTITY, *(path for row in rows for path in row)]))
    table = pa.table({name: _column([row.get(name) for row in rows]) for name in names})
    table = table.replace_schema_metadata({"gkm.record": results.record_id, "gkm.data": results.data_fingerprint})
    buffer = io.BytesIO()
    parquet.write_table(table, buffer)
    storage.write_bytes(out, buffer.getvalue())
    return len(rows)


def _row(results: StudyResults, trial: TrialRow, metrics: Mapping[str, float]) -> dict[str, Any]:
    identity = (
        results.name,
        trial.number,
        trial.group,
        trial.arm,
        trial.seed,
        trial.phase,
        trial.status,
        trial.reason,
    )
    values = dict(metrics)
    epoch = values.pop("epoch", None)
    settings = trial.config.flat()
    network = dict(trial.complexity)
    at = {"epoch": None if epoch is None else int(epoch)}
    return {**dict(zip(IDENTITY, identity, strict=True)), **settings, **network, **at, **values}


def _column(values: list[Any]) -> Any:
    """An Arrow array; of values of several types as text, since a column has one."""
    import pyarrow as pa

    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if value is None else str(value) for value in values])
