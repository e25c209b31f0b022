"""How a study ended in; what follows from it out: a registered challenger and a report page, or an exit status."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from signal import Signals
from typing import TYPE_CHECKING

from gkm.errors import InputError
from pipelines.terminal.command import TERMINATED, leave, say
from pipelines.terminal.options import DEFAULT_WORKSPACE, there

if TYPE_CHECKING:
    from gkm.study.execution.opening import Study
    from gkm.study.execution.run import Outcome
    from gkm.study.record.results import StudyResults
    from gkm.study.record.statuses import TrialStatus


@dataclass(frozen=True)
class Noise:
    """At which noise levels a study's model is scored for its report, and where scores are kept."""

    sigmas_8bit: Sequence[float]
    folder: str


def conclude(
    study: Study,
    outcome: Outcome,
    page: Path | None,
    noise: Noise | None = None,
    workspace: Path = DEFAULT_WORKSPACE,
) -> None:
    """Say what a finished study found, register its best model, score it and write its report to `page`.

    A page that is there, newer than the study and with these noise levels, is left as it is. Of a study that did not
    finish nothing is registered or written, and the command ends with its exit status.
    """
    _leave_unfinished(study, outcome)
    results = outcome.results
    best = results.best
    assert best is not None
    ended = ", ".join(f"{count} {status}" for status, count in _endings(results).items())
    searched = sum(_endings(results).values())
    score = results.objectives[0].text(best.score)
    say(f"study {study.name}: {searched} trials ({ended}); best is trial {best.number}, {score}")
    for line in _confirmed(results):
        say(line)

    from gkm.registry import find_registered, register_best
    from gkm.storage import absolute

    registered = None if outcome.worked else find_registered(study.tracking, best.run_id)
    try:
        registered = registered or register_best(study.tracking, results, study.data, study.cache)
    except InputError as error:
        if outcome.mirrored:
            raise
        # What is missing is most likely what MLflow was not told in time.
        raise InputError(
            f"study {study.name}: MLflow does not have all of it yet, so that its best model could not be "
            f"registered ({error}); the same command brings its runs in line and registers it"
        ) from error
    say(f"registered: {registered.sentence}")
    say(f"promote it, if it passes the gates: {there(f'gkm promote --version {registered.version}', workspace)}")
    if page is not None and not (_is_newer(page, results) and _has(page, noise)):
        levels = _score_noise(study, registered.version, noise) if noise is not None else []
        _report(study, results, page)
        for line in levels:
            say(line)
    if page is not None:
        say(f"report: {absolute(page)}")
    say(f"compare the trials: {study.tracking.ui_link(study=study.name)}")


def _leave_unfinished(study: Study, outcome: Outcome) -> None:
    from gkm.study.decisions.standing import Standing

    results = outcome.results
    standing = Standing(study.space, study.confirm)
    standing.begin(results, study.space.base.training.epochs)
    if outcome.failure is not None:
        raise InputError(f"study {study.name}: {outcome.failure}")
    if outcome.signal is not None:
        name = "Ctrl-C" if outcome.signal == Signals.SIGINT else "SIGTERM"
        sentence = (
            f"study {study.name}: interrupted by {name} after {standing.progress} trials; the same command goes on"
        )
        leave(sentence, 128 + outcome.signal)
    if results.status == "finished":
        return
    if results.status == "interrupted" and str(results.reason).startswith("stopped by"):
        leave(
            f"study {study.name}: {results.reason} after {standing.progress} trials; the same command goes on",
            TERMINATED,
        )
    raise InputError(f"study {study.name}: {results.status} after {standing.progress} trials: {results.reason}")


def _endings(results: StudyResults) -> dict[str, int]:
    """How many trials of the search ended how."""
    statuses: tuple[TrialStatus, ...] = ("finished", "stopped", "failed")
    return {status: results.count(status, "search") for status in statuses}


def _confirmed(results: StudyResults) -> list[str]:
    """What fresh seeds said about the best settings, if they were asked."""
    winner, objective = results.winner, results.objectives[0]
    if winner is None or winner.confirmed is None:
        return []
    seeds = len(winner.scores("confirm"))
    by = f"{seeds} fresh seeds" if seeds > 1 else "a fresh seed"
    line = f"confirmed by {by}: trial {winner.number}, {objective.text(winner.confirmed)}"
    searched = winner.mean("search")
    if searched is None:
        return [line]
    flattered = searched - winner.confirmed if results.mode == "max" else winner.confirmed - searched
    first = f"the search's own figure was {objective.text(searched)}"
    if flattered > 0:
        return [f"{line}; {first}, which flattered by {objective.text(flattered)}"]
    return [f"{line}; {first}, which did not flatter"]


def _is_newer(page: Path, results: StudyResults) -> bool:
    """Whether the page was written after the study's last epoch."""
    last = max((metrics.get("time", 0.0) for trial in results.trials for metrics in trial.history), default=0.0)
    return page.is_file() and page.stat().st_mtime > last


def _has(page: Path, noise: Noise | None) -> bool:
    """Whether the page shows scores at these noise levels."""
    if noise is None:
        return True
    from gkm.report import noise_on_page

    return noise_on_page(page) >= {float(f"{sigma:g}") for sigma in noise.sigmas_8bit}


def _score_noise(study: Study, version: int, noise: Noise) -> list[str]:
    """Scores the model on noisy test photographs, where its report finds them; a line for each level."""
    from gkm.report.evidence import gain_text
    from gkm.scoring.noise import study_noise
    from pipelines.terminal.lines import announced

    sigmas = [sigma for sigma in noise.sigmas_8bit if sigma]  # the report scores them without noise anyway
    if not sigmas:
        return []
    with announced("scoring noisy test photographs") as watch:
        found = study_noise(
            study.tracking, study.data, noise.folder, selector=str(version), sigmas_8bit=sigmas, cache=study.cache,
            watch=watch,
        )  # fmt: skip
    return [
        f"with noise of {level.sigma_8bit:g} grey levels: {level.restored['psnr']:.2f} dB, "
        f"{gain_text(level.restored['psnr'], level.blurred['psnr'])}"
        for level in found.levels
    ]


def _report(study: Study, results: StudyResults, page: Path) -> None:
    from gkm.report import report_study
    from pipelines.terminal.lines import announced

    with announced("building the report") as watch:
        summary = report_study(study.tracking, results, study.data, page, cache=study.cache, watch=watch)
    say(f"{summary.photographs} test photographs: {summary.restored_psnr:.2f} dB, {summary.gained}")
