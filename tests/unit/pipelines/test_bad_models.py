"""Models that cannot be used, through every command that takes one: one sentence, status 2, nothing changed."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gkm.registry import events
from gkm.registry.versions import aliases, versions
from gkm.tracking import Tracking, open_tracking
from pipelines import deblur, evaluate, evaluate_noise, promote
from pipelines.registry import COMMANDS

SENTENCES = {
    "nobody": "nobody: is no version or alias of gkmnet, nor a directory; there are challenger, 1, 2, 3",
    "2": "gkmnet version 2: its weights cannot be fetched from",
    "3": "its weights are not those that were registered (SHA-256 ",
}
"""Version or alias -> what is said of it; 2 has no files, one byte of 3 is not as it was."""


@pytest.fixture
def tracking(workspace: Path, tmp_path: Path) -> Tracking:
    """The registry, with a version without files and one that was tampered with."""
    tracking = open_tracking(workspace, f"sqlite:///{workspace}/mlflow.db")
    whole = tracking.client.get_model_version("gkmnet", "1")
    copy = Path(shutil.copytree(whole.source.removeprefix("file://"), tmp_path / "copy"))
    weights = copy / "data" / "weights" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-2] ^= 1
    weights.write_bytes(content)
    for source in (tmp_path / "nothing", copy):
        tracking.client.create_model_version("gkmnet", source.as_uri(), whole.run_id, tags=whole.tags)
    return tracking


@pytest.mark.parametrize("selector", list(SENTENCES))
@pytest.mark.parametrize(
    "command",
    [
        lambda selector: (deblur.main, "photo.png", "--out", "out", "--model", selector),
        lambda selector: (promote.main, "--version", selector),
        lambda selector: (promote.main, "--version", selector, "--override", "whatever"),
        lambda selector: (evaluate.main, "--model", selector),
        lambda selector: (evaluate_noise.main, "--model", selector),
    ],
    ids=["deblur", "promote", "override", "evaluate", "evaluate_noise"],
)
def test_a_model_that_cannot_be_used_is_one_sentence_and_nothing_changes(
    invoke,
    tracking: Tracking,
    workspace: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: Callable[[str], tuple[object, ...]],
    selector: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.full((40, 52, 3), 99, np.uint8)).save("photo.png")
    before = _state(tracking, workspace, tmp_path)
    result = invoke(*command(selector))
    assert result.exit_code == 2
    assert result.stdout == ""
    assert SENTENCES[selector] in result.stderr
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert _state(tracking, workspace, tmp_path) == before


def test_an_unknown_version_cannot_be_shown(invoke, tracking: Tracking) -> None:
    result = invoke(COMMANDS["show"], "nobody")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert SENTENCES["nobody"] in result.stderr


def _state(tracking: Tracking, workspace: Path, folder: Path) -> tuple[object, ...]:
    """All that a command could change."""
    found = [(version.version, version.description, dict(version.tags)) for version in versions(tracking)]
    kept = [path for path in workspace.rglob("*") if path.is_file() and "cache" not in path.parts]
    files = sorted(path for path in kept if not path.name.startswith("mlflow.db"))
    return found, aliases(tracking), events(tracking), files, sorted(folder.iterdir()), _runs(tracking)


def _runs(tracking: Tracking) -> list[str]:
    found = tracking.client.search_runs([tracking.experiment_id], "", max_results=1000)
    return [run.info.run_id for run in found]
