"""A version, its opponent and data sets in; their scores by photograph, with and without noise, and their costs out."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gkm.errors import InputError
from gkm.registry import history, versions
from gkm.registry.clean_process import Clean, restore_elsewhere
from gkm.registry.ledger import REGISTERED_NAME
from gkm.registry.versions import LoadedModel
from gkm.tracking import Tracking

if TYPE_CHECKING:
    from torch import Tensor

    from gkm.data.dataset.pair import Pair
    from gkm.data.reading.cache import CachedSplit, NodeCache
    from gkm.evaluation import ImageScore
    from gkm.registry.gates import Gates

Watch = Callable[[str, "CachedSplit"], "Iterable[Pair]"]
"""Shows progress: what is done to which photographs in, the photographs one by one out."""
_COUNTED_PIXELS = 256
"""Height and width of the image whose multiply-adds are counted."""


@dataclass(frozen=True)
class OnData:
    """Scores on the test photographs of one data set; lists are in the order of the photographs."""

    place: str
    label: str
    """How to speak of it: the last part of its place."""
    fingerprint: str
    photographs_id: str
    """See `gkm.registry.history.photographs_id`."""
    scenes: tuple[str, ...]
    names: tuple[str, ...]
    opponent: str
    """ "version 2" or "the blurred input"."""
    psnr: tuple[float, ...]
    """In dB."""
    opponent_psnr: tuple[float, ...]
    ssim: float
    opponent_ssim: float
    seconds_per_megapixel: float
    noisy: Mapping[float, tuple[float, float]] = field(default_factory=dict)
    """Noise in 8-bit grey levels -> mean PSNR in dB, of the version and of its opponent."""


@dataclass(frozen=True)
class Measured:
    """All that the gates ask."""

    version: int
    opponent: int | None
    """None: the blurred photographs themselves."""
    parameters: int
    multiply_adds_per_pixel: float
    hashed: bool
    provenance: Mapping[str, str]
    on: tuple[OnData, ...]
    clean: Clean | None
    """None: not asked."""


def measure(
    tracking: Tracking,
    version: int,
    opponent: int | None,
    data: Sequence[str],
    gates: Gates,
    *,
    cache: NodeCache | str | None = None,
    watch: Watch | None = None,
) -> Measured:
    """Measure `version` and `opponent` on the test photographs of each data set, as far as `gates` ask.

    Raises InputError for data sets or versions that cannot be used, and where a version gives no picture.
    """
    from gkm.networks import measure as complexity
    from gkm.training.context import best_device

    device = best_device()
    own = versions.load(tracking, version)
    other = None if opponent is None else versions.load(tracking, opponent)
    counted = complexity(own.model, _COUNTED_PIXELS, _COUNTED_PIXELS)
    for loaded in (own, other):
        if loaded is not None:
            loaded.model.to(device)
    on = tuple(_on_data(place, own, other, gates, cache, watch) for place in data)
    tags = versions.find(tracking, str(version)).tags
    return Measured(
        version,
        opponent,
        counted.parameters,
        counted.macs / _COUNTED_PIXELS**2,
        own.hashed,
        {fact: tags[f"gkm.{fact}"] for fact in gates.provenance.known if f"gkm.{fact}" in tags},
        on,
        _clean(tracking, own, data[0], cache) if gates.weights.clean_process else None,
    )


def own_data(tracking: Tracking, version: str | int) -> str | None:
    """Where the data set lies that a version was trained on, as its runs say; None where it is not there any more."""
    from gkm.data.dataset.dataset import open_dataset

    record = versions.find(tracking, str(version))
    fingerprint, run_id = record.tags.get("gkm.data"), record.run_id
    while fingerprint and run_id and (run := tracking.get(run_id)) is not None:
        for entry in run.inputs.dataset_inputs:
            place = str(json.loads(entry.dataset.source).get("uri", ""))
            try:
                if place and open_dataset(place).fingerprint == fingerprint:
                    return place
            except InputError:
                continue
        run_id = run.data.tags.get("mlflow.parentRunId")
    return None


def _on_data(
    place: str,
    own: LoadedModel,
    other: LoadedModel | None,
    gates: Gates,
    cache: NodeCache | str | None,
    watch: Watch | None,
) -> OnData:
    from gkm.evaluation import mean_scores

    label = place.rstrip("/").rpartition("/")[2]
    scores, photos, pace = _scores(own, place, 0.0, gates, cache, watch)
    opponents, _, _ = _scores(other, place, 0.0, gates, cache, watch)
    manifest = photos.manifest
    if endless := next((s for s in (*scores, *opponents) if s.psnr == float("inf")), None):
        raise InputError(
            f"{place}: {endless.scene}/{endless.name} is restored without any error, so that its PSNR is infinite; "
            "leave that photograph out"
        )
    noisy = {}
    for sigma in gates.noise.sigmas_8bit:
        sides = (_scores(side, place, sigma, gates, cache, watch)[0] for side in (own, other))
        first, second = (mean_scores(found)["psnr"] for found in sides)
        noisy[sigma] = (first, second)
    return OnData(
        place,
        label,
        manifest.fingerprint,
        history.photographs_id(manifest),
        tuple(score.scene for score in scores),
        tuple(score.name for score in scores),
        "the blurred input" if other is None else f"version {other.version}",
        tuple(score.psnr for score in scores),
        tuple(score.psnr for score in opponents),
        mean_scores(scores)["ssim"],
        mean_scores(opponents)["ssim"],
        pace.seconds / max(pace.megapixels, 1e-9),
        noisy,
    )


def _scores(
    loaded: LoadedModel | None,
    place: str,
    sigma: float,
    gates: Gates,
    cache: NodeCache | str | None,
    watch: Watch | None,
) -> tuple[list[ImageScore], CachedSplit, _Pace]:
    """Of a version, or of the blurred photographs for None; with these and the time it took."""
    from gkm.data.reading.cache import open_split
    from gkm.evaluation import evaluate, restorer
    from gkm.training.context import best_device

    inputs = ("blurred",) if loaded is None else loaded.model.inputs
    photos = open_split(place, "test", cache, inputs=inputs)
    label = "blurred input" if loaded is None else f"version {loaded.version}"
    label = f"{label}, noise {sigma:g}" if sigma else label
    pace = _Pace(None if loaded is None else restorer(loaded.model))
    pairs = watch(label, photos) if watch else photos
    try:
        scores = evaluate(
            None if loaded is None else pace,
            pairs,
            inputs=inputs,
            noise_sigma_8bit=sigma,
            seed=gates.noise.seed,
            with_lpips=False,
            device=best_device(),
        )
    except FloatingPointError as error:
        raise InputError(f"{REGISTERED_NAME} {label}: {error}; register a version that works") from None
    return scores, photos, pace


class _Pace:
    """A restoring function that remembers how long it took."""

    def __init__(self, restore: Callable[[Tensor], Tensor] | None) -> None:
        self._restore = restore
        self.seconds = self.megapixels = 0.0

    def __call__(self, input_1CHW: Tensor) -> Tensor:
        assert self._restore is not None
        began = _now(input_1CHW)
        restored_13HW = self._restore(input_1CHW)
        self.seconds += _now(restored_13HW) - began
        self.megapixels += input_1CHW[0, 0].numel() / 1e6
        return restored_13HW


def _now(tensor: Tensor) -> float:
    if tensor.device.type == "cuda":
        import torch

        torch.cuda.synchronize(tensor.device)
    return time.perf_counter()


def _clean(tracking: Tracking, own: LoadedModel, place: str, cache: NodeCache | str | None) -> Clean:
    """The first test photograph, restored here and by MLflow alone."""
    from gkm.data.photos import as_8bit
    from gkm.data.reading.cache import open_split
    from gkm.evaluation import restore_image

    inputs = own.model.inputs
    seen: dict[str, Any] = {}
    for name, photo_HW3 in zip(inputs, open_split(place, "test", cache, inputs=inputs)[0].seen(inputs), strict=True):
        seen[name] = as_8bit(photo_HW3)
    expected_HW3 = restore_image(own.model, *seen.values())
    uri = tracking.client.get_model_version_download_uri(REGISTERED_NAME, str(own.version))
    with tempfile.TemporaryDirectory(prefix="gkm-") as temporary:
        return restore_elsewhere(versions.fetch(tracking, uri, Path(temporary), own.name), seen, expected_HW3)
