"""Does preparation use a second core? Synthetic photographs of DPD's size in, seconds with one and two workers out.

    python benchmarks/preparation.py                     a tenth of DPD: 50 pairs of 1680 x 1120 at 16 bits
    python benchmarks/preparation.py --pairs 500         all of it
    python benchmarks/preparation.py --keep FOLDER       photographs are made once and stay there

The peer of two workers is one worker, the command itself in both cases: reading and decoding PNG, looking at the pairs,
encoding, compressing, hashing, writing; with two, starting and stopping a local Ray, too. The runs alternate. Both data
sets must have the same fingerprint. On a busy machine two workers find no second core: then the seconds of processor
time, of all processes of a run together, say what the work is and what Ray adds to it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from machine import describe
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage import data

ROOT = Path(__file__).resolve().parents[1]
WIDTH, HEIGHT = 1680, 1120
DPD = {"train_c": 350, "val_c": 74, "test_c": 76}
MARK = "GKM_BENCHMARK_RUN"
NOISE_16BIT = 200.0
"""Of a well-lit sensor after demosaicing: about 0.8 of an 8-bit grey level."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gkm-benchmark-") as scratch:
        photos = options.keep or Path(scratch, "photos")
        make_photos(photos, options.pairs)
        seconds: dict[int, list[float]] = {1: [], 2: []}
        used: dict[int, float] = {}
        said: set[str] = set()
        for round_number in range(options.rounds):
            for workers in (1, 2) if round_number % 2 == 0 else (2, 1):
                out = Path(scratch, f"data-{round_number}-{workers}")
                start, load = time.perf_counter(), os.getloadavg()[0]
                with Meter(f"{MARK}={out}") as meter:
                    said.add(prepare(photos, out, workers).split()[-1])
                    seconds[workers].append(time.perf_counter() - start)
                used[workers] = meter.seconds
                print(
                    f"{workers} worker(s): {seconds[workers][-1]:.1f} s, {meter.seconds:.1f} s of processor time "
                    f"(load before: {load:.1f})",
                    flush=True,
                )
        assert len(said) == 1, "the same photographs, the same fingerprint"
        report(photos, Path(scratch, "data-0-1"), options.pairs, seconds, used, ray_seconds())


def make_photos(folder: Path, pairs: int) -> None:
    """Pairs in DPD's layout and proportions, unless they are there already."""
    jobs = []
    for split, share in DPD.items():
        for number in range(round(pairs * share / 500)):
            files = [folder / split / side / f"{split}{number:04}.png" for side in ("source", "target")]
            if not all(file.exists() for file in files):
                jobs.append((files, len(jobs)))
    with ProcessPoolExecutor() as pool:
        list(pool.map(_make_pair, jobs))


def _make_pair(job: tuple[list[Path], int]) -> None:
    """A part of a shipped photograph, enlarged, and its blur; with noise, so that the low bits are no gift."""

    files, seed = job
    generator = np.random.default_rng(seed)
    names = ("astronaut", "coffee", "chelsea", "rocket")
    photo = getattr(data, names[seed % len(names)])()
    height = generator.integers(photo.shape[0] // 2, photo.shape[0])
    width = min(photo.shape[1], height * WIDTH // HEIGHT)
    top, left = (
        generator.integers(0, full - part + 1) for full, part in zip(photo.shape, (height, width), strict=False)
    )
    part = Image.fromarray(photo[top : top + height, left : left + width])
    enlarged = np.asarray(part.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)).astype(np.float32) * 257
    for file, sigma in zip(files, (4.0, 0.0), strict=True):
        view = gaussian_filter(enlarged, (sigma, sigma, 0)) if sigma else enlarged
        noisy = view + NOISE_16BIT * generator.standard_normal(view.shape, dtype=np.float32)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png(np.clip(noisy, 0, 65535).astype(np.uint16)))


def png(photo_HW3: np.ndarray) -> bytes:
    """A 16-bit PNG, each row as its difference from the one above (Pillow writes 8 bits only)."""
    rows = photo_HW3.astype(">u2").reshape(HEIGHT, -1).view(np.uint8)
    stream = np.full((HEIGHT, rows.shape[1] + 1), 2, np.uint8)
    stream[:, 1:] = rows
    stream[1:, 1:] -= rows[:-1]
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 16, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(stream.tobytes(), 6)), (b"IEND", b"")]
    chunks = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def prepare(photos: Path, out: Path, workers: int) -> str:
    """Runs the command; returns what it said."""
    command = [sys.executable, ROOT / "pipelines/prepare_data.py", "--source", photos, "--out", out]
    command += ["--workers", workers, "--allow-duplicates"]
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    done = subprocess.run(
        list(map(str, command)),
        env={**environment, "OMP_NUM_THREADS": "1", MARK: str(out)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout.strip()


class Meter:
    """Counts the processor time of all processes that carry a mark in their environment, twice a second."""

    def __init__(self, mark: str) -> None:
        self._mark = mark.encode()
        self._ticks: dict[str, int] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Meter:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def seconds(self) -> float:
        return sum(self._ticks.values()) / os.sysconf("SC_CLK_TCK")

    def _watch(self) -> None:
        while not self._ended.wait(0.5):
            for folder in Path("/proc").glob("[0-9]*"):
                with contextlib.suppress(OSError):
                    if self._mark in (folder / "environ").read_bytes():
                        fields = (folder / "stat").read_text().rpartition(")")[2].split()
                        self._ticks[folder.name] = int(fields[11]) + int(fields[12])


def ray_seconds() -> float:
    """What it takes to start and stop a local Ray of two cores, and nothing else."""
    code = "from gkm.study.execution.session import start_ray\nwith start_ray('local', 2): pass"
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    return time.perf_counter() - start


def report(
    photos: Path, out: Path, pairs: int, seconds: dict[int, list[float]], used: dict[int, float], ray: float
) -> None:
    """Prints both figures, their ratio, and what they mean for all of DPD."""
    one, two = (statistics.median(seconds[workers]) for workers in (1, 2))
    ratio = statistics.median(first / second for first, second in zip(seconds[1], seconds[2], strict=True))
    source, shards, pixels = _bytes(photos, "*.png"), _bytes(out, "*.parquet"), pairs * 2 * WIDTH * HEIGHT * 6
    print(f"\nmachine: {describe()}")
    print(
        f"{pairs} pairs of {WIDTH} x {HEIGHT} at 16 bits: {source / 1e9:.2f} GB of PNG, {shards / 1e9:.2f} GB of shards"
    )
    print(f"  ({shards / source:.2f} of the PNG files, {shards / pixels:.2f} of the pixels)")
    print(f"one worker:  {one:6.1f} s, {one / pairs:.2f} s a pair")
    print(f"two workers: {two:6.1f} s, of which a local Ray takes about {ray:.1f} s to start and stop")
    print(f"ratio: {ratio:.2f}, without Ray's start {one / (two - ray):.2f}")
    bound = 2 * used[1] / used[2]
    print(f"processor time: {used[1]:.1f} s and, Ray's own included, {used[2]:.1f} s: a ratio of {bound:.2f} at best")
    if pairs < 500:
        # Pairs are read, encoded and written one by one and nothing grows with their number but the search for
        # duplicates (0.1 s for 1000 photographs), so time and bytes grow in proportion; Ray starts once.
        more = 500 / pairs
        whole_bound = 2 * used[1] * more / (used[1] * more + used[2] - used[1])
        whole_one, whole_two = one * more, (two - ray) * more + ray
        print(
            f"all 500 pairs, in proportion: {whole_one / 60:.1f} and {whole_two / 60:.1f} minutes, "
            f"ratio {whole_one / whole_two:.2f} (at best {whole_bound:.2f}), {shards * more / 1e9:.1f} GB of shards"
        )


def _bytes(folder: Path, pattern: str) -> int:
    return sum(path.stat().st_size for path in folder.rglob(pattern))


if __name__ == "__main__":
    main()
