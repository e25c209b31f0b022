"""A folder of sharp photographs in, shots of them by a lens that is focused elsewhere out.

With a folder of depth maps beside it the blur is that of the scene; without, of a smooth plausible depth.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from gkm import storage
from gkm.data.dataset.pair import Pair
from gkm.data.finding.partners import by_stem
from gkm.data.finding.photo_tree import photo_tree
from gkm.data.finding.splitting import SPLIT_WORDS, Shares, share_out
from gkm.data.photos import SPLITS, Pixels, Split, quantised, read_rgb
from gkm.data.simulation import depth
from gkm.data.simulation.defocus import defocus
from gkm.data.simulation.optics import Optics
from gkm.errors import InputError

RECIPE_VERSION = 1
"""Raise it when anything here, in depth.py or in defocus.py changes the pixels."""
DEPTH_SUFFIXES = (".npy", ".png", ".tif", ".tiff")


@dataclass(frozen=True, kw_only=True)
class SharpPhoto:
    """A sharp photograph, a scene of its own, and its depth map if there is one."""

    split: Split
    scene: str
    file: Path
    depth_map: Path | None


def find_sharp_photos(folder: str | Path, depth_maps: str | Path | None, shares: Shares | None) -> list[SharpPhoto]:
    """All photographs in and below `folder`, train first; folders of splits (train, val, test) are respected.

    Depth maps have the photographs' names, in the same folders below `depth_maps`. InputError if one is missing.
    """
    folder, maps = storage.path(folder), storage.path(depth_maps) if depth_maps is not None else None
    for place in filter(None, (folder, maps)):
        if not storage.is_folder(place):
            raise InputError(f"{place}: there is no such folder; give one of photographs")
    named = {
        str(PurePosixPath(below, stem)): folder / below / name
        for below, names in photo_tree(folder).items()
        if maps is None or (folder / below).resolve() != maps.resolve()
        for stem, name in by_stem(names, str(folder / below)).items()
    }
    if not named:
        raise InputError(f"{folder}: holds no photographs; give a folder of sharp ones")
    splits: dict[str, Split] = {
        scene: SPLIT_WORDS[PurePosixPath(scene).parts[0]]
        for scene in named
        if len(PurePosixPath(scene).parts) > 1 and PurePosixPath(scene).parts[0] in SPLIT_WORDS
    }
    splits |= share_out(named.keys() - splits.keys(), shares)
    photos = [
        SharpPhoto(split=splits[scene], scene=scene, file=file, depth_map=_depth_map(maps, scene, file))
        for scene, file in named.items()
    ]
    return sorted(photos, key=lambda photo: (SPLITS.index(photo.split), photo.scene))


def render(photo: SharpPhoto, optics: Optics, shot: int) -> Pair:
    """One shot of a photograph; the same every time. InputError if a file cannot be used."""
    sharp_HW3 = read_rgb(photo.file)
    blurred_HW3 = defocus(sharp_HW3, _depth(photo, sharp_HW3, optics), optics.lens(shot), optics.point_spread)
    if optics.noise_sigma_8bit:
        blurred_HW3 = _noisy(blurred_HW3, optics, photo.scene, shot)
    return Pair(photo.scene, shot_name(photo, shot), blurred_HW3, sharp_HW3)


def shot_name(photo: SharpPhoto, shot: int) -> str:
    """Name of a pair, such as street-2."""
    return f"{PurePosixPath(photo.scene).name}-{shot + 1}"


def _depth(photo: SharpPhoto, sharp_HW3: Pixels, optics: Optics) -> depth.Array:
    height, width = sharp_HW3.shape[:2]
    if photo.depth_map is None:
        seed = _seed(optics, photo.scene)
        return depth.smooth(height, width, near_metres=optics.near_metres, far_metres=optics.far_metres, seed=seed)
    metres_HW = depth.read_map(photo.depth_map)
    if metres_HW.shape != (height, width):
        raise InputError(
            f"{photo.depth_map}: is {metres_HW.shape[1]}x{metres_HW.shape[0]} pixels, but its photograph {photo.file} "
            f"is {width}x{height}; scale one to the other's size"
        )
    return metres_HW


def _depth_map(maps: Path | None, scene: str, photo: Path) -> Path | None:
    if maps is None:
        return None
    for suffix in DEPTH_SUFFIXES:
        if (path := maps / f"{scene}{suffix}").is_file():
            return path
    raise InputError(
        f"{photo}: has no depth map {maps / scene} ({', '.join(DEPTH_SUFFIXES)}); add it, or leave out --depth"
    )


def _noisy(photo_HW3: Pixels, optics: Optics, scene: str, shot: int) -> Pixels:
    generator = np.random.default_rng([_seed(optics, scene), shot])
    white = np.iinfo(photo_HW3.dtype).max
    noise_HW3 = generator.standard_normal(photo_HW3.shape, dtype=np.float32)
    noise_HW3 *= optics.noise_sigma_8bit * white / 255
    return quantised(photo_HW3 + noise_HW3, photo_HW3.dtype)


def _seed(optics: Optics, scene: str) -> int:
    return zlib.crc32(f"{optics.seed} {scene}".encode())
