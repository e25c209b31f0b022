"""A trial's store in a folder of this machine."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gkm.training.scratch import clean, scratch
from gkm.training.store import open_store

_SPEC = importlib.util.spec_from_file_location("store_contract", Path(__file__).with_name("store_contract.py"))
assert _SPEC
assert _SPEC.loader
contract = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(contract)

KILLED_WHILE_WRITING = """
import os, signal, sys
from pathlib import Path
from gkm.training.store import open_store

def write(directory):
    directory.mkdir()
    (directory / "model.safetensors").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)

open_store(sys.argv[1]).save_checkpoint((7, 0), write)
"""


class TestLocalStore(contract.StoreContract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> str:
        return str(tmp_path / "trial")

    def test_what_a_killed_trial_was_writing_goes_at_the_next_start(self, place: str) -> None:
        open_store(place).save_checkpoint((6, 0), contract.checkpoint("weights 6"))
        subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING, place], check=False)
        assert [path for path in Path(place).iterdir() if path.name.startswith(".")]
        assert self.newest(place) == ("weights 6", None)
        assert [path.name for path in Path(place).iterdir()] == ["checkpoints"]

    def test_checkpoints_of_version_0_1_0_are_found(self, place: str) -> None:
        contract.checkpoint("old")(Path(place) / "epoch-0000003")
        assert self.newest(place) == ("old", None)
        open_store(place).save_checkpoint((4, 0), contract.checkpoint("new"))
        open_store(place).prune({(4, 0)}, set())
        assert [path.name for path in Path(place).iterdir()] == ["checkpoints"]


def test_scratch_of_living_processes_and_of_this_one_stays(tmp_path: Path) -> None:
    def named(host: str, process: int) -> Path:
        path = tmp_path / f".x-{host}.{process}.abc"
        path.mkdir()
        return path

    with scratch(tmp_path, ".x-") as own:
        host = own.name.removeprefix(".x-").split(".")[0]
        parent, elsewhere = named(host, os.getppid()), named("elsewhere", 1)
        dead, former = named(host, 2**22 + 1), named(host, os.getpid())  # a container's processes begin anew at 1
        clean(tmp_path, ".x-")
        assert sorted(tmp_path.iterdir()) == sorted([own, parent, elsewhere])
        assert not dead.exists()
        assert not former.exists()
        os.utime(elsewhere, (0, 0))
        clean(tmp_path, ".x-")
        assert not elsewhere.exists()
    assert not own.exists()
