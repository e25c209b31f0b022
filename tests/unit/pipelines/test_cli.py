"""The console command: the pipelines by name, quick help, completion, jobs with their commit."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipelines import submit
from pipelines.cli import PIPELINES, app, in_its_words
from pipelines.terminal.command import build

GKM = Path(sys.executable).with_name("gkm")
ROOT = Path(__file__).resolve().parents[3]


def test_every_pipeline_has_a_name() -> None:
    files = {path.stem for path in (ROOT / "pipelines").glob("*.py") if "\nif __name__" in path.read_text()}
    assert {module for module, _ in PIPELINES.values()} == files - {"cli"}
    for module, _ in PIPELINES.values():
        found = importlib.import_module(f"pipelines.{module}")
        assert hasattr(found, "main") or hasattr(found, "COMMANDS")


@pytest.mark.parametrize("name", PIPELINES)
def test_help_speaks_of_the_console_command(name: str) -> None:
    help_text = CliRunner().invoke(app, [name, "--help"], prog_name="gkm", env={"COLUMNS": "200"}).stdout
    assert f"Usage: gkm {name}" in help_text
    assert "python pipelines/" not in help_text
    if name not in ("registry", "study"):
        assert f" gkm {name} " in help_text.partition("Examples")[2] + " "


def test_commands_of_a_group_are_reached() -> None:
    result = CliRunner().invoke(app, ["study", "show", "--help"], prog_name="gkm", env={"COLUMNS": "200"})
    assert "Usage: gkm study show [OPTIONS] {NAME}" in result.stdout
    assert "gkm study show quick" in result.stdout


def test_arguments_and_exit_status_are_those_of_the_pipeline(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["sweep", "--space", "none.py", "--data", "x"], env={"GKM_WORKSPACE": str(tmp_path)}
    )
    assert result.exit_code == 2
    assert result.stderr.startswith("error: none.py: there is no such search space file")
    assert CliRunner().invoke(app, ["tune"]).exit_code == 2


def test_help_imports_no_heavy_library() -> None:
    code = (
        "import sys; from pipelines.cli import app\nsys.argv = ['gkm', 'sweep', '--help']\n"
        "try:\n    app()\n"
        "finally:\n    assert not {'torch', 'mlflow', 'ray', 'numpy', 'pandas', 'optuna'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)


def test_the_installed_command_has_a_version_and_completes() -> None:
    assert subprocess.run([GKM, "--version"], capture_output=True, text=True, check=True).stdout.startswith("gkm ")
    for line, completed in (("gkm swe", "sweep"), ("gkm sweep --concu", "--concurrent"), ("gkm study sh", "show")):
        environment = {
            **os.environ,
            "_GKM_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(line.count(" ")),
        }
        answer = subprocess.run([GKM], env=environment, capture_output=True, text=True, check=False)
        assert completed in answer.stdout.split(), answer.stderr


def test_words_of_help_are_translated() -> None:
    assert in_its_words("python pipelines/evaluate_noise.py --x") == "gkm evaluate-noise --x"


def test_a_job_carries_its_commit_and_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[list[str]] = []
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(submit.os, "execv", lambda path, arguments: called.append(arguments))
    monkeypatch.setattr("gkm.tracking.environment.git_commit", lambda: "abc-dirty")
    arguments = ["--address", "http://127.0.0.1:8265", "--", "sweep", "--space", "my space.py", "--trials", "3"]
    result = CliRunner().invoke(build(submit.main), arguments)
    assert result.exit_code == 0, result.output
    (call,) = called
    assert call[1:5] == ["job", "submit", "--working-dir", "."]
    variables: dict[str, Any] = json.loads(call[call.index("--runtime-env-json") + 1])["env_vars"]
    assert variables["GKM_GIT_COMMIT"] == "abc-dirty"
    assert call[call.index("--address") + 1] == "http://127.0.0.1:8265"
    assert call[call.index("--") + 1 :] == ["python", "-m", "pipelines.cli", *arguments[3:]]


@pytest.mark.parametrize(
    "word",
    [
        "my space.py",
        "postgresql://me@host/studies?sslmode=require&connect_timeout=5",
        "it's 5 $ (or `more`)",
        "$HOME/*;~",
        'a"b c\\',
        r"two\\back\slashes",
        r"two\\back \slashes",
        "",
    ],
)
def test_words_that_a_shell_would_read_otherwise_reach_the_job_as_they_are(
    monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    called: list[list[str]] = []
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(submit.os, "execv", lambda path, arguments: called.append(arguments))
    CliRunner().invoke(build(submit.main), ["--", "sweep", "--record", word])
    ((*_, there),) = called
    read = subprocess.list2cmdline(["printf", "%s", there])  # as `ray job submit` hands a command to its shell
    assert subprocess.run(["/bin/sh", "-c", read], capture_output=True, text=True, check=True).stdout == word


@pytest.mark.parametrize(
    ("folder", "arguments", "sentence"),
    [(ROOT, ["--", "tune"], "tune: is no command of gkm"), ("/", ["--", "sweep"], "is not the root of a checkout")],
)
def test_a_job_that_cannot_run_is_refused(
    monkeypatch: pytest.MonkeyPatch, folder: Path, arguments: list[str], sentence: str
) -> None:
    monkeypatch.chdir(folder)
    result = CliRunner().invoke(build(submit.main), arguments)
    assert result.exit_code == 2
    assert sentence in result.stderr
