"""Sharp photographs in, photographs of known blur out: those that maps are judged by, and those they are learned from.

The judges are five photographs that nothing is learned from, by four lenses each: ground that recedes, focused near and
far, smooth hills, and an object before its background. The others are the training photographs of the embedded
sample, by six lenses each; for EBDB three photographs more, and all of them smaller and upside down, too. Depths reach
from 1 to 8 metres; blur is a disk in every second photograph.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from gkm.data.photos import Pixels, read_rgb
from gkm.data.simulation import depth, sample
from gkm.data.simulation.defocus import Lens, defocus

Array = npt.NDArray[np.float32]
Depths = npt.NDArray[np.float64]
PHOTOGRAPHS = (
    ("skimage", "data/motorcycle_left.png"),
    ("skimage", "data/chelsea.png"),
    ("skimage", "data/camera.png"),
    ("skimage", "data/brick.png"),
    ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
)
SCENES = (("ground, near in focus", 1.05), ("ground, far in focus", 7.9), ("hills", 1.05), ("object", 1.2))
"""What lies at which depth, from 1 to 8 metres, and the distance in focus."""
LEARNED_SCENES = (
    ("ground", 1.05),
    ("ground", 7.9),
    ("hills", 1.05),
    ("hills", 5.0),
    ("object", 1.2),
    ("object", 6.0),
)
MORE_PHOTOGRAPHS = (("skimage", "data/coins.png"), ("skimage", "data/grass.png"), ("skimage", "data/gravel.png"))
"""In the public domain, and neither in the sample nor among those that maps are judged by."""
SMALLER = 0.6
"""Of the size: what was a little out of focus is sharper."""
LARGEST_SIGMA_PIXELS = 4.0


@dataclass(frozen=True)
class Taken:
    """A simulated photograph; pixels in [0, 1], sigmas in pixels."""

    scene: str
    blurred_HW3: Array  # noqa: N815
    sharp_HW3: Array  # noqa: N815
    sigmas_HW: Array  # noqa: N815


def judges(scenes: int) -> Iterator[Taken]:
    """Every photograph that maps are judged by, by the first so many lenses."""
    for number, (package, file) in enumerate(PHOTOGRAPHS):
        sharp_HW3 = read_rgb(shipped(package, file))
        for index, (scene, focus) in enumerate(SCENES[:scenes]):
            depth_HW = depths(scene, sharp_HW3.shape[:2], seed=number)
            yield taken(scene, sharp_HW3, depth_HW, focus, disk=bool((number + index) % 2))


def lessons() -> Iterator[Taken]:
    """Every photograph that JNB's maps are learned from, and EBDB's among others."""
    for number, scene in enumerate(scene for scene in sample.SCENES if scene.split == "train"):
        yield from _lessons(read_rgb(sample.photo_file(scene)), number)


def more_lessons() -> Iterator[Taken]:
    """Those that EBDB's are learned from, too."""
    files = [sample.photo_file(scene) for scene in sample.SCENES if scene.split == "train"]
    files += [shipped(*one) for one in MORE_PHOTOGRAPHS]
    for number, file in enumerate(files):
        sharp_HW3 = read_rgb(file)
        height, width = (round(length * SMALLER) for length in sharp_HW3.shape[:2])
        smaller_HW3 = np.array(Image.fromarray(sharp_HW3).resize((width, height), Image.Resampling.LANCZOS))
        if len(files) - number <= len(MORE_PHOTOGRAPHS):
            yield from _lessons(sharp_HW3, number)
        yield from _lessons(smaller_HW3, number, seed=1000)
        yield from _lessons(np.ascontiguousarray(sharp_HW3[::-1]), number, seed=2000)


def _lessons(sharp_HW3: Pixels, number: int, seed: int = 0) -> Iterator[Taken]:
    for index, (kind, focus) in enumerate(LEARNED_SCENES):
        of_kind = {"object": 200, "hills": 100, "ground": 0}[kind] + 10 * number + index
        depth_HW = depths(kind, sharp_HW3.shape[:2], seed=seed + of_kind, anywhere=True)
        yield taken(kind, sharp_HW3, depth_HW, focus, disk=bool((number + index + seed // 1000) % 2))


def shipped(package: str, file: str) -> Path:
    """A file of an installed package."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / file


def taken(scene: str, sharp_HW3: Pixels, depth_HW: Depths, focus: float, *, disk: bool) -> Taken:
    """By a lens whose largest blur is `LARGEST_SIGMA_PIXELS`."""
    width = sharp_HW3.shape[1]
    widest = np.abs(lens(1.0, focus).radius_pixels(depth_HW, width)).max() / 2
    chosen = lens(widest / LARGEST_SIGMA_PIXELS, focus)
    blurred_HW3 = defocus(sharp_HW3, depth_HW, chosen, "disk" if disk else "gaussian")
    sigmas_HW = np.abs(chosen.radius_pixels(depth_HW, width)) / 2
    return Taken(scene, scaled(blurred_HW3), scaled(sharp_HW3), sigmas_HW.astype(np.float32))


def depths(scene: str, size: tuple[int, ...], seed: int, *, anywhere: bool = False) -> Depths:
    """In metres; `anywhere`: objects of other sizes and heights, too."""
    height, width = size
    if scene == "hills":
        return depth.smooth(height, width, near_metres=1, far_metres=8, seed=seed)
    rows, columns = np.linspace(0, 1, height)[:, None], np.linspace(0, 1, width)
    if scene == "object":
        generator = np.random.default_rng(seed)
        if anywhere:
            middle, low, wide, high = generator.uniform((0.3, 0.35, 0.2, 0.3), (0.7, 0.7, 0.35, 0.5))
        else:
            middle, low, wide, high = generator.uniform(0.35, 0.65), 0.65, 0.28, 0.5
        return np.where(((columns - middle) / wide) ** 2 + ((rows - low) / high) ** 2 < 1, 1.2, 6.0)
    return np.ascontiguousarray(np.broadcast_to(1 / (1 / 8 + rows * (1 - 1 / 8)), (height, width)))


def lens(f_number: float, focus_metres: float) -> Lens:
    """A normal lens."""
    return Lens(focal_length_mm=50, f_number=f_number, focus_metres=focus_metres)


def scaled(photo_HW3: npt.NDArray[np.integer]) -> Array:
    """In [0, 1]."""
    return (photo_HW3 / np.iinfo(photo_HW3.dtype).max).astype(np.float32)
