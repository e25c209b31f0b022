"""How should photographs be encoded in shards? Photographs in, bytes and speeds of the candidates out.

    python benchmarks/encoding.py                        the photographs that installed packages ship, and their blurs
    python benchmarks/encoding.py --photos FOLDER        all PNG files below FOLDER

Every candidate is lossless, and decoded once to prove it. Speeds are of one core, in decoded bytes; the best of three.
16-bit photographs are made from the 8-bit ones: scaled, with Gaussian noise of half an 8-bit grey level.
"""

from __future__ import annotations

import argparse
import io
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from gkm.data.dataset import encoding
from gkm.data.photos import read_rgb
from gkm.data.simulation import sample

CROP_PIXELS = 256
CROPS = 24
NOISE_16BIT = 128.5
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Candidate:
    """A way to encode a block and back."""

    name: str
    encode: Callable[[Array], bytes]
    decode: Callable[[bytes, Array], Array]
    """(bytes, a block of the size and type that is wanted) -> the block, in any order of memory."""
    deep: bool = True


def zstd(
    transform: Callable[[Array], bytes], inverse: Callable[[bytes, Array], Array], level: int = 1, kind: str = "zstd"
):
    """Encoding and decoding by a transformation and a compressor."""
    codec = pa.Codec(kind, compression_level=level) if kind != "lz4" else pa.Codec(kind)
    return (
        lambda block: codec.compress(transform(block), asbytes=True),
        lambda data, like: inverse(codec.decompress(data, like.nbytes), like),
    )


def raw(block_HW3: Array) -> bytes:
    return block_HW3.tobytes()


def unraw(data: bytes, like: Array) -> Array:
    return np.frombuffer(data, like.dtype).reshape(like.shape)


def byte_planes(samples: Array) -> bytes:
    return np.ascontiguousarray(samples).view(np.uint8).reshape(-1, samples.dtype.itemsize).T.tobytes()


def from_byte_planes(data: bytes, like: Array) -> Array:
    return encoding._samples(np.frombuffer(data, np.uint8), like.dtype).reshape(like.shape)


def difference(axes: tuple[int, ...]):
    """Differences from the sample before along each axis, in byte planes."""

    def transform(block_HW3: Array) -> bytes:
        for axis in axes:
            block_HW3 = np.concatenate(
                [block_HW3.take([0], axis), np.diff(block_HW3, axis=axis)], axis, dtype=block_HW3.dtype
            )
        return byte_planes(block_HW3)

    def inverse(data: bytes, like: Array) -> Array:
        block_HW3 = from_byte_planes(data, like)
        for axis in reversed(axes):
            block_HW3 = np.add.accumulate(block_HW3, axis, dtype=like.dtype)
        return block_HW3

    return transform, inverse


def decoded(data: bytes, like: Array) -> Array:
    """By the encoding of the shards; planes seen as an image."""
    planes_3HW = np.empty((3, *like.shape[:2]), like.dtype)
    encoding.decode(data, planes_3HW)
    return planes_3HW.transpose(1, 2, 0)


def picture(kind: str, **options: Any):
    """A file format of Pillow."""

    def encode(block_HW3: Array) -> bytes:
        file = io.BytesIO()
        Image.fromarray(block_HW3).save(file, kind, **options)
        return file.getvalue()

    return encode, lambda data, like: np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


CANDIDATES = (
    Candidate("raw, zstd 1 (schema 1)", *zstd(raw, unraw)),
    Candidate("byte planes, zstd 1", *zstd(byte_planes, from_byte_planes)),
    Candidate("left difference, byte planes, zstd 1", *zstd(*difference((1,)))),
    Candidate("upper difference, byte planes, zstd 1", *zstd(*difference((0,)))),
    Candidate("both differences, byte planes, zstd 1", *zstd(*difference((0, 1)))),
    Candidate("**green, upper difference, planes, zstd 1**", *zstd(encoding.encode, decoded)),
    Candidate("the same, zstd 3", *zstd(encoding.encode, decoded, 3)),
    Candidate("the same, zstd 9", *zstd(encoding.encode, decoded, 9)),
    Candidate("the same, LZ4", *zstd(encoding.encode, decoded, kind="lz4")),
    Candidate("the same, zlib 6 (PNG's compressor)", *zstd(encoding.encode, decoded, 6, "gzip")),
    Candidate("PNG", *picture("PNG"), deep=False),
    Candidate("lossless WebP, effort 0", *picture("WEBP", lossless=True, method=0, quality=0), deep=False),
)


def cut(photo_HW3: Array, height: int, width: int) -> Iterator[Array]:
    for row in range(0, photo_HW3.shape[0], height):
        for column in range(0, photo_HW3.shape[1], width):
            yield np.ascontiguousarray(photo_HW3[row : row + height, column : column + width])


def seconds(action: Callable[[], object]) -> float:
    """Processor time of the fastest of three."""
    times = []
    for _ in range(3):
        start = time.process_time()
        action()
        times.append(time.process_time() - start)
    return min(times)


def compare_candidates(photos: list[Array]) -> None:
    blocks = [block for photo in photos for block in cut(photo, encoding.BLOCK_PIXELS, encoding.BLOCK_PIXELS)]
    for candidate in CANDIDATES:
        if candidate.deep or photos[0].dtype == np.uint8:
            print(measured(candidate, blocks), flush=True)


def measured(candidate: Candidate, blocks: list[Array]) -> str:
    """A row of the table: bytes kept of one decoded, speed of encoding and of decoding."""
    size = sum(block.nbytes for block in blocks)
    start = time.process_time()
    files = [candidate.encode(block) for block in blocks]
    encoding_seconds = time.process_time() - start
    for file, block in zip(files, blocks, strict=True):
        assert np.array_equal(candidate.decode(file, block), block), candidate.name
    decoding_seconds = seconds(lambda: [candidate.decode(*both) for both in zip(files, blocks, strict=True)])
    speeds = [f"{size / taken / 1e6:.0f}" for taken in (encoding_seconds, decoding_seconds)]
    return f"| {candidate.name} | {sum(map(len, files)) / size:.3f} | {' | '.join(speeds)} |"


def compare_blocks(photos: list[Array]) -> None:
    """A crop decodes all blocks that it touches."""
    height, width = (min(photo.shape[axis] for photo in photos) for axis in (0, 1))
    photos = [photo[:height, :width] for photo in photos]
    mosaics = [mosaic(photos[first : first + 4]) for first in (0, 4, 8)]
    height, width = mosaics[0].shape[:2]
    bits = 8 * photos[0].itemsize
    print(f"\n| blocks of {width} x {height}, {bits} bits | size | kB a crop | reads a crop | ms a crop |")
    print("|---|---|---|---|---|")
    for rows, columns in ((64, width), (128, width), (64, 64), (128, 128), (256, 256), (512, 512), (height, width)):
        print(measured_blocks(mosaics, rows, columns), flush=True)


def measured_blocks(photos: list[Array], rows: int, columns: int) -> str:
    """A row of the table: bytes kept of one decoded; bytes, reads (one for each row of blocks) and time for a crop."""
    encode, decode = zstd(encoding.encode, decoded)
    blocks = [[(encode(block), block) for block in cut(photo, rows, columns)] for photo in photos]
    across = -(-photos[0].shape[1] // columns)
    generator = np.random.default_rng(0)
    touched, reads = [], 0
    for crop in range(CROPS):
        top, left = (int(generator.integers(side - CROP_PIXELS + 1)) for side in photos[0].shape[:2])
        down = range(top // rows, (top + CROP_PIXELS - 1) // rows + 1)
        along = range(left // columns, (left + CROP_PIXELS - 1) // columns + 1)
        touched += [blocks[crop % len(photos)][row * across + column] for row in down for column in along]
        reads += 1 if across == 1 else len(down)
    size = sum(len(file) for photo in blocks for file, _ in photo) / sum(photo.nbytes for photo in photos)
    taken = seconds(lambda: [decode(*both) for both in touched])
    read_bytes = sum(len(file) for file, _ in touched)
    figures = f"{size:.3f} | {read_bytes / CROPS / 1000:.0f} | {reads / CROPS:.1f} | {1000 * taken / CROPS:.1f}"
    return f"| {rows} x {columns} | {figures} |"


def mosaic(photos: list[Array]) -> Array:
    """Two by two photographs: as large as a photograph of DPD, as hard to compress as the small ones."""
    return np.vstack([np.hstack(photos[:2]), np.hstack(photos[2:])])


def deepened(photo_HW3: Array) -> Array:
    noise = np.random.default_rng(photo_HW3[0, 0].tobytes()[0]).normal(0, NOISE_16BIT, photo_HW3.shape)
    return np.clip(np.rint(photo_HW3 * 257.0 + noise), 0, 65535).astype(np.uint16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path)
    options = parser.parse_args()
    if options.photos:
        photos = [read_rgb(path) for path in sorted(options.photos.rglob("*.png"))]
    else:
        pairs = [sample.render(scene, 0) for scene in sample.SCENES]
        photos = [photo for pair in pairs for photo in (pair.blurred_HW3, pair.sharp_HW3)]
    print(f"{len(photos)} photographs; {platform.processor() or platform.machine()}, Python {sys.version.split()[0]}")
    for bits, made in ((8, photos), (16, [deepened(photo) for photo in photos])):
        print(f"\n{bits} bits\n\n| encoding | size | encode, MB/s | decode, MB/s |\n|---|---|---|---|")
        compare_candidates(made)
        compare_blocks(made)


if __name__ == "__main__":
    main()
