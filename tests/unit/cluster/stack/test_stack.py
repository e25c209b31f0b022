"""The stack's parts without its servers: ports, secrets, folder, and the supervision of processes."""

import json
import os
import signal
import socket
import stat
import sys
import threading
import time

import pytest

from cluster.stack.access import write_access
from cluster.stack.folder import CHECKOUT, Folder, write_private
from cluster.stack.ports import CHOSEN, INSIDE, choose_ports
from cluster.stack.processes import Known, belonging, spawn
from cluster.stack.secrets import Secrets, load_secrets
from cluster.stack.servers import programs
from cluster.stack.servers.server import Server
from cluster.stack.state import State, held, read_state, write_state
from cluster.stack.supervisor import ServerFailedError, Supervisor, end_left_over
from cluster.stack.words import road
from gkm.errors import InputError

PORTS = {name: 40000 + number for number, name in enumerate((*CHOSEN, *INSIDE))}


@pytest.fixture
def folder(tmp_path):
    made = Folder(tmp_path / "stack")
    made.make()
    return made


def sleeper(folder, name="one", code="", after=(), ready=lambda: True):
    """A server that starts a child and does nothing; `code` runs first."""
    child = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])"
    return Server(
        name=name, command=[sys.executable, "-c", f"{code}\n{child}; time.sleep(60)"], environment=dict(os.environ),
        folder=folder.root, ready=ready, after=after, stop_seconds=5,
    )  # fmt: skip


def test_ports_are_those_asked_for_then_those_of_the_last_start():
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as other:
        used, free = taken.getsockname()[1], other.getsockname()[1]
        other.close()
        chosen = choose_ports({"ray": None, "mlflow": free}, {"ray": used, "s3": free})
        assert (chosen["mlflow"], len(set(chosen.values()))) == (free, len(CHOSEN) + len(INSIDE))
        assert used not in chosen.values()
        assert choose_ports({}, chosen) == chosen
        with pytest.raises(InputError, match=f"port {used} of 127.0.0.1 is taken .* --s3-port"):
            choose_ports({"s3": used}, {})
        with pytest.raises(InputError, match="cannot have the same port"):
            choose_ports({"s3": free, "ray": free}, {})


def test_secrets_are_drawn_once_and_are_for_this_account_only(folder):
    first = load_secrets(folder.keys)
    assert load_secrets(folder.keys) == first != Secrets()
    values = list(first.model_dump().values())
    assert len(set(values)) == len(values)
    assert min(map(len, values)) >= 32
    assert not any(value in repr(first) for value in values)
    write_access(folder, PORTS, first)
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.keys.iterdir()} == {0o600}
    (folder.keys / "secrets.json").write_text(json.dumps({"ray_token": "oh", "more": "my secret"}))
    with pytest.raises(InputError, match="is damaged") as caught:
        load_secrets(folder.keys)
    assert "my secret" not in str(caught.value)


def test_a_private_file_replaces_one_that_others_could_read(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, "new")
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("new", 0o600)
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_jobs_would_upload_is_refused(tmp_path):
    with pytest.raises(InputError, match="lies in the checkout"):
        Folder(CHECKOUT / "runs" / "stack").make()
    assert not (CHECKOUT / "runs" / "stack").exists()
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be used"):
        Folder(tmp_path / "file" / "stack").make()


def test_servers_see_no_keys_for_elsewhere(monkeypatch):
    for name in ("AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_PASSWORD", "PGPASSWORD", "RAY_ADDRESS", "GKM_RECORD"):
        monkeypatch.setenv(name, "of another place")
    assert "of another place" not in programs.plain_environment().values()


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(programs.NEEDED, "no_such_module", "PostgreSQL")
    with pytest.raises(InputError, match=r"^PostgreSQL: not installed; .* -m pip install .* '.\[stack\]'"):
        programs.check_installed()


def test_the_road_names_no_secret(folder):
    secrets = load_secrets(folder.keys)
    said = "\n".join(road(folder))
    assert str(folder.environment) in said
    assert not any(value in said for value in secrets.model_dump().values())


def test_a_second_start_is_told(folder):
    with held(folder), pytest.raises(InputError, match="a stack runs there already"), held(folder):
        pass
    with held(folder):
        pass


def test_a_damaged_state_is_none(folder):
    write_state(folder, State(ports={"ray": 1}))
    assert read_state(folder).ports == {"ray": 1}
    folder.state.write_text("{")
    assert read_state(folder) == State()


def supervised(folder, *servers):
    """A supervisor that runs in a thread, what it said, and what it ended with."""
    said, ended, up = [], [], threading.Event()
    supervisor = Supervisor(folder, servers, State(), said.append)

    def run():
        try:
            supervisor.run(up.set)
        except ServerFailedError as error:
            ended.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    return supervisor, thread, said, ended, up


def until(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_killed_server_is_started_again_and_all_end_with_what_they_started(folder):
    order = []
    one = sleeper(folder, ready=lambda: order.append("one") or True)
    two = sleeper(folder, "two", after=("one",), ready=lambda: order.append("two") or True)
    supervisor, thread, said, _, up = supervised(folder, two, one)
    try:
        assert up.wait(30)
        assert order[0] == "one"
        first = read_state(folder).servers["one"].process
        until(lambda: len(belonging(f"{folder.root}:one", [first])) == 2)
        os.kill(first.pid, signal.SIGKILL)
        until(lambda: (now := read_state(folder).servers["one"]).process != first and now.ready)
        until(lambda: len(said) == 2)
        assert said == ["one ended with status -9; it is started again ...", "one answers again."]
        assert all(process.ppid() != 1 for process in belonging(f"{folder.root}:one"))
    finally:
        supervisor.stop()
        thread.join(30)
    assert belonging(f"{folder.root}:") == []
    assert read_state(folder).servers == {}


def test_a_server_that_does_not_start_is_reported_with_its_last_words(folder):
    _, thread, said, ended, up = supervised(
        folder,
        sleeper(folder, code="raise SystemExit('no such disk')", ready=lambda: False),
    )
    thread.join(30)
    assert not up.is_set()
    assert len(said) == 3
    assert "one ended with status 1" in ended[0]
    assert "no such disk" in ended[0]


def test_what_a_killed_supervisor_has_left_is_ended(folder):
    server = sleeper(folder)
    process = spawn(
        server.command, server.environment, f"{folder.root}:one", folder.logs / "one.log", folder.root, None
    )
    until(lambda: len(belonging(f"{folder.root}:")) == 2)
    process.kill()
    process.wait()
    assert [child.is_running() for child in belonging(f"{folder.root}:")] == [True]
    assert end_left_over(folder, State()) == 1
    assert belonging(f"{folder.root}:") == []
    assert end_left_over(folder, State()) == 0


def test_another_process_with_a_known_number_is_left_alone():
    me = Known.of(os.getpid())
    assert me.runs
    assert not Known(pid=me.pid, began=me.began - 100).runs
