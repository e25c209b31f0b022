"""How fast crops pass, and how long is waited for them."""

import time
from collections.abc import Iterator

from gkm.training.usage import Pace


def _slow() -> Iterator[int]:
    for number in range(4):
        time.sleep(0.05)
        yield number


def test_the_share_of_waiting_and_the_speed_are_of_the_time_between_two_looks() -> None:
    pace = Pace()
    assert pace.measure() == {}
    for _ in pace.waited_for(_slow()):
        time.sleep(0.05)
        pace.count(8)
    measured = pace.measure()
    assert 10 < measured["system/data_wait_percent"] < 90
    assert 1 < measured["system/crops_per_second"] <= 32 / 0.4
    assert pace.measure() == {}
