"""The encoding of blocks: every bit comes back, real photographs get smaller."""

import numpy as np
import pyarrow as pa
import pytest

from gkm.data.dataset.encoding import BLOCK_PIXELS, blocks_of, decode, encode
from gkm.data.photos import SUFFIXES, read_rgb
from gkm.data.simulation.sample import files


def _round_trip(block_HW3):
    planes_3HW = np.full((3, *block_HW3.shape[:2]), 77, block_HW3.dtype.newbyteorder("="))
    decode(encode(block_HW3), planes_3HW)
    return planes_3HW.transpose(1, 2, 0)


@pytest.mark.parametrize("dtype", [np.uint8, "<u2", ">u2"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (33, 70), (256, 256)])
def test_every_bit_comes_back(dtype, shape):
    generator = np.random.default_rng(0)
    largest = np.iinfo(dtype).max
    for block in (
        generator.integers(0, largest + 1, (*shape, 3)),
        generator.choice([0, largest], (*shape, 3)),  # differences wrap around
        np.full((*shape, 3), largest),
    ):
        assert np.array_equal(_round_trip(block.astype(dtype)), block)


def test_views_come_back():
    photo = np.random.default_rng(1).integers(0, 65536, (40, 60, 3), dtype=np.uint16)
    for view in (photo[::-1, 3:20], photo.transpose(1, 0, 2), photo[:, :, ::-1]):
        assert np.array_equal(_round_trip(view), view)


def test_neighbours_of_a_decoded_block_are_left_alone():
    photo_3HW = np.full((3, 20, 20), 9, np.uint16)
    block = np.random.default_rng(2).integers(0, 65536, (5, 6, 3), dtype=np.uint16)
    decode(encode(block), photo_3HW[:, 4:9, 7:13])
    assert np.array_equal(photo_3HW[:, 4:9, 7:13].transpose(1, 2, 0), block)
    photo_3HW[:, 4:9, 7:13] = 9
    assert (photo_3HW == 9).all()


def test_real_photographs_take_less_room_than_uncoded_ones():
    for path in files():
        if path.suffix in SUFFIXES:
            photo = read_rgb(path)[:256, :256]
            encoded, uncoded = (pa.compress(data, "zstd").size for data in (encode(photo), photo.tobytes()))
            assert encoded < 0.9 * uncoded, path.name


def test_wrong_number_of_bytes_is_refused():
    data = encode(np.zeros((4, 4, 3), np.uint8))
    for damaged in (data[:-1], data + b"x", b""):
        with pytest.raises(ValueError, match="reshape"):
            decode(damaged, np.empty((3, 4, 4), np.uint8))


@pytest.mark.parametrize("size", [(1, 1), (256, 256), (257, 255), (1120, 1680)])
def test_blocks_cover_a_photograph_once(size):
    seen = np.zeros(size, int)
    for block in blocks_of(*size):
        assert max(block.rows, block.columns) <= BLOCK_PIXELS
        seen[block.window] += 1
    assert (seen == 1).all()
