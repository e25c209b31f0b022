"""A driver whose trials are a formula and whose process may die at any write of the record."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gkm.config import TrainingConfig, TrialConfig
from gkm.study.decisions.conductor import Assignment, Conductor, Events
from gkm.study.design.design import Design
from gkm.study.record.lease import hold
from gkm.study.record.record import Record, RecordError, RecordPlace, create_record, open_record, repair
from gkm.study.record.results import StudyResults

EPOCHS = 9


class DriverDiedError(Exception):
    """What stands for kill -9."""


def psnr(config: TrialConfig, epoch: int) -> float:
    """Best at a learning rate of 1e-3 and many kernels; seeds differ a little."""
    distance = abs(math.log10(config.optim.learning_rate) + 3)
    return 30 - distance + 0.1 * epoch + 0.01 * config.model.num_kernels + 0.05 * config.training.seed


@dataclass
class Driver:
    """Runs studies on one record, one process after the other."""

    place: RecordPlace
    name: str = "s"
    score: Callable[[TrialConfig, int], float] = psnr
    metrics: Callable[[TrialConfig, int], dict[str, float]] = lambda config, epoch: {}
    """What trials report beside it."""
    writes: int = 0
    handed_out: list[Assignment] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    @contextmanager
    def open(
        self, design: Design, *, dies_at: int | None = None, torn: bool = False, **more: Any
    ) -> Iterator[Conductor]:
        """A conductor under the study's lease; `dies_at` counts writes, the last of which may be `torn`."""
        with hold(self.place.lease(self.name), self.name) as lease:
            repair(self.place, self.name)
            record = open_record(self.place, self.name) or self.create(design)
            record.lease = lease
            record.set(budget=design.limits.to_json())
            self._watch(record, dies_at, torn)
            more.setdefault("events", Events(said=self.said.append))
            yield Conductor(record, design, seed=3, **more)

    def create(self, design: Design) -> Record:
        facts = {
            "base": design.base.model_dump(mode="json"),
            "budget": design.limits.to_json(),
            "folder": "/studies",
            "kind": design.kind,
            "reference": getattr(design, "reference", None),
        }
        return create_record(self.place, self.name, objectives=design.objectives, facts=facts)

    def run(self, design: Design, *, slots: int = 1, **how: Any) -> StudyResults:
        """Train all that there is to train, `slots` trials at a time, an epoch of each in turn."""
        with self.open(design, **how) as conductor:
            running: dict[int, Iterator[int]] = {}
            while True:
                while len(running) < slots and isinstance(assignment := conductor.next_trial(), Assignment):
                    self.handed_out.append(assignment)
                    running[assignment.number] = self.train(conductor, assignment)
                if not running:
                    break
                for number in list(running):
                    if next(running[number], None) is None:
                        del running[number]
            conductor.close()
            assert conductor.is_finished or conductor.stopping_reason
            return conductor.record.results()

    def train(self, conductor: Conductor, assignment: Assignment) -> Iterator[int]:
        """A trial from its last epoch on record, an epoch at a time."""
        for epoch in range(assignment.known_epoch + 1, conductor.epochs + 1):
            if not self.report(conductor, assignment, epoch):
                break
            if epoch < conductor.epochs:
                yield epoch
        conductor.ended(assignment.number)

    def report(self, conductor: Conductor, assignment: Assignment, epoch: int) -> bool:
        value = self.score(assignment.config, epoch)
        metrics = {"epoch": epoch, "val/psnr": value, "best/val/psnr": value, "time": 0.0}
        return conductor.report(assignment.number, metrics | self.metrics(assignment.config, epoch))

    def run_through_deaths(self, design: Design, next_death: Callable[[int], int | None], **how: Any) -> StudyResults:
        """`next_death` gives the write at which the n-th process dies, None for one that lives."""
        for death in range(1000):
            try:
                return self.run(design, dies_at=next_death(death), **how)
            except (DriverDiedError, RecordError):
                continue
        raise AssertionError("the study never ends")

    def _watch(self, record: Record, dies_at: int | None, torn: bool) -> None:
        backend: Any = record.storage._backend  # type: ignore[attr-defined]
        append = backend.append_logs
        self.writes = 0

        def append_logs(logs: list[dict[str, Any]]) -> None:
            self.writes += 1
            if dies_at is not None and self.writes >= dies_at:
                if torn and self.writes == dies_at:
                    with self.place.journal(self.name).open("ab") as file:
                        file.write(b'{"op_code": 8, "worker')
                raise DriverDiedError
            append(logs)

        backend.append_logs = append_logs


@pytest.fixture(autouse=True)
def _nothing_waits_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here processes die, not machines."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


@pytest.fixture
def base() -> TrialConfig:
    return TrialConfig(training=TrainingConfig(epochs=EPOCHS))


@pytest.fixture
def driver(tmp_path: Path) -> Driver:
    return Driver(RecordPlace(str(tmp_path / "records")))


@pytest.fixture
def new_driver(tmp_path: Path) -> Callable[[], Driver]:
    """Drivers, each with records of its own."""
    count = iter(range(100_000))
    return lambda: Driver(RecordPlace(str(tmp_path / f"records-{next(count)}")))


@pytest.fixture
def died() -> type[Exception]:
    return DriverDiedError
