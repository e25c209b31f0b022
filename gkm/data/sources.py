"""What a user names (a folder, a list, the sample) in, the pairs to be made from it out, loaded only when asked for."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gkm.data import sample
from gkm.data.layouts import Found, find_pairs
from gkm.data.photos import PhotoPair, Split, read_header, read_rgb
from gkm.data.shards import Pair
from gkm.data.splitting import Shares
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

    def count(self, split: Split) -> int:
        """How many pairs `split` will have."""
        return Counter(item.split for item in self.items)[split]


def open_source(
    name: str | Path, layout: str = "auto", *, sharp: str | Path | None = None, shares: Shares | None = None
) -> Source:
    """The embedded sample set for "sample", or else the folder or list of that name, as `find_pairs` reads it."""
    if str(name) == "sample":
        return sample_source()
    return _photo_source(Path(name), find_pairs(name, layout, sharp=sharp, shares=shares))


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


def stamp_of(facts: Iterable[object]) -> str:
    """Sixteen hexadecimal digits that change with `facts`."""
    return hashlib.sha256(json.dumps(list(facts), sort_keys=True).encode()).hexdigest()[:16]


def file_stamp(path: Path) -> list[object]:
    """What changes when a file does: its name, bytes and time."""
    status = path.stat()
    return [path.name, status.st_size, status.st_mtime_ns]


def _photo_source(place: Path, found: Found) -> Source:
    items = tuple(_item(pair) for pair in found.pairs)
    return Source(
        description={"kind": "folder", "layout": found.layout},
        origin=str(place.absolute()),
        stamp=stamp_of([item.split, item.scene, item.stamp] for item in items),
        items=items,
        recognised=f"layout {found.layout}: {found.why}",
        left_out=found.left_out,
    )


def _item(pair: PhotoPair) -> Item:
    blurred, sharp = read_header(pair.blurred), read_header(pair.sharp)
    if blurred[:2] != sharp[:2]:
        raise InputError(
            f"{pair.blurred}: is {blurred.width}x{blurred.height} pixels, but its sharp partner {pair.sharp} is "
            f"{sharp.width}x{sharp.height}; crop or resize them to one size"
        )
    if blurred.bits != sharp.bits:
        raise InputError(
            f"{pair.blurred}: has {blurred.bits} bits per channel, but its sharp partner {pair.sharp} has "
            f"{sharp.bits}; save both with the same number of bits"
        )
    return Item(
        split=pair.split,
        scene=pair.scene,
        name=pair.name,
        load=partial(_read, pair),
        pixel_bytes=blurred.pixel_bytes + sharp.pixel_bytes,
        stamp=stamp_of([file_stamp(pair.blurred), file_stamp(pair.sharp), pair.label]),
        label=pair.label,
    )


def _read(pair: PhotoPair) -> Pair:
    return Pair(pair.scene, pair.name, read_rgb(pair.blurred), read_rgb(pair.sharp))
