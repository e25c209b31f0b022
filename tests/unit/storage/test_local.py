"""Files of this machine."""

import importlib.util
from pathlib import Path

import pytest

from gkm import storage
from gkm.errors import InputError

_SPEC = importlib.util.spec_from_file_location("backend_contract", Path(__file__).with_name("backend_contract.py"))
assert _SPEC
assert _SPEC.loader
contract = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(contract)


class TestLocal(contract.BackendContract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> str:
        return str(tmp_path / "place")

    def test_writing_below_a_file_is_refused(self, place: str) -> None:
        storage.write_bytes(place, b"")
        for if_absent in (False, True):
            with pytest.raises(
                InputError, match=f"{place}/x: cannot be written .*; make room or permission, or choose"
            ):
                storage.write_bytes(f"{place}/x", b"", if_absent=if_absent)

    def test_unfinished_files_are_not_listed(self, place: str) -> None:
        with storage.replacing(Path(place, "photo.png")) as partial:
            partial.write_bytes(b"half")
            assert storage.list_files(place) == []
        assert storage.list_files(place) == ["photo.png"]

    def test_what_cannot_be_looked_at_is_a_sentence(self, place: str) -> None:
        name = f"{place}{'long' * 99}"  # as good as a folder above it that is closed to us, which root knows not
        for look in (storage.exists, lambda location: storage.is_folder(Path(location))):
            with pytest.raises(InputError, match=rf"{name}: cannot be read \(file name too long\); check the path"):
                look(name)

    def test_a_full_disk_is_a_sentence(self, place: str) -> None:
        def write() -> None:
            with storage.replacing(Path(place)) as partial:
                partial.symlink_to("/dev/full")
                partial.write_bytes(b"x")

        with pytest.raises(InputError, match=rf"{place}: cannot be written \(no space left on device\); make room"):
            write()
        assert not storage.exists(place)
