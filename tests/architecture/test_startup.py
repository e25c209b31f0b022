"""What a user waits for before anything happens: imports of the settings, `--help` of the pipelines."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PIPELINES = sorted(path for path in (ROOT / "pipelines").glob("*.py") if "\n    run(main)\n" in path.read_text())
GROUPS = sorted(path for path in (ROOT / "pipelines").glob("*.py") if "\n    run_group(" in path.read_text())
LONGEST_HELP_SECONDS = 1.5


def test_settings_load_no_heavy_library():
    heavy = {"torch", "ray", "mlflow", "optuna", "pyarrow", "matplotlib", "scipy", "numpy"}
    code = f"import sys, gkm.config; print(*sorted({heavy!r} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == []


def ask_for_help(*command):
    before = os.times()
    answer = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True, cwd=ROOT)
    after = os.times()  # of the processor, since a busy machine is not the pipeline's fault
    used = after.children_user - before.children_user + after.children_system - before.children_system
    assert used < LONGEST_HELP_SECONDS
    assert answer.stderr == ""
    return answer.stdout


def test_there_are_pipelines():
    assert {"sweep.py", "train.py", "deblur.py"} <= {path.name for path in PIPELINES}
    assert [path.name for path in GROUPS] == ["registry.py", "study.py"]


@pytest.mark.parametrize("pipeline", PIPELINES, ids=lambda path: path.name)
def test_help_is_quick_and_shows_an_example(pipeline):
    assert f"python pipelines/{pipeline.name}" in ask_for_help(sys.executable, str(pipeline))


@pytest.mark.parametrize("name", ["list", "show", "replay"])
def test_help_of_studies_is_quick_and_shows_an_example(name):
    help_text = ask_for_help(sys.executable, "pipelines/study.py", name)
    assert f"python pipelines/study.py {name}" in help_text


@pytest.mark.parametrize("arguments", [(), ("sweep",), ("study", "show"), ("deblur",)], ids=" ".join)
def test_help_of_the_console_command_is_quick(arguments):
    assert "Usage" in ask_for_help(Path(sys.executable).with_name("gkm"), *arguments)
