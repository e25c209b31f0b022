"""One driver a study: a second is refused, one that died is replaced at once. Both kinds of lease, one contract."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from gkm.errors import InputError
from gkm.study.record import lease as leases
from gkm.study.record.lease import Holder, LeaseLostError, LeaseStore, hold, is_alive
from gkm.study.record.record import RecordPlace
from tests.hearts import beating, refuse_to_watch

HOLDER = """
import sys, time
from pathlib import Path
from gkm.study.record.lease import DatabaseLease, FileLease, hold
if "://" in sys.argv[1]:
    import sqlalchemy
    store = DatabaseLease(sqlalchemy.create_engine(sys.argv[1]), "s")
else:
    store = FileLease(Path(sys.argv[1]) / "s.lease")
with hold(store, "s"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def quick_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "HEARTBEAT_SECONDS", 0.05)


@pytest.fixture
def unwatched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody sleeps in order to see whether a heart beats."""
    refuse_to_watch(monkeypatch)


class LeaseContract:
    """What any lease must do; `store` gives a new handle on one and the same lease, as another process has."""

    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        raise NotImplementedError

    @pytest.fixture
    def store(self, url: str) -> Callable[[], LeaseStore]:
        return lambda: RecordPlace(url).lease("s")

    @pytest.fixture
    def other_process(self, url: str) -> Iterator[subprocess.Popen[str]]:
        """A driver that holds the lease."""
        process = subprocess.Popen([sys.executable, "-c", HOLDER, url], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()
        process.wait()
        process.stdout.close()

    def plant(self, url: str, holder: Holder) -> None:
        """Have the lease name `holder`, as if it were held on another machine."""
        store = RecordPlace(url).lease("s")
        assert store.replace(store.holder(), holder)

    @pytest.mark.usefixtures("unwatched")
    def test_a_second_driver_is_refused_at_once_and_told_who_the_first_is(
        self, other_process: subprocess.Popen[str], store: Callable[[], LeaseStore]
    ) -> None:
        with pytest.raises(InputError, match=rf"study s: is being run by process {other_process.pid} on .* since 20"):
            hold(store(), "s").__enter__()
        holder = is_alive(store())
        assert holder is not None
        assert holder.process == other_process.pid

    @pytest.mark.usefixtures("unwatched")
    def test_a_killed_driver_is_replaced_at_once(
        self, other_process: subprocess.Popen[str], store: Callable[[], LeaseStore]
    ) -> None:
        os.kill(other_process.pid, signal.SIGKILL)
        other_process.wait()
        assert is_alive(store()) is None
        with hold(store(), "s") as lease:
            assert lease.took_over is not None
            assert lease.took_over.process == other_process.pid
            assert lease.holder.process == os.getpid()

    def test_a_lease_that_was_given_back_is_free(self, store: Callable[[], LeaseStore]) -> None:
        for _ in range(2):
            with hold(store(), "s") as lease:
                assert lease.took_over is None
                assert store().holder() is not None
            assert store().holder() is None
            assert is_alive(store()) is None

    def test_a_lease_is_given_back_when_its_driver_fails(self, store: Callable[[], LeaseStore]) -> None:
        with suppress(ZeroDivisionError), hold(store(), "s"):
            raise ZeroDivisionError
        assert store().holder() is None

    def test_a_place_that_is_away_at_the_end_hides_no_reason(
        self, store: Callable[[], LeaseStore], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def away(*_: object) -> bool:
            raise OSError("connection refused")

        def end() -> None:
            with hold(own, "s"):
                monkeypatch.setattr(own, "replace", away)
                raise ZeroDivisionError

        own = store()
        with pytest.raises(ZeroDivisionError):
            end()
        monkeypatch.undo()
        assert own.replace(own.holder(), None)

    @pytest.mark.usefixtures("quick_heartbeat")
    def test_the_heartbeat_goes_on_and_a_wish_to_stop_arrives_once(self, store: Callable[[], LeaseStore]) -> None:
        with hold(store(), "s") as lease:
            store().want_stop()
            _until(lambda: lease.stop_wanted and lease.holder.beat > 1)
            assert store().holder().beat > 0  # type: ignore[union-attr]
        with hold(store(), "s") as lease:
            time.sleep(0.2)
            assert not lease.stop_wanted

    @pytest.mark.usefixtures("quick_heartbeat")
    def test_what_a_killed_driver_was_asked_is_not_asked_of_the_next(
        self, other_process: subprocess.Popen[str], store: Callable[[], LeaseStore]
    ) -> None:
        store().want_stop()
        os.kill(other_process.pid, signal.SIGKILL)
        other_process.wait()
        with hold(store(), "s") as lease:
            _until(lambda: lease.holder.beat > 1)
            assert not lease.stop_wanted

    @pytest.mark.usefixtures("quick_heartbeat")
    def test_a_driver_whose_lease_was_taken_notices_and_leaves_the_new_one_alone(
        self, url: str, store: Callable[[], LeaseStore]
    ) -> None:
        thief = Holder("elsewhere", 1, "2026-01-31 12:00:05", "thief")
        with hold(store(), "s") as lease:

            def is_noticed() -> bool:
                if not lease._lost:  # a beat that had looked just before may have gone over it
                    self.steal(url, thief)
                return lease._lost

            _until(is_noticed)
            with pytest.raises(LeaseLostError, match="process 1 on elsewhere"):
                lease.check()
        assert store().holder() == thief

    def steal(self, url: str, thief: Holder) -> None:
        self.plant(url, thief)

    def test_a_driver_elsewhere_counts_as_gone_when_its_heart_stands_still(
        self, url: str, store: Callable[[], LeaseStore]
    ) -> None:
        self.plant(url, Holder("elsewhere", 1, "2026-01-31 12:00:05", "token"))
        with hold(store(), "s", watch_seconds=1) as lease:
            assert str(lease.took_over) == "process 1 on elsewhere since 2026-01-31 12:00:05"

    def test_a_driver_elsewhere_whose_heart_beats_is_not_replaced(
        self, url: str, store: Callable[[], LeaseStore]
    ) -> None:
        there = Holder("elsewhere", 1, "2026-01-31 12:00:05", "token")
        self.plant(url, there)
        with (
            beating(lambda number: self.plant(url, replace(there, beat=number)), 0.3),
            pytest.raises(InputError, match="process 1 on elsewhere"),
        ):
            hold(store(), "s", watch_seconds=30).__enter__()

    def test_of_many_that_come_at_once_one_gets_it(self, store: Callable[[], LeaseStore]) -> None:
        held, refused, all_tried = [], [], threading.Barrier(6)

        def drive(own: LeaseStore) -> None:
            try:
                with hold(own, "s") as lease:
                    held.append(lease)
                    all_tried.wait(60)
            except InputError as error:
                refused.append(error)
                all_tried.wait(60)

        threads = [threading.Thread(target=drive, args=(store(),)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(held), len(refused)) == (1, 5)


class TestFileLease(LeaseContract):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return str(tmp_path / "records")

    def plant(self, url: str, holder: Holder) -> None:
        import json
        from dataclasses import asdict

        Path(url).mkdir(exist_ok=True)
        path = Path(url) / "s.lease"
        path.touch()
        # Written without the system's lock, which file systems between machines may not share; never empty meanwhile.
        with path.open("r+") as file:
            file.write(json.dumps(asdict(holder)))
            file.truncate()

    def test_what_a_killed_driver_half_wrote_is_no_holder(self, url: str, store: Callable[[], LeaseStore]) -> None:
        Path(url).mkdir()
        (Path(url) / "s.lease").write_text('{"host": "elsewh')
        with hold(store(), "s") as lease:
            lease.check()


class TestDatabaseLease(LeaseContract):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path / 'records.db'}"


def _until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


del LeaseContract  # its tests run in the classes above alone
