"""Runs of two settings in; how they compare, photograph by photograph, as figures and in words, out.

Photographs of one scene are not independent samples, so each scene is averaged first, unless all show the same one.
Whatever cannot be compared is named, never guessed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from gkm.study.insight.statistics import Difference, Verdict, paired_difference, verdict, verdict_kind
from gkm.study.record.results import StudyResults, TrialRow

LEVEL = 0.95
"""Confidence of the intervals."""


@dataclass(frozen=True)
class Scale:
    """What differences are given in."""

    unit: str = "dB"
    per_unit: float = 1.0
    """How many of it make 1 of the photographs' scores."""
    effect: float = 0.1
    """The least difference that matters."""


PSNR_SCALE = Scale()
SSIM_SCALE = Scale("hundredths of SSIM", 100.0, 0.2)
"""Of studies that keep weights by SSIM; where defocus is removed, 0.002 goes with about 0.1 dB."""


@dataclass(frozen=True)
class Comparison:
    """One setting against another."""

    name: str
    reference: str
    kind: Verdict
    sentence: str
    """To be read after `name`, without a full stop."""
    difference: Difference | None = None
    """In the unit of `scale`; None where there are no scores to compare."""
    adjusted_p: float | None = None
    """The p-value after Holm, where several arms are compared."""
    notes: tuple[str, ...] = ()
    """What could not be used, and why."""
    scale: Scale = PSNR_SCALE


@dataclass(frozen=True)
class Runs:
    """The runs that stand for a setting."""

    name: str
    trials: tuple[TrialRow, ...]

    def scores(self, results: StudyResults) -> tuple[list[list[float]], list[str]]:
        """Scores [seeds, photographs or scenes] of those that can be used, and why the others cannot."""
        usable: list[list[float]] = []
        notes = []
        for trial in self.trials:
            why = _unusable(results, trial)
            if why is None and trial.photographs is not None:
                usable.append(_by_scene(results, trial.photographs))
            else:
                notes.append(f"{self.name}, seed {trial.seed}: {why}")
        return usable, notes


@dataclass(frozen=True)
class Pairing:
    """What there is to say before several comparisons are allowed for."""

    arm: Runs
    reference: Runs
    difference: Difference | None
    missing: str
    """The settings without any run that can be compared."""
    notes: tuple[str, ...]


def pair(results: StudyResults, arm: Runs, reference: Runs) -> Pairing:
    """The difference between two settings over all their runs that can be compared."""
    (scores_SP, notes), (reference_SP, more) = arm.scores(results), reference.scores(results)
    missing = " and ".join(runs.name for runs, s in ((arm, scores_SP), (reference, reference_SP)) if not s)
    difference = None if missing else paired_difference(scores_SP, reference_SP, level=LEVEL)
    return Pairing(arm, reference, difference, missing, (*notes, *more))


def tell(results: StudyResults, pairing: Pairing, adjusted_p: float | None = None, comparisons: int = 1) -> Comparison:
    """A pairing in words; `adjusted_p`: its p-value after allowance for so many `comparisons`."""
    names, scale, difference = (pairing.arm.name, pairing.reference.name), scale_of(results), pairing.difference
    if difference is None:
        why = f"no verdict: {pairing.missing} without a finished run that has scores by photograph"
        return Comparison(*names, "no verdict", why, notes=pairing.notes, scale=scale)
    sentence = verdict(difference, effect_db=scale.effect, adjusted_p=adjusted_p, comparisons=max(1, comparisons))
    if 1 < len(_scenes(results)) < len(results.photographs):
        sentence = sentence.replace("photograph", "scene")
    kind = verdict_kind(difference, effect_db=scale.effect, adjusted_p=adjusted_p)
    sentence = sentence.replace(" dB", f" {scale.unit}")
    return Comparison(*names, kind, sentence, difference, adjusted_p, pairing.notes, scale)


def scale_of(results: StudyResults) -> Scale:
    """What differences between scores by photograph are given in."""
    return SSIM_SCALE if results.metric == "val/ssim" else PSNR_SCALE


def scene_note(results: StudyResults) -> str | None:
    """What the validation photographs allow a verdict to be about; None where each shows another scene."""
    count, scenes = len(results.photographs), _scenes(results)
    if count == 0:
        return "the record does not name the validation photographs, so settings cannot be compared by them"
    if count == 1:
        return f"there is one validation photograph only ({results.photographs[0]}), which allows no verdict"
    if len(scenes) == 1:
        return f"all {count} validation photographs show one scene ({scenes[0]}): a verdict holds for that scene only"
    if len(scenes) < count:
        return f"the {count} validation photographs show {len(scenes)} scenes; each scene was averaged first"
    return None


def _unusable(results: StudyResults, trial: TrialRow) -> str | None:
    """Why a trial's scores by photograph cannot be compared; None where they can."""
    if trial.status != "finished":
        return trial.status
    if trial.photographs is None:
        return "its scores by photograph are not on record"
    if len(trial.photographs) != len(results.photographs):
        return f"has scores of {len(trial.photographs)} photographs, but the study has {len(results.photographs)}"
    for name, score in zip(results.photographs, trial.photographs, strict=True):
        if not math.isfinite(score):
            return f"its score on {name} is {score}"
    return None


def _scenes(results: StudyResults) -> list[str]:
    return list(dict.fromkeys(map(_scene, results.photographs)))


def _scene(photograph: str) -> str:
    return photograph.rpartition("/")[0] or photograph


def _by_scene(results: StudyResults, scores: Sequence[float]) -> list[float]:
    """Means over each scene, in the unit of the scale; photographs as they are where all show one scene."""
    factor, scenes = scale_of(results).per_unit, _scenes(results)
    if len(scenes) == 1:
        return [factor * score for score in scores]
    shown: dict[str, list[float]] = {scene: [] for scene in scenes}
    for name, score in zip(results.photographs, scores, strict=True):
        shown[_scene(name)].append(factor * score)
    return [fmean(shown[scene]) for scene in scenes]
