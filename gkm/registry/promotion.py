"""A version, its champion and the gates in; a new champion, or the reasons against it, out; and the way back.

What is decided is written to the registry's history first, at a place that only one process can have, and then to the
aliases (see `gkm.registry.standing`). Whoever was overtaken by another promotion does not promote: what it measured was
measured against a champion that is none any more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from gkm.errors import InputError
from gkm.registry import history, ledger, standing, versions
from gkm.registry.card import with_promotion
from gkm.registry.gates import Gates, read_gates
from gkm.registry.judging import Promotion, Scores, judge
from gkm.registry.measuring import Measured, Watch, measure
from gkm.registry.standing import CHALLENGER, CHAMPION, PREVIOUS, Standing
from gkm.registry.versions import REGISTERED_NAME
from gkm.tracking import NOTE, DataInput, Tracking, link_scores

if TYPE_CHECKING:
    from gkm.data.reading.cache import NodeCache

__all__ = ["Promotion", "Rollback", "Watch", "promote", "rollback"]


@dataclass(frozen=True)
class Rollback:
    """Champions exchanged."""

    champion: int
    """The version that is champion again."""
    withdrawn: int
    """The version that no longer is."""
    event: Mapping[str, Any] | None = None
    """As it is in the history; None for a dry run."""


def promote(
    tracking: Tracking,
    data: str | Sequence[str],
    *,
    version: str | int | None = None,
    gates: Gates | None = None,
    cache: NodeCache | str | None = None,
    dry_run: bool = False,
    again: bool = False,
    override: str = "",
    watch: Watch | None = None,
) -> Promotion:
    """Make `version` champion if it passes all gates against the champion, on every data set.

    While there is no champion the opponent is the blurred photographs themselves. The old champion becomes `previous`.

    Args:
        data: places of data sets, of which the test photographs are used.
        version: a version or an alias; None: the challenger.
        gates: None: those of `gates.toml`.
        cache: see `gkm.data.reading.cache.open_split`.
        dry_run: measure and judge, and change nothing; that these photographs were looked at is recorded all the same.
        again: consider a version that was rolled back, too.
        override: why it is to be promoted whatever gates it fails; recorded.

    Raises InputError where there is no such version, it is the champion already, it was rolled back, its weights are
    not those that were registered, or another process changed the champion meanwhile.
    """
    gates = gates or read_gates()
    places = [data] if isinstance(data, str) else list(dict.fromkeys(data))
    number = _candidate(tracking, version, standing.read(tracking), again)
    ledger.ensure(tracking)
    champion = standing.settle(tracking).aliases.get(CHAMPION)
    measured = measure(tracking, number, champion, places, gates, cache=cache, watch=watch)
    evidence = None
    while True:
        seen = standing.settle(tracking)
        found = _judged(measured, gates, history.events_of(seen), override)
        overtaken = seen.aliases.get(CHAMPION) != champion
        if not dry_run and evidence is None:
            evidence = _keep(tracking, found)
        entry = _entry(found, seen, evidence, _word(found, overtaken, dry_run))
        if standing.change(tracking, seen, entry):
            break
    if overtaken:
        raise InputError(
            f"{REGISTERED_NAME} version {number}: another version became champion while this one was measured; "
            "run the command again"
        )
    if dry_run:
        return found
    return replace(found, evidence=evidence, event=_told(entry))


def rollback(tracking: Tracking, reason: str = "", dry_run: bool = False) -> Rollback:
    """Make `previous` champion again; the champion before that, if there was one, becomes `previous`.

    A dry run changes and records nothing.

    Raises InputError where there is nothing to roll back to, or another process changed the champion meanwhile.
    """
    seen = standing.read(tracking)
    withdrawn, restored = seen.aliases.get(CHAMPION), seen.aliases.get(PREVIOUS)
    if withdrawn is None or restored is None:
        missing = "no champion" if withdrawn is None else f"no champion before version {withdrawn}"
        raise InputError(f"{REGISTERED_NAME}: there is {missing} to roll back to; promote a challenger first")
    if dry_run:
        return Rollback(restored, withdrawn)
    ledger.ensure(tracking)
    while True:
        seen = standing.settle(tracking)
        if (seen.aliases.get(CHAMPION), seen.aliases.get(PREVIOUS)) != (withdrawn, restored):
            raise InputError(f"{REGISTERED_NAME}: its champion was changed meanwhile; run the command again")
        before = history.champion_before(history.events_of(seen), restored)
        if not any(int(known.version) == before for known in versions.versions(tracking)):
            before = None
        why, time = reason or "rolled back by hand", history.now()
        entry = {
            "event": history.ROLLED_BACK,
            "time": time,
            "version": withdrawn,
            "champion": restored,
            "reason": why,
            "who": history.whoami(),
            "aliases": {PREVIOUS: before, CHAMPION: restored},
            "tags": {"gkm.rolled_back": time, "gkm.last_event": f"rolled back: {why}"},
        }
        if standing.change(tracking, seen, entry):
            return Rollback(restored, withdrawn, _told(entry))


def _candidate(tracking: Tracking, version: str | int | None, seen: Standing, again: bool) -> int:
    record = versions.find(tracking, CHALLENGER if version is None else str(version))
    number = int(record.version)
    if seen.aliases.get(CHAMPION) == number:
        raise InputError(
            f"{REGISTERED_NAME} version {number}: is the champion already, and nothing newer challenges it; "
            "run a study to register a challenger, or name another version with --version"
        )
    when = history.was_rolled_back(history.events_of(seen), number)
    if when and not again:
        raise InputError(
            f"{REGISTERED_NAME} version {number}: was rolled back on {when}; "
            "register a better one, or promote this one again with --again"
        )
    return number


def _judged(measured: Measured, gates: Gates, happened: Sequence[dict[str, Any]], override: str) -> Promotion:
    number, opponent = measured.version, measured.opponent
    looks = tuple(history.look(happened, on.photographs_id, on.fingerprint, number, opponent) for on in measured.on)
    found = tuple(judge(measured, gates, looks))
    failed = [gate for gate in found if not gate.passed]
    against = "the blurred input" if opponent is None else f"version {opponent} (champion)"
    on = measured.on[0]
    own, other = (sum(scores) / len(scores) for scores in (on.psnr, on.opponent_psnr))
    figures = f"version {number} has {own:.3f} dB on {len(on.psnr)} test photographs, {against} {other:.3f} dB"
    if failed:
        verdict = f"{len(failed)} of {len(found)} gates failed, {', '.join(gate.name for gate in failed)}"
    else:
        verdict = f"all {len(found)} gates passed"
    if failed and override:
        verdict = f"{verdict}; overridden: {override}"
    promoted = not failed or bool(override)
    used = override if failed else ""
    return Promotion(promoted, f"{figures}; {verdict}", number, against, found, measured, looks, used)


def _word(found: Promotion, overtaken: bool, dry_run: bool) -> str:
    if dry_run:
        return history.LOOKED
    if overtaken:
        return history.OVERTAKEN
    return history.PROMOTED if found.promoted else history.REFUSED


def _entry(found: Promotion, seen: Standing, evidence: str | None, event: str) -> dict[str, Any]:
    """What is written to the history; it decides."""
    time, number = history.now(), found.version
    entry: dict[str, Any] = {
        "event": event,
        "time": time,
        "version": number,
        "reason": found.reason,
        "who": history.whoami(),
        "why": found.override,
        "evidence": evidence,
        "opponent": found.opponent,
        "data": [
            {
                "place": on.label,
                "fingerprint": on.fingerprint,
                "photographs_id": on.photographs_id,
                "photographs": len(on.psnr),
                "look": look,
                "psnr": round(sum(on.psnr) / len(on.psnr), 4),
                "opponent_psnr": round(sum(on.opponent_psnr) / len(on.psnr), 4),
            }
            for on, look in zip(found.measured.on, found.looks, strict=True)
        ],
        "gates": list(map(list, _rows(found))),
        "aliases": {},
    }
    if event == history.LOOKED:
        return entry
    entry["tags"] = {"gkm.last_event": f"{event}: {found.reason}"}
    if event == history.PROMOTED:
        champion = seen.aliases.get(CHAMPION)
        entry["aliases"] = {CHAMPION: number} if champion is None else {PREVIOUS: champion, CHAMPION: number}
        entry |= {} if champion is None else {"previous": champion}
        entry["tags"] |= {"gkm.promoted": time, "gkm.test/psnr": f"{found.scores['psnr']:.4f}"}
    return entry


def _keep(tracking: Tracking, found: Promotion) -> str:
    """A run of MLflow with everything that was measured; its id."""
    name = f"promotion of version {found.version}"
    tags = {
        "gkm.kind": "promotion",
        "gkm.version": str(found.version),
        "gkm.opponent": found.opponent,
        "gkm.verdict": "passed" if found.promoted else "failed",
        NOTE: with_promotion("", f"{found.reason}.", _rows(found)),
    }
    run_id = str(tracking.create(name, tags).info.run_id)
    tracking.log_metrics(run_id, {f"test/opponent_{key}": value for key, value in found.opponent_scores.items()})
    _log_scores(tracking, run_id, found, {f"test/{key}": value for key, value in found.scores.items()})
    content = {
        "reason": found.reason,
        "gates": [asdict(gate) for gate in found.gates],
        "looks": found.looks,
        "measured": asdict(found.measured),
    }
    tracking.log_text(run_id, "evidence.json", json.dumps(content, indent=1))
    tracking.finish(run_id, "finished")
    return run_id


def _log_scores(tracking: Tracking, run_id: str, found: Promotion, scores: Scores) -> None:
    """Keep on which data sets the version was measured, and what it scored on the first, as its LoggedModel's."""
    inputs = [DataInput(f"{on.label} test", on.fingerprint, on.place, "test") for on in found.measured.on]
    tracking.log_inputs(run_id, inputs)
    model = versions.find(tracking, str(found.version)).tags.get(versions.MODEL_TAG)
    if model is None:
        tracking.log_metrics(run_id, scores)
    else:
        link_scores(tracking, run_id, model, scores, inputs[0])


def _rows(found: Promotion) -> list[tuple[str, bool, str]]:
    return [(gate.name, gate.passed, gate.figures) for gate in found.gates]


def _told(entry: Mapping[str, Any]) -> dict[str, Any]:
    """`entry` without what only the registry needs."""
    return {key: value for key, value in entry.items() if key not in ("aliases", "tags")}
