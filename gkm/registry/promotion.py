"""The gate: challenger and champion on the same test photographs in, a new champion or the reason against it out.

Every promotion, refusal and rollback leaves an event: a tag `gkm.event.TIME` of the registered model, JSON with what
happened, to which version, why, and the figures.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gkm.config import Input
from gkm.errors import InputError
from gkm.registry import versions
from gkm.registry.versions import CHALLENGER, CHAMPION, PREVIOUS, REGISTERED_NAME
from gkm.tracking import Tracking

if TYPE_CHECKING:
    from gkm.data.dataset.pair import Pair
    from gkm.data.reading.cache import CachedSplit, NodeCache

Scores = Mapping[str, float]
"""Means over the test photographs: "psnr" in dB and "ssim"."""
Watch = Callable[[str, "CachedSplit"], "Iterable[Pair]"]
"""Shows progress: what is done to which photographs in, the photographs one by one out."""

_EVENT = "gkm.event."
_ROLLED_BACK = "gkm.rolled_back"


@dataclass(frozen=True)
class Promotion:
    """What the gate found."""

    promoted: bool
    reason: str
    """One sentence with the figures."""
    version: int
    """The challenger."""
    opponent: str
    """What it was measured against: "version 2 (champion)" or "the blurred input"."""
    scores: Scores
    opponent_scores: Scores
    photographs: int
    data_fingerprint: str


@dataclass(frozen=True)
class Rollback:
    """Champions exchanged."""

    champion: int
    """The version that is champion again."""
    withdrawn: int
    """The version that no longer is."""


def promote(
    tracking: Tracking,
    data: str,
    *,
    cache: NodeCache | str | None = None,
    dry_run: bool = False,
    again: bool = False,
    watch: Watch | None = None,
) -> Promotion:
    """Make the challenger champion if its mean PSNR on the test photographs of `data` is higher than the champion's.

    While there is no champion it has to beat the blurred photographs themselves. The old champion becomes `previous`.

    Args:
        cache: see `gkm.data.reading.cache.open_split`.
        dry_run: measure, but change and record nothing.
        again: consider a challenger that was rolled back, too.

    Raises InputError where there is no challenger, it is the champion already, or it was rolled back.
    """
    known = versions.aliases(tracking)
    challenger = _challenger(tracking, known, again)
    champion = known.get(CHAMPION)
    scores, photos = _scores(tracking, challenger, data, cache, watch)
    opponent = "the blurred input" if champion is None else f"version {champion} (champion)"
    opponent_scores, _ = _scores(tracking, champion, data, cache, watch)
    promoted = scores["psnr"] > opponent_scores["psnr"]
    reason = (
        f"version {challenger} has {scores['psnr']:.3f} dB on {len(photos)} test photographs, "
        f"{'more' if promoted else 'not more'} than {opponent} with {opponent_scores['psnr']:.3f} dB"
    )
    result = Promotion(
        promoted, reason, challenger, opponent, scores, opponent_scores, len(photos), photos.manifest.fingerprint
    )
    if not dry_run:
        _record_promotion(tracking, result, known)
    return result


def rollback(tracking: Tracking, reason: str = "", dry_run: bool = False) -> Rollback:
    """Make `previous` champion again; the champion before that, if there was one, becomes `previous`.

    A dry run changes and records nothing.

    Raises InputError where there is nothing to roll back to.
    """
    known = versions.aliases(tracking)
    withdrawn, restored = known.get(CHAMPION), known.get(PREVIOUS)
    if withdrawn is None or restored is None:
        missing = "no champion" if withdrawn is None else f"no champion before version {withdrawn}"
        raise InputError(f"{REGISTERED_NAME}: there is {missing} to roll back to; promote a challenger first")
    if dry_run:
        return Rollback(restored, withdrawn)
    versions.set_alias(tracking, CHAMPION, restored)
    before = _champion_before(tracking, restored)
    versions.set_alias(tracking, PREVIOUS, before)
    _tag(tracking, withdrawn, {_ROLLED_BACK: _now()})
    _record(tracking, "rolled back", withdrawn, reason or "rolled back by hand", {"champion": restored})
    return Rollback(restored, withdrawn)


def events(tracking: Tracking) -> list[dict[str, Any]]:
    """What happened to the registered model, oldest first: "event", "time", "version", "reason" and more."""
    tags = tracking.client.get_registered_model(REGISTERED_NAME).tags
    return [json.loads(tags[key]) for key in sorted(tags) if key.startswith(_EVENT)]


def _challenger(tracking: Tracking, known: Mapping[str, int], again: bool) -> int:
    version = versions.find(tracking, CHALLENGER)
    number = int(version.version)
    if known.get(CHAMPION) == number:
        raise InputError(
            f"{REGISTERED_NAME} version {number}: is the champion already, and nothing newer challenges it; "
            "run a study to register a challenger"
        )
    if _ROLLED_BACK in version.tags and not again:
        raise InputError(
            f"{REGISTERED_NAME} version {number}: was rolled back on {version.tags[_ROLLED_BACK]}; "
            "register a better one, or promote this one again with --again"
        )
    return number


def _scores(
    tracking: Tracking, version: int | None, data: str, cache: NodeCache | str | None, watch: Watch | None
) -> tuple[Scores, CachedSplit]:
    """Means of a version, or of the blurred photographs for None, over the test photographs; with those."""
    from gkm.data.reading.cache import open_split
    from gkm.evaluation import evaluate, mean_scores, restorer
    from gkm.training.context import best_device

    device = best_device()
    model = None if version is None else versions.load(tracking, version).model.to(device)
    restore = None if model is None else restorer(model)
    inputs: tuple[Input, ...] = ("blurred",) if model is None else model.inputs
    photos = open_split(data, "test", cache, inputs=inputs)
    label = "blurred input" if version is None else f"version {version}"
    pairs = watch(label, photos) if watch else photos
    try:
        return mean_scores(evaluate(restore, pairs, inputs=inputs, with_lpips=False, device=device)), photos
    except FloatingPointError as error:
        raise InputError(f"{REGISTERED_NAME} {label}: {error}; register a version that works") from None


def _record_promotion(tracking: Tracking, result: Promotion, seen: Mapping[str, int]) -> None:
    if versions.aliases(tracking) != dict(seen):
        raise InputError(f"{REGISTERED_NAME}: its aliases were changed during the comparison; run the command again")
    figures = {key: value for key, value in asdict(result).items() if key not in ("promoted", "reason", "version")}
    if result.promoted:
        if CHAMPION in seen:
            versions.set_alias(tracking, PREVIOUS, seen[CHAMPION])
            figures["previous"] = seen[CHAMPION]
        versions.set_alias(tracking, CHAMPION, result.version)
        _tag(tracking, result.version, {"gkm.promoted": _now(), "gkm.test/psnr": f"{result.scores['psnr']:.4f}"})
    event = "promoted" if result.promoted else "refused"
    _record(tracking, event, result.version, result.reason, figures)


def _champion_before(tracking: Tracking, version: int) -> int | None:
    """The champion that `version` took over from, where it still exists."""
    taken_over = [e for e in events(tracking) if e["event"] == "promoted" and e["version"] == version]
    before = taken_over[-1].get("previous") if taken_over else None
    return before if any(int(v.version) == before for v in versions.versions(tracking)) else None


def _record(tracking: Tracking, event: str, version: int, reason: str, more: Mapping[str, Any]) -> None:
    now = _now()
    text = json.dumps({"event": event, "time": now, "version": version, "reason": reason, **more})
    tracking.client.set_registered_model_tag(REGISTERED_NAME, f"{_EVENT}{now}", text)
    _tag(tracking, version, {"gkm.last_event": f"{event}: {reason}"})


def _tag(tracking: Tracking, version: int, tags: Mapping[str, str]) -> None:
    for key, value in tags.items():
        tracking.client.set_model_version_tag(REGISTERED_NAME, str(version), key, value)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
