"""What holds for the right to train a trial, wherever its place is: to be inherited by tests that give one."""

import os
import re
import subprocess
import sys

import pytest

from gkm.errors import InputError
from gkm.study.single.claim import claimed
from tests.hearts import refuse_to_watch

HOLD = """
import sys, time
from gkm.study.single.claim import claimed
with claimed(sys.argv[1], "trial-x"):
    print("held", flush=True)
    time.sleep(60)
"""


class ClaimContract:
    """Subclasses give the fixture `place`, an empty location."""

    def test_it_is_given_back(self, place: str) -> None:
        for _ in range(2):
            with claimed(place, "trial-x"):
                pass

    def test_another_process_is_refused_by_host_process_and_time_until_it_is_gone(
        self, place: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        refuse_to_watch(monkeypatch)
        other = subprocess.Popen(
            [sys.executable, "-c", HOLD, place], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
        )
        try:
            assert other.stdout
            assert other.stdout.readline() == "held\n"
            with pytest.raises(InputError) as refusal, claimed(place, "trial-x"):
                pass
            said = rf"trial-x: is being trained by process {other.pid} on \S+ since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d; "
            assert re.match(said, str(refusal.value))
        finally:
            other.kill()
            other.communicate()
        with claimed(place, "trial-x") as lease:
            assert lease.took_over is not None
            assert lease.took_over.process == other.pid
