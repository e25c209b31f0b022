"""Results made ahead of time: in order, not too far ahead, errors where they belong, no thread left behind."""

import threading
import time

import pytest

from gkm.data.reading.prefetch import in_order


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_results_come_in_order(workers):
    def slow_at_first(number):
        time.sleep(0.02 if number == 0 else 0)
        return number * number

    assert list(in_order(slow_at_first, range(30), workers)) == [number * number for number in range(30)]
    assert list(in_order(slow_at_first, [], workers)) == []


def test_threads_work_at_the_same_time_but_not_far_ahead():
    together, before = threading.Barrier(3, timeout=60), threading.enumerate()
    begun = []

    def met(number):
        begun.append(number)
        if number < 3:
            together.wait()
        return number

    results = in_order(met, range(1000), 3)
    assert next(results) == 0
    assert max(begun) <= 7
    results.close()
    left = [thread for thread in threading.enumerate() if thread not in before]  # earlier tests may have left some
    assert not [thread for thread in left if thread.name.startswith("gkm-crops")]
    assert max(begun) < 20


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_comes_where_its_result_would(workers):
    def failing(number):
        if number == 3:
            raise ValueError("the third")
        return number

    results = in_order(failing, range(10), workers)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="the third"):
        next(results)
