"""A study's facts and rows in; what the page of each of its runs in MLflow says, a few lines of Markdown, out.

First what the run is and what came of it, then where more is to be found. Passwords in addresses are blotted out.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from urllib.parse import quote

from gkm.study.mirror.facts import StudyFacts
from gkm.study.record.results import SettingRow, StudyResults, TrialRow
from gkm.study.record.statuses import ENDED
from gkm.tracking import redacted, to_text

_ARTIFACT = "report/report.html"


def trial_note(facts: StudyFacts, row: TrialRow) -> str:
    """Of a trial."""
    what = "confirms a setting with a fresh seed" if row.phase == "confirm" else "trains one setting with one seed"
    files = f" Its checkpoints and pictures: `{redacted(row.place)}`." if row.place else ""
    return "\n\n".join(
        [
            f"Trial {row.number} of the study **{facts.name}** {what}: {_values(row)}, seed {row.seed}.",
            _came_of(facts, row),
            f"{_report(facts)}{files} {_record(facts)}",
        ]
    )


def setting_note(facts: StudyFacts, lead: TrialRow, members: Sequence[TrialRow]) -> str:
    """Of a setting, whose first trial is `lead`, over its runs `members`."""
    told = [f"One setting of the study **{facts.name}**, trained with several seeds: {_values(lead)}."]
    setting = SettingRow(tuple(members))
    if members and all(row.status in ENDED for row in members) and setting.judged:
        told.append(f"{_score(facts, setting)}.")
    else:
        ended = sum(row.status in ENDED for row in members)
        told.append(f"{ended} of {len(members)} runs have ended.")
    return "\n\n".join([*told, f"{_report(facts)} {_record(facts)}"])


def study_note(facts: StudyFacts, results: StudyResults | None) -> str:
    """Of a study, while it runs (`results` None) or as it ended."""
    goals = ", ".join(f"{objective.direction} {objective.metric}" for objective in facts.objectives)
    varied = "\n".join(f"| `{path}` | {text} |" for path, text in facts.parameters.items())
    told = [f"Study **{facts.name}** ({facts.kind}): {goals}."]
    told += ["It is being run."] if results is None else _ended(facts, results)
    told += [f"| setting | values |\n|---|---|\n{varied}"] if varied else []
    blurred = _blurred(facts)
    floor = "" if blurred is None else f", validation photographs as they are: {blurred:.2f} dB"
    told.append(f"Data: `{redacted(facts.data)}` ({facts.data_fingerprint}){floor}.")
    kept = f" It is kept here, too, as the artifact `{_ARTIFACT}`." if results is not None else ""
    return "\n\n".join([*told, f"{_report(facts)}{kept} {_record(facts)}"])


def runs_link(experiment_id: str, study: str) -> str:
    """Path, within MLflow's pages, of the table of a study's runs."""
    wanted = quote(f"tags.`gkm.study` = '{study}'", safe="")
    return f"#/experiments/{experiment_id}/runs?workflowType=machine_learning&searchFilter={wanted}"


def gain_text(psnr: float | None, blurred: float | None) -> str:
    """What a mean PSNR in dB gains over that of the blurred photographs; empty where one of them is not known."""
    if psnr is None or blurred is None:
        return ""
    return f", {psnr - blurred:+.2f} dB over the blurred input ({blurred:.2f} dB)"


def _came_of(facts: StudyFacts, row: TrialRow) -> str:
    """The status of a trial and its score, in a sentence or two."""
    why = f": {row.reason}" if row.reason else ""
    state = f"{row.status.capitalize()} after {row.epochs} {'epoch' if row.epochs == 1 else 'epochs'}{why}."
    best = row.best_epoch
    if best is None:
        return f"{state} Not validated."
    score = facts.objectives[0].text(row.score)
    gained = gain_text(row.value("val/psnr"), _blurred(facts))
    return f"**{score}** on validation at epoch {int(best['epoch'])}{gained}. {state}"


def _ended(facts: StudyFacts, results: StudyResults) -> list[str]:
    """Who won, and how the study ended."""
    why = f": {results.reason}" if results.reason else ""
    spent = results.spent
    state = f"{results.status.capitalize()}{why}. {len(results.trials)} trials ({results.summary()})"
    took = f"{state}, {spent.epochs} epochs, {spent.hours:.2f} hours."
    winner, best = results.winner, results.best
    if winner is None or best is None:
        return [f"No trial was validated, so there is no winner. {took}"]
    name = winner.lead.arm or f"setting {winner.number}"
    return [
        f"**Winner: {name}** ({_values(winner.lead)}), {_score(facts, winner)}; its best run is trial {best.number}.",
        took,
    ]


def _score(facts: StudyFacts, setting: SettingRow) -> str:
    """The mean score of a setting and what it gains, over the trials that speak for it."""
    judged = setting.judged
    fresh = "fresh seed" if judged[0].phase == "confirm" else "seed"
    how = f"the mean of {len(judged)} {fresh}s" if len(judged) > 1 else f"by one {fresh}"
    score = facts.objectives[0].text(fmean(row.score for row in judged))
    psnr = [value for row in judged if (value := row.value("val/psnr")) is not None]
    return f"**{score}** on validation, {how}{gain_text(fmean(psnr) if psnr else None, _blurred(facts))}"


def _blurred(facts: StudyFacts) -> float | None:
    return facts.blurred.get("val/blurred_psnr")


def _values(row: TrialRow) -> str:
    named = [f"`{path} = {to_text(value)}`" for path, value in row.parameters.items()]
    return ", ".join([*([f"arm {row.arm}"] if row.arm is not None else []), *named]) or "the settings all trials share"


def _report(facts: StudyFacts) -> str:
    return f"The report: `gkm report {facts.name}`."


def _record(facts: StudyFacts) -> str:
    return f"The study's record, of which these runs are a copy: `optuna-dashboard {redacted(facts.record)}`"
