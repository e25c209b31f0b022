"""The words for what became of a trial, and of a study; nothing else of the project spells them out as a list."""

from __future__ import annotations

from typing import Literal

TrialStatus = Literal["finished", "stopped", "failed", "refused", "interrupted", "running", "waiting"]
"""What became of a trial: "stopped" before its last epoch by the stopping rule or the budget, "failed" for a reason
kept beside it, "refused" before training by a constraint, "interrupted" when its study was and nobody trains it now."""
StudyStatus = Literal["running", "interrupted", "finished", "failed"]

SCORED: tuple[TrialStatus, ...] = ("finished", "stopped")
"""Of a trial whose score counts."""
ENDED: tuple[TrialStatus, ...] = (*SCORED, "failed", "refused")
"""Of a trial that is not trained any more, whatever becomes of its study."""
UNENDED: tuple[TrialStatus, ...] = ("waiting", "running")
"""Of a trial that is still to be trained, by a driver that is there to do it."""
IN_ORDER: tuple[TrialStatus, ...] = (*ENDED, "interrupted", "running", "waiting")
"""All of them, as tables and sentences list them."""
