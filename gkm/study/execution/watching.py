"""Who looks on while a study runs: a protocol, and its twin that does nothing."""

from __future__ import annotations

from typing import Protocol

from gkm.study.record.results import StudyResults, TrialRow


class Watcher(Protocol):
    """Who looks on: a terminal, a log."""

    def began(self, results: StudyResults, epochs: int) -> None:
        """The study as it stands before the first trial is handed out; `epochs` of a trial that is never stopped."""

    def trial(self, row: TrialRow) -> None:
        """A trial as it now stands."""

    def said(self, text: str) -> None:
        """A line about what happened."""

    def tick(self) -> None:
        """Called some times a second."""


class Unwatched:
    """Nobody looks on."""

    def began(self, results: StudyResults, epochs: int) -> None: ...
    def trial(self, row: TrialRow) -> None: ...
    def said(self, text: str) -> None: ...
    def tick(self) -> None: ...
