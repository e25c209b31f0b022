"""The promote command: figures, gates and a verdict; a refusal is status 2."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from gkm.registry import events
from gkm.registry.versions import aliases
from gkm.tracking import Tracking, open_tracking
from pipelines.promote import main
from tests.unit.registry.measurements import measured


def registry(workspace: Path) -> Tracking:
    return open_tracking(workspace, f"sqlite:///{workspace}/mlflow.db")


@pytest.fixture
def gates(tmp_path: Path) -> Path:
    """A file that asks for quality alone."""
    (tmp_path / "gates.toml").write_text("[quality]\nmargin_db = 0.05\n")
    return tmp_path / "gates.toml"


@pytest.fixture
def better(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every version gains a lot, as if it had been measured."""

    def measure(tracking: Tracking, version: int, opponent: int | None, *_: Any, **__: Any) -> Any:
        return measured(version, opponent, [1.0, 1.1, 0.9])

    monkeypatch.setattr("gkm.registry.promotion.measure", measure)


@pytest.fixture
def told() -> Iterator[tuple[str, list[Any]]]:
    """The address of a webhook on this machine, and what it was told."""
    posted: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(500 if self.path == "/broken" else 200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", posted
        server.shutdown()
        thread.join()


def test_a_challenger_no_better_than_the_blurred_input_is_refused(invoke, workspace: Path, gates: Path) -> None:
    result = invoke(main, "--gates", gates)
    assert result.exit_code == 2
    lines = result.stdout.splitlines()
    assert [line.split("  ")[0] for line in lines[1:4]] == ["version 1", "the blurred input", "FAIL"]
    assert lines[3].startswith("FAIL  PSNR on sample: -")
    assert "version 1 is not promoted: version 1 has" in result.stderr
    assert "1 of 1 gates failed, PSNR on sample" in result.stderr
    assert aliases(registry(workspace)) == {"challenger": 1}


def test_a_version_is_promoted_by_number_and_a_webhook_is_told(
    invoke, workspace: Path, better: None, told: tuple[str, list[Any]]
) -> None:
    address, posted = told
    rehearsal = invoke(main, "--version", 1, "--dry-run", "--webhook", address)
    assert "would be promoted: version 1 has" in rehearsal.stdout
    assert (rehearsal.exit_code, posted, aliases(registry(workspace))) == (0, [], {"challenger": 1})
    result = invoke(main, "--version", 1, "--webhook", address)
    assert result.exit_code == 0
    assert "promoted: version 1 has" in result.stdout
    assert [line.split("  ")[0] for line in result.stdout.splitlines()[3:16]] == ["pass"] * 13
    assert aliases(registry(workspace)) == {"challenger": 1, "champion": 1}
    (event,) = posted
    assert (event["event"], event["version"], event["who"].count("@")) == ("promoted", 1, 1)
    assert "tags" not in event
    assert event["evidence"] in result.stdout


def test_a_webhook_that_fails_undoes_nothing_and_is_not_quoted(
    invoke, workspace: Path, better: None, told: tuple[str, list[Any]]
) -> None:
    address = told[0].replace("http://", "http://ann:secret@")
    result = invoke(main, "--webhook", f"{address}/broken")
    assert result.exit_code == 0
    assert "note: webhook http://127.0.0.1:" in result.stderr
    assert "answered with status 500" in result.stderr
    assert "secret" not in result.stderr + result.stdout
    assert "/broken" not in result.stderr + result.stdout
    assert aliases(registry(workspace))["champion"] == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--version", "nobody"), "nobody: is no version or alias of gkmnet"),
        (("--version", "7"), "7: is no version or alias of gkmnet"),
        (("--data", "nowhere"), "nowhere"),
        (("--gates", "none.toml"), "none.toml: cannot be read"),
        (("--webhook", "secret"), "--webhook (GKM_PROMOTION_WEBHOOK): is no address"),
    ],
)
def test_bad_input_is_one_sentence_and_changes_nothing(
    invoke, workspace: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    result = invoke(main, *arguments)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert "secret" not in result.stderr
    assert aliases(registry(workspace)) == {"challenger": 1}
    assert [event["event"] for event in events(registry(workspace))] == ["challenger"]


def test_rollback_restores_the_champion_before(invoke, workspace: Path, told: tuple[str, list[Any]]) -> None:
    tracking = registry(workspace)
    version = tracking.client.get_model_version("gkmnet", "1")
    tracking.client.create_model_version("gkmnet", version.source, version.run_id)
    for alias, number in (("champion", "2"), ("previous", "1")):
        tracking.client.set_registered_model_alias("gkmnet", alias, number)
    rehearsal = invoke(main, "--rollback", "--dry-run")
    assert rehearsal.stdout == "gkmnet version 1 would be champion again, in place of 2\n"
    assert aliases(tracking)["champion"] == 2
    done = invoke(main, "--rollback", "--reason", "halos", "--webhook", told[0])
    assert done.stdout == "gkmnet version 1 is champion again, in place of 2\n"
    assert aliases(tracking) == {"challenger": 1, "champion": 1}
    assert [(event["event"], event["reason"]) for event in told[1]] == [("rolled back", "halos")]
    again = invoke(main, "--rollback")
    assert again.exit_code == 2
    assert "no champion before version 1" in again.stderr
    refused = invoke(main)
    assert refused.exit_code == 2
    assert "gkmnet version 1: is the champion already" in refused.stderr
