"""A registry in; the models that visitors may choose from out, each loaded when it is first asked for."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock

from gkm.errors import InputError
from gkm.registry import CHALLENGER, CHAMPION, LoadedModel, load
from gkm.registry.versions import aliases
from gkm.tracking import Tracking
from gkm.training.context import best_device

_GIVEN = "given"
_LOADED_AT_ONCE = 2


class UnknownChoiceError(InputError):
    """There is no such model to choose."""


@dataclass(frozen=True)
class Choice:
    """A model that can be chosen."""

    key: str
    label: str
    """How the page speaks of it; no path of this machine is in it."""


class Choices:
    """Champion and challenger as they are at the moment, or one model that was named."""

    def __init__(self, tracking: Tracking, selector: str | None = None) -> None:
        """`selector`: see `gkm.registry.load`; None: champion and challenger.

        Raises InputError where there is no model, or one that sees two views.
        """
        self._tracking = tracking
        self._loaded: dict[str, LoadedModel] = {}
        self._lock = Lock()
        self._given = None if selector is None else load(tracking, selector)
        if self._given is not None:
            _refuse_views(self._given)
            self._given.model.to(best_device())
        else:
            self.get(self.offered()[0].key)

    def offered(self) -> list[Choice]:
        """What can be chosen now, the best first; InputError where there is nothing."""
        if self._given is not None:
            label = "the given weights" if self._given.version is None else self._given.name
            return [Choice(_GIVEN, label)]
        known = aliases(self._tracking)
        found = [Choice(key, f"{key}, version {known[key]}") for key in (CHAMPION, CHALLENGER) if key in known]
        if not found:
            load(self._tracking)  # which says what is missing
            raise InputError("the registry has neither a champion nor a challenger; name a version with --model")
        return found

    def get(self, key: str) -> LoadedModel:
        """The model of a choice, on its device; UnknownChoiceError where there is none of that name."""
        if self._given is not None and key == _GIVEN:
            return self._given
        known = aliases(self._tracking)
        if self._given is not None or key not in (CHAMPION, CHALLENGER) or key not in known:
            raise UnknownChoiceError(f"{key[:40]}: is no model to choose; reload the page")
        with self._lock:
            version = str(known[key])
            if version not in self._loaded:
                loaded = load(self._tracking, version)
                _refuse_views(loaded)
                loaded.model.to(best_device())
                for older in list(self._loaded)[: max(len(self._loaded) + 1 - _LOADED_AT_ONCE, 0)]:
                    del self._loaded[older]
                self._loaded[version] = loaded
            return self._loaded[version]


def _refuse_views(loaded: LoadedModel) -> None:
    if len(loaded.model.inputs) > 1:
        raise InputError(f"{loaded.name}: sees two dual-pixel views, not a photograph; choose another --model")
