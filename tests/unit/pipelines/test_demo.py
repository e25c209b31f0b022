"""The demo command: which models it offers, and what it refuses before it listens."""

import socket
from pathlib import Path

import pytest
import torch

from gkm.config import DPDNetConfig, TrialConfig
from gkm.demo.choices import Choices, UnknownChoiceError
from gkm.networks import build
from gkm.registry import register
from gkm.tracking import open_tracking
from gkm.training.checkpoint import save_weights
from pipelines.demo import main


def test_champion_and_challenger_are_offered_as_they_are_at_the_moment(workspace: Path, weights: Path) -> None:
    tracking = open_tracking(workspace, f"sqlite:///{workspace}/mlflow.db")
    choices = Choices(tracking)
    assert [choice.label for choice in choices.offered()] == ["challenger, version 1"]
    assert choices.get("challenger") is choices.get("challenger")
    with pytest.raises(UnknownChoiceError, match="champion: is no model to choose"):
        choices.get("champion")
    tracking.client.set_registered_model_alias("gkmnet", "champion", "1")
    assert [choice.key for choice in choices.offered()] == ["champion", "challenger"]
    assert choices.get("champion").version == 1
    given = Choices(tracking, str(weights))
    assert [choice.label for choice in given.offered()] == ["the given weights"]
    with pytest.raises(UnknownChoiceError):
        given.get("challenger")
    assert given.get("given").version is None


def test_models_of_two_views_are_refused(workspace: Path, tmp_path: Path, invoke) -> None:
    torch.manual_seed(0)
    tracking = open_tracking(workspace, f"sqlite:///{workspace}/mlflow.db")
    run = tracking.start_trial("v", study_run_id=None, number=None, config=TrialConfig(), searched={}, tags={})
    register(tracking, run.run_id, save_weights(build(DPDNetConfig(width=2, depth=2, views="dual")), tmp_path / "w"))
    result = invoke(main, "--port", 0)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "gkmnet version 2 (challenger): sees two dual-pixel views, not a photograph" in result.stderr


def test_what_cannot_be_served_is_one_sentence(invoke, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for arguments, sentence in (
            (["--port", port], f"--port {port}: cannot be used (address already in use); choose another, or 0"),
            (["--port", 0, "--model", "champion"], "champion: is no version or alias of gkmnet"),
            (["--port", 0, "--workspace", tmp_path / "nowhere"], "there is no tracking database"),
        ):
            result = invoke(main, *arguments)
            assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
            assert sentence in result.stderr
