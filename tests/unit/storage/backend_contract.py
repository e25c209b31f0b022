"""What `gkm.storage` promises of any place: to be inherited by tests that give one."""

import os
import pickle
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gkm import storage
from gkm.errors import InputError

ODD_NAMES = {
    "spaces": "a photograph  of two words",
    "scripts": "größe 写真 \U0001f4f7",
    "signs": "50% + #1 & a=b?;'quoted' (x) [y] {z}~!$@,",
    "dots": "..hidden..",
    "long": "x" * 200,
}
READS: dict[str, Callable[[str, Path], object]] = {
    "read_bytes": lambda location, _: storage.read_bytes(location),
    "read_range": lambda location, _: storage.read_range(location, 0, 1),
    "download": lambda location, folder: storage.download(location, folder / "x"),
    "fetch": lambda location, folder: storage.fetch(location, folder / "x"),
}


class BackendContract:
    """Subclasses give the fixture `place`, a location where nothing is yet."""

    def test_files_come_back_whole_and_are_overwritten(self, place: str) -> None:
        assert storage.write_bytes(storage.join(place, "a", "one.bin"), b"one")
        assert storage.write_bytes(storage.join(place, "two.bin"), b"")
        assert storage.write_bytes(storage.join(place, "two.bin"), b"again")
        assert storage.list_files(place) == ["a/one.bin", "two.bin"]
        assert storage.list_files(storage.join(place, "a")) == ["one.bin"]
        assert storage.read_bytes(storage.join(place, "a", "one.bin")) == b"one"
        assert storage.read_bytes(storage.join(place, "two.bin")) == b"again"

    def test_an_empty_file_is_a_file(self, place: str) -> None:
        location = storage.join(place, "empty")
        storage.write_bytes(location, b"")
        assert storage.exists(location)
        assert storage.read_bytes(location) == b""
        assert storage.read_range(location, 0, 5) == b""
        assert storage.list_files(place) == ["empty"]

    @pytest.mark.parametrize(
        ("start", "length", "part"),
        [(0, 10, b"0123456789"), (3, 4, b"3456"), (8, 100, b"89"), (10, 5, b""), (4, 0, b"")],
    )
    def test_parts_of_a_file_are_read(self, place: str, start: int, length: int, part: bytes) -> None:
        storage.write_bytes(storage.join(place, "x"), b"0123456789")
        assert storage.read_range(storage.join(place, "x"), start, length) == part

    def test_files_and_folders_are_there_or_not(self, place: str) -> None:
        assert not storage.exists(place)
        assert storage.list_files(place) == []
        storage.write_bytes(storage.join(place, "folder", "one.bin"), b"1")
        assert storage.exists(place)
        assert storage.exists(storage.join(place, "folder"))
        assert storage.exists(storage.join(place, "folder", "one.bin"))
        assert not storage.exists(storage.join(place, "fold"))
        assert not storage.exists(storage.join(place, "folder", "one"))
        assert storage.list_files(storage.join(place, "fold")) == []

    def test_what_is_deleted_is_gone_and_its_neighbours_stay(self, place: str) -> None:
        for name in ("a/b/c", "a/d", "a.txt", "ab/e"):
            storage.write_bytes(storage.join(place, name), b"x")
        for _ in range(2):
            storage.delete(storage.join(place, "a"))
            assert storage.list_files(place) == ["a.txt", "ab/e"]
            assert not storage.exists(storage.join(place, "a"))
        storage.delete(storage.join(place, "a.txt"))
        assert storage.list_files(place) == ["ab/e"]
        storage.delete(place)
        assert not storage.exists(place)

    @pytest.mark.parametrize("read", READS)
    def test_a_missing_file_is_named_and_nothing_is_made(self, place: str, tmp_path: Path, read: str) -> None:
        storage.write_bytes(storage.join(place, "there"), b"x")
        here = tmp_path / "here"
        here.mkdir()
        with pytest.raises(InputError, match=rf"^{re.escape(storage.join(place, 'gone'))}: .+; "):
            READS[read](storage.join(place, "gone"), here)
        assert list(here.iterdir()) == []

    @pytest.mark.parametrize("kind", ODD_NAMES)
    def test_any_name_is_kept(self, place: str, tmp_path: Path, kind: str) -> None:
        name = ODD_NAMES[kind]
        location = storage.join(place, name, f"{name}.bin")
        storage.write_bytes(location, b"one")
        storage.write_bytes(location, b"two", if_absent=True)
        assert storage.list_files(place) == [f"{name}/{name}.bin"]
        assert storage.exists(location)
        assert storage.read_bytes(location) == b"one"
        storage.fetch(place, tmp_path / "copy")
        assert (tmp_path / "copy" / name / f"{name}.bin").read_bytes() == b"one"
        storage.delete(storage.join(place, name))
        assert storage.list_files(place) == []

    def test_a_path_object_means_the_same_place(self, place: str) -> None:
        storage.write_bytes(Path(place) / "x", b"x")
        assert storage.read_bytes(storage.join(place, "x")) == b"x"
        assert storage.absolute(Path(place)) == place

    def test_an_absent_file_is_written_once(self, place: str) -> None:
        location = storage.join(place, "a", "manifest")
        assert storage.write_bytes(location, b"one", if_absent=True)
        assert storage.write_bytes(location, b"one", if_absent=True)
        assert not storage.write_bytes(location, b"two", if_absent=True)
        assert storage.read_bytes(location) == b"one"
        assert storage.list_files(place) == ["a/manifest"]

    def test_of_many_writers_of_an_absent_file_one_wins(self, place: str) -> None:
        def write(index: int) -> bool:
            return storage.write_bytes(storage.join(place, "manifest.json"), b"%d" % index, if_absent=True)

        with ThreadPoolExecutor(8) as pool:
            won = [index for index, written in enumerate(pool.map(write, range(16))) if written]
        assert len(won) == 1
        assert storage.read_bytes(storage.join(place, "manifest.json")) == b"%d" % won[0]
        assert write(won[0])  # as after an answer that was lost

    def test_readers_see_the_old_or_the_new_file_whoever_writes(self, place: str) -> None:
        location = storage.join(place, "file")
        contents = [bytes([number]) * 200_000 for number in range(4)]
        storage.write_bytes(location, contents[0])
        stop = threading.Event()
        seen = set()

        def read() -> None:
            while not stop.is_set():
                seen.add(storage.read_bytes(location))

        with ThreadPoolExecutor(6) as pool:
            readers = [pool.submit(read) for _ in range(2)]
            writers = [pool.submit(storage.write_bytes, location, content) for content in contents * 5]
            for writer in writers:
                writer.result()
            stop.set()
        for reader in readers:
            reader.result()
        assert seen <= set(contents)
        assert storage.list_files(place) == ["file"]

    def test_files_and_folders_are_copied_both_ways(self, place: str, tmp_path: Path) -> None:
        storage.write_bytes(tmp_path / "from" / "a" / "b", b"b")
        storage.write_bytes(tmp_path / "from" / "c", b"c")
        storage.upload_folder(tmp_path / "from", place, last="a/b")
        storage.upload(tmp_path / "from" / "c", storage.join(place, "a", "b"))
        assert storage.list_files(place) == ["a/b", "c"]
        storage.fetch(place, tmp_path / "to")
        assert storage.list_files(tmp_path / "to") == ["a/b", "c"]
        assert (tmp_path / "to" / "a" / "b").read_bytes() == b"c"
        for copy in (storage.fetch, storage.download):
            copy(storage.join(place, "c"), tmp_path / copy.__name__ / "one")
            assert [path.name for path in (tmp_path / copy.__name__).iterdir()] == ["one"]
            assert (tmp_path / copy.__name__ / "one").read_bytes() == b"c"

    def test_folders_are_walked_and_files_read_in_parts(self, place: str) -> None:
        content = os.urandom(300_000)
        storage.write_bytes(storage.join(place, "a", "deep", "photo.png"), content)
        storage.write_bytes(storage.join(place, "list.csv"), "blurred,sharp\nä,b\n".encode())
        root = storage.path(Path(place))
        assert (str(root), str(root / "a"), root.absolute()) == (place, storage.join(place, "a"), root)
        assert sorted((path.name, path.is_dir()) for path in root.iterdir()) == [("a", True), ("list.csv", False)]
        assert ((root / "a").is_dir(), (root / "a").is_file(), (root / "b").exists()) == (True, False, False)
        assert (root / "list.csv").read_text(encoding="utf-8").splitlines() == ["blurred,sharp", "ä,b"]
        photo = pickle.loads(pickle.dumps(root / "a" / "deep" / "photo.png"))
        assert photo.stat().st_size == len(content)
        assert abs(photo.stat().st_mtime_ns / 1e9 - time.time()) < 3600
        with photo.open("rb") as file:
            assert file.read(4) == content[:4]
            file.seek(-5, os.SEEK_END)
            assert file.read(10) == content[-5:]
            file.seek(100_000)
            assert file.read() == content[100_000:]
            assert file.read() == b""
        with pytest.raises(FileNotFoundError):
            (root / "none").stat()
