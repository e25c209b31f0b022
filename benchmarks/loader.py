"""How fast do random crops come? Photographs in; our loader against three peers, as a table and a picture, out.

    make bench-loader                                     with the peers of benchmarks/requirements.txt in .venv-bench
    python benchmarks/loader.py --peers PYTHON            with a Python that has them
    python benchmarks/loader.py --photos FOLDER           photographs of one's own: all PNG files below FOLDER

Mosaics of 1680 x 1120 pixels, DPD's size, are made of the photographs, at 8 bits and, with noise, at 16. Each contender
gets the same pixels on the same disk and gives the same crops, which is checked. It runs in a process of its own on one
core; a crop is a pair of 256 x 256 windows as float32 tensors, one of each photograph in a pass, as in the paper.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zlib
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from machine import describe

from gkm.data.dataset.pair import Pair
from gkm.data.photos import read_rgb
from gkm.data.preparation.preparation import write_dataset
from gkm.data.reading.cache import NodeCache, open_split
from gkm.data.reading.crops import corner
from gkm.data.reading.loader import CropLoader
from gkm.data.simulation import sample

ROOT = Path(__file__).parents[1]
SIZE = (1120, 1680)
PAIRS, CROP_PIXELS, BATCH, PASSES, EPOCHS = 8, 256, 4, 4, 100
NOISE_16BIT = 128.5
NAMES = {
    "png": "PNG decoded for every crop",
    "webdataset": "WebDataset, raw",
    "streaming": "MosaicML Streaming, raw",
    "streamed": "gkm, streamed (nothing cached)",
    "ours": "gkm",
}
Array = np.ndarray[Any, Any]


def mosaics(photos: list[Array]) -> list[tuple[Array, Array]]:
    """Pairs of DPD's size, put together of parts of the photographs."""
    height, width = (min(photo.shape[axis] for photo in photos) for axis in (0, 1))
    down, across = -(-SIZE[0] // height), -(-SIZE[1] // width)
    parts = cycle(photo[:height, :width] for photo in photos)
    made = [
        np.vstack([np.hstack(list(islice(parts, across))) for _ in range(down)])[: SIZE[0], : SIZE[1]]
        for _ in range(2 * PAIRS)
    ]
    return list(zip(made[::2], made[1::2], strict=True))


def deepened(photo_HW3: Array, seed: int) -> Array:
    noise = np.random.default_rng(seed).normal(0, NOISE_16BIT, photo_HW3.shape)
    return np.clip(np.rint(photo_HW3 * 257.0 + noise), 0, 65535).astype(np.uint16)


def write_png(path: Path, photo_HW3: Array) -> None:
    """With the filter Up in every row; Pillow cannot write 16 bits."""
    height, width = photo_HW3.shape[:2]
    samples = photo_HW3.astype(photo_HW3.dtype.newbyteorder(">")).reshape(height, -1).view(np.uint8)
    rows = np.concatenate([samples[:1], samples[1:] - samples[:-1]])
    stream = np.concatenate([np.full((height, 1), 2, np.uint8), rows], axis=1)
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8 * photo_HW3.itemsize, 2, 0, 0, 0])
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(stream.tobytes(), 1)), (b"IEND", b"")]
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")
            for kind, content in chunks
        )
    )


def lay_out(folder: Path, pairs: list[tuple[Array, Array]]) -> Path:
    """The photographs as PNG, as shards and as planes for the peers to write; the plan of all crops."""
    write_dataset(
        (("train", Pair(f"{index:03d}", "a", *photos)) for index, photos in enumerate(pairs)), folder / "shards", {}
    )
    for name in ("png", "planes"):
        (folder / name).mkdir()
    for index, photos in enumerate(pairs):
        for side, photo_HW3 in zip(("blurred", "sharp"), photos, strict=True):
            write_png(folder / "png" / f"{side}-{index:03d}.png", photo_HW3)
            np.save(folder / "planes" / f"{side}-{index:03d}.npy", np.ascontiguousarray(photo_HW3.transpose(2, 0, 1)))
    split = open_split(folder / "shards", "train", NodeCache(limit_bytes=0))
    loader = CropLoader(split, batch_size=BATCH, crop_pixels=CROP_PIXELS, crops_per_photo=PASSES)
    epochs = [loader.crops(epoch) for epoch in range(EPOCHS)]
    plan = {
        "photos": PAIRS,
        "shape": [3, *SIZE],
        "dtype": str(pairs[0][0].dtype),
        "batch_size": BATCH,
        "crop_pixels": CROP_PIXELS,
        "epochs": [
            [(int(crops.photo[i]), *corner(crops, i, *SIZE, CROP_PIXELS)) for i in range(len(crops))]
            for crops in epochs
        ],
    }
    (folder / "plan.json").write_text(json.dumps(plan))
    return folder / "plan.json"


def run(name: str, python: str, plan: Path, seconds: float) -> dict[str, Any]:
    command = [python, str(ROOT / "benchmarks" / "loader_contenders.py"), name, str(plan), str(seconds)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    answer = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if answer.returncode:
        sys.exit(f"{NAMES[name]} failed:\n{answer.stderr}")
    return dict(json.loads(answer.stdout.splitlines()[-1]))


def race(
    folder: Path, pairs: list[tuple[Array, Array]], peers: str | None, seconds: float
) -> dict[str, dict[str, Any]]:
    """Figures of all contenders; the first run of each finds an empty cache."""
    plan = lay_out(folder, pairs)
    results = {}
    for name, title in NAMES.items():
        python = peers if name in ("webdataset", "streaming") else sys.executable
        if python is None:
            continue
        cold = run(name, python, plan, 0)
        results[name] = run(name, python, plan, seconds)
        results[name]["cold_seconds"] = cold["first_batch_seconds"]
        if results[name]["checksum"] != results["png"]["checksum"]:
            sys.exit(f"{title} gave other crops than the PNG files hold")
    return results


def table(results: dict[str, dict[str, Any]]) -> str:
    rate = results["ours"]["crops_per_second"]
    lines = [
        "| loader | crops/s per core | gkm faster by | first batch, cold, s | warm, s | own memory, MB | mapped, MB |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in results.items():
        lines.append(
            f"| {NAMES[name]} | {row['crops_per_second']:.0f} | {rate / row['crops_per_second']:.1f} "
            f"| {row['cold_seconds']:.2f} | {row['first_batch_seconds']:.2f} "
            f"| {row['own_bytes'] / 1e6:.0f} | {row['shared_bytes'] / 1e6:.0f} |"
        )
    return "\n".join(lines)


def draw(results: dict[int, dict[str, dict[str, Any]]], path: Path) -> None:
    """Crops per second, seconds to the first batch and memory; a panel each."""
    figure, axes = plt.subplots(1, 3, figsize=(13, 3.6), layout="constrained", sharey=True)
    names = [name for name in NAMES if name in results[8]]
    panels = (
        ("crops per second and core", lambda row: row["crops_per_second"], "log", "{:.0f}"),
        ("seconds to the first batch, empty cache", lambda row: row["cold_seconds"], "linear", "{:.2f}"),
        ("own memory, MB", lambda row: max(row["own_bytes"], 0) / 1e6, "linear", "{:.0f}"),
    )
    for axis, (title, value, scale, form) in zip(axes, panels, strict=True):
        for place, (bits, colour) in enumerate(((8, "#7fa8c9"), (16, "#1f4e79"))):
            heights = [value(results[bits][name]) for name in names]
            bars = axis.barh(
                np.arange(len(names)) + 0.2 - 0.4 * place, heights, 0.38, color=colour, label=f"{bits} bits"
            )
            axis.bar_label(bars, [form.format(height) for height in heights], padding=3, fontsize=8)
        axis.set_xscale(scale)
        axis.margins(x=0.2)
        axis.set_title(title, fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_yticks(np.arange(len(names)), [NAMES[name] for name in names])
    axes[0].legend(fontsize=8, loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> None:
    plt.switch_backend("Agg")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--peers", help="a Python with the packages of benchmarks/requirements.txt")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each contender is timed")
    parser.add_argument("--plot", type=Path, default=ROOT / "docs" / "images" / "loader.png")
    options = parser.parse_args()
    default_peers = ROOT / ".venv-bench" / "bin" / "python"
    peers = options.peers or (str(default_peers) if default_peers.exists() else None)
    start = time.monotonic()
    if options.photos:
        photos = [read_rgb(path) for path in sorted(options.photos.rglob("*.png"))]
    else:
        rendered = [sample.render(scene, 0) for scene in sample.SCENES]
        photos = [photo for pair in rendered for photo in (pair.blurred_HW3, pair.sharp_HW3)]
    pairs = mosaics(photos)
    print(f"{describe()}; {PAIRS} pairs of {SIZE[1]} x {SIZE[0]} pixels, batches of {BATCH} crops of {CROP_PIXELS}")
    results = {}
    for bits in (8, 16):
        if bits == 16:
            pairs = [tuple(deepened(photo, 2 * i + j) for j, photo in enumerate(pair)) for i, pair in enumerate(pairs)]
        folder = Path(tempfile.mkdtemp(prefix="gkm-bench-"))
        try:
            results[bits] = race(folder, pairs, peers, options.seconds)
        finally:
            shutil.rmtree(folder)
        print(f"\n{bits} bits\n\n{table(results[bits])}", flush=True)
    draw(results, options.plot)
    print(f"\n{options.plot}; {time.monotonic() - start:.0f} s in all")
    if peers is None:
        print("WebDataset and MosaicML Streaming were left out: make bench-loader installs them into .venv-bench")


if __name__ == "__main__":
    main()
