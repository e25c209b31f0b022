"""The registry command: versions, one of them, and what happened."""

import json
import time
from pathlib import Path

import pytest

from gkm.registry import ledger, standing
from gkm.tracking import open_tracking
from pipelines.registry import COMMANDS


def test_history_says_who_did_what_when_why_and_on_what_evidence(invoke, workspace: Path) -> None:
    tracking = open_tracking(workspace, f"sqlite:///{workspace}/mlflow.db")
    entry = {
        "event": "promoted", "time": "2026-01-31T12:00:00.000000Z", "version": 1, "reason": "it is [better] by 1.2 dB",
        "who": "ann@lab", "evidence": "run17", "gates": [["PSNR on sample", True, "+1.2 dB"]],
        "aliases": {"champion": 1},
    }  # fmt: skip
    assert standing.change(tracking, standing.read(tracking), entry)
    shown = invoke(COMMANDS["history"])
    assert shown.exit_code == 0
    last = shown.stdout.splitlines()[-2]
    cells = [cell.strip() for cell in last.strip("│").split("│")]
    assert cells == ["2026-01-31 12:00:00", "promoted", "1", "ann@lab", "it is [better] by 1.2 dB", "run17"]
    newest = invoke(COMMANDS["history"], "--limit", 1, "--json")
    (event,) = [json.loads(line) for line in newest.stdout.splitlines()]
    assert event["gates"] == [["PSNR on sample", True, "+1.2 dB"]]
    assert "1 older events" in invoke(COMMANDS["history"], "--limit", 1).stdout
    one = invoke(COMMANDS["show"], "champion").stdout
    assert one.startswith("gkmnet version 1 (challenger, champion)\n")
    assert "SHA-256 of its weights: " in one
    assert "# gkmnet, weights " in one  # its model card, with the gates in it
    assert "## Limits" in one
    assert "Promoted on 2026-01-31 12:00:00 UTC: it is [better] by 1.2 dB." in one
    assert one.count("+1.2 dB") == 1
    listed = invoke(COMMANDS["list"]).stdout
    assert "challenger, champion" in listed
    assert "## " not in listed


def test_a_version_that_is_not_there_is_one_sentence(invoke) -> None:
    refused = invoke(COMMANDS["show"], "7")
    assert (refused.exit_code, len(refused.stderr.splitlines())) == (2, 1)
    assert "7: is no version or alias of gkmnet" in refused.stderr


def test_a_workspace_without_a_registry_is_one_sentence(invoke, tmp_path: Path) -> None:
    for command in COMMANDS.values():
        arguments = ["1"] if command is COMMANDS["show"] else []
        refused = invoke(command, *arguments, "--workspace", tmp_path / "nothing")
        assert (refused.exit_code, len(refused.stderr.splitlines())) == (2, 1)
        assert "there is no tracking database; run a study first" in refused.stderr


@pytest.mark.slow
def test_the_history_of_200_versions_is_there_within_5_seconds(invoke, workspace: Path) -> None:
    tracking = open_tracking(workspace, f"sqlite:///{workspace}/mlflow.db")
    seen = standing.read(tracking).history
    for version in range(2, 201):
        tracking.client.create_model_version("gkmnet", "file:///nowhere")
        entry = {"event": "refused", "time": "2026-01-31T12", "version": version, "gates": [["g", True, "x" * 500]] * 9}
        tracking.client.log_param(str(seen.run_id), f"entry.{version:06d}", json.dumps(entry))
    tracking.client.set_registered_model_tag("gkmnet", "gkm.settled", "200")  # as whoever wrote them had left them
    assert len(ledger.read(tracking, seen.run_id).entries) == 200
    began = time.process_time()
    shown = invoke(COMMANDS["history"], "--limit", 200)
    assert shown.exit_code == 0
    assert sum("refused" in line for line in shown.stdout.splitlines()) == 199
    assert time.process_time() - began < 5
