"""Rows of a study's record in; the study in MLflow, brought in line by one thread, out: `gkm.study.mirror.mirror`."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from gkm.errors import InputError
from gkm.study.mirror.agenda import LOOK_SECONDS, Agenda, Job
from gkm.study.mirror.facts import StudyFacts
from gkm.study.mirror.mirrored import MirroredStudy
from gkm.study.record.results import StudyResults, TrialRow
from gkm.study.record.statuses import UNENDED
from gkm.tracking import Tracking, TrackingAwayError, as_away, is_missing

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1.0, 30.0
_CLOSE_SECONDS = 10.0


class MlflowMirror:
    """Shows a study in MLflow, from one thread."""

    def __init__(self, tracking: Tracking, facts: StudyFacts, on_trouble: Callable[[str], None] | None = None) -> None:
        """`on_trouble` is told, from the mirror's thread, when MLflow is away, is back, or cannot show something."""
        self.trouble: str | None = None
        self.conflict: str | None = None
        self._tracking, self._facts = tracking, facts
        self._on_trouble = on_trouble or (lambda text: None)
        self._study: MirroredStudy | None = None
        """Used by the thread alone, as is the next."""
        self._told: set[str] = set()
        self._change = threading.Condition()
        """Guards all that follows."""
        self._agenda = Agenda()
        self._study_run_id: str | None = None
        self._run_ids: dict[int, str] = {}
        self._hurried = 0
        """How many wait for all to be shown."""
        self._is_open = self._is_closing = False
        self._failures, self._has_failed, self._retry_at = 0, False, 0.0
        self._thread = threading.Thread(target=self._work, name="gkm-mirror", daemon=True)
        self._thread.start()

    # For the driver: none of these waits for MLflow, but for as long as it is told to

    @property
    def study_run_id(self) -> str | None:
        return self._study_run_id

    def run_ids(self) -> dict[int, str]:
        with self._change:
            return dict(self._run_ids)

    def update(self, row: TrialRow) -> None:
        with self._change:
            if self._agenda.add(row, time.monotonic()):
                self._change.notify_all()

    def attach(self, path: Path, folder: str | None = None) -> None:
        with self._change:
            self._agenda.attach((path, folder))
            self._change.notify_all()

    def flush(self, timeout_seconds: float) -> bool:
        with self._change:
            self._hurried += 1
            self._retry_at = 0.0
            self._change.notify_all()
            try:
                return self._change.wait_for(self._is_idle, timeout_seconds) and not self._agenda.unshown
            finally:
                self._hurried -= 1

    def finish(self, results: StudyResults, timeout_seconds: float) -> bool:
        with self._change:
            self._agenda.end(results)
        return self.flush(timeout_seconds)

    def close(self) -> None:
        with self._change:
            self._is_closing = True
            self._change.notify_all()
        self._thread.join(_CLOSE_SECONDS)

    def _is_idle(self) -> bool:
        return self._is_open and self._agenda.is_done

    # The thread

    def _work(self) -> None:
        while (job := self._next()) is not None:
            began = time.monotonic()
            try:
                self._do(job)
            except Exception as error:
                self._failed(job, error)
            else:
                self._recovered()
            now = time.monotonic()
            with self._change:
                if not self._hurried:  # rests for as long as it worked: the driver shares this process
                    self._retry_at = max(self._retry_at, 2 * now - began)
                self._change.notify_all()

    def _next(self) -> Job | None:
        """What to do next, once there is something; None when the mirror is closed."""
        with self._change:
            while not self._is_closing:
                now = time.monotonic()
                pause = self._retry_at - now
                if pause <= 0:
                    if not self._is_open or self._tracking.is_replaced:
                        return Job("open")
                    job, pause = self._agenda.next(now, self._hurried > 0)
                    if job is not None:
                        return job
                self._change.wait(min(pause, LOOK_SECONDS))
            return None

    def _do(self, job: Job) -> None:
        if job.kind == "open" or self._study is None:
            self._open()
        elif job.kind == "trial":
            self._show_trial(self._study, job.number)
        elif job.kind == "study":
            self._show_study(self._study)
        else:
            self._keep(self._study, job)

    def _open(self) -> None:
        if self._tracking.is_replaced:
            self._tracking.reopen()
        with self._change:
            known = {row.run_id for row in self._agenda.rows.values() if row.run_id} | set(self._run_ids.values())
        study = MirroredStudy(self._tracking, self._facts, prefer=known)
        study.show_study(None)
        with self._change:
            self._agenda.everything_again(time.monotonic(), is_new=study.parent.id != self._study_run_id)
            self._study, self._is_open = study, True
            self._study_run_id, self._run_ids = study.parent.id, study.run_ids()
        if study.conflict and self.conflict is None:
            self.conflict = study.conflict
            self._said(study.conflict)

    def _show_trial(self, study: MirroredStudy, number: int) -> None:
        with self._change:
            row = self._agenda.rows[number]
            setting = self._agenda.setting(row.group)
        study.show(row, setting)
        study.show_setting(setting)
        with self._change:
            self._run_ids = study.run_ids()
            self._agenda.shown(row, time.monotonic())

    def _keep(self, study: MirroredStudy, job: Job) -> None:
        if job.attachment is not None:
            study.attach(*job.attachment)
        else:
            with self._change:
                row = self._agenda.rows[job.number]
            if row.status not in UNENDED:
                study.keep_files(row)
        with self._change:
            self._agenda.finish(job)

    def _show_study(self, study: MirroredStudy) -> None:
        with self._change:
            results, rows = self._agenda.results, dict(self._agenda.rows)
        if self._has_failed:
            study.look_again()
        study.tidy(rows)
        study.show_study(results)
        with self._change:
            self._has_failed = False
            self._run_ids = study.run_ids()
            self._agenda.study_shown(results, self._run_ids, time.monotonic())

    # What goes wrong

    def _said(self, text: str) -> None:
        try:
            self._on_trouble(text)
        except Exception:
            logging.getLogger(__name__).exception("cannot say: %s", text)

    def _failed(self, job: Job, error: Exception) -> None:
        away: Exception | None = as_away(self._tracking.uri, error)
        if away is None and (isinstance(error, InputError) or is_missing(error)):
            away = error
        if away is None:
            self._give_up(job, error)
            return
        if is_missing(error):
            self._tracking.reopen()
        why = away.why if isinstance(away, TrackingAwayError) else _first_line(away)
        with self._change:
            self._failures, self._has_failed, self._is_open = self._failures + 1, True, False
            pause = min(_FIRST_PAUSE_SECONDS * 2 ** (self._failures - 1), _LONGEST_PAUSE_SECONDS)
            self._retry_at = time.monotonic() + pause
            self._agenda.postpone(job, self._retry_at)
        if self.trouble is None:
            self.trouble = (
                f"MLflow at {self._tracking.address} does not answer since {time.strftime('%H:%M')} ({why}); "
                "training goes on, its runs will be brought in line"
            )
        if self._failures == 2:  # a single failure is mended before anyone has read about it
            self._said(self.trouble)

    def _give_up(self, job: Job, error: Exception) -> None:
        """Leave out what cannot be shown, whatever it is, and go on with the rest."""
        logging.getLogger(__name__).debug("showing %s in MLflow", job, exc_info=error)
        told = f"MLflow cannot show {job} ({type(error).__name__}: {_first_line(error)}); training goes on"
        if told not in self._told:  # the study itself is tried again and again
            self._told.add(told)
            self._said(told)
        with self._change:
            self._agenda.give_up(job)
            if job.kind == "open":
                self._retry_at = time.monotonic() + _LONGEST_PAUSE_SECONDS

    def _recovered(self) -> None:
        if self._failures >= 2:
            self._said(f"MLflow at {self._tracking.address} answers again; its runs are being brought in line")
        self._failures, self.trouble = 0, None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:300]
