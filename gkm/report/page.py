"""A study, its test scores and kernels in; one self-contained HTML page out.

The page fetches nothing: pictures and figures are embedded, and its own content policy forbids any request. The
template, its style and the script that sorts the table lie beside this file.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from gkm import storage
from gkm.evaluation import ImageScore, mean_scores
from gkm.report.costs import cost_section
from gkm.report.evidence import Example, Inside, Kernels, TestScores
from gkm.report.figures import curves, kernel_figures, search_figures
from gkm.report.figures.error_maps import ERROR_LIMIT, SSIM_LIMIT, error_maps
from gkm.report.figures.noise_figures import noise_panels
from gkm.report.figures.pictures import coefficient_map, cutout, most_blurred_detail, overview, whole
from gkm.report.insight import insight_section, onward, opening
from gkm.report.noise_curves import curves_of_scores
from gkm.report.tables import cells, study_table
from gkm.report.tables import scores as tables
from gkm.report.tables.comparisons import arms_section, seeds_section
from gkm.report.tables.gains import METRICS, against_baseline, interval_text, paired
from gkm.report.tables.names import objective_name, photograph_title
from gkm.report.verdict import verdict_section

if TYPE_CHECKING:
    from gkm.study.record.results import StudyResults, TrialRow

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
    version: int | None = None,
    data: str = "",
) -> Path:
    """Write the report of a study to the file `out`, whole or not at all, and return its place.

    Args:
        provenance: label -> value, shown as they are: commit, versions, seed, fingerprints, date.
        kernels: the best model's kernels; None leaves them out.
        validation_blurred_psnr: mean PSNR in dB of the blurred validation photographs, a line in the curves; None: as
            the study says.
        dataset: a few words on the photographs, such as "DPD video sample".
        example_note: how the pictures shown were chosen.
        version: of the registered model, for the commands that go on from here; None leaves them out.
        data: the place of the study's data set, for one of them; empty: where the commands look by themselves.

    Raises InputError if `out` cannot be written.
    """
    if validation_blurred_psnr is None and study.blurred:
        validation_blurred_psnr = fmean(study.blurred)
    context = {
        **assets(),
        **_summary(study, tests, dataset),
        **verdict_section(study),
        **arms_section(study),
        **seeds_section(study),
        **_tests(tests, example_note),
        **_study(study, validation_blurred_psnr),
        **insight_section(study),
        **cost_section(study, tests, dataset),
        **_inside(tests.inside),
        **_kernels(kernels),
        "provenance": list(provenance.items()),
        "opening": opening(study),
        "onward": onward(version, data),
        "opening_note": "Put user and password in the place of ***." if "***@" in study.record else "",
    }
    context["sections"] = _sections(context)
    page = environment().get_template("page.html.jinja").render(**context)
    storage.write_bytes(out, page.encode())
    return Path(out)


def environment() -> Any:
    """Where templates are found; whatever they show is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


def assets() -> dict[str, Any]:
    """Style and scripts, which are ours and so not escaped, and the scripts' hashes for the content policy."""
    style, *scripts = ((HERE / name).read_text(encoding="utf-8") for name in ("page.css", "sort.js", "compare.js"))
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    return {
        "style": Markup(style),
        "scripts": [Markup(script) for script in scripts],
        "script_hashes": Markup(" ".join(f"'sha256-{digest}'" for digest in digests)),
    }


def _summary(study: StudyResults, tests: TestScores, dataset: str) -> dict[str, Any]:
    count, seeds = len(tests.blurred), study_table.seeds(study)
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
        "status_counts": study.summary(),
        "photograph_count": "One test photograph" if count == 1 else f"{count} test photographs",
        "seed_note": seed_note,
        "dataset": dataset,
    }


def _tiles(tests: TestScores) -> list[dict[str, Any]]:
    before, after = mean_scores(tests.blurred), mean_scores(tests.restored)
    return [
        {
            "title": f"Mean {name.upper()} on test",
            "sure": interval_text(name, paired(name, tests.blurred, tests.restored)),
            "change": cells.difference(after[name] - before[name], digits, higher_is_better),
            "unit": "dB" if name == "psnr" else "",
            "before": cells.number(before[name], digits).text,
            "after": cells.number(after[name], digits).text,
        }
        for name, digits, higher_is_better in METRICS
        if name in before and name in after
    ]


def _tests(tests: TestScores, example_note: str) -> dict[str, Any]:
    scores = {
        (before.scene, before.name): (before, after)
        for before, after in zip(tests.blurred, tests.restored, strict=True)
    }
    noisy = curves_of_scores(tests.noise)
    return {
        "score_rows": tables.score_rows(tests),
        "summary_rows": tables.summary_rows(tests),
        "examples": [_example(example, *scores[example.scene, example.name]) for example in tests.examples],
        "example_note": example_note,
        "map_limits": {"error": ERROR_LIMIT, "ssim": f"{SSIM_LIMIT:g}"},
        "noise_rows": tables.noise_rows(tests.noise),
        "noise_panels": noise_panels(noisy, "the test photographs"),
        "noise_legend": [(curve.style.key, curve.name) for curve in noisy],
        "baseline": tests.baseline,
        "baseline_rows": tables.baseline_rows(tests),
        "baseline_remark": against_baseline(tests),
    }


def _example(example: Example, before: ImageScore, after: ImageScore) -> dict[str, Any]:
    detail = most_blurred_detail(example)
    height, width = example.sharp_HW3.shape[:2]
    shown: dict[str, Any] = {
        "title": photograph_title(example.scene, example.name),
        "gain": cells.difference(after.psnr - before.psnr, 2),
        "blurred_score": f"{cells.number(before.psnr, 2).text} dB",
        "restored_score": f"{cells.number(after.psnr, 2).text} dB",
        "detail": detail,
        "size": (width, height),
        "maps": error_maps(example),
    }
    for name in ("blurred", "restored", "sharp"):
        photo = getattr(example, f"{name}_HW3")
        shown |= {name: whole(photo), f"{name}_detail": cutout(photo, detail)}
    return shown


def _study(study: StudyResults, validation_blurred_psnr: float | None) -> dict[str, Any]:
    best, objective = study.best, study.objectives[0]
    drawn = []
    if any(trial.history for trial in study.trials):
        name = objective_name(objective)
        drawn = [
            (
                f"{name[:1].upper()}{name[1:]} of the weights kept",
                curves.validation_curves(study, validation_blurred_psnr),
            ),
            ("Training loss", curves.loss_curves(study)),
        ]
    return {
        "best": None if best is None else _best(study, best),
        "settings": [] if best is None else study_table.settings_rows(best.config, study.parameters),
        "heads": study_table.heads(study),
        "study_rows": study_table.study_rows(study),
        "curves": drawn,
        "interrupted": study.count("interrupted"),
        "labelled": len(study.trials) <= curves.MOST_LABELLED_LINES,
        "objective": objective_name(objective),
        "parameter_panels": [] if study.kind == "arms" else search_figures.parameter_panels(study),
        "parallel": None if study.kind == "arms" else search_figures.parallel_coordinates(study),
        "front_panels": search_figures.front_panels(study),
        "front_heads": study_table.front_heads(study),
        "front_rows": study_table.front_rows(study) if len(study.objectives) > 1 else [],
    }


def _best(study: StudyResults, best: TrialRow) -> dict[str, Any]:
    assert best.best_epoch is not None
    return {
        "number": best.number,
        "score": study.objectives[0].text(best.score),
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
            "title": photograph_title(inside.scene, inside.name),
            "whole": inside.whole,
            "maps_note": inside.maps_note,
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
        "kernel_figures": kernel_figures.kernel_figures(kernels),
        "kernel_note": f"{note} Each tile is scaled to its own largest weight{signs}.",
    }


def _sections(context: dict[str, Any]) -> list[tuple[str, str]]:
    """Anchor and title of the parts that the page has."""
    parts = [
        ("verdict", "Verdict", "verdict_text"),
        ("arms", "Arms", "arms"),
        ("seeds", "Seeds", "setting_rows"),
        ("test", "Test photographs", "score_rows"),
        ("pictures", "Before and after", "examples"),
        ("noise", "Noise", "noise_rows"),
        ("settings", "Best settings", "name"),
        ("trials", "All trials", "name"),
        ("convergence", "Convergence", "curves"),
        ("front", "Objectives", "front_panels"),
        ("cost", "Multiply-adds", "costs_shown"),
        ("parameters", "Which settings mattered", "parameter_panels"),
        ("inside", "Inside the network", "inside"),
        ("kernels", "Kernels", "kernel_figures"),
        ("method", "Method", "name"),
        ("provenance", "Provenance", "provenance"),
    ]
    return [(anchor, title) for anchor, title, there in parts if context[there]]
