"""Promotion by gates: what is decided, what is written down, and what stays as it was."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gkm.config import DPDNetConfig, TrialConfig
from gkm.errors import InputError
from gkm.networks import build
from gkm.registry import events, load, promote, read_gates, register, rollback, standing
from gkm.registry.clean_process import restore_elsewhere
from gkm.registry.gates import Cost, Gates, Quality, Weights
from gkm.registry.measuring import Measured, measure, own_data
from gkm.registry.versions import aliases, find
from gkm.scoring.noise import study_noise
from gkm.tracking import DataInput, Tracking
from gkm.training.checkpoint import save_weights
from tests.unit.registry.measurements import measured

Register = Callable[[float], int]
Add = Callable[..., int]
Gaining = Callable[..., None]
EASY = Gates(quality=Quality(level=0.5))
"""What two test photographs can pass."""


def words(tracking: Tracking) -> list[tuple[str, int]]:
    return [(event["event"], event["version"]) for event in events(tracking)]


def test_the_first_champion_must_beat_the_blurred_input(
    tracking: Tracking, register_as_good_as: Register, tiny_data: Path, tmp_path: Path
) -> None:
    place = {"data": str(tiny_data), "cache": str(tmp_path / "cache"), "gates": EASY}
    register_as_good_as(-1.0)
    refused = promote(tracking, **place)
    assert not refused.promoted
    assert refused.opponent == "the blurred input"
    assert "1 of 1 gates failed, PSNR on data" in refused.reason
    assert aliases(tracking) == {"challenger": 1}

    register_as_good_as(1.0)
    seen: list[str] = []
    found = measure(
        tracking, 2, None, [str(tiny_data)], EASY, cache=place["cache"], watch=lambda label, p: seen.append(label) or p
    )
    assert seen == ["version 2", "blurred input"]
    assert found.on[0].psnr[0] > found.on[0].opponent_psnr[0] + 0.05
    assert found.on[0].names == ("0", "0")
    assert found.on[0].seconds_per_megapixel > 0
    promoted = promote(tracking, version=2, override="two photographs are few", **place)
    assert promoted.promoted
    assert promoted.scores["psnr"] > promoted.opponent_scores["psnr"] + 0.05
    assert promoted.looks == (2,)
    assert aliases(tracking) == {"challenger": 2, "champion": 2}
    assert load(tracking).name == "gkmnet version 2 (challenger, champion)"
    with pytest.raises(InputError, match="gkmnet version 2: is the champion already"):
        promote(tracking, **place)


def test_a_challenger_that_gives_no_picture_is_refused(
    tracking: Tracking, register_as_good_as: Register, tiny_data: Path, tmp_path: Path
) -> None:
    register_as_good_as(float("nan"))
    with pytest.raises(InputError, match=r"gkmnet version 1: test-0/0: .* not finite"):
        promote(tracking, str(tiny_data), cache=str(tmp_path / "cache"))
    assert words(tracking) == [("challenger", 1)]


@pytest.mark.slow
def test_noise_is_measured_where_it_is_asked_for(
    tracking: Tracking, register_as_good_as: Register, tiny_data: Path, tmp_path: Path
) -> None:
    register_as_good_as(1.0)
    cache, gates = str(tmp_path / "cache"), read_gates().model_copy(update={"weights": Weights(), "cost": Cost()})
    (found,) = measure(tracking, 1, None, [str(tiny_data)], gates, cache=cache).on
    assert list(found.noisy) == [1.0, 3.0, 5.0]
    levels = study_noise(
        tracking, str(tiny_data), str(tmp_path / "noise"), selector="1", sigmas_8bit=[3.0], cache=cache
    ).levels
    assert found.noisy[3.0] == pytest.approx((levels[0].restored["psnr"], levels[0].blurred["psnr"]))


def test_what_is_decided_is_written_down_with_its_figures(
    tracking: Tracking, add_version: Add, gaining: Gaining
) -> None:
    gaining()
    add_version(git_commit="c0ffee")
    found = promote(tracking, "d", version=1)
    assert found.promoted
    assert found.reason == (
        "version 1 has 33.127 dB on 6 test photographs, the blurred input 32.500 dB; all 13 gates passed"
    )
    (event,) = events(tracking)
    assert (event["event"], event["version"], event["reason"]) == ("promoted", 1, found.reason)
    assert "@" in event["who"]
    assert event["data"][0] == {
        "place": "sample", "fingerprint": "f", "photographs_id": "p", "photographs": 6, "look": 1,
        "psnr": 33.1273, "opponent_psnr": 32.5,
    }  # fmt: skip
    assert event["gates"][0][:2] == ["PSNR on sample", True]
    assert "+0.212 to +1.043" in event["gates"][0][2]
    evidence = tracking.client.get_run(event["evidence"])
    assert evidence.data.metrics["test/psnr"] == pytest.approx(33.1273, abs=1e-4)
    kept = tracking.download(event["evidence"], "evidence.json", Path(tracking.uri.removeprefix("sqlite:///")).parent)
    assert json.loads(kept.read_text())["measured"]["on"][0]["psnr"][0] == pytest.approx(30.428)
    tags = find(tracking, "1").tags
    assert tags["gkm.last_event"] == f"promoted: {found.reason}"
    assert tags["gkm.test/psnr"] == "33.1273"
    assert [(entry.dataset.name, entry.dataset.digest) for entry in evidence.inputs.dataset_inputs] == [
        ("sample test", "f")
    ]
    assert "+0.212 to +1.043" in evidence.data.tags["mlflow.note.content"]
    assert (evidence.data.tags["kind"], evidence.data.tags["verdict"]) == ("promotion", "passed")


@pytest.mark.slow
def test_the_model_card_says_what_became_of_a_version_also_where_a_process_died_before(
    tracking: Tracking,
    register_as_good_as: Register,
    gaining: Gaining,
    add_version: Add,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    version = register_as_good_as(1.0)
    made = find(tracking, str(version)).description
    gaining(*[-1.0] * 6)
    promote(tracking, "d", version=version)
    assert "| PSNR on sample | FAIL | -1.000 dB" in find(tracking, str(version)).description
    call = Tracking.call

    def die(self: Tracking, name: str, *arguments: Any, **keywords: Any) -> Any:
        if name == "update_model_version":
            raise KeyboardInterrupt
        return call(self, name, *arguments, **keywords)

    gaining()
    with monkeypatch.context() as patched:
        patched.setattr(Tracking, "call", die)
        with pytest.raises(KeyboardInterrupt):
            promote(tracking, "d", version=version)
    assert "FAIL" in find(tracking, str(version)).description
    (_, _, last) = events(tracking)  # what a process that died left undone is done first
    card = find(tracking, str(version)).description
    assert last["reason"] in card
    assert "interval +0.212 to +1.043" in card
    assert "FAIL" not in card
    assert card.replace(card[card.index("## Promotion") : card.index("## Data")], "") == made
    (linked,) = [
        (metric.key, metric.dataset_digest)
        for model in tracking.client.search_logged_models([tracking.experiment_id])
        for metric in model.metrics
        if metric.key == "test/psnr" and metric.value > 33
    ]
    assert linked == ("test/psnr", "f")
    other = add_version()
    assert promote(tracking, "d", version=other).promoted
    rollback(tracking, "halos")
    assert "Rolled back on " in find(tracking, str(other)).description
    assert ": halos." in find(tracking, str(other)).description


def test_equal_and_uncertain_versions_are_refused_and_nothing_moves(
    tracking: Tracking, add_version: Add, gaining: Gaining
) -> None:
    add_version(), add_version()
    gaining()
    promote(tracking, "d", version=1)
    for gains in ([0.0] * 6, [0.9, -0.3, 0.4, 0.8, -0.2, 0.5]):
        gaining(*gains)
        refused = promote(tracking, "d", version=2)
        assert (refused.promoted, refused.opponent) == (False, "version 1 (champion)")
        assert "1 of 13 gates failed, PSNR on sample" in refused.reason
    assert aliases(tracking) == {"champion": 1}
    assert words(tracking) == [("promoted", 1), ("refused", 2), ("refused", 2)]


def test_better_but_slower_is_refused_unless_overridden_for_a_reason(
    tracking: Tracking, add_version: Add, gaining: Gaining
) -> None:
    gaining(seconds_per_megapixel=500.0)
    add_version()
    refused = promote(tracking, "d", version=1)
    assert [gate.name for gate in refused.failed] == ["seconds per megapixel"]
    assert aliases(tracking) == {}
    found = promote(tracking, "d", version=1, override="at night nobody waits")
    assert found.promoted
    assert found.reason.endswith("seconds per megapixel; overridden: at night nobody waits")
    last = events(tracking)[-1]
    assert (last["event"], last["why"]) == ("promoted", "at night nobody waits")
    assert aliases(tracking) == {"champion": 1}


def test_an_override_that_is_not_needed_is_not_recorded(tracking: Tracking, add_version: Add, gaining: Gaining) -> None:
    gaining()
    add_version()
    promote(tracking, "d", version=1, override="just in case")
    assert events(tracking)[-1]["why"] == ""


def test_a_dry_run_changes_nothing_and_counts_as_a_look(tracking: Tracking, add_version: Add, gaining: Gaining) -> None:
    gaining()
    add_version(), add_version()
    assert promote(tracking, "d", version=1, dry_run=True).looks == (1,)
    assert aliases(tracking) == {}
    assert words(tracking) == [("looked", 1)]
    assert tracking.find({"gkm.kind": "promotion"}) == []
    assert promote(tracking, "d", version=2, dry_run=True).looks == (2,)
    assert promote(tracking, "d", version=1).looks == (1,)  # what was seen before shows nothing new


def test_every_look_makes_the_interval_wider(tracking: Tracking, add_version: Add, gaining: Gaining) -> None:
    for _ in range(3):
        add_version()
    gaining(*[-1.0] * 6)
    for version in (1, 2):
        promote(tracking, "d", version=version)
    gaining()
    refused = promote(tracking, "d", version=3)
    assert not refused.promoted
    assert "99.17 % interval" in refused.failed[0].figures
    assert "look 3 at them" in refused.failed[0].figures


def test_whoever_was_overtaken_does_not_promote(
    tracking: Tracking, add_version: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_version(), add_version()

    def slowly(tracking: Tracking, version: int, opponent: int | None, *_: Any, **__: Any) -> Measured:
        entry = {"event": "promoted", "time": "t", "version": 1, "aliases": {"champion": 1}}
        assert standing.change(tracking, standing.read(tracking), entry)
        return measured(version, opponent)

    monkeypatch.setattr("gkm.registry.promotion.measure", slowly)
    with pytest.raises(InputError, match="version 2: another version became champion while this one was measured"):
        promote(tracking, "d", version=2)
    assert aliases(tracking) == {"champion": 1}
    assert words(tracking) == [("promoted", 1), ("overtaken", 2)]


def test_a_look_that_came_between_is_counted(
    tracking: Tracking, add_version: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_version(), add_version()

    def slowly(tracking: Tracking, version: int, opponent: int | None, *_: Any, **__: Any) -> Measured:
        entry = {"event": "refused", "time": "t", "version": 1, "data": [{"photographs_id": "p"}], "opponent": "the"}
        assert standing.change(tracking, standing.read(tracking), entry)
        return measured(version, opponent)

    monkeypatch.setattr("gkm.registry.promotion.measure", slowly)
    assert promote(tracking, "d", version=2).looks == (2,)


@pytest.mark.slow
def test_rollback_walks_back_through_the_champions(tracking: Tracking, add_version: Add, gaining: Gaining) -> None:
    gaining(*[1.0] * 6)
    for version in (1, 2, 3):
        add_version()
        assert promote(tracking, "d", version=version).promoted
    assert aliases(tracking) == {"champion": 3, "previous": 2}

    assert rollback(tracking, "halos", dry_run=True).champion == 2
    assert aliases(tracking) == {"champion": 3, "previous": 2}
    assert (rollback(tracking, "halos").champion, aliases(tracking)) == (2, {"champion": 2, "previous": 1})
    with pytest.raises(InputError, match=r"gkmnet version 3: was rolled back on .*--again"):
        promote(tracking, "d", version=3)
    assert rollback(tracking).withdrawn == 2
    assert aliases(tracking) == {"champion": 1}
    with pytest.raises(InputError, match="no champion before version 1"):
        rollback(tracking)
    last = events(tracking)[-2]
    assert (last["event"], last["version"], last["champion"], last["reason"]) == ("rolled back", 3, 2, "halos")
    assert "@" in last["who"]

    assert promote(tracking, "d", version=3, again=True).promoted
    assert aliases(tracking) == {"champion": 3, "previous": 1}


def test_promotion_needs_a_challenger_and_test_photographs(
    tracking: Tracking, register_as_good_as: Register, tiny_data: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="no model is registered"):
        promote(tracking, str(tiny_data))
    with pytest.raises(InputError, match="there is no champion"):
        rollback(tracking)
    register_as_good_as(1.0)
    with pytest.raises(InputError, match=str(tmp_path / "nothing")):
        promote(tracking, str(tmp_path / "nothing"))
    with pytest.raises(InputError, match="9: is no version or alias"):
        promote(tracking, str(tiny_data), version=9)
    tracking.client.delete_registered_model_alias("gkmnet", "challenger")
    with pytest.raises(InputError, match="challenger: is no version or alias"):
        promote(tracking, str(tiny_data))
    assert words(tracking) == [("challenger", 1)]


def test_a_version_without_files_is_named(tracking: Tracking, add_version: Add, tiny_data: Path) -> None:
    add_version()
    with pytest.raises(InputError, match="gkmnet version 1: its weights cannot be fetched from"):
        promote(tracking, str(tiny_data), version=1)
    assert words(tracking) == []


@pytest.mark.slow
def test_a_challenger_of_views_is_measured_on_them_and_a_champion_of_photographs_on_photographs(
    tracking: Tracking, register_as_good_as: Register, tiny_data: Path, tiny_views: Path, tmp_path: Path
) -> None:
    cache = str(tmp_path / "cache")
    register_as_good_as(1)
    tracking.client.set_registered_model_alias("gkmnet", "champion", "1")
    run = tracking.start_trial("views", study_run_id=None, number=None, config=TrialConfig(), searched={}, tags={})
    weights = save_weights(build(DPDNetConfig(width=2, depth=2, views="dual")), tmp_path / "weights")
    assert register(tracking, run.run_id, weights) == 2
    found = promote(tracking, str(tiny_views), cache=cache, dry_run=True, gates=EASY)
    assert (found.opponent, found.photographs) == ("version 1 (champion)", 2)
    assert found.scores["psnr"] < found.opponent_scores["psnr"]
    (level,) = study_noise(
        tracking, str(tiny_views), str(tmp_path / "noise"), selector="challenger", sigmas_8bit=[3.0]
    ).levels
    assert level.restored["psnr"] < level.blurred["psnr"]
    for measuring in (promote, lambda *place: study_noise(*place, str(tmp_path / "other"), selector="challenger")):
        with pytest.raises(InputError, match=r"has no dual-pixel views of test-0/0, .* again with --views"):
            measuring(tracking, str(tiny_data))


def test_the_data_set_that_a_version_was_trained_on_is_found(
    tracking: Tracking, tiny_data: Path, tmp_path: Path, add_version: Add
) -> None:
    from gkm.data.dataset.manifest import read_manifest

    fingerprint = read_manifest(str(tiny_data)).fingerprint
    study = tracking.start_study("s", parameters={}, tags={})
    tracking.log_inputs(study.run_id, [DataInput("d", fingerprint, str(tiny_data), "training")])
    run = tracking.start_trial("t", study_run_id=study.run_id, number=0, config=TrialConfig(), searched={}, tags={})
    add_version()
    tracking.client.create_model_version("gkmnet", "file:///x", run.run_id, tags={"gkm.data": fingerprint})
    tracking.client.create_model_version("gkmnet", "file:///x", run.run_id, tags={"gkm.data": "another"})
    assert own_data(tracking, 2) == str(tiny_data)
    assert (own_data(tracking, 1), own_data(tracking, 3)) == (None, None)


@pytest.mark.slow
def test_a_clean_process_gives_the_same_pixels_and_says_what_it_took(
    tracking: Tracking, register_as_good_as: Register, tiny_data: Path, tmp_path: Path
) -> None:
    register_as_good_as(1.0)
    gates = Gates(weights=Weights(clean_process=True))
    clean = measure(tracking, 1, None, [str(tiny_data)], gates, cache=str(tmp_path / "cache")).clean
    assert clean is not None
    assert clean.problem is None
    assert 100e6 < clean.peak_bytes < 8e9
    broken = restore_elsewhere(tmp_path / "nothing", {}, None)  # type: ignore[arg-type]
    assert str(broken.problem).startswith("fails: ")
