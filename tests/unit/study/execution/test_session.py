"""What local Ray sessions leave behind is removed, also while processes that are about to end still write there."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from gkm.study.execution import session

WRITER = """
import contextlib, os, pathlib, time
folder, until = pathlib.Path(os.environ["FOLDER"]), time.monotonic() + 1.5
number = 0
print("writing", flush=True)
while time.monotonic() < until:
    number += 1
    with contextlib.suppress(OSError):
        folder.mkdir(exist_ok=True)
        (folder / f"{number}.log").write_text("x")
"""


GARBAGE = """
import gc, threading
import ray
from ray._private.worker import global_worker
from gkm.study.execution.session import start_ray

class Cycle:
    pass

class Slow:  # between the end of Ray's library and Python's knowing of it, another thread collects garbage
    def __init__(self, core_worker):
        self._core_worker = core_worker

    def __getattr__(self, name):
        return getattr(self._core_worker, name)

    def shutdown_driver(self):
        self._core_worker.shutdown_driver()
        collecting = threading.Thread(target=gc.collect)
        collecting.start()
        collecting.join()

gc.disable()
with start_ray("local", 1):
    cycle = Cycle()
    cycle.itself, cycle.reference = cycle, ray.put(1)
    del cycle
    global_worker.core_worker = Slow(global_worker.core_worker)
"""


EARLY = """
import time
from gkm.study.execution.session import start_ray

with start_ray("local", 1):
    time.sleep(60)
"""


def _agents(driver: int) -> set[int]:
    """Those of a driver's own Ray, by their logs: other tests have theirs."""
    found = set()
    for process in psutil.process_iter(["cmdline"]):
        if (process.info["cmdline"] or [""])[0].startswith(("ray::DashboardAgent", "ray::RuntimeEnvAgent")):
            with contextlib.suppress(OSError):
                files = [os.readlink(file) for file in Path(f"/proc/{process.pid}/fd").iterdir()]
                if any(f"/gkm-ray-{driver}-" in file for file in files):
                    found.add(process.pid)
    return found


@pytest.fixture(autouse=True)
def _folder_for_sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_parent", lambda: tmp_path)


def _pid_of_the_dead() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_the_folder_of_a_killed_session_goes_though_a_dying_process_writes_into_it(tmp_path: Path) -> None:
    folder = tmp_path / f"gkm-ray-{_pid_of_the_dead()}-abc"
    folder.mkdir()
    environment = {**os.environ, "FOLDER": str(folder)}
    with subprocess.Popen([sys.executable, "-c", WRITER], stdout=subprocess.PIPE, env=environment) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        session.remove_leftovers(seconds=20)
        assert writer.wait() == 0
    session.remove_leftovers(seconds=1)
    assert not folder.exists()


def test_a_process_of_ray_that_outlived_its_session_is_ended(tmp_path: Path) -> None:
    folder = tmp_path / f"gkm-ray-{_pid_of_the_dead()}-abc"
    folder.mkdir()
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", f"--session-dir={folder}"]) as agent:
        session.remove_leftovers(seconds=5)
        assert agent.wait(5) == -signal.SIGKILL
    assert not folder.exists()


def test_one_that_is_known_by_a_title_alone_is_found_by_its_logs(tmp_path: Path) -> None:
    """Ray's agents whose raylet dies while they start wait for it for a minute and more."""
    folder, other = tmp_path / f"gkm-ray-{_pid_of_the_dead()}-abc", tmp_path / "other"
    for place in (folder, other):
        place.mkdir()
    wait = "import sys, time; print('here', flush=True); sys.stderr.write('x'); time.sleep(60)"
    agents = []
    try:
        for place in (folder, other):
            with (place / "agent.err").open("w") as log:
                command = ["ray::DashboardAgent", "-c", wait]
                agents.append(subprocess.Popen(command, executable=sys.executable, stdout=subprocess.PIPE, stderr=log))
            assert agents[-1].stdout is not None
            agents[-1].stdout.readline()
        session.remove_leftovers(seconds=5)
        assert agents[0].wait(5) == -signal.SIGKILL
        assert agents[1].poll() is None
    finally:
        for agent in agents:
            agent.kill()
            agent.communicate()
    assert not folder.exists()


def test_an_interrupted_start_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(folder: Path, cpus: int | None) -> None:
        (folder / "session").mkdir()
        raise KeyboardInterrupt

    monkeypatch.setattr(session, "_start_local", interrupted)
    with pytest.raises(KeyboardInterrupt), session.start_ray("local"):
        pass
    assert not list(tmp_path.iterdir())


def test_a_ray_that_does_not_start_is_a_lost_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**settings: object) -> None:
        raise Exception("The current node timed out during startup. This could happen because ...")

    monkeypatch.setattr(session.ray, "init", fail)
    reason = r"did not start on this machine \(The current node timed out"
    with pytest.raises(session.SessionLostError, match=reason), session.start_ray("local"):
        pass
    assert not list(tmp_path.iterdir())


def test_the_folder_of_a_session_that_runs_stays(tmp_path: Path) -> None:
    folder = tmp_path / f"gkm-ray-{os.getpid()}-abc"
    folder.mkdir()
    (tmp_path / "other").mkdir()
    session.remove_leftovers()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([folder.name, "other"])


def test_sockets_fit_where_the_folder_for_temporary_files_has_a_long_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    long = tmp_path / ("x" * 60)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    assert session._parent() == Path("/tmp")


@pytest.mark.slow
@pytest.mark.ray
def test_references_in_cycles_do_not_end_the_process_when_ray_shuts_down() -> None:
    assert subprocess.run([sys.executable, "-c", GARBAGE], check=False, timeout=300).returncode == 0


@pytest.mark.slow
@pytest.mark.ray
def test_agents_of_a_driver_that_was_killed_while_they_started_are_ended_by_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.undo()  # the driver's own folder is in the usual place
    with subprocess.Popen([sys.executable, "-c", EARLY]) as driver:
        deadline = time.monotonic() + 60
        while len(_agents(driver.pid)) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        driver.kill()
    assert len(_agents(driver.pid)) == 2
    session.remove_leftovers(seconds=5)
    assert not _agents(driver.pid)
