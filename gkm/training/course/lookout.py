"""Steps in; after which a checkpoint is written, and whether training ends there, out: alike on every worker."""

from __future__ import annotations

import time
from collections.abc import Callable

from gkm.training.context import TrainingContext
from gkm.training.course.leaving import Wish

LOOK_SECONDS = 1.0
"""How often, more or less, workers agree on what to do; a process alone knows after every step."""


class Lookout:
    """What is to be done after a step: nothing, a checkpoint, or a checkpoint and an end.

    Rank 0 decides when a checkpoint is due, `minutes` after the one before (0: never); any worker may be asked to
    leave. Workers exchange that about once a second, at steps that follow from rank 0's clock.
    """

    def __init__(self, context: TrainingContext, minutes: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._context, self._seconds, self._clock = context, 60 * minutes, clock
        self._kept = self._looked = clock()
        self._steps = self._looked_at = 0
        self._next = 1
        self._idle = True

    @property
    def idle(self) -> bool:
        """Whether, as far as all workers know, the store has all that was kept."""
        return self._idle

    def kept(self) -> None:
        """A checkpoint was written just now."""
        self._kept = self._clock()
        self._idle = False

    def after_step(self) -> Wish:
        """What to do after one more step; called on every worker after the same ones."""
        self._steps += 1
        if self._steps < self._next:
            return Wish.NOTHING
        own, now = self._context.wish(), self._clock()
        if own is Wish.NOTHING and self._seconds and self._context.rank == 0 and now - self._kept >= self._seconds:
            own = Wish.CHECKPOINT
        if self._context.world_size == 1:
            self._next, self._idle = self._steps + 1, self._context.store.idle
            return own
        first = self._context.rank == 0
        asked = [float(own is Wish.LEAVE), float(own is Wish.CHECKPOINT)]
        told = [now - self._looked, float(self._context.store.idle)] if first else [0.0, 0.0]
        leave, checkpoint, seconds, idle = self._context.sum([*asked, *told])
        self._idle = idle > 0
        steps = self._steps - self._looked_at
        # Twice as far at most: after quick steps there may be slow ones, such as the first ones of another cost.
        self._next = self._steps + max(1, min(2 * steps, int(steps * LOOK_SECONDS / max(seconds, 1e-6))))
        self._looked, self._looked_at = now, self._steps
        return Wish.LEAVE if leave else Wish.CHECKPOINT if checkpoint else Wish.NOTHING
