"""The right to train a trial whose place is in S3."""

import importlib.util
import json
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from gkm import storage
from gkm.errors import InputError
from gkm.study.record import lease
from gkm.study.record.lease import Holder
from gkm.study.single.claim import ObjectLease, claimed
from tests.hearts import beating

CONTRACT = Path(__file__).parents[2] / "unit" / "study" / "single" / "claim_contract.py"
_SPEC = importlib.util.spec_from_file_location("claim_contract", CONTRACT)
assert _SPEC
assert _SPEC.loader
contract = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(contract)

pytestmark = [pytest.mark.s3, pytest.mark.slow]


class TestRemoteClaim(contract.ClaimContract):
    @pytest.fixture
    def place(self, use: Callable[..., None], request: pytest.FixtureRequest) -> str:
        use()
        return f"s3://photos/{request.node.name}"

    def test_one_on_another_machine_is_known_by_its_heartbeat(
        self, place: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lease, "HEARTBEAT_SECONDS", 0.5)
        there = Holder("elsewhere", 1, "2026-01-31 12:00:05", "token")
        storage.write_bytes(f"{place}/.lease", json.dumps(asdict(there)).encode())
        store = ObjectLease(f"{place}/.lease")
        with (
            beating(lambda number: store.replace(there, replace(there, beat=number)), 1.0),
            pytest.raises(InputError, match="by process 1 on elsewhere since 2026-01-31 12:00:05"),
            claimed(place, "x"),
        ):
            pass
        began = time.monotonic()
        with claimed(place, "x") as held:
            assert held.took_over is not None
            assert held.took_over.host == "elsewhere"
            time.sleep(1.5)
            held.check()
        assert lease.STALE_SECONDS <= time.monotonic() - began < lease.STALE_SECONDS + 10
        assert not storage.exists(f"{place}/.lease")

    def test_of_two_that_come_at_once_one_is_refused(self, place: str) -> None:
        store, now = ObjectLease(f"{place}/.lease"), "2026-01-31 12:00:05"
        gone = Holder("elsewhere", 1, now, "gone")
        assert store.replace(None, gone)
        won: list[bool] = []
        both = [
            threading.Thread(target=lambda token=token: won.append(store.replace(gone, Holder("h", 2, now, token))))
            for token in "ab"
        ]
        for thread in both:
            thread.start()
        for thread in both:
            thread.join()
        assert sorted(won) == [False, True]
