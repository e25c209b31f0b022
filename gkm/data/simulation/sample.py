"""The photographs that installed packages ship in, the embedded sample set of blurred / sharp pairs out.

Seven scenes from scikit-image and scikit-learn, each taken several times by a simulated lens. One, the Middlebury
motorcycle (Scharstein et al., GCPR 2014), has its measured disparity; the others get a smooth plausible depth.
"""

from __future__ import annotations

import importlib.util
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from gkm.data.dataset.pair import Pair
from gkm.data.photos import Pixels, Split, read_rgb
from gkm.data.simulation import depth
from gkm.data.simulation.defocus import Array, Lens, PointSpread, defocus
from gkm.errors import InputError

RECIPE_VERSION = 1
"""Raise it when anything here changes the pixels: prepared sample sets are then made anew."""


@dataclass(frozen=True, kw_only=True)
class Shot:
    """One exposure of a scene."""

    f_number: float
    focus_metres: float
    point_spread: PointSpread


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A shipped photograph, where its points lie, and how it is taken."""

    name: str
    split: Split
    package: str
    file: str
    focal_length_mm: float
    near_metres: float = 0.0
    far_metres: float = 0.0
    shots: tuple[Shot, ...]


def _shots(f_number: float, near: float, middle: float, far: float) -> tuple[Shot, ...]:
    """Focus near, in the middle (where less blurs, so wider open) and far."""
    return (
        Shot(f_number=f_number, focus_metres=near, point_spread="gaussian"),
        Shot(f_number=f_number / 1.5, focus_metres=middle, point_spread="gaussian"),
        Shot(f_number=f_number, focus_metres=far, point_spread="disk"),
    )


SCENES = (
    Scene(
        name="astronaut", split="train", package="skimage", file="data/astronaut.png",
        focal_length_mm=85, near_metres=1.5, far_metres=4, shots=_shots(4, 1.5, 2.2, 4),
    ),
    Scene(
        name="coffee", split="train", package="skimage", file="data/coffee.png",
        focal_length_mm=50, near_metres=0.5, far_metres=1, shots=_shots(4, 0.5, 0.67, 1),
    ),
    Scene(
        name="rocket", split="train", package="skimage", file="data/rocket.jpg",
        focal_length_mm=400, near_metres=40, far_metres=150, shots=_shots(5, 40, 63, 150),
    ),
    Scene(
        name="china", split="train", package="sklearn", file="datasets/images/china.jpg",
        focal_length_mm=200, near_metres=12, far_metres=60, shots=_shots(7, 12, 20, 60),
    ),
    Scene(
        name="chelsea", split="validation", package="skimage", file="data/chelsea.png",
        focal_length_mm=50, near_metres=0.5, far_metres=1, shots=_shots(2.2, 0.5, 0.67, 1),
    ),
    Scene(
        name="motorcycle", split="test", package="skimage", file="data/motorcycle_left.png",
        focal_length_mm=50, shots=_shots(1.4, 2.3, 3, 4.5),
    ),
    Scene(
        name="flower", split="test", package="sklearn", file="datasets/images/flower.jpg",
        focal_length_mm=90, near_metres=0.5, far_metres=0.8, shots=_shots(10, 0.5, 0.62, 0.8),
    ),
)  # fmt: skip


_DISPARITY = "data/motorcycle_disp.npz"
_SEED = 20211
"""With the scene's place in `SCENES`, seeds its smooth depth."""


def render(scene: Scene, shot: int) -> Pair:
    """One exposure of a scene; InputError if its photograph is not among the installed packages' files."""
    sharp_HW3 = read_rgb(photo_file(scene))
    exposure = scene.shots[shot]
    lens = Lens(focal_length_mm=scene.focal_length_mm, f_number=exposure.f_number, focus_metres=exposure.focus_metres)
    blurred_HW3 = defocus(sharp_HW3, _depth(scene, sharp_HW3), lens, exposure.point_spread)
    return Pair(scene.name, shot_name(scene, shot), blurred_HW3, sharp_HW3)


def shot_name(scene: Scene, shot: int) -> str:
    """Name of a pair, such as coffee-2."""
    return f"{scene.name}-{shot + 1}"


def photo_file(scene: Scene) -> Path:
    """Where the scene's photograph lies; InputError if it is not installed."""
    return _package_file(scene.package, scene.file)


def description() -> dict[str, object]:
    """How the set is made, for the manifest."""
    scenes = {scene.name: asdict(scene) for scene in SCENES}
    return {"kind": "sample", "recipe": RECIPE_VERSION, "scenes": json.loads(json.dumps(scenes))}


def files() -> list[Path]:
    """The installed files that the set is made from."""
    return [_package_file(scene.package, scene.file) for scene in SCENES] + [_package_file("skimage", _DISPARITY)]


def _depth(scene: Scene, photo_HW3: Pixels) -> Array:
    if scene.name == "motorcycle":
        with np.load(_package_file("skimage", _DISPARITY)) as archive:
            # Calibration of the shipped quarter-size pair, as skimage.data.stereo_motorcycle documents it.
            return depth.from_disparity(
                archive["arr_0"], focal_pixels=994.978, baseline_metres=0.193001, offset_pixels=31.086
            )
    height, width = photo_HW3.shape[:2]
    seed = _SEED + SCENES.index(scene)
    return depth.smooth(height, width, near_metres=scene.near_metres, far_metres=scene.far_metres, seed=seed)


def _package_file(package: str, file: str) -> Path:
    """Path of a file within an installed package, without the seconds that importing the package takes."""
    spec = importlib.util.find_spec(package)
    path = Path(next(iter(spec.submodule_search_locations or ()), "")) / file if spec else Path(file)
    if not path.is_file():
        raise InputError(f"{package}/{file}: this sample photograph is not installed; install {package} from its wheel")
    return path
