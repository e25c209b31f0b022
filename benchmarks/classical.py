"""How near to the truth are maps of blur without a network, what do photographs gain by them, and how fast is it?

    python benchmarks/classical.py               20 simulated photographs of known blur; some minutes
    python benchmarks/classical.py --scenes 1    a quarter of them
    python benchmarks/classical.py --figure F    some of the maps as a picture, too
    python benchmarks/classical.py --learn       JNB's dictionary and curve anew, into the package

The peer of a map is the constant that errs least: the median of the true sigmas of the very photograph. Five
photographs that JNB's dictionary was not learned from are taken by four lenses each: ground that recedes, focused near
and far, smooth hills, and an object before its background. Blur is a disk in every second photograph, and its sigma
goes from 0 to 4 pixels. Gains are in dB of PSNR over the blurred photograph, with the estimated map and with the true
one, which is the most that this deconvolution can give. Seconds are of a photograph of 1680 x 1120 pixels, beside those
that Table 1 of GKMNet's paper has for the authors' programs on an Intel i5-9600KF.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from machine import describe

from gkm.classical import METHODS, Method, jnb, luminance, restore_by_map, sigma_map
from gkm.data.photos import read_rgb
from gkm.data.simulation import depth, sample
from gkm.data.simulation.defocus import Lens, defocus
from gkm.scoring.published import of_table

Array = npt.NDArray[np.float32]
PHOTOGRAPHS = (
    ("skimage", "data/motorcycle_left.png"),
    ("skimage", "data/chelsea.png"),
    ("skimage", "data/camera.png"),
    ("skimage", "data/brick.png"),
    ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
)
SCENES = (("ground, near in focus", 1.05), ("ground, far in focus", 7.9), ("hills", 1.05), ("object", 1.2))
"""What lies at which depth, from 1 to 8 metres, and the distance in focus."""
LARGEST_SIGMA_PIXELS = 4.0
LARGE = (1120, 1680)


@dataclass(frozen=True)
class Taken:
    """A simulated photograph."""

    scene: str
    blurred_HW3: Array  # noqa: N815
    sharp_HW3: Array  # noqa: N815
    sigmas_HW: Array  # noqa: N815


def taken(scenes: int) -> Iterator[Taken]:
    """Every photograph by the first so many lenses."""
    for number, (package, file) in enumerate(PHOTOGRAPHS):
        spec = importlib.util.find_spec(package)
        assert spec is not None
        assert spec.submodule_search_locations
        sharp_HW3 = read_rgb(Path(spec.submodule_search_locations[0]) / file)
        for index, (scene, focus) in enumerate(SCENES[:scenes]):
            depth_HW = depths(scene, *sharp_HW3.shape[:2], seed=number)
            widest = np.abs(lens(1.0, focus).radius_pixels(depth_HW, sharp_HW3.shape[1])).max() / 2
            chosen = lens(widest / LARGEST_SIGMA_PIXELS, focus)
            spread = "disk" if (number + index) % 2 else "gaussian"
            blurred_HW3 = defocus(sharp_HW3, depth_HW, chosen, spread)
            sigmas_HW = np.abs(chosen.radius_pixels(depth_HW, sharp_HW3.shape[1])) / 2
            yield Taken(scene, scaled(blurred_HW3), scaled(sharp_HW3), sigmas_HW.astype(np.float32))


def depths(scene: str, height: int, width: int, seed: int) -> npt.NDArray[np.float64]:
    """In metres."""
    if scene == "hills":
        return depth.smooth(height, width, near_metres=1, far_metres=8, seed=seed)
    rows, columns = np.linspace(0, 1, height)[:, None], np.linspace(0, 1, width)
    if scene == "object":
        middle = np.random.default_rng(seed).uniform(0.35, 0.65)
        return np.where(((columns - middle) / 0.28) ** 2 + ((rows - 0.65) / 0.5) ** 2 < 1, 1.2, 6.0)
    return np.broadcast_to(1 / (1 / 8 + rows * (1 - 1 / 8)), (height, width))


def lens(f_number: float, focus_metres: float) -> Lens:
    """A normal lens."""
    return Lens(focal_length_mm=50, f_number=f_number, focus_metres=focus_metres)


def scaled(photo_HW3: npt.NDArray[np.integer]) -> Array:
    """In [0, 1]."""
    return (photo_HW3 / np.iinfo(photo_HW3.dtype).max).astype(np.float32)


def psnr(one: Array, other: Array) -> float:
    """In dB."""
    return float(-10 * np.log10(np.mean((one.astype(np.float64) - other) ** 2)))


def large() -> Array:
    """A photograph of the paper's size: one of the others, mirrored on."""
    one = next(iter(taken(1))).blurred_HW3
    margins = [(0, max(0, wanted - had)) for wanted, had in zip(LARGE, one.shape[:2], strict=True)]
    return np.pad(one, [*margins, (0, 0)], mode="symmetric")[: LARGE[0], : LARGE[1]]


def compare(scenes: int) -> None:
    """Prints errors of maps and gains, for each scene and for all."""
    rows: dict[str, list[list[float]]] = defaultdict(list)
    for photo in taken(scenes):
        begin = psnr(photo.blurred_HW3, photo.sharp_HW3)
        truth = photo.sigmas_HW
        row = [float(np.abs(truth - np.median(truth)).mean())]
        maps = [sigma_map(method, photo.blurred_HW3) for method in METHODS.values()]
        row += [float(np.abs(found - truth).mean()) for found in maps]
        row += [psnr(restore_by_map(photo.blurred_HW3, one), photo.sharp_HW3) - begin for one in (*maps, truth)]
        for key in (photo.scene, "all"):
            rows[key].append(row)
    names = [method.label for method in METHODS.values()]
    print(f"{'':24}{'constant':>9}" + "".join(f"{name:>8}{'ratio':>7}" for name in names), end="")
    print("".join(f"{name + ' dB':>9}" for name in (*names, "true")))
    for key, found in rows.items():
        means = [statistics.fmean(column) for column in zip(*found, strict=True)]
        print(f"{key + f' ({len(found)})':24}{means[0]:9.3f}", end="")
        print("".join(f"{error:8.3f}{error / means[0]:7.2f}" for error in means[1 : 1 + len(names)]), end="")
        print("".join(f"{gain:+9.2f}" for gain in means[1 + len(names) :]))


def time_methods() -> None:
    """Prints seconds of both stages for a large photograph beside those published."""
    published = {row.key: row.cpu_seconds for row in of_table("1")}
    photo = large()
    for method in METHODS.values():
        stages = seconds_of(method, photo)
        whole, theirs = sum(stages), published[method.key] or 0.0
        each = whole / photo[..., 0].size * 1e6
        print(
            f"{method.label}: map {stages[0]:.1f} s, deconvolution {stages[1]:.1f} s; {each:.1f} s a megapixel; "
            f"{whole:.1f} s for 1680 x 1120, published {theirs:.1f} s: {theirs / whole:.0f} times as fast"
        )


def seconds_of(method: Method, photo: Array) -> tuple[float, float]:
    """Of the map and of the deconvolution."""
    times = [time.perf_counter()]
    found = sigma_map(method, photo)
    times.append(time.perf_counter())
    restore_by_map(photo, found)
    times.append(time.perf_counter())
    return times[1] - times[0], times[2] - times[1]


def learn() -> None:
    """Writes what JNB learns from the training photographs of the embedded sample."""
    scenes = [scene for scene in sample.SCENES if scene.split == "train"]
    seen = [luminance(scaled(read_rgb(sample.photo_file(scene)))) for scene in scenes]
    dictionary = jnb.learn_dictionary(seen)
    curve = jnb.learn_curve(seen, dictionary)
    np.savez(jnb.LEARNED, dictionary=dictionary, curve=curve)
    print(f"{jnb.LEARNED}: {dictionary.shape[1]} atoms; {', '.join(f'{np.exp(value):.1f}' for value in curve)} of them")
    print(f"for sigmas of {', '.join(map(str, jnb.SIGMAS_PIXELS))} pixels")


def draw(path: Path) -> None:
    """The first photograph by every lens: blurred, true map, estimated maps, restored."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    photos = [photo for index, photo in enumerate(taken(len(SCENES))) if index < len(SCENES)]
    titles = ["blurred", "true sigma", *(method.label for method in METHODS.values()), "restored, EBDB", "true map"]
    figure, axes = plt.subplots(len(photos), len(titles), figsize=(13, 6.4), layout="constrained")
    for line, photo in zip(axes, photos, strict=True):
        maps = [photo.sigmas_HW, *(sigma_map(method, photo.blurred_HW3) for method in METHODS.values())]
        shown = [restore_by_map(photo.blurred_HW3, one) for one in (maps[1], maps[0])]
        for axis, picture in zip(line, [photo.blurred_HW3, *maps, *shown], strict=True):
            drawn = axis.imshow(picture, vmin=0, vmax=LARGEST_SIGMA_PIXELS)
            axis.set_axis_off()
        figure.colorbar(drawn if picture.ndim == 2 else line[1].images[0], ax=line[-1], label="sigma, pixels")
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=9)
    figure.savefig(path, dpi=80)
    print(path)


def main() -> None:
    """Learn, draw, or compare and time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, choices=range(1, len(SCENES) + 1), default=len(SCENES))
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--learn", action="store_true")
    given = parser.parse_args()
    if given.learn:
        learn()
        return
    print(describe())
    print("mean error of sigma in pixels, its ratio to the best constant's; gains in dB\n")
    compare(given.scenes)
    print()
    time_methods()
    if given.figure:
        draw(given.figure)


if __name__ == "__main__":
    main()
