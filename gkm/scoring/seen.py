"""A model and photographs in; whether it was trained on any of them, and what is known of that, out."""

from __future__ import annotations

from pathlib import PurePath

from gkm.data.dataset.dataset import Dataset
from gkm.data.dataset.manifest import Manifest, read_manifest
from gkm.data.photos import Split
from gkm.errors import InputError
from gkm.scoring.subjects import Subject


def refuse_seen(subject: Subject, dataset: Dataset, split: Split, *, shared_names: bool = False) -> str:
    """InputError naming a photograph of `split` that the model was trained on, or chosen by.

    Photographs are compared by their pixels, blurred and sharp ones, wherever they lie. Scenes of one name in another
    data set count, too, unless `shared_names` says that only their names are the same: saved anew, a photograph has
    other pixels. What is asked for as the validation split may have chosen the model's epoch.

    Returns what the model was trained on, in a few words: "the same data", "other data (dpd, 1a2b3c)", or why it could
    not be looked at.
    """
    known = subject.trained_on
    if subject.kind != "network":
        return ""
    if known is None:
        return "not on record"
    same = known.fingerprint == dataset.fingerprint
    if same:
        trained: Manifest | None = dataset.manifest
    else:
        trained = _manifest_at(known.place, known.fingerprint)
    name = f"other data ({PurePath(known.place or '').name or 'place not on record'}, {known.fingerprint})"
    if trained is None:
        return f"{name}, not compared: it is no longer there"
    splits: tuple[Split, ...] = ("train",) if split == "validation" else ("train", "validation")
    seen = [(part, entry) for part in splits if part in trained.splits for entry in trained.splits[part].entries]
    pixels = {sha: (part, entry) for part, entry in seen for sha in (entry.blurred_sha256, entry.sharp_sha256)}
    scenes = {} if same or shared_names else {entry.scene: (part, entry) for part, entry in seen}
    for entry in dataset.entries(split):
        alike = pixels.get(entry.blurred_sha256) or pixels.get(entry.sharp_sha256)
        if alike is not None:
            part, other = alike
            raise InputError(
                f"{dataset.place}: the photograph {entry.scene}/{entry.name} is {other.scene}/{other.name} of the "
                f"{part} photographs of {subject.label}; score the model on photographs that it has not seen"
            )
        if entry.scene in scenes:
            raise InputError(
                f"{dataset.place}: the scene {entry.scene} is also among the {scenes[entry.scene][0]} photographs of "
                f"{subject.label}; leave it out, or give --shared-names if only the names are the same"
            )
    return "the same data" if same else name


def training_photographs(subject: Subject) -> int | None:
    """How many photographs a model was trained on; None where its data set is not on record, or no longer there."""
    known = subject.trained_on
    manifest = None if known is None else _manifest_at(known.place, known.fingerprint)
    return None if manifest is None or "train" not in manifest.splits else len(manifest.splits["train"].entries)


def _manifest_at(place: str | None, fingerprint: str) -> Manifest | None:
    """The manifest of the data set at `place`, if it is still that one."""
    if place is None:
        return None
    try:
        manifest = read_manifest(place)
    except InputError:
        return None
    return manifest if manifest.fingerprint == fingerprint else None
