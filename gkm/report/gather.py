"""A study's record and its data set in; test scores in the tracking store and the report page out."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path, PurePath
from statistics import median_high
from typing import TYPE_CHECKING

from torch import Tensor

from gkm.config import Input
from gkm.data.dataset.dataset import Dataset, open_dataset
from gkm.data.dataset.manifest import Manifest
from gkm.data.dataset.pair import Pair
from gkm.data.photos import SPLITS, as_8bit
from gkm.data.reading.cache import CachedSplit, NodeCache, open_split
from gkm.errors import InputError
from gkm.evaluation import ImageScore, Restore, evaluate, mean_scores, restore_image, restorer, to_8bit
from gkm.networks import Network
from gkm.networks.kinds import kind_of
from gkm.registry import versions
from gkm.registry.promotion import Watch
from gkm.report import artifacts, current
from gkm.report.baseline import fixed_point_baseline
from gkm.report.evidence import Example, Kernels, NoiseScores, Photo, ReportSummary, TestScores
from gkm.report.inside import look_inside
from gkm.report.page import build_page
from gkm.report.tables.plain import write_tables
from gkm.report.tables.study_table import seeds
from gkm.report.verdict import verdict_section
from gkm.study.record.results import StudyResults, TrialRow
from gkm.tracking import Tracking
from gkm.training.context import best_device

if TYPE_CHECKING:
    from gkm.registry import LoadedModel

MOST_EXAMPLES = 6
VERSION_TAGS = {
    "gkm.git_commit": "Commit of training",
    "gkm.space": "Search space fingerprint",
    "gkm.python": "Python",
    "gkm.platform": "Platform",
    "gkm.cores": "Cores",
    "gkm.device": "Device",
}


def report_study(
    tracking: Tracking,
    study: StudyResults,
    data: Dataset | str,
    out: str | Path,
    *,
    cache: NodeCache | str | None = None,
    lpips_weights: str | Path | None = None,
    watch: Watch | None = None,
) -> ReportSummary:
    """Score the study's registered model on the test photographs of `data` and write the page to `out`.

    The figures go to the study's run, too, as "test/psnr", "test/blurred_psnr" and so on. What the page was made from
    is kept beside it (`gkm.report.current`).

    Args:
        cache: see `gkm.data.reading.cache.open_split`.
        lpips_weights: see `gkm.metrics.lpips`.

    Raises InputError where the study has no validated or no registered trial, or where `data` is not its data set.
    """
    best = study.best
    if best is None:
        raise InputError(f"study {study.name}: has no validated trial to report; see the reasons in its trials")
    dataset = open_dataset(data)
    _refuse_other_data(study, dataset)
    loaded = _registered_model(tracking, study, best)
    photos = open_split(dataset, "test", cache, inputs=loaded.model.inputs)
    tests = _score(loaded, photos, lpips_weights, watch)
    gains = tests.gains_db
    tests = replace(
        tests,
        noise=_noise(tracking, loaded, photos.manifest, tests),
        baseline=fixed_point_baseline(
            photos,
            open_split(dataset, "validation", cache),
            device=best_device(),
            lpips_weights=lpips_weights,
            watch=watch,
        ),
        inside=look_inside(loaded.model, photos[gains.index(median_high(gains))]),
    )
    blurred, restored = mean_scores(tests.blurred), mean_scores(tests.restored)
    figures = {f"test/{name}": value for name, value in restored.items()}
    figures |= {f"test/blurred_{name}": value for name, value in blurred.items()}
    if study.run_id:
        tracking.log_metrics(study.run_id, figures)
    page = build_page(
        study,
        tests,
        out=out,
        provenance=_provenance(study, best, loaded, photos.manifest),
        version=loaded.version,
        data=dataset.place,
        kernels=_kernels(loaded.model, best),
        dataset=_describe(photos.manifest),
        example_note=_example_note(len(photos), loaded.model.inputs),
    )
    beside = write_tables(study, tests, str(out))
    artifacts.keep(tracking, study, page, beside)
    summary = ReportSummary(page, len(photos), blurred, restored)
    artifacts.describe(tracking, study, [*verdict_section(study)["verdict_text"], summary.sentence])
    source = current.made_from(study, dataset.fingerprint, tracking, lpips_weights)
    current.remember(out, source, summary.lines, beside)
    return summary


def _refuse_other_data(study: StudyResults, dataset: Dataset) -> None:
    if study.data_fingerprint != dataset.fingerprint:
        raise InputError(
            f"{dataset.place}: has fingerprint {dataset.fingerprint}, but study {study.name} was made with "
            f"{study.data_fingerprint}; give the study's own data set with --data"
        )


def _registered_model(tracking: Tracking, study: StudyResults, best: TrialRow) -> LoadedModel:
    """The newest registered version of the study's best trial."""
    for version in versions.versions(tracking):
        if version.run_id == best.run_id:
            return versions.load(tracking, version.version)
    raise InputError(
        f"study {study.name}: its best trial {best.number} is not registered; finish the study by pipelines/sweep.py"
    )


def _score(
    loaded: LoadedModel, photos: CachedSplit, lpips_weights: str | Path | None, watch: Watch | None
) -> TestScores:
    device = best_device()
    restore, inputs = restorer(loaded.model.to(device)), loaded.model.inputs
    kept: list[Photo] = []

    def restore_and_keep(input_1CHW: Tensor) -> Tensor:
        restored_13HW = restore(input_1CHW)
        if len(photos) <= MOST_EXAMPLES:  # all will be shown, and restoring one again is the slowest part of a report
            kept.append(to_8bit(restored_13HW))
        return restored_13HW

    def scores(label: str, restore: Restore | None) -> list[ImageScore]:
        pairs = watch(label, photos) if watch else photos
        try:
            return evaluate(restore, pairs, inputs=inputs, device=device, lpips_weights=lpips_weights)
        except FloatingPointError as error:
            raise InputError(f"{loaded.name}: {error}; register a version that works") from None

    blurred, restored = scores("blurred photographs", None), scores("restored photographs", restore_and_keep)
    gains = [after.psnr - before.psnr for before, after in zip(blurred, restored, strict=True)]
    examples = [
        _example(photos[i], kept[i] if kept else restore_image(loaded.model, *photos[i].seen(inputs)))
        for i in choose_examples(gains)
    ]
    return TestScores(blurred=blurred, restored=restored, examples=examples)


def _noise(tracking: Tracking, loaded: LoadedModel, manifest: Manifest, tests: TestScores) -> list[NoiseScores]:
    """What `study_noise` found for this model on these photographs, if it was asked; `tests` are without noise."""
    if loaded.run_id is None:
        return []
    with tempfile.TemporaryDirectory(prefix="gkm-") as folder:
        try:
            path = tracking.download(loaded.run_id, f"test/noise-{manifest.fingerprint}-seed0.json", Path(folder))
        except InputError:
            return []
        content = json.loads(path.read_text(encoding="utf-8"))
    if content["version"] != loaded.version:
        return []
    levels = [
        NoiseScores(
            sigma_8bit=level["sigma_8bit"],
            blurred=[ImageScore(**score) for score in level["blurred"]],
            restored=[ImageScore(**score) for score in level["restored"]],
        )
        for level in content["levels"]
    ]
    if all(level.sigma_8bit for level in levels):
        return [NoiseScores(sigma_8bit=0.0, blurred=tests.blurred, restored=tests.restored), *levels]
    return levels


def choose_examples(gains_db: Sequence[float]) -> list[int]:
    """Which photographs to show: all if they are few, else those with the largest, the median and the smallest gain."""
    if len(gains_db) <= MOST_EXAMPLES:
        return list(range(len(gains_db)))
    order = sorted(range(len(gains_db)), key=lambda index: -gains_db[index])
    return [order[0], order[len(order) // 2], order[-1]]


def _example_note(count: int, inputs: Sequence[Input]) -> str:
    if count > MOST_EXAMPLES:
        note = "The test photographs with the largest, the median and the smallest gain in PSNR."
    else:
        note = "All test photographs." if count > 1 else "The test photograph."
    if inputs == ("blurred",):
        return note
    return (
        f"{note} The network saw their {' and '.join(inputs)} views; shown, and scored as blurred, are the photographs."
    )


def _example(pair: Pair, restored_HW3: Photo) -> Example:
    return Example(
        scene=pair.scene,
        name=pair.name,
        blurred_HW3=as_8bit(pair.blurred_HW3),
        restored_HW3=restored_HW3,
        sharp_HW3=as_8bit(pair.sharp_HW3),
    )


def _kernels(model: Network, best: TrialRow) -> Kernels | None:
    """The model's kernels, and for learned ones those it started from: the seed gives random ones back."""
    look = kind_of(model).kernels
    found = look(model, best.config.training.seed) if look else None
    if found is None or found.before_KMM is None:
        return None
    return Kernels(
        start_KMM=found.before_KMM.numpy(),
        learned_KMM=found.now_KMM.numpy() if found.learned else None,
        sigmas_pixels=None if found.random else found.sigmas_K.tolist(),
    )


def _describe(manifest: Manifest) -> str:
    """What the photographs are, in a few words."""
    if manifest.source.get("kind") == "sample":
        return "the embedded sample, real photographs with simulated defocus"
    folder, layout = PurePath(manifest.origin).name, str(manifest.source.get("layout", "")).upper()
    return ", ".join(part for part in (folder, f"photographs in the layout of {layout}" if layout else "") if part)


def _provenance(study: StudyResults, best: TrialRow, loaded: LoadedModel, manifest: Manifest) -> dict[str, str]:
    """Label -> value, in the order of the page."""
    counts = " / ".join(str(manifest.count(split)) for split in SPLITS)
    entries = {
        "Study": study.name,
        "Record": study.record,
        "Record id": study.record_id,
        "Page written": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "Model": loaded.name,
        "Data fingerprint": manifest.fingerprint,
        "Train / validation / test pairs": counts,
        "Settings fingerprint": best.config.fingerprint(),
        "Search seed": study.tags.get("gkm.search_seed", study.tags.get("gkm.seed", "")),
        "Training seeds": ", ".join(map(str, seeds(study))),
        "Seed of the best trial": str(best.config.training.seed),
        "Run of the study": study.run_id,
        "Run of the best trial": best.run_id or "",
    }
    entries = {label: value for label, value in entries.items() if value}
    entries |= {label: study.tags[tag] for tag, label in VERSION_TAGS.items() if tag in study.tags}
    prefix = "gkm.version."
    return entries | {tag.removeprefix(prefix): text for tag, text in study.tags.items() if tag.startswith(prefix)}
