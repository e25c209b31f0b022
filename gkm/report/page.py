"""A study, its test scores and kernels in; one self-contained HTML page out.

The page fetches nothing: pictures and figures are embedded, and its own content policy forbids any request. The
template, its style and the script that sorts the table lie beside this file.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from gkm import storage
from gkm.evaluation import ImageScore, mean_scores
from gkm.report import figures, tables
from gkm.report.evidence import Example, Inside, Kernels, TestScores
from gkm.report.pictures import coefficient_map, cutout, most_blurred_detail, overview

if TYPE_CHECKING:
    from gkm.study.results import StudyResults

HERE = Path(__file__).parent


def build_page(
    study: StudyResults,
    tests: TestScores,
    *,
    out: str | Path,
    provenance: Mapping[str, str],
    kernels: Kernels | None = None,
    validation_blurred_psnr: float | None = None,
    dataset: str = "",
    example_note: str = "",
) -> Path:
    """Write the report of a study to the file `out`, whole or not at all, and return its place.

    Args:
        provenance: label -> value, shown as they are: commit, versions, seed, fingerprints, date.
        kernels: the best model's kernels; None leaves them out.
        validation_blurred_psnr: mean PSNR in dB of the blurred validation photographs, a line in the curves.
        dataset: a few words on the photographs, such as "DPD video sample".
        example_note: how the pictures shown were chosen.

    Raises InputError if `out` cannot be written.
    """
    page = (
        _environment()
        .get_template("page.html.jinja")
        .render(
            **_assets(),
            **_summary(study, tests, dataset),
            **_tests(tests, example_note),
            **_study(study, validation_blurred_psnr),
            **_inside(tests.inside),
            **_kernels(kernels),
            provenance=list(provenance.items()),
            sections=_sections(study, tests, kernels),
        )
    )
    storage.write_bytes(out, page.encode())
    return Path(out)


def _environment() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


def _assets() -> dict[str, Any]:
    """Style and script, which are ours and so not escaped, and the script's hash for the content policy."""
    style, script = ((HERE / name).read_text(encoding="utf-8") for name in ("page.css", "sort.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return {"style": Markup(style), "script": Markup(script), "script_hash": f"sha256-{digest}"}


def _summary(study: StudyResults, tests: TestScores, dataset: str) -> dict[str, Any]:
    count, seeds = len(tests.blurred), tables.seeds(study)
    if len(study.trials) == 1:
        seed_note = f"one trial, of seed {seeds[0]}, so its figures carry no error bars."
    elif len(seeds) == 1:
        seed_note = f"all trials share seed {seeds[0]}, so differences between trials carry no error bars."
    else:
        seed_note = f"{len(seeds)} seeds; a difference between two single trials carries no error bar."
    return {
        "name": study.name,
        "finding": tables.finding(study, tests),
        "tiles": _tiles(tests),
        "trial_count": len(study.trials),
        "status_counts": tables.status_counts(study),
        "photograph_count": "One test photograph" if count == 1 else f"{count} test photographs",
        "seed_note": seed_note,
        "dataset": dataset,
    }


def _tiles(tests: TestScores) -> list[dict[str, Any]]:
    before, after = mean_scores(tests.blurred), mean_scores(tests.restored)
    return [
        {
            "title": f"Mean {name.upper()} on test",
            "change": tables.difference(after[name] - before[name], digits, higher_is_better),
            "unit": "dB" if name == "psnr" else "",
            "before": tables.number(before[name], digits).text,
            "after": tables.number(after[name], digits).text,
        }
        for name, digits, higher_is_better in tables.METRICS
        if name in before and name in after
    ]


def _tests(tests: TestScores, example_note: str) -> dict[str, Any]:
    scores = {
        (before.scene, before.name): (before, after)
        for before, after in zip(tests.blurred, tests.restored, strict=True)
    }
    return {
        "score_rows": tables.score_rows(tests),
        "summary_rows": tables.summary_rows(tests),
        "examples": [_example(example, *scores[example.scene, example.name]) for example in tests.examples],
        "example_note": example_note,
        "noise_rows": tables.noise_rows(tests.noise),
        "baseline": tests.baseline,
        "baseline_rows": tables.baseline_rows(tests),
    }


def _example(example: Example, before: ImageScore, after: ImageScore) -> dict[str, Any]:
    detail = most_blurred_detail(example)
    height, width = example.sharp_HW3.shape[:2]
    shown: dict[str, Any] = {
        "title": tables.photograph_title(example.scene, example.name),
        "gain": tables.difference(after.psnr - before.psnr, 2),
        "blurred_score": f"{tables.number(before.psnr, 2).text} dB",
        "restored_score": f"{tables.number(after.psnr, 2).text} dB",
        "detail": detail,
        "size": (width, height),
    }
    for name in ("blurred", "restored", "sharp"):
        photo = getattr(example, f"{name}_HW3")
        shown |= {name: overview(photo), f"{name}_detail": cutout(photo, detail)}
    return shown


def _study(study: StudyResults, validation_blurred_psnr: float | None) -> dict[str, Any]:
    best = study.best
    curves = []
    if any(trial.history for trial in study.trials):
        curves = [
            ("Validation PSNR", figures.validation_curves(study, validation_blurred_psnr)),
            ("Training loss", figures.loss_curves(study)),
        ]
    return {
        "best": None if best is None else _best(best),
        "settings": [] if best is None else tables.settings_rows(best.config, study.parameters),
        "parameters": tables.parameter_heads(study),
        "study_rows": tables.study_rows(study),
        "curves": curves,
        "labelled": len(study.trials) <= figures.MOST_LABELLED_LINES,
        "parameter_panels": figures.parameter_panels(study),
    }


def _best(best: Any) -> dict[str, Any]:
    return {
        "number": best.number,
        "score": f"{tables.number(best.score, 2).text} dB",
        "epoch": f"{best.best_epoch['epoch']:.0f}",
        "epochs": best.config.training.epochs,
        "fingerprint": best.config.fingerprint(),
    }


def _inside(inside: Inside | None) -> dict[str, Any]:
    if inside is None:
        return {"inside": None}
    count = len(inside.results_HW3)
    # Not the largest value of all: a few pixels at the border would leave the rest pale.
    full = [float(np.quantile(np.abs(map_HW), 0.995)) or 1.0 for map_HW in inside.maps_KHW]
    return {
        "inside": {
            "title": tables.photograph_title(inside.scene, inside.name),
            "whole": inside.whole,
            "results": [
                (f"Scale {scale} of {count}, {photo.shape[1]} × {photo.shape[0]} pixels", overview(photo))
                for scale, photo in enumerate(inside.results_HW3, 1)
            ],
            "maps": [
                (f"{name}, colour to ±{limit:.2g}", coefficient_map(map_HW, limit))
                for name, map_HW, limit in zip(inside.map_names, inside.maps_KHW, full, strict=True)
            ],
        }
    }


def _kernels(kernels: Kernels | None) -> dict[str, Any]:
    if kernels is None:
        return {"kernel_figures": [], "kernel_note": ""}
    count, side = kernels.start_KMM.shape[:2]
    signs = "" if kernels.learned_KMM is None else "; purple is positive, orange negative"
    note = f"The {count} kernels of at most {side} × {side} pixels of the best model’s Gaussian convolution module"
    if kernels.learned_KMM is None:
        note += ", fixed by its settings. δ passes the image unchanged; σ is in pixels."
    else:
        start = "random kernels" if kernels.sigmas_pixels is None else "the Gaussian bank"
        note += f", which learned them from {start} (compare Figure 4 of the paper)."
    return {
        "kernel_figures": figures.kernel_figures(kernels),
        "kernel_note": f"{note} Each tile is scaled to its own largest weight{signs}.",
    }


def _sections(study: StudyResults, tests: TestScores, kernels: Kernels | None) -> list[tuple[str, str]]:
    parts: list[tuple[str, str, object]] = [
        ("test", "Test photographs", True),
        ("pictures", "Before and after", tests.examples),
        ("noise", "Noise", tests.noise),
        ("settings", "Best settings", True),
        ("trials", "All trials", True),
        ("convergence", "Convergence", any(trial.history for trial in study.trials)),
        ("inside", "Inside the network", tests.inside is not None),
        ("kernels", "Kernels", kernels is not None),
        ("method", "Method", True),
        ("provenance", "Provenance", True),
    ]
    return [(anchor, title) for anchor, title, there in parts if there]
