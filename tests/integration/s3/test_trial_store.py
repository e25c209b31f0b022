"""A trial's store in S3."""

import importlib.util
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from gkm.training.scratch import scratch
from gkm.training.store import open_store

CONTRACT = Path(__file__).parents[2] / "unit" / "training" / "store_contract.py"
_SPEC = importlib.util.spec_from_file_location("store_contract", CONTRACT)
assert _SPEC
assert _SPEC.loader
contract = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(contract)

pytestmark = [pytest.mark.s3, pytest.mark.slow]


class TestRemoteStore(contract.StoreContract):
    @pytest.fixture
    def place(self, use: Callable[..., None], request: pytest.FixtureRequest) -> str:
        use()
        return f"s3://photos/{request.node.name.replace('[', '-').replace(']', '')}"

    def test_what_a_killed_trial_left_in_tmp_goes_at_the_next_start(
        self, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        with scratch(tmp_path, "gkm-trial-") as own:
            dead = own.with_name(own.name.replace(f".{os.getpid()}.", f".{2**22 + 1}."))
            dead.mkdir()
            open_store(place)
            assert list(tmp_path.iterdir()) == [own]
