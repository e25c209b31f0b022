"""The promote command: figures and a verdict; a refusal is status 2."""

from pathlib import Path

from gkm.registry.versions import aliases
from gkm.tracking import Tracking, open_tracking
from pipelines.promote import main


def registry(workspace: Path) -> Tracking:
    return open_tracking(workspace, f"sqlite:///{workspace}/mlflow.db")


def test_a_challenger_no_better_than_the_blurred_input_is_refused(invoke, workspace: Path) -> None:
    result = invoke(main)
    assert result.exit_code == 2
    assert [line.split("  ")[0] for line in result.stdout.splitlines()[1:]] == [
        "version 1 (challenger)", "the blurred input"
    ]  # fmt: skip
    assert "the challenger is not promoted: version 1 has" in result.stderr
    assert aliases(registry(workspace)) == {"challenger": 1}


def test_rollback_restores_the_champion_before(invoke, workspace: Path) -> None:
    tracking = registry(workspace)
    version = tracking.client.get_model_version("gkmnet", "1")
    tracking.client.create_model_version("gkmnet", version.source, version.run_id)
    for alias, number in (("champion", "2"), ("previous", "1")):
        tracking.client.set_registered_model_alias("gkmnet", alias, number)
    rehearsal = invoke(main, "--rollback", "--dry-run")
    assert rehearsal.stdout == "gkmnet version 1 would be champion again, in place of 2\n"
    assert aliases(tracking)["champion"] == 2
    assert invoke(main, "--rollback").stdout == "gkmnet version 1 is champion again, in place of 2\n"
    assert aliases(tracking) == {"challenger": 1, "champion": 1}
    again = invoke(main, "--rollback")
    assert again.exit_code == 2
    assert "no champion before version 1" in again.stderr
    refused = invoke(main)
    assert refused.exit_code == 2
    assert "gkmnet version 1: is the champion already" in refused.stderr
