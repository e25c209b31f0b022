"""What a user waits for before anything happens: imports of the settings, `--help` of the pipelines."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHARED = ("__init__.py", "command.py", "options.py")
PIPELINES = sorted(path for path in (ROOT / "pipelines").glob("*.py") if path.name not in SHARED)
LONGEST_HELP_SECONDS = 1.5


def test_settings_load_no_heavy_library():
    heavy = {"torch", "ray", "mlflow", "optuna", "pyarrow", "matplotlib", "scipy", "numpy"}
    code = f"import sys, gkm.config; print(*sorted({heavy!r} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == []


@pytest.mark.parametrize("pipeline", PIPELINES, ids=lambda path: path.name)
def test_help_is_quick_and_shows_an_example(pipeline):
    seconds = []
    for _ in range(3):  # the best of three: a busy machine is not the pipeline's fault
        start = time.perf_counter()
        answer = subprocess.run(
            [sys.executable, str(pipeline), "--help"], capture_output=True, text=True, check=True, cwd=ROOT
        )
        seconds.append(time.perf_counter() - start)
        if seconds[-1] < LONGEST_HELP_SECONDS:
            break
    assert min(seconds) < LONGEST_HELP_SECONDS
    assert f"python pipelines/{pipeline.name}" in answer.stdout
    assert answer.stderr == ""
