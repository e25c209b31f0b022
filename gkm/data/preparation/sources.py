"""What a user names (a folder, a list, the sample) in, the pairs to be made from it out, loaded only when asked for."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gkm import storage
from gkm.data.dataset.pair import Pair
from gkm.data.dataset.shard_file import photograph_sha256
from gkm.data.finding.layouts import Found, find_pairs
from gkm.data.finding.splitting import Shares
from gkm.data.photos import SPLITS, PhotoPair, Split, read_header, read_rgb
from gkm.data.simulation import sample, sharp_photos
from gkm.data.simulation.optics import Optics
from gkm.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Item:
    """A pair to be made; `load` can be sent to another process."""

    split: Split
    scene: str
    name: str
    load: Callable[[], Pair]
    pixel_bytes: int
    """Of both photographs, decoded."""
    stamp: str
    """Changes when one of its files changes."""
    label: str | None = None
    """What it shows, such as indoor."""
    scene_is_named: bool = True
    """Whether the source says which scene it shows; otherwise that is the name of its file."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """What a data set is made from."""

    description: dict[str, object]
    """What it is and how it is made; enters the fingerprint, so free of places and times."""
    origin: str
    """Where it lies."""
    stamp: str
    """Changes when one of its files changes."""
    items: tuple[Item, ...]
    recognised: str = ""
    """How its folders were understood, in words."""
    left_out: tuple[str, ...] = ()
    """What it holds besides and the data set will not."""

    def notes(self) -> tuple[str, ...]:
        """What a user should know before it is prepared."""
        return (self.recognised, *(f"{what}: left out" for what in self.left_out)) if self.recognised else ()

    def counts(self) -> str:
        """How many pairs each split will have, in words."""
        return ", ".join(f"{self.count(split)} {split}" for split in SPLITS) + " pairs"

    def count(self, split: Split) -> int:
        """How many pairs `split` will have."""
        return Counter(item.split for item in self.items)[split]


def open_source(
    name: str | Path,
    layout: str = "auto",
    *,
    sharp: str | Path | None = None,
    shares: Shares | None = None,
    views: bool = False,
) -> Source:
    """The embedded sample set for "sample", or else the folder or list of that name, as `find_pairs` reads it."""
    if str(name) == "sample":
        return sample_source()
    return _photo_source(storage.path(name), find_pairs(name, layout, sharp=sharp, shares=shares, views=views))


def sharp_source(
    folder: str | Path, optics: Optics, *, depth_maps: str | Path | None = None, shares: Shares | None = None
) -> Source:
    """Shots by a simulated lens of the sharp photographs in a folder, with or without depth maps."""
    photos = sharp_photos.find_sharp_photos(folder, depth_maps, shares)
    items = tuple(
        Item(
            split=photo.split,
            scene=photo.scene,
            name=sharp_photos.shot_name(photo, shot),
            load=partial(sharp_photos.render, photo, optics, shot),
            pixel_bytes=2 * read_header(photo.file).pixel_bytes,
            stamp=stamp_of([file_stamp(file) for file in (photo.file, photo.depth_map) if file]),
        )
        for photo in photos
        for shot in range(len(optics.focuses))
    )
    blur = "depth maps" if depth_maps is not None else "smooth depths"
    return Source(
        description={
            "kind": "simulated",
            "recipe": sharp_photos.RECIPE_VERSION,
            "depth": blur,
            "optics": optics.model_dump(mode="json") | {"focus_metres": list(optics.focuses)},
        },
        origin=str(storage.path(folder).absolute()),
        stamp=stamp_of([item.split, item.scene, item.stamp, item.label] for item in items),
        items=items,
        recognised=f"{len(photos)} sharp photographs with {blur}, each focused at "
        f"{', '.join(f'{focus:g}' for focus in optics.focuses)} m",
    )


def choose_source(
    name: str | Path,
    layout: str = "auto",
    *,
    sharp: str | Path | None = None,
    split: str = "70/15/15",
    views: bool = False,
    sharp_only: bool = False,
    depth: str | Path | None = None,
    lens: Sequence[str] = (),
) -> Source:
    """The source that a user means; `split` is read by `Shares.parse`, `lens` by `Optics.from_assignments`.

    Raises InputError for what does not go together.
    """
    if sharp_only:
        for option, given in (("--layout", layout != "auto"), ("--sharp", sharp is not None), ("--views", views)):
            if given:
                raise InputError(
                    f"{option}: is for pairs, but --sharp-only means there are none; leave out one of them"
                )
        return sharp_source(name, Optics.from_assignments(lens), depth_maps=depth, shares=Shares.parse(split))
    for option, given in (("--depth", depth is not None), ("--set", bool(lens))):
        if given:
            raise InputError(f"{option}: is for a simulated lens; pass --sharp-only, too, or leave it out")
    return open_source(name, layout, sharp=sharp, shares=Shares.parse(split), views=views)


def sample_source() -> Source:
    """The photographs that installed packages ship, defocused."""
    description = sample.description()
    stamp = stamp_of([description, [hashlib.sha256(path.read_bytes()).hexdigest() for path in sample.files()]])
    items = tuple(
        Item(
            split=scene.split,
            scene=scene.name,
            name=sample.shot_name(scene, shot),
            load=partial(sample.render, scene, shot),
            pixel_bytes=2 * read_header(sample.photo_file(scene)).pixel_bytes,
            stamp=stamp,
        )
        for scene in sample.SCENES
        for shot in range(len(scene.shots))
    )
    return Source(description=description, origin="sample", stamp=stamp, items=items)


def given_source(pairs: Iterable[tuple[Split, Pair]], description: Mapping[str, object]) -> Source:
    """Pairs that are at hand, each with its split; all of them are held in memory."""
    items = tuple(
        Item(
            split=split,
            scene=pair.scene,
            name=pair.name,
            load=partial(_given, pair),
            pixel_bytes=pair.blurred_HW3.nbytes + pair.sharp_HW3.nbytes,
            stamp=stamp_of(photograph_sha256(photo_HW3) for _, photo_HW3 in pair.photographs()),
            label=pair.label,
        )
        for split, pair in pairs
    )
    stamp = stamp_of([item.split, item.scene, item.name, item.stamp, item.label] for item in items)
    return Source(description=dict(description), origin="pairs at hand", stamp=stamp, items=items)


def stamp_of(facts: Iterable[object]) -> str:
    """Sixteen hexadecimal digits that change with `facts`."""
    return hashlib.sha256(json.dumps(list(facts), sort_keys=True).encode()).hexdigest()[:16]


def file_stamp(path: Path) -> list[object]:
    """What changes when a file does: its name, bytes and time."""
    status = path.stat()
    return [path.name, status.st_size, status.st_mtime_ns]


def _photo_source(place: Path, found: Found) -> Source:
    items = tuple(_item(pair) for pair in found.pairs)
    views: dict[str, object] = {"views": "left, right"} if any(pair.left for pair in found.pairs) else {}
    return Source(
        description={"kind": "folder", "layout": found.layout} | views,
        origin=str(place.absolute()),
        stamp=stamp_of([item.split, item.scene, item.stamp, item.label] for item in items),
        items=items,
        recognised=f"layout {found.layout}: {found.why}",
        left_out=found.left_out,
    )


def _item(pair: PhotoPair) -> Item:
    blurred = read_header(pair.blurred)
    others = {"sharp partner": pair.sharp, "left view": pair.left, "right view": pair.right}
    files = {words: path for words, path in others.items() if path is not None}
    for words, path in files.items():
        other = read_header(path)
        if other[:2] != blurred[:2]:
            raise InputError(
                f"{pair.blurred}: is {blurred.width}x{blurred.height} pixels, but its {words} {path} is "
                f"{other.width}x{other.height}; crop or resize them to one size"
            )
        if other.bits != blurred.bits:
            raise InputError(
                f"{pair.blurred}: has {blurred.bits} bits per channel, but its {words} {path} has {other.bits}; save "
                "both with the same number of bits"
            )
    return Item(
        split=pair.split,
        scene=pair.scene,
        name=pair.name,
        load=partial(_read, pair),
        pixel_bytes=2 * blurred.pixel_bytes,
        stamp=stamp_of(file_stamp(path) for path in (pair.blurred, *files.values())),
        label=pair.label,
        scene_is_named=pair.scene_is_named,
    )


def _given(pair: Pair) -> Pair:
    return pair


def _read(pair: PhotoPair) -> Pair:
    return Pair(
        pair.scene,
        pair.name,
        read_rgb(pair.blurred),
        read_rgb(pair.sharp),
        label=pair.label,
        left_HW3=read_rgb(pair.left) if pair.left else None,
        right_HW3=read_rgb(pair.right) if pair.right else None,
    )
