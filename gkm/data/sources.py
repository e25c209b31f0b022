"""A name or folder given by the user in, the pairs that can be made from it out, each loaded only when asked for."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gkm.data import sample
from gkm.data.photos import PhotoPair, Split, find_pairs, read_rgb
from gkm.data.shards import Pair


@dataclass(frozen=True, kw_only=True)
class Item:
    """A pair to be made; `load` can be sent to another process."""

    split: Split
    scene: str
    name: str
    load: Callable[[], Pair]


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

    def count(self, split: Split) -> int:
        """How many pairs `split` will have."""
        return Counter(item.split for item in self.items)[split]


def open_source(name: str | Path) -> Source:
    """The embedded sample set for "sample", or else the folder of that name; InputError if it cannot be used."""
    return sample_source() if str(name) == "sample" else folder_source(name)


def sample_source() -> Source:
    """The photographs that installed packages ship, defocused."""
    description = sample.description()
    contents = [hashlib.sha256(path.read_bytes()).hexdigest() for path in sample.files()]
    items = tuple(
        Item(
            split=scene.split,
            scene=scene.name,
            name=sample.shot_name(scene, shot),
            load=partial(sample.render, scene, shot),
        )
        for scene in sample.SCENES
        for shot in range(len(scene.shots))
    )
    return Source(description=description, origin="sample", stamp=_stamp([description, contents]), items=items)


def folder_source(folder: str | Path) -> Source:
    """A folder in DPD's layout."""
    folder = Path(folder)
    pairs = find_pairs(folder)
    return Source(
        description={"kind": "folder", "layout": "dpd"},
        origin=str(folder.absolute()),
        stamp=_stamp(_file_facts(path, folder) for pair in pairs for path in (pair.blurred, pair.sharp)),
        items=tuple(
            Item(split=pair.split, scene=pair.scene, name=pair.blurred.stem, load=partial(_read, pair))
            for pair in pairs
        ),
    )


def _read(pair: PhotoPair) -> Pair:
    return Pair(pair.scene, pair.blurred.stem, read_rgb(pair.blurred), read_rgb(pair.sharp))


def _file_facts(path: Path, folder: Path) -> tuple[str, int, int]:
    status = path.stat()
    return path.relative_to(folder).as_posix(), status.st_size, status.st_mtime_ns


def _stamp(facts: Iterable[object]) -> str:
    return hashlib.sha256(json.dumps(list(facts), sort_keys=True).encode()).hexdigest()[:16]
