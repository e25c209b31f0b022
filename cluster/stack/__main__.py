"""A command line in; a stack that is started, looked at, stopped, or cleaned away out."""

import os
import shutil
import signal
import time
from pathlib import Path
from typing import Annotated

import typer

from cluster.stack.access import write_access
from cluster.stack.backup import back_up
from cluster.stack.backup import restore as take_back
from cluster.stack.folder import Folder, default_folder
from cluster.stack.ports import choose_ports
from cluster.stack.processes import Known
from cluster.stack.secrets import load_secrets
from cluster.stack.servers.mlflow_server import mlflow_server
from cluster.stack.servers.postgres import postgres
from cluster.stack.servers.programs import check_installed
from cluster.stack.servers.ray_head import ray_head
from cluster.stack.servers.seaweed import remove_sockets, seaweed
from cluster.stack.state import State, held, make_ray_folder, read_state, write_state
from cluster.stack.supervisor import ServerFailedError, Supervisor, end_left_over
from cluster.stack.words import addresses, commands
from gkm.errors import InputError
from pipelines.terminal.command import run_group, say

STOP_SECONDS = 90
FolderOption = Annotated[
    Path | None,
    typer.Option(
        "--folder",
        help="Where all is kept, outside of the checkout.",
        show_default="~/.local/state/gkm-stack; root: /var/lib/gkm-stack",
    ),
]


def _port(server: str) -> typer.models.OptionInfo:
    text = f"Port of {server} on 127.0.0.1; left out: that of the last start, or any that is free."
    option: typer.models.OptionInfo = typer.Option(min=1024, max=65535, show_default=False, help=text)
    return option


def start(
    folder: FolderOption = None,
    cpus: Annotated[int | None, typer.Option(min=1, help="Cores that Ray offers.", show_default="all")] = None,
    ray_port: Annotated[int | None, _port("Ray's dashboard")] = None,
    mlflow_port: Annotated[int | None, _port("MLflow")] = None,
    s3_port: Annotated[int | None, _port("S3")] = None,
    postgres_port: Annotated[int | None, _port("PostgreSQL")] = None,
) -> None:
    """Start PostgreSQL, S3, MLflow and Ray, and keep them running until Ctrl-C or SIGTERM.

    They ask for passwords that are drawn at the first start. What they keep stays for the next one.

    Examples:
      python -m cluster.stack start --mlflow-port 5000 --cpus 2
    """
    began = time.monotonic()
    check_installed()
    place = _place(folder)
    place.make()
    with held(place):
        last = read_state(place)
        if count := end_left_over(place, last):
            say(f"Ended {count} processes of a stack that was killed.")
        _remove_ray(last)
        asked = {"ray": ray_port, "mlflow": mlflow_port, "s3": s3_port, "postgres": postgres_port}
        ports = choose_ports(asked, last.ports)
        secrets = load_secrets(place.keys)
        state = State(ports=ports, supervisor=Known.of(os.getpid()), ray_folder=make_ray_folder())
        assert state.ray_folder is not None
        try:
            write_state(place, state)
            write_access(place, ports, secrets)
            servers = [
                postgres(place, ports["postgres"], secrets),
                seaweed(place, ports, secrets),
                ray_head(place, ports, secrets, state.ray_folder, cpus),
                mlflow_server(place, ports, secrets),
            ]
            supervisor = Supervisor(place, servers, state, _say_now)
            _stop_by_signals(supervisor)
            say("Starting PostgreSQL, S3, MLflow and Ray ...")
            supervisor.run(lambda: _say_up(place, ports, time.monotonic() - began))
        except ServerFailedError as error:
            say(f"error: {error}")
            raise typer.Exit(1) from None
        finally:
            _remove_ray(state)
            remove_sockets(ports)
    say("The stack is stopped.")


def status(folder: FolderOption = None) -> None:
    """Say what runs, and where. Exit status 1 where nothing does."""
    place = _place(folder)
    state = read_state(place)
    if state.supervisor is None or not state.supervisor.runs:
        say(f"No stack runs in {place.root}.")
        raise typer.Exit(1)
    for name, running in state.servers.items():
        alive = running.process.runs
        word = "ready" if alive and running.ready else "starting" if alive else "ended"
        say(f"{name}: {word}, process {running.process.pid}")
    say(addresses(place, state.ports))
    say(commands(place))


def stop(folder: FolderOption = None) -> None:
    """End a stack that runs in another terminal, or what one that was killed has left."""
    place = _place(folder)
    state = read_state(place)
    if state.supervisor is not None and state.supervisor.runs:
        os.kill(state.supervisor.pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while state.supervisor.runs and time.monotonic() < deadline:
            time.sleep(0.2)
    elif not state.servers:
        return say(f"No stack runs in {place.root}.")
    count = end_left_over(place, state)
    _remove_ray(state)
    if state.ports:
        remove_sockets(state.ports)
    write_state(place, State(ports=state.ports))
    say(f"The stack is stopped{f'; {count} processes had been left over' if count else ''}.")


def restart(
    server: Annotated[str, typer.Argument(help="postgres, s3, mlflow or ray.")],
    folder: FolderOption = None,
    kill: Annotated[bool, typer.Option("--kill", help="By SIGKILL: it can finish nothing.")] = False,
) -> None:
    """End one server; the stack starts it again, and the command returns when it answers."""
    place = _place(folder)
    state = _running(place)
    if server not in state.servers:
        raise InputError(f"{server}: no such server runs; a stack has postgres, s3, mlflow and ray")
    before, began = state.servers[server].process, time.monotonic()
    how = signal.SIGKILL if kill else signal.SIGINT if server == "postgres" else signal.SIGTERM
    os.kill(before.pid, how)
    while True:
        time.sleep(0.2)
        now = read_state(place)
        if now.supervisor is None or not now.supervisor.runs:
            raise InputError(f"{server}: the stack has ended; see {place.logs}")
        if (running := now.servers.get(server)) and running.process != before and running.ready:
            return say(f"{server} answers again after {time.monotonic() - began:.1f} s.")


def backup(target: Annotated[Path, typer.Argument(help="A new folder.")], folder: FolderOption = None) -> None:
    """Write databases, objects and passwords of a running stack to a folder. No study should be running."""
    place = _place(folder)
    counts = back_up(place, _running(place).ports, target)
    say(f"Wrote {target}: databases mlflow and studies, {_counted(counts)}. It has the passwords, too.")


def restore(
    source: Annotated[Path, typer.Argument(help="A folder written by backup.")],
    folder: FolderOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it.")] = False,
) -> None:
    """Make a running stack what it was at a backup; what came since is deleted."""
    place = _place(folder)
    state = _running(place)
    if not yes:
        raise InputError(f"{place.root}: what is in it and not in {source} would be deleted; say --yes")
    counts = take_back(place, state.ports, source)
    restart("mlflow", folder)
    say(f"Restored databases mlflow and studies, {_counted(counts)}.")


def clean(
    folder: FolderOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it.")] = False,
) -> None:
    """Delete all that a stack has kept: runs, models, records, data, passwords."""
    place = _place(folder)
    if not place.state.exists():
        raise InputError(f"{place.root}: no stack was ever started there")
    if not yes:
        raise InputError(f"{place.root}: all runs, models, records and data in it would be deleted; say --yes")
    with held(place):
        end_left_over(place, read_state(place))
        shutil.rmtree(place.root)
    say(f"Deleted {place.root}.")


def _stop_by_signals(supervisor: Supervisor) -> None:
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if each != signal.SIGHUP or signal.getsignal(each) != signal.SIG_IGN:  # as nohup leaves it
            signal.signal(each, lambda *_: supervisor.stop())


def _place(folder: Path | None) -> Folder:
    return Folder((folder or default_folder()).expanduser().resolve())


def _running(place: Folder) -> State:
    state = read_state(place)
    if state.supervisor is None or not state.supervisor.runs:
        raise InputError(f"{place.root}: no stack runs there; start it: make stack")
    return state


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} objects of bucket {bucket}" for bucket, count in counts.items())


def _remove_ray(state: State) -> None:
    if state.ray_folder is not None and state.ray_folder.parent == Path("/tmp"):
        shutil.rmtree(state.ray_folder, ignore_errors=True)


def _say_now(text: str) -> None:
    say(f"{time.strftime('%H:%M:%S')} {text}")


def _say_up(folder: Folder, ports: dict[str, int], seconds: float) -> None:
    say(f"The stack runs, on 127.0.0.1 only, after {seconds:.0f} s:")
    say(addresses(folder, ports))
    say("")
    say(commands(folder))


if __name__ == "__main__":
    functions = {each.__name__: each for each in (start, status, stop, restart, backup, restore, clean)}
    run_group(functions, "PostgreSQL, S3, MLflow and Ray with passwords, on this machine.")
