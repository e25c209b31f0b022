"""How near to the truth are maps of blur, what do photographs gain by them, and how fast is it?

    python benchmarks/classical.py               20 simulated photographs of known blur; some minutes
    python benchmarks/classical.py --scenes 1    a quarter of them
    python benchmarks/classical.py --dmenet W    the map of a trained DMENet, too; W is a folder of weights
    python benchmarks/classical.py --figure F    some of the maps as a picture, too
    python benchmarks/classical.py --learn       what both methods learn anew, into the package

The peer of a map is the constant that errs least: the median of the true sigmas of the very photograph; the photographs
are those of `classical_scenes.py`. Gains are in dB of PSNR over the blurred photograph, with the estimated map and with
the true one, which is the most that this deconvolution can give; beside them the smallest gain. Seconds are of a
photograph of 1680 x 1120 pixels, beside those that Table 1 of GKMNet's paper has for the authors' programs on an Intel
i5-9600KF; of DMENet by an untrained one of the published size.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from classical_scenes import LARGEST_SIGMA_PIXELS, SCENES, judges, lessons, more_lessons, scaled
from machine import describe

from gkm.classical import METHODS, ebdb, jnb, luminance, restore_by_map, sigma_map
from gkm.classical.around import cell_features, middles
from gkm.classical.edges import consistent_edges
from gkm.classical.learning import learn, mean_of
from gkm.classical.regression import Regression
from gkm.config import DMENetConfig
from gkm.data.photos import read_rgb
from gkm.data.simulation import sample
from gkm.networks.dmenet import DMENet
from gkm.scoring.published import of_table
from gkm.training.checkpoint import load_weights

Array = npt.NDArray[np.float32]
LARGE = (1120, 1680)
PLACES_A_PHOTOGRAPH = 4000
"""That are learned from, of each simulated one."""
MEMBERS = 3
"""Of the ensembles that EBDB's regressions are."""


@dataclass(frozen=True)
class Estimator:
    """What finds a map of sigma in pixels, [H,W], in a photograph in [0, 1], [H,W,3]."""

    key: str
    """Of its row in Table 1."""
    label: str
    find: Callable[[Array], Array]


def estimators(weights: Path | None) -> list[Estimator]:
    """The methods without a network, and the DMENet at `weights`."""
    found = [Estimator(one.key, one.label, lambda photo, one=one: sigma_map(one, photo)) for one in METHODS.values()]
    if weights is not None:
        network = load_weights(weights)
        if not isinstance(network, DMENet):
            raise SystemExit(f"{weights}: is no DMENet, but a {network.config.kind}")
        width, sigma = network.config.width, network.config.largest_sigma_pixels
        print(f"DMENet: width {width}, trained up to sigma = {sigma:g}")
        found.append(Estimator("dmenet", "DMENet", mapping(network)))
    return found


def mapping(network: DMENet) -> Callable[[Array], Array]:
    """The map network alone, as a function of a photograph."""
    frozen = network.for_inference()

    @torch.no_grad()
    def find(photo_HW3: Array) -> Array:
        return frozen.sigmas(torch.from_numpy(photo_HW3).permute(2, 0, 1)[None])[0, 0].numpy()

    return find


def psnr(one: Array, other: Array) -> float:
    """In dB."""
    return float(-10 * np.log10(np.mean((one.astype(np.float64) - other) ** 2)))


def large() -> Array:
    """A photograph of the paper's size: one of the others, mirrored on."""
    one = next(iter(judges(1))).blurred_HW3
    margins = [(0, max(0, wanted - had)) for wanted, had in zip(LARGE, one.shape[:2], strict=True)]
    return np.pad(one, [*margins, (0, 0)], mode="symmetric")[: LARGE[0], : LARGE[1]]


def compare(scenes: int, methods: Sequence[Estimator]) -> None:
    """Prints errors of maps and gains, for each scene and for all."""
    rows: dict[str, list[list[float]]] = defaultdict(list)
    for photo in judges(scenes):
        begin = psnr(photo.blurred_HW3, photo.sharp_HW3)
        truth = photo.sigmas_HW
        row = [float(np.abs(truth - np.median(truth)).mean())]
        maps = [method.find(photo.blurred_HW3) for method in methods]
        row += [float(np.abs(found - truth).mean()) for found in maps]
        row += [psnr(restore_by_map(photo.blurred_HW3, one), photo.sharp_HW3) - begin for one in (*maps, truth)]
        for key in (photo.scene, "all"):
            rows[key].append(row)
    names = [method.label for method in methods]
    print(f"{'':24}{'constant':>9}" + "".join(f"{name:>8}{'ratio':>7}" for name in names), end="")
    print("".join(f"{name + ' dB':>10}" for name in (*names, "true")))
    for key, found in rows.items():
        means = [statistics.fmean(column) for column in zip(*found, strict=True)]
        print(f"{key + f' ({len(found)})':24}{means[0]:9.3f}", end="")
        print("".join(f"{error:8.3f}{error / means[0]:7.3f}" for error in means[1 : 1 + len(names)]), end="")
        print("".join(f"{gain:+10.2f}" for gain in means[1 + len(names) :]))
    least = [min(column) for column in list(zip(*rows["all"], strict=True))[1 + len(names) :]]
    print("smallest gain".ljust(33 + 15 * len(names)) + "".join(f"{gain:+10.2f}" for gain in least))


def time_methods(methods: Sequence[Estimator]) -> None:
    """Prints seconds of both stages for a large photograph beside those published."""
    published = {row.key: row.cpu_seconds for row in of_table("1")}
    photo = large()
    for method in methods:
        stages = seconds_of(method, photo)
        whole, theirs = sum(stages), published[method.key] or 0.0
        each = whole / photo[..., 0].size * 1e6
        print(
            f"{method.label}: map {stages[0]:.1f} s, deconvolution {stages[1]:.1f} s; {each:.1f} s a megapixel; "
            f"{whole:.1f} s for 1680 x 1120, published {theirs:.1f} s: {theirs / whole:.0f} times as fast"
        )


def seconds_of(method: Estimator, photo: Array) -> tuple[float, float]:
    """Of the map and of the deconvolution."""
    times = [time.perf_counter()]
    found = method.find(photo)
    times.append(time.perf_counter())
    restore_by_map(photo, found)
    times.append(time.perf_counter())
    return times[1] - times[0], times[2] - times[1]


def relearn_jnb() -> None:
    """Writes what JNB learns from the training photographs of the embedded sample."""
    scenes = [scene for scene in sample.SCENES if scene.split == "train"]
    dictionary_PA = jnb.learn_dictionary([luminance(scaled(read_rgb(sample.photo_file(scene)))) for scene in scenes])
    draw, patches = np.random.default_rng(0), []
    for photo in lessons():
        rows_N, columns_N, features_NF = jnb.features(luminance(photo.blurred_HW3), dictionary_PA)
        patches.append(some(features_NF, photo.sigmas_HW[rows_N, columns_N], draw))
    np.savez(jnb.LEARNED, dictionary=dictionary_PA, **fitted(patches).arrays())
    print(f"{jnb.LEARNED}: learned from {len(patches)} simulated photographs")


def relearn_ebdb() -> None:
    """Writes what EBDB learns from these and others."""
    draw, seen, at_edges, at_cells = np.random.default_rng(0), [], [], []
    for photo in (*lessons(), *more_lessons()):
        seen_HW = luminance(photo.blurred_HW3)
        found = consistent_edges(seen_HW)
        at_edges.append(some(ebdb.features(seen_HW, found), photo.sigmas_HW[found.rows_N, found.columns_N], draw))
        seen.append((seen_HW, found, photo.sigmas_HW))
    of_edges = fitted(at_edges, MEMBERS)
    for seen_HW, found, sigmas_HW in seen:
        features_hwF = cell_features(found, *ebdb.edge_sigmas(seen_HW, found, of_edges), seen_HW.shape)
        features_MF = features_hwF.reshape(-1, features_hwF.shape[-1])
        at_cells.append(some(features_MF, sigmas_HW[middles(sigmas_HW.shape)], draw))
    np.savez_compressed(ebdb.LEARNED, **of_edges.arrays("edges_"), **fitted(at_cells, MEMBERS).arrays("cells_"))
    print(f"{ebdb.LEARNED}: learned from {len(seen)} simulated photographs")


def fitted(places: list[tuple[Array, Array]], members: int = 1) -> Regression:
    """From the features and sigmas of all photographs together, by so many perceptrons from different seeds."""
    features_NF, sigmas_N = map(np.concatenate, zip(*places, strict=True))
    return mean_of([learn(features_NF, sigmas_N, seed=seed) for seed in range(members)])


def some(features_NF: Array, sigmas_N: Array, generator: np.random.Generator) -> tuple[Array, Array]:
    """At most `PLACES_A_PHOTOGRAPH` of them."""
    chosen = generator.permutation(len(sigmas_N))[:PLACES_A_PHOTOGRAPH]
    return features_NF[chosen], sigmas_N[chosen]


def draw(path: Path) -> None:
    """The first photograph by every lens: blurred, true map, estimated maps, restored."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    photos = [photo for index, photo in enumerate(judges(len(SCENES))) if index < len(SCENES)]
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
    parser.add_argument("--dmenet", type=Path)
    parser.add_argument("--learn", action="store_true")
    given = parser.parse_args()
    if given.learn:
        relearn_jnb()
        relearn_ebdb()
        return
    print(describe())
    print("mean error of sigma in pixels, its ratio to the best constant's; gains in dB\n")
    methods = estimators(given.dmenet)
    compare(given.scenes, methods)
    print()
    torch.set_num_threads(1)
    untrained = mapping(DMENet(DMENetConfig.paper()))
    time_methods([*methods, Estimator("dmenet", "DMENet as published, untrained", untrained)])
    if given.figure:
        draw(given.figure)


if __name__ == "__main__":
    main()
