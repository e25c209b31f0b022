"""What every command does alike: help, one-sentence errors, exit status, quiet progress."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gkm.errors import InputError
from pipelines.command import build, progress, say
from pipelines.options import DEFAULT_WORKSPACE, TRACKING_URI, WORKSPACE


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


def test_unknown_option_is_status_2() -> None:
    assert CliRunner().invoke(build(refuse), ["--nonsense"]).exit_code == 2


def test_defects_keep_their_traceback() -> None:
    def broken() -> None:
        """Break."""
        raise RuntimeError("ours")

    result = CliRunner().invoke(build(broken), [])
    assert isinstance(result.exception, RuntimeError)


def test_ctrl_c_ends_with_130_and_a_sentence(tmp_path: Path) -> None:
    script = tmp_path / "wait.py"
    script.write_text(
        "import time\nfrom pipelines.command import run\n"
        "def main() -> None:\n    '''Wait.'''\n    print('up', flush=True)\n    time.sleep(60)\n"
        "run(main)\n"
    )
    with subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert errors == "stopped by Ctrl-C; what was finished is kept\n"


def test_progress_is_silent_when_not_a_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    with progress() as display:
        assert sum(display.track(range(3))) == 3
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["deblur", "evaluate_noise", "promote"])
def test_help_shows_examples_without_importing_heavy_libraries(name: str) -> None:
    code = (
        f"import sys, pipelines.{name} as pipeline; from pipelines.command import build\n"
        "sys.argv = ['x', '--help']\n"
        "try:\n    build(pipeline.main)()\n"
        "finally:\n    assert not {'torch', 'mlflow', 'ray', 'numpy', 'pandas', 'optuna'} & set(sys.modules)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Examples" in result.stdout
