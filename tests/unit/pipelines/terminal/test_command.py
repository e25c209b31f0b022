"""What every command does alike: help, one-sentence errors, exit status, quiet progress."""

import errno
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import pytest
import typer
from rich.table import Table
from typer.testing import CliRunner

from gkm.errors import InputError
from pipelines.terminal.command import build, keeping_signals, progress, say
from pipelines.terminal.command import show as print_table
from pipelines.terminal.options import DEFAULT_WORKSPACE, TRACKING_URI, WORKSPACE


def show(workspace: WORKSPACE = DEFAULT_WORKSPACE, tracking_uri: TRACKING_URI = None) -> None:
    """Show [bracketed] settings.

    Examples:
        python pipelines/show.py --set model.width=[8]
        python pipelines/show.py
    """
    say(f"{workspace} {tracking_uri}")


def refuse() -> None:
    """Refuse."""
    raise InputError("photo [1].png: is no image; give a PNG or JPEG " + "x" * 200)


def test_help_shows_text_options_and_examples_as_written() -> None:
    result = CliRunner().invoke(build(show), ["--help"], env={"GKM_WORKSPACE": None})
    assert result.exit_code == 0
    for expected in ("Show [bracketed] settings.", "GKM_WORKSPACE", "MLFLOW_TRACKING_URI", "--set model.width=[8]"):
        assert expected in result.stdout


def test_options_come_from_the_environment_and_the_command_line_wins() -> None:
    environment = {"GKM_WORKSPACE": "/tmp/here", "MLFLOW_TRACKING_URI": "http://host:5000"}
    assert CliRunner().invoke(build(show), [], env=environment).stdout == "/tmp/here http://host:5000\n"
    assert CliRunner().invoke(build(show), ["--workspace", "w"], env=environment).stdout == "w http://host:5000\n"


def test_input_error_is_one_unbroken_line_and_status_2() -> None:
    result = CliRunner().invoke(build(refuse), [])
    assert result.exit_code == 2
    assert result.stderr == "error: photo [1].png: is no image; give a PNG or JPEG " + "x" * 200 + "\n"
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], " x"),
        (["--allow"], "all x"),
        (["--allow", "--other", "y"], "all y"),
        (["--allow", "near", "--other", "y"], "near y"),
        (["--allow=near"], "near x"),
    ],
)
def test_option_with_its_metavar_in_brackets_may_stand_alone(arguments: list[str], said: str) -> None:
    def choose(
        allow: Annotated[str, typer.Option("--allow", metavar="[exact,near]")] = "",
        other: Annotated[str, typer.Option("--other")] = "x",
    ) -> None:
        """Choose."""
        say(f"{allow} {other}")

    assert CliRunner().invoke(build(choose), arguments).stdout == f"{said}\n"


def test_unknown_option_is_status_2() -> None:
    assert CliRunner().invoke(build(refuse), ["--nonsense"]).exit_code == 2


def test_defects_keep_their_traceback() -> None:
    def broken() -> None:
        """Break."""
        raise RuntimeError("ours")

    result = CliRunner().invoke(build(broken), [])
    assert isinstance(result.exception, RuntimeError)


@pytest.mark.parametrize(("number", "name"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")])
def test_a_signal_ends_with_its_status_and_a_sentence(tmp_path: Path, number: signal.Signals, name: str) -> None:
    script = tmp_path / "wait.py"
    script.write_text(
        "import signal, time\nfrom pipelines.terminal.command import run\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a background job of a shell has it ignored
        "def main() -> None:\n    '''Wait.'''\n    print('up', flush=True)\n    time.sleep(60)\n"
        "run(main)\n"
    )
    with subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert errors == f"stopped by {name}; what was finished is kept\n"


def test_handlers_that_a_library_puts_there_are_taken_away_again() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with keeping_signals():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGTERM) == before


def test_sigterm_by_which_ray_leaves_the_block_is_heard_by_those_who_heeded_it_before() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        with pytest.raises(KeyboardInterrupt), keeping_signals():
            sys.exit(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM]
    with pytest.raises(SystemExit), keeping_signals():
        sys.exit(1)


def full_disk() -> None:
    raise OSError(errno.ENOSPC, "No space left on device", "/mnt/runs/x")


def full_database() -> None:
    try:
        raise RuntimeError("(sqlite3.OperationalError) database or disk is full [SQL: UPDATE x]")
    except RuntimeError as error:
        raise ValueError("cannot log") from error


@pytest.mark.parametrize(
    ("cause", "sentence"),
    [
        (full_disk, "error: /mnt/runs/x: No space left on device; make room and start again\n"),
        (full_database, "error: the disk with the tracking database or the record is full"),
    ],
)
def test_a_full_disk_is_one_sentence(cause: Callable[[], None], sentence: str) -> None:
    def write() -> None:
        """Write."""
        cause()

    result = CliRunner().invoke(build(write), [])
    assert result.exit_code == 2
    assert result.stderr.startswith(sentence)
    assert result.stderr.count("\n") == 1


def test_other_errors_of_the_system_keep_their_traceback() -> None:
    def write() -> None:
        """Write."""
        raise OSError(errno.EIO, "Input/output error")

    assert isinstance(CliRunner().invoke(build(write), []).exception, OSError)


def refused_option(value: int) -> int:
    raise InputError(f"{value}: is no such thing; give another")


def test_what_an_option_refuses_is_one_sentence() -> None:
    def take(number: Annotated[int, typer.Option(callback=refused_option)] = 3) -> None:
        """Take."""

    result = CliRunner().invoke(build(take), ["--number", "7"])
    assert (result.exit_code, result.stderr) == (2, "error: 7: is no such thing; give another\n")


def test_a_table_is_as_wide_as_it_wants_to_be_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("a" * 90, "b" * 90)
    print_table(table)
    assert any("a" * 90 in line and "b" * 90 in line for line in capsys.readouterr().out.splitlines())


def test_progress_is_silent_when_not_a_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    with progress() as display:
        assert sum(display.track(range(3))) == 3
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["deblur", "evaluate_noise", "promote"])
def test_help_shows_examples_without_importing_heavy_libraries(name: str) -> None:
    code = (
        f"import sys, pipelines.{name} as pipeline; from pipelines.terminal.command import build\n"
        "sys.argv = ['x', '--help']\n"
        "try:\n    build(pipeline.main)()\n"
        "finally:\n    assert not {'torch', 'mlflow', 'ray', 'numpy', 'pandas', 'optuna'} & set(sys.modules)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Examples" in result.stdout
