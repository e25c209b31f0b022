"""Small photographs and data sets for the data tests."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from gkm.data.dataset.pair import Pair
from gkm.data.preparation.preparation import write_dataset


def random_pair(scene, seed, height=40, width=48, dtype=np.uint8):
    generator = np.random.default_rng(seed)
    blurred, sharp = generator.integers(0, np.iinfo(dtype).max + 1, (2, height, width, 3), dtype=dtype)
    return Pair(scene, scene, blurred, sharp)


@pytest.fixture(name="random_pair")
def random_pair_fixture():
    """Makes a pair of random pixels."""
    return random_pair


def scene_photos(seed, height=96, width=128, dtype=np.uint8):
    """A sharp scene of coloured patches, and the same scene blurred."""
    generator = np.random.default_rng(seed)
    patches = generator.uniform(0.05, 0.95, (height // 8, width // 8, 3)).repeat(8, axis=0).repeat(8, axis=1)
    sharp = np.clip(patches + generator.normal(0, 0.02, patches.shape), 0, 1)
    blurred = gaussian_filter(sharp, (2, 2, 0))
    return tuple(np.rint(photo * np.iinfo(dtype).max).astype(dtype) for photo in (blurred, sharp))


@pytest.fixture(name="scene_photos")
def scene_photos_fixture():
    """Makes a blurred and a sharp photograph that are partners."""
    return scene_photos


@pytest.fixture
def dpd(tmp_path):
    """A folder in DPD's layout with 3 + 1 + 1 pairs of PNG."""
    folder = tmp_path / "dpd"
    for split, numbers in {"train_c": (0, 1, 2), "val_c": (3,), "test_c": (4,)}.items():
        for number in numbers:
            for side, photo in zip(("source", "target"), scene_photos(number), strict=True):
                (folder / split / side).mkdir(parents=True, exist_ok=True)
                Image.fromarray(photo).save(folder / split / side / f"IMG_{number}.png")
    return folder


@pytest.fixture
def pairs():
    """Five train pairs of various sizes, two for validation, one for test."""
    sizes = [(40, 48), (64, 33), (130, 40), (40, 40), (32, 70)]
    train = [("train", random_pair(f"scene {number}", number, *size)) for number, size in enumerate(sizes)]
    validation = [("validation", random_pair(f"scène {number}", number)) for number in (5, 6)]
    return [*train, *validation, ("test", random_pair("deep", 7, 70, 40, np.uint16))]


@pytest.fixture
def data(tmp_path, pairs):
    """Those pairs as a data set of several shards."""
    write_dataset(pairs, tmp_path / "data", {"kind": "test"}, shard_bytes=30_000)
    return tmp_path / "data"


def png_bytes(samples, colour_type, chunks=()):
    """A 16-bit PNG of samples (H, W, channels), its rows filtered with each of PNG's five filters in turn."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width, channels = samples.shape
    step = 2 * channels
    rows = samples.astype(">u2").reshape(height, -1).view(np.uint8).astype(int)
    stream = bytearray()
    for index, row in enumerate(rows):
        above = rows[index - 1] if index else np.zeros_like(row)
        left = np.concatenate([np.zeros(step, int), row[:-step]])
        corner = np.concatenate([np.zeros(step, int), above[:-step]])
        guess = left + above - corner
        distances = np.abs(np.stack([guess - left, guess - above, guess - corner]))
        paeth = np.choose(distances.argmin(axis=0), [left, above, corner])
        predicted = (0, left, above, (left + above) // 2, paeth)[index % 5]
        stream += bytes([index % 5]) + ((row - predicted) % 256).astype(np.uint8).tobytes()
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(bytes(stream))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


@pytest.fixture(name="png_bytes")
def png_bytes_fixture():
    """Makes a 16-bit PNG, which Pillow cannot write."""
    return png_bytes
