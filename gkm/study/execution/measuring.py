"""What the driver measures of a trial beside its reports: the photographs' scores, the network's complexity."""

from __future__ import annotations

from collections.abc import Callable

from gkm.config import TrialConfig
from gkm.errors import InputError
from gkm.study.design.design import Design
from gkm.study.record.record import Record
from gkm.study.record.results import TrialRow


def photograph_scores(record: Record) -> Callable[[TrialRow], list[float] | None]:
    """Reads the scores of a trial's kept weights, photograph by photograph, in the study's order."""
    from gkm.training.store import read_validation

    names = list(record.attributes.get("gkm:photographs", ()))
    metric = "ssim" if record.objectives[0].metric == "val/ssim" else "psnr"

    def read(row: TrialRow) -> list[float] | None:
        best = row.best_epoch
        if best is None:
            return None
        try:
            scores = {
                f"{s.scene}/{s.name}": float(getattr(s, metric)) for s in read_validation(row.place, int(best["epoch"]))
            }
        except InputError:
            return None  # the trial's folder was deleted; its curve is on record all the same
        return [scores[name] for name in names] if set(names) <= set(scores) else None

    return read


def complexity(config: TrialConfig) -> dict[str, float]:
    """Parameters, and multiply-adds for each pixel, of a trial's network."""
    from gkm.networks import build, measure

    measured = measure(build(config.model), 128, 128)
    return {"parameters": float(measured.parameters), "multiply_adds": measured.macs / 128**2}


def wants_complexity(space: Design) -> bool:
    """Whether a study needs to know each network's complexity before it is trained."""
    from gkm.study.design.objective import COMPLEXITY_METRICS

    return bool(space.constraints) or any(o.metric in COMPLEXITY_METRICS for o in space.objectives)
