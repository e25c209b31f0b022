"""A driver asks trainings elsewhere to leave: those of this start of it, after their time of grace."""

import time
from pathlib import Path

from gkm.training.course.leaving import LeaveRequest, Leaving


def _wait(leaving: Leaving) -> None:
    began = time.monotonic()
    while not leaving():
        assert time.monotonic() - began < 60
        time.sleep(0.02)


def test_who_watches_hears_of_it_after_the_time_of_grace(tmp_path: Path) -> None:
    request = LeaveRequest(str(tmp_path / "study" / "leave"), "this start")
    with (
        request.watched() as at_once,
        request.watched(grace_seconds=1.5) as later,
        request.watched(grace_seconds=1000) as much_later,
    ):
        assert not at_once()
        posted = time.monotonic()
        request.post()
        _wait(at_once)
        _wait(later)
        assert time.monotonic() - posted >= 1.5
        assert not much_later()
    request.withdraw()
    assert not (tmp_path / "study" / "leave").exists()


def test_what_an_earlier_start_has_left_asks_nobody(tmp_path: Path) -> None:
    location = str(tmp_path / "leave")
    LeaveRequest(location, "killed").post()
    now = LeaveRequest(location, "now")
    with now.watched() as leaving:
        time.sleep(1.5)
        assert not leaving()
        now.post()
        _wait(leaving)


def test_a_place_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    request = LeaveRequest(str(tmp_path / "file" / "leave"), "token")
    request.post()
    request.withdraw()
