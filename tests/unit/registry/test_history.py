"""What happened, and how often photographs were looked at."""

import json
from typing import Any

import pytest

from gkm.data.dataset.manifest import read_manifest
from gkm.registry import events, ledger
from gkm.registry.history import champion_before, look, photographs_id, was_rolled_back, whoami
from gkm.tracking import Tracking


def event(word: str, version: int, opponent: str = "the blurred input", photographs: str = "p") -> dict[str, Any]:
    return {
        "event": word,
        "time": "t",
        "version": version,
        "opponent": opponent,
        "data": [{"photographs_id": photographs}],
    }


HAPPENED = [
    {"event": "challenger", "version": 1, "time": "t"},
    event("refused", 1),
    event("looked", 2),
    event("looked", 2),
    event("promoted", 2),
    event("overtaken", 3),
    event("refused", 3, "version 2 (champion)"),
    event("refused", 4, "version 2 (champion)", "others"),
    {"event": "rolled back", "version": 2, "time": "u"},
]


@pytest.mark.parametrize(
    ("version", "opponent", "photographs", "expected"),
    [(1, None, "p", 1), (2, None, "p", 2), (3, None, "p", 3), (3, 2, "p", 4), (5, 2, "p", 5), (5, 2, "others", 2),
     (5, 2, "never", 1)],
)  # fmt: skip
def test_looks_are_counted_by_photographs_and_by_what_was_compared(
    version: int, opponent: int | None, photographs: str, expected: int
) -> None:
    assert look(HAPPENED, photographs, "fingerprint", version, opponent) == expected


def test_looks_of_before_count_by_the_data_set() -> None:
    before = {"event": "refused", "version": 1, "opponent": "version 9 (champion)", "data_fingerprint": "f"}
    assert look([before], "p", "f", 2, None) == 2
    assert look([before], "p", "f", 1, 9) == 1
    assert look([before], "p", "g", 2, None) == 1


def test_test_photographs_are_known_again_whatever_else_a_data_set_holds(tiny_data: Any) -> None:
    manifest = read_manifest(str(tiny_data))
    other = manifest.model_copy(update={"splits": {"test": manifest.splits["test"]}})
    assert photographs_id(manifest) == photographs_id(other)
    swapped = manifest.model_copy(update={"splits": {"test": manifest.splits["validation"]}})
    assert photographs_id(swapped) != photographs_id(other)


def test_rolled_back_holds_until_promoted_again() -> None:
    assert was_rolled_back(HAPPENED, 2) == "u"
    assert was_rolled_back(HAPPENED, 1) is None
    assert was_rolled_back([*HAPPENED, event("promoted", 2)], 2) is None


def test_the_champion_before() -> None:
    assert champion_before([{**event("promoted", 3), "previous": 2}], 3) == 2
    assert champion_before(HAPPENED, 2) is None


def test_events_of_before_come_first(tracking: Tracking) -> None:
    ledger.ensure(tracking)
    old = {"event": "promoted", "time": "2026-01-01T00:00:00.000000Z", "version": 1, "reason": "r"}
    tracking.client.set_registered_model_tag("gkmnet", f"gkm.event.{old['time']}", json.dumps(old))
    run_id = ledger.ensure(tracking)
    assert ledger.append(tracking, ledger.read(tracking, run_id), {"event": "looked", "time": "t", "version": 2})
    assert [(e["event"], e["version"]) for e in events(tracking)] == [("promoted", 1), ("looked", 2)]


def test_who_is_a_user_at_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert whoami().count("@") == 1

    def nobody() -> str:
        raise KeyError("uid not found: 1234")

    monkeypatch.setattr("getpass.getuser", nobody)
    assert whoami().startswith("unknown@")
