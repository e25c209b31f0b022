"""After which steps a checkpoint is due: the same ones on every worker, whatever their clocks say."""

from types import SimpleNamespace
from typing import Any

import pytest

from gkm.training.course.leaving import Wish
from gkm.training.course.lookout import Lookout


class Alone:
    """A context of one process."""

    rank, world_size = 0, 1
    store = SimpleNamespace(idle=True)

    def __init__(self) -> None:
        self.wanted = Wish.NOTHING

    def wish(self) -> Wish:
        return self.wanted


class Group:
    """Contexts of workers whose sums are worked out once all of them have asked."""

    def __init__(self, size: int, step_seconds: float) -> None:
        self.contexts = [Member(self, rank, size) for rank in range(size)]
        self.lookouts: list[Any] = []
        self.step_seconds, self.now = step_seconds, 0.0

    def steps(self, minutes: float, count: int) -> list[tuple[int, Wish]]:
        """What is to be done, and after which steps, if it is anything."""
        if not self.lookouts:
            # The clock of rank 1 is no clock at all: it must count for nothing.
            clocks = [lambda: self.now, lambda: 1e9]
            self.lookouts = [Lookout(c, minutes, clock) for c, clock in zip(self.contexts, clocks, strict=True)]  # type: ignore[arg-type]
        done = []
        for step in range(1, count + 1):
            self.now += self.step_seconds
            wishes = {self._after_step(rank) for rank in (1, 0)}
            looked = {context.looks for context in self.contexts}
            assert len(looked) == 1, "workers would wait for each other for ever"
            (wish,) = wishes
            if wish is not Wish.NOTHING:
                done.append((step, wish))
                for lookout in self.lookouts:
                    lookout.kept()
        return done

    def _after_step(self, rank: int) -> Wish:
        """Rank 1 goes first, and is given what rank 0 is going to say."""
        return self.lookouts[rank].after_step()  # type: ignore[no-any-return]


class Member(Alone):
    def __init__(self, group: Group, rank: int, size: int) -> None:
        super().__init__()
        self.group, self.rank, self.world_size = group, rank, size
        self.looks = 0

    def sum(self, values: list[float]) -> list[float]:
        self.looks += 1
        first, other = self.group.contexts[0], self.group.contexts[1]
        lookout = self.group.lookouts[0]
        due = lookout._seconds and self.group.now - lookout._kept >= lookout._seconds
        looked = self.group.now - lookout._looked if self.rank else values[2]
        leave = float(first.wanted is Wish.LEAVE) + float(other.wanted is Wish.LEAVE)
        return [leave, float(bool(due)), looked, 1.0]


def test_a_process_alone_looks_after_every_step_and_at_its_clock() -> None:
    now = [0.0]
    context = Alone()
    lookout = Lookout(context, 1.0, lambda: now[0])  # type: ignore[arg-type]
    for seconds, wish in ((30, Wish.NOTHING), (59, Wish.NOTHING), (60, Wish.CHECKPOINT)):
        now[0] = float(seconds)
        assert lookout.after_step() is wish
    lookout.kept()
    now[0] = 119.0
    assert lookout.after_step() is Wish.NOTHING
    context.wanted = Wish.LEAVE
    assert lookout.after_step() is Wish.LEAVE
    never = Lookout(Alone(), 0.0, lambda: now[0])  # type: ignore[arg-type]
    now[0] = 1e6
    assert never.after_step() is Wish.NOTHING


@pytest.mark.parametrize("step_seconds", [0.001, 0.3, 20.0])
def test_workers_do_the_same_after_the_same_steps(step_seconds: float) -> None:
    group = Group(2, step_seconds)
    count = int(200 / step_seconds) if step_seconds > 0.01 else 130_000
    done = group.steps(1.0, count)
    assert {wish for _, wish in done} == {Wish.CHECKPOINT}
    for (step, _), due in zip(done, (60, 120), strict=False):
        assert due <= step * step_seconds <= due + max(5.0, 2.5 * step_seconds)
    assert group.contexts[0].looks <= 2 + min(count, 1.5 * count * step_seconds + 40)
    group.contexts[1].wanted = Wish.LEAVE
    (step, wish), *_ = group.steps(1.0, int(max(3, 3 / step_seconds)))
    assert wish is Wish.LEAVE
    assert step * step_seconds <= max(2.5, 2.5 * step_seconds)
