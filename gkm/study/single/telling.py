"""A trial outside a study in; its run in MLflow named, described in a few lines, and ended, out."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Protocol

from gkm.config import TrialConfig
from gkm.data.dataset.dataset import Dataset
from gkm.study.mirror.notes import gain_text
from gkm.study.single.initial import Initial
from gkm.tracking import NOTE, Status, Tracking, TrialRun, to_text

_MOST = 12
"""Settings that a description lists."""
History = Sequence[Mapping[str, float]]
"""The validated epochs, in order."""


class Told(Protocol):
    """What is told of: see `gkm.study.single.launch.Launch`."""

    @property
    def config(self) -> TrialConfig: ...

    @property
    def dataset(self) -> Dataset: ...

    @property
    def initial(self) -> Initial | None: ...

    @property
    def repeats(self) -> str | None: ...

    @property
    def tracking(self) -> Tracking: ...

    @property
    def blurred(self) -> dict[str, float]: ...


def run_name(launch: Told) -> str:
    """Such as "gkmnet on sample, 20 epochs, seed 0"."""
    training = launch.config.training
    return f"{launch.config.model.kind} on {launch.dataset.name}, {training.epochs} epochs, seed {training.seed}"


def note(
    launch: Told,
    status: Status,
    history: History = (),
    *,
    blurred: Mapping[str, float] | None = None,
    reason: str | None = None,
) -> str:
    """What is trained, what came of it, and what to do with it, as Markdown.

    `blurred`: mean scores of the validation photographs as they are; None: not known yet.
    """
    first = "random weights" if launch.initial is None else launch.initial.source
    again = f" It repeats the run {launch.repeats}." if launch.repeats else ""
    data = f"{launch.dataset.name} ({launch.dataset.fingerprint})"
    told = [f"Trains **{launch.config.model.kind}** on {data}, by itself, from {first}.{again}"]
    why = f": {reason}" if reason else ""
    state = f"{status.capitalize()} after {int(history[-1]['epoch']) if history else 0} epochs{why}."
    scored = [metrics for metrics in history if "val/psnr" in metrics]
    if scored:
        best = max(scored, key=lambda metrics: metrics["val/psnr"])
        gain = gain_text(best["val/psnr"], (blurred or {}).get("psnr"))
        state = f"**{best['val/psnr']:.2f} dB** on validation at epoch {int(best['epoch'])}{gain}. {state}"
    told += [state, _settings(launch.config)]
    if status == "finished":
        told.append("To register its weights: the same `gkm train` with `--register`.")
    return "\n\n".join(told)


def finish(launch: Told, run: TrialRun, history: History) -> None:
    """Mark a run that reached its end, and have it say what was gained over the blurred photographs."""
    launch.tracking.set_tags(run.run_id, {NOTE: note(launch, "finished", history)})
    run.finish("finished")
    blurred = launch.blurred
    launch.tracking.log_metrics(run.run_id, {f"val/blurred_{name}": value for name, value in blurred.items()})
    launch.tracking.set_tags(run.run_id, {NOTE: note(launch, "finished", history, blurred=blurred)})


def close(launch: Told, run: TrialRun, history: History, status: Status, reason: str | None = None) -> None:
    """Mark a run that did not reach its end; what ended it matters more than a tracking store that is away as well."""
    try:
        launch.tracking.set_tags(run.run_id, {NOTE: note(launch, status, history, reason=reason)})
        run.finish(status, reason)
    except Exception as error:
        logging.getLogger(__name__).warning("run %s stays marked as running: %s", run.run_id, error)


def _settings(config: TrialConfig) -> str:
    """The settings that are not the paper's."""
    usual = TrialConfig().flat()
    own = [f"`{path} = {to_text(value)}`" for path, value in config.flat().items() if usual.get(path, ...) != value]
    more = f" and {len(own) - _MOST} more" if len(own) > _MOST else ""
    return f"Not as in the paper: {', '.join(own[:_MOST])}{more}." if own else "All settings are the paper's."
