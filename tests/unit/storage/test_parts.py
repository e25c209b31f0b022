"""A file of which no more is fetched than is asked for."""

import io
import random

import pytest

from gkm.storage.parts import Parts

CONTENT = random.Random(0).randbytes(100_000)


@pytest.fixture
def fetched() -> list[tuple[int, int]]:
    """Places and lengths of what was fetched."""
    return []


def _open(fetched: list[tuple[int, int]], ahead_bytes: int = 0) -> Parts:
    def read_range(start: int, length: int) -> bytes:
        fetched.append((start, length))
        return CONTENT[start : start + length]

    return Parts(read_range, len(CONTENT), ahead_bytes)


@pytest.mark.parametrize("ahead_bytes", [0, 7, 1000, 10**6])
def test_any_part_is_the_files(fetched: list[tuple[int, int]], ahead_bytes: int) -> None:
    file, reference = io.BufferedReader(_open(fetched, ahead_bytes)), io.BytesIO(CONTENT)
    chooser = random.Random(1)
    for _ in range(200):
        offset, whence = chooser.choice([(chooser.randrange(100_000), 0), (-chooser.randrange(1, 500), 2)])
        assert file.seek(offset, whence) == reference.seek(offset, whence)
        size = chooser.randrange(3000)
        assert file.read(size) == reference.read(size)
        assert file.tell() == reference.tell()
    file.seek(0)
    assert file.read() == CONTENT
    assert file.read(5) == b""
    assert all(start + length <= len(CONTENT) for start, length in fetched)


def test_without_reading_ahead_exactly_what_is_read_is_fetched(fetched: list[tuple[int, int]]) -> None:
    file = _open(fetched)
    file.seek(-10, io.SEEK_END)
    assert file.read(4) == CONTENT[-10:-6]
    file.seek(500)
    assert file.read(2000) == CONTENT[500:2500]
    assert fetched == [(99_990, 4), (500, 2000)]


def test_parts_grow_while_a_file_is_read_on(fetched: list[tuple[int, int]]) -> None:
    file = _open(fetched, ahead_bytes=1000)
    while file.read(100):
        pass
    assert [length for _, length in fetched] == [1000, 4000, 16_000, 64_000, 15_000]
