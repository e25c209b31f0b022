"""Scores of registered models and runs in; metrics, data set and rows at their MLflow runs out.

A metric's name says what it is of: `test/FINGERPRINT/PROTOCOL/noise_3/seed_0/psnr`, without the seed where there is no
noise. Logged again, nothing changes: a block has one time, at which MLflow keeps a point once.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path, PurePath

from gkm.scoring.cells import Cell, Conditions
from gkm.scoring.rows import Block, to_parquet
from gkm.scoring.summary import METRICS, Summary
from gkm.tracking import DataInput, Tracking


def metric_prefix(cell: Cell, conditions: Conditions) -> str:
    """What the names of a cell's metrics begin with, without a slash at the end."""
    sigma = cell.noise_sigma_8bit
    noise = f"noise_{sigma:g}" + (f"/seed_{conditions.seed}" if sigma else "")
    return f"{conditions.split}/{cell.place.dataset.fingerprint}/{conditions.protocol.name}/{noise}"


def log_scores(
    tracking: Tracking,
    cells: Sequence[Cell],
    blocks: Sequence[Block],
    summaries: Sequence[Summary],
    conditions: Conditions,
) -> list[str]:
    """Log every cell whose model has a run, with the scores of the blurred input beside; returns the runs' ids."""
    blurred = {
        (cell.place.label, cell.noise_sigma_8bit): summary
        for cell, summary in zip(cells, summaries, strict=True)
        if cell.subject.kind == "blurred"
    }
    runs: dict[str, None] = {}
    for cell, block, summary in zip(cells, blocks, summaries, strict=True):
        run_id = cell.subject.run_id
        if run_id is None:
            continue
        prefix, other = metric_prefix(cell, conditions), blurred[cell.place.label, cell.noise_sigma_8bit]
        metrics = {f"{prefix}/{metric}": summary.means[metric] for metric in METRICS}
        metrics |= {f"{prefix}/blurred_{metric}": other.means[metric] for metric in METRICS}
        if summary.seconds is not None:
            metrics[f"{prefix}/seconds"] = summary.seconds
        tracking.log_metrics(run_id, metrics, timestamp_seconds=block.finished_ms / 1000)
        dataset = cell.place.dataset
        name = PurePath(dataset.place).name or dataset.place
        tracking.log_inputs(run_id, [DataInput(name, dataset.fingerprint, dataset.place, conditions.split)])
        _log_rows(tracking, run_id, prefix, cell, block, conditions)
        runs[run_id] = None
    return list(runs)


def _log_rows(tracking: Tracking, run_id: str, prefix: str, cell: Cell, block: Block, conditions: Conditions) -> None:
    folder, _, rest = prefix.partition("/")
    content = to_parquet([asdict(row) for row in block.rows], cell.key(conditions), block)
    with tempfile.TemporaryDirectory(prefix="gkm-") as temporary:
        path = Path(temporary) / f"{rest.replace('/', '-')}.parquet"
        path.write_bytes(content)
        tracking.log_file(run_id, path, folder)
