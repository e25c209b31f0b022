"""The registered model in; which version has which alias, by the history and by MLflow, out; and both made to agree.

A change is written to the history first, which decides it, and then to MLflow's aliases. The tag `gkm.settled` counts
the entries whose aliases are set. Where a process died in between, the entries beyond it still hold: they are laid over
the aliases when these are read, and the next change sets them. An alias that was moved by hand, in MLflow, counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gkm.registry import ledger
from gkm.registry.card import promotion_sentence, with_promotion
from gkm.registry.ledger import LEDGER_TAG, REGISTERED_NAME, Ledger
from gkm.tracking import Tracking

CHALLENGER = "challenger"
"""The version that is to be promoted next, if the gates let it pass."""
CHAMPION = "champion"
"""The version to use: it passed the gates of `gkm.registry.promote`."""
PREVIOUS = "previous"
"""The champion before, to roll back to."""

_SETTLED = "gkm.settled"
_ATTEMPTS = 10
"""How often a tag or an alias is set before other processes' setting it at the same moment is an error."""
_ORDER = (CHALLENGER, PREVIOUS, CHAMPION)


@dataclass(frozen=True)
class Standing:
    """The registered model as it was read."""

    aliases: Mapping[str, int] = field(default_factory=dict)
    """Alias -> version, as the history has it."""
    history: Ledger = field(default_factory=lambda: Ledger(None))
    tags: Mapping[str, str] = field(default_factory=dict)
    """Of the registered model."""
    settled: int = 0
    """So many entries are set in MLflow."""

    @property
    def unsettled(self) -> tuple[dict[str, Any], ...]:
        """Entries that MLflow's aliases do not show yet."""
        return self.history.entries[self.settled :]


def read(tracking: Tracking) -> Standing:
    """How things stand; nothing anywhere where no model is registered."""
    from mlflow.exceptions import MlflowException

    tracking.must_exist()
    try:
        model = tracking.client.get_registered_model(REGISTERED_NAME)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return Standing()
    tags = dict(model.tags)
    history = ledger.read(tracking, tags.get(LEDGER_TAG))
    found = Standing({}, history, tags, min(int(tags.get(_SETTLED, 0)), len(history.entries)))
    aliases: dict[str, int | None] = {alias: int(number) for alias, number in model.aliases.items()}
    for entry in found.unsettled:
        aliases |= entry.get("aliases", {})
    return Standing({a: number for a, number in aliases.items() if number is not None}, history, tags, found.settled)


def change(tracking: Tracking, seen: Standing, entry: Mapping[str, Any]) -> bool:
    """Write `entry`, with what it does to "aliases", to the history and set those; False: someone else was quicker.

    Whoever asks before reads the standing again and decides anew. What others left undone is done first.
    """
    if seen.unsettled:
        settle(tracking)
    if not ledger.append(tracking, seen.history, entry):
        return False
    settle(tracking)
    return True


def settle(tracking: Tracking) -> Standing:
    """Set MLflow's aliases, and the tags of versions, as the history says; nothing is done where they are."""
    standing = read(tracking)
    while standing.unsettled:
        aliases: dict[str, int | None] = {}
        for entry in standing.unsettled:
            aliases |= entry.get("aliases", {})
            for key, value in entry.get("tags", {}).items():
                _leniently(tracking, "set_model_version_tag", str(entry["version"]), key, value)
        for alias in sorted(aliases, key=_ORDER.index):
            if (number := aliases[alias]) is None:
                _leniently(tracking, "delete_registered_model_alias", alias)
            else:
                _leniently(tracking, "set_registered_model_alias", alias, str(number))
        for entry in standing.unsettled:
            _tell(tracking, entry)
        count = str(len(standing.history.entries))
        _leniently(tracking, "set_registered_model_tag", _SETTLED, count)
        # Whoever was slow may just have set aliases of yesterday: what was written since is set again.
        standing = read(tracking)
    return standing


def _tell(tracking: Tracking, entry: Mapping[str, Any]) -> None:
    """Have the model card of a version say that it was promoted, refused or rolled back, and with what figures."""
    if (sentence := promotion_sentence(entry)) is None:
        return
    number = str(entry["version"])
    version = _leniently(tracking, "get_model_version", number)
    if version is not None:
        gates = [(str(name), bool(passed), str(figures)) for name, passed, figures in entry.get("gates", ())]
        card = with_promotion(version.description or "", sentence, gates)
        if card != version.description:
            _leniently(tracking, "update_model_version", number, card)


def _leniently(tracking: Tracking, operation: str, *arguments: str) -> Any:
    """A call about the registered model; nothing (None) where the version it speaks of was deleted since."""
    from mlflow.exceptions import MlflowException

    for attempt in range(_ATTEMPTS):
        try:
            return tracking.call(operation, REGISTERED_NAME, *arguments)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            # Another process made the same tag or alias at the same moment, which MLflow does not expect.
            raced = any(word in str(error) for word in ("IntegrityError", "UniqueViolation"))
            if not raced or attempt + 1 == _ATTEMPTS:
                raise
    return None
