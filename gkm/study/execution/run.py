"""A study in; its trials run, or gone on with, to the end of its budget, and all of them as one table out.

The record is opened under the study's lease, MLflow is brought in line with it, the executor trains what the conductor
hands out. Run again, a finished study does nothing; any other goes on where it was.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING
from uuid import uuid4

from gkm import storage
from gkm.data.dataset.dataset import Dataset
from gkm.errors import InputError
from gkm.study.decisions.conductor import Conductor, Events
from gkm.study.execution.checks import check_design
from gkm.study.execution.closing import Outcome, close
from gkm.study.execution.measuring import complexity, photograph_scores, wants_complexity
from gkm.study.execution.opening import Study, check_identity, grown, open_mirror, open_study
from gkm.study.execution.watching import Unwatched, Watcher
from gkm.study.record.lease import LeaseLostError, hold
from gkm.study.record.record import Record, RecordError, check_name, open_record, repair
from gkm.study.record.results import TrialRow
from gkm.training.selection import Selection

if TYPE_CHECKING:
    from gkm.study.execution.interrupts import Interrupts
    from gkm.study.execution.trial_process import Job
    from gkm.study.mirror.mirror import Mirror

__all__ = ["Outcome", "Study", "Unwatched", "Watcher", "check_study", "find_finished", "run_study"]

SESSIONS_LOST = 3
"""Times that Ray is started again within one run of a study."""


def check_study(study: Study) -> Dataset:
    """The study's data set, opened, once all is checked that can be before anything is made.

    Raises InputError where the data set cannot be used, or a study of that name exists with other settings or data.
    """
    check_name(study.name)
    dataset = check_design(study.space, study.data, study.workers)
    try:
        record = open_record(study.record, study.name)
    except RecordError as error:
        raise InputError(str(error)) from None
    if record is not None:
        check_identity(study, record, dataset)
    return dataset


def find_finished(study: Study, dataset: Dataset | None = None) -> Outcome | None:
    """The outcome of `study` where it has been run to its end before and MLflow has all of it; needs no Ray session.

    Raises InputError where a study of that name exists with other settings or data.
    """
    record = open_record(study.record, check_name(study.name))
    if record is None or record.state != "finished" or record.attributes.get("gkm:mirrored") != "all":
        return None
    check_identity(study, record, check_design(study.space, dataset or study.data, study.workers))
    if grown(study, record) is not None:
        return None
    if study.tracking.find_study_run(record.attributes.get("gkm:run_id", "")) is None:
        return None  # MLflow's database was deleted: it is made anew from the record
    return Outcome(record.results(), worked=False)


def run_study(
    study: Study,
    session: Callable[[], AbstractContextManager[None]],
    watcher: Watcher | None = None,
    dataset: Dataset | None = None,
) -> Outcome:
    """Run `study` to its end, or go on with it, in a Ray session that `session` opens when one is needed.

    `dataset` is the study's, if it has been opened already.

    Raises InputError where the data set cannot be used, another driver runs the study, or a study of that name exists
    with other settings or data.
    """
    watcher = watcher or Unwatched()
    check_name(study.name)
    dataset = check_design(study.space, dataset or study.data, study.workers)
    study.tracking.prepare()
    with hold(study.record.lease(study.name), study.name) as lease:
        repair(study.record, study.name)
        if lease.took_over:
            watcher.said(f"taking over from {lease.took_over}, which is gone")
        try:
            record = open_study(study, dataset, lease, watcher.said)
        except RecordError as error:
            raise InputError(str(error)) from None
        return _run(study, record, dataset, session, watcher)


def _run(
    study: Study,
    record: Record,
    dataset: Dataset,
    session: Callable[[], AbstractContextManager[None]],
    watcher: Watcher,
) -> Outcome:
    from gkm.study.execution.interrupts import Interrupts
    from gkm.study.execution.trial_process import MARKER

    interrupts: Interrupts | None = None
    mirror = open_mirror(study, record, dataset, watcher.said)
    conductor: Conductor | None = None
    failure: str | None = None
    stopped: int | None = None
    try:
        record.set(state="running", reason=None)
        for number in record.numbers:
            mirror.update(record.row(number))
        conductor = _conductor(study, record, mirror, watcher)
        watcher.began(record.results(), conductor.epochs)
        marker = json.dumps({"study": study.name, "record": record.id}).encode()
        storage.write_bytes(storage.join(study.place, MARKER), marker)
        interrupts = Interrupts(partial(_stopping, conductor, watcher))
        interrupts.install()
        failure = _train(study, record, conductor, session, interrupts, watcher)
    except KeyboardInterrupt:  # a second one, or one that came before they were looked after
        stopped = signal.SIGINT
        if conductor is not None:
            conductor.stop("Ctrl-C")
    except (RecordError, LeaseLostError, InputError) as error:
        failure = str(error)
    except OSError as error:
        failure = f"{error.filename or study.place}: {error.strerror or error}; make room and start again"
    finally:
        if interrupts is not None:
            interrupts.restore()
    try:
        seen = interrupts.signal if interrupts is not None else None
        return close(record, mirror, conductor, seen or stopped, failure, watcher)
    finally:
        mirror.close()


def _conductor(study: Study, record: Record, mirror: Mirror, watcher: Watcher) -> Conductor:
    def changed(row: TrialRow) -> None:
        watcher.trial(row)
        mirror.update(row)

    return Conductor(
        record,
        study.space,
        seed=study.seed,
        confirm=study.confirm,
        complexity=complexity if wants_complexity(study.space) else None,
        photographs=photograph_scores(record),
        events=Events(trial=changed, said=watcher.said),
        price_per_hour=study.price_per_hour,
    )


def _train(
    study: Study,
    record: Record,
    conductor: Conductor,
    session: Callable[[], AbstractContextManager[None]],
    interrupts: Interrupts,
    watcher: Watcher,
) -> str | None:
    """Train all there is, in another Ray session where one was lost; what came in between, if anything did."""
    from gkm.study.execution.trial_process import Job
    from gkm.training.course.leaving import LeaveRequest

    objective = study.space.objectives[0]
    selection = Selection(objective.metric, objective.mode)
    leave = LeaveRequest(storage.join(study.place, "leave"), uuid4().hex)
    job = Job(study.data, study.place, record.id, selection, study.cache, study.workers, leave)
    tick = _ticking(conductor, record, watcher)
    for left in range(SESSIONS_LOST, -1, -1):
        trouble = _session_trouble(conductor, job, study, session, interrupts, tick)
        if trouble is None:
            return None
        if not left or conductor.stopping_reason is not None:
            break
        watcher.said(f"{trouble}; starting it again")
    return f"{trouble}; the same command goes on"


def _session_trouble(
    conductor: Conductor,
    job: Job,
    study: Study,
    session: Callable[[], AbstractContextManager[None]],
    interrupts: Interrupts,
    tick: Callable[[], None],
) -> str | None:
    """Train all there is in one Ray session; why the session was lost, if it was."""
    from gkm.study.execution.executor import execute
    from gkm.study.execution.session import Raylet, SessionLostError

    try:
        with session():
            raylet = Raylet()

            def look_around() -> None:
                raylet.check()
                tick()

            execute(conductor, job, concurrent=study.concurrent, interrupts=interrupts, on_tick=look_around)
    except SessionLostError as error:
        conductor.abandon()
        return str(error)
    return None


def _stopping(conductor: Conductor, watcher: Watcher, name: str) -> None:
    running = len(conductor.in_flight)
    conductor.stop(name)
    watcher.said(
        f"{name}: stopping; trials that run ({running}) end at their next epoch, or within it after 8 seconds "
        f"({name} again ends at once)"
    )


def _ticking(conductor: Conductor, record: Record, watcher: Watcher) -> Callable[[], None]:
    """Looks after requests to stop, and writes down the MLflow runs of trials as they are made."""
    last = 0.0

    def tick() -> None:
        nonlocal last
        watcher.tick()
        if time.monotonic() - last < 1.0:
            return
        last = time.monotonic()
        lease = record.lease
        if lease is not None:
            lease.check()
            if lease.stop_wanted and conductor.stopping_reason is None:
                watcher.said("asked to stop: running trials end at their next epoch")
                conductor.stop("stopped by `gkm study stop`")

    return tick
