"""How fast crops pass, and how long is waited for them."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from gkm.training import usage
from gkm.training.usage import Pace


class Clock:
    """Time goes on while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def slow(self) -> Iterator[int]:
        for number in range(4):
            self.sleep(0.03)
            yield number


def test_the_share_of_waiting_and_the_speed_are_of_the_time_between_two_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, pace = Clock(), Pace()
    monkeypatch.setattr(usage, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    assert pace.measure() == {}
    for _ in pace.waited_for(clock.slow()):
        clock.sleep(0.07)
        pace.count(8)
    clock.sleep(5)
    measured = pace.measure()
    assert measured == pytest.approx({"system/data_wait_percent": 30, "system/crops_per_second": 32 / 0.4})
    assert pace.measure() == {}


def test_what_is_done_aside_is_neither_waiting_nor_passing(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, pace = Clock(), Pace()
    monkeypatch.setattr(usage, "time", SimpleNamespace(perf_counter=lambda: clock.now))

    def slow() -> Iterator[int]:
        for number in clock.slow():
            with pace.aside():
                clock.sleep(60)
            yield number

    for _ in pace.waited_for(slow()):
        clock.sleep(0.07)
        pace.count(8)
    assert pace.measure() == pytest.approx({"system/data_wait_percent": 30, "system/crops_per_second": 32 / 0.4})
