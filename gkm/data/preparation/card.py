"""A manifest and the facts of its pairs in, a self-contained HTML page that shows the data set out.

The page fetches nothing. It lies beside the manifest and is no part of the fingerprint.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gkm.data.dataset.manifest import Leak, Manifest, PairEntry
from gkm.data.photos import Split
from gkm.data.preparation.duplicates import Duplicate
from gkm.data.preparation.inspection import HISTOGRAM_BINS, Facts

MOST_DOUBTFUL = 40
MOST_DUPLICATES = 60
HARDEST = 6
SAMPLES = 12
"""Pairs of each split that are shown."""

_TEMPLATE = "card.html.jinja"
_LEAKS: dict[Leak, str] = {
    "scene": "scenes",
    "exact": "equal photographs",
    "near": "nearly equal photographs",
}


class LookedAt(NamedTuple):
    """A pair, what the manifest says of it, and what was seen in it."""

    split: Split
    entry: PairEntry
    facts: Facts

    @property
    def title(self) -> str:
        """How the pair is called on the page."""
        scene, name = self.entry.scene, self.entry.name
        return f"{self.split} {name}" if name == scene else f"{self.split} {scene}/{name}"


def data_card(
    manifest: Manifest, pairs: Sequence[LookedAt], duplicates: Sequence[Duplicate], recognised: str = ""
) -> str:
    """The page, of some 15 kB for each pair that is shown."""
    doubtful = [pair for pair in pairs if pair.facts.doubts()]
    doubtful.sort(key=lambda pair: pair.facts.fit.likeness)
    hardest = sorted((pair for pair in pairs if pair.facts.psnr is not None), key=lambda pair: pair.facts.psnr or 0)
    return str(
        _environment()
        .get_template(_TEMPLATE)
        .render(
            manifest=manifest,
            provenance=_provenance(manifest, recognised),
            splits=[_split(manifest, split, pairs) for split in manifest.splits],
            figures=_figures(pairs),
            tones=_tones(pairs),
            doubtful=doubtful[:MOST_DOUBTFUL],
            doubtful_count=len(doubtful),
            duplicates=duplicates[:MOST_DUPLICATES],
            duplicate_count=len(duplicates),
            hardest=hardest[:HARDEST],
            samples=[
                (split, _spread([pair for pair in pairs if pair.split == split], SAMPLES)) for split in manifest.splits
            ],
        )
    )


def _environment() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _provenance(manifest: Manifest, recognised: str) -> list[tuple[str, str]]:
    rows = [("fingerprint", manifest.fingerprint), ("made from", manifest.origin), ("recognised as", recognised)]
    made = {key: value for key, value in manifest.source.items() if key != "scenes"}  # the sample's are long
    rows.append(("how", "; ".join(_in_words(key, value) for key, value in made.items())))
    rows.append(("left out", "; ".join(manifest.left_out)))
    if manifest.duplicates_allowed:
        shared = " and ".join(_LEAKS[leak] for leak in manifest.duplicates_allowed)
        rows.append(("mind", f"{shared} may be in several splits: scores on it are no test"))
    return [(label, text) for label, text in rows if text]


def _in_words(key: str, value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(_in_words(str(inner), item) for inner, item in value.items())
    return f"{key.replace('_', ' ')} {', '.join(map(str, value)) if isinstance(value, list) else value}"


def _split(manifest: Manifest, split: Split, pairs: Sequence[LookedAt]) -> dict[str, object]:
    info = manifest.splits[split]
    mine = [pair for pair in pairs if pair.split == split]
    scores = [pair.facts.psnr for pair in mine if pair.facts.psnr is not None]
    sizes = Counter(f"{entry.width} × {entry.height}" for entry in info.entries)
    bits = Counter(str(entry.bits) for entry in info.entries)
    labels = Counter(entry.label or "without" for entry in info.entries)
    return {
        "name": split,
        "pairs": info.pairs,
        "scenes": len(info.scenes),
        "shards": len(info.shards),
        "bytes": _bytes(sum(shard.bytes for shard in info.shards)),
        "pixels": _bytes(sum(2 * entry.photo_bytes for entry in info.entries)),
        "sizes": _counted(sizes),
        "bits": _counted(bits),
        "labels": _counted(labels) if set(labels) != {"without"} else "none",
        "psnr": f"{np.mean(scores):.2f} ({min(scores):.1f} to {max(scores):.1f})" if scores else "–",
    }


def _figures(pairs: Sequence[LookedAt]) -> list[dict[str, object]]:
    fits = [pair.facts.fit for pair in pairs]
    return [
        _bars("PSNR of the blurred photographs, dB", [pair.facts.psnr for pair in pairs if pair.facts.psnr]),
        _bars("brightness, blurred over sharp", [fit.brightness for fit in fits]),
        _bars("shift between partners, pixels", [math.hypot(fit.right_pixels, fit.down_pixels) for fit in fits]),
        _bars("fine detail, blurred over sharp", [fit.sharpness for fit in fits]),
    ]


def _bars(title: str, values: Sequence[float], bins: int = 20) -> dict[str, object]:
    """A histogram: heights from 0 to 1, and the two ends of the axis."""
    if not values:
        return {"title": title, "bars": [], "low": "", "high": "", "most": 0}
    low, high = min(values), max(values)
    counts, _ = np.histogram(values, bins=bins, range=(low, high if high > low else low + 1))
    heights = [float(count / counts.max()) for count in counts]
    return {"title": title, "bars": heights, "low": f"{low:.3g}", "high": f"{high:.3g}", "most": int(counts.max())}


def _tones(pairs: Sequence[LookedAt]) -> dict[str, str]:
    """Points of two lines: how often each luminance is seen in the blurred and in the sharp photographs."""
    means = {
        "blurred": np.mean([pair.facts.blurred_histogram for pair in pairs], axis=0),
        "sharp": np.mean([pair.facts.sharp_histogram for pair in pairs], axis=0),
    }
    highest = max(float(mean.max()) for mean in means.values())
    return {
        side: " ".join(
            f"{(place + 0.5) * 300 / HISTOGRAM_BINS:.1f},{100 - 96 * share / highest:.1f}"
            for place, share in enumerate(mean)
        )
        for side, mean in means.items()
    }


def _spread(pairs: Sequence[LookedAt], count: int) -> list[LookedAt]:
    """At most `count` of them, evenly spread."""
    if len(pairs) <= count:
        return list(pairs)
    return [pairs[round(place * (len(pairs) - 1) / (count - 1))] for place in range(count)]


def _counted(values: Counter[str], most: int = 4) -> str:
    words = [f"{value} ({count})" if len(values) > 1 else value for value, count in values.most_common(most)]
    return ", ".join([*words, "…"] if len(values) > most else words)


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} GB"
