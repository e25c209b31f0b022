"""What was given to a mirror in; what it has to do next, and whether all is done, out; without threads or MLflow."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

from gkm.study.record.results import StudyResults, TrialRow
from gkm.study.record.statuses import UNENDED

GATHER_SECONDS = 1.0
"""Changes of a trial that is running are gathered for so long: short trials cost one visit, not one an epoch."""
LOOK_SECONDS = 5.0
"""How often a store with nothing to do is looked after: a deleted database is made anew."""

Attachment = tuple[Path, str | None]
"""What to keep with the study, and in which folder."""


class Job(NamedTuple):
    """One visit to MLflow."""

    kind: Literal["open", "trial", "files", "attach", "study"]
    number: int = -1
    """Of the trial."""
    attachment: Attachment | None = None

    def __str__(self) -> str:
        match self.kind:
            case "trial":
                return f"trial {self.number}"
            case "files":
                return f"the files of trial {self.number}"
            case "attach" if self.attachment is not None:
                return str(self.attachment[0])
            case _:
                return "the study"


class Agenda:
    """What is to be shown. Trials come first, then their files, attachments, and last how the study ended."""

    def __init__(self) -> None:
        self.rows: dict[int, TrialRow] = {}
        """The newest row of each trial."""
        self.results: StudyResults | None = None
        """How the study ended, once it has."""
        self.unshown: set[Job] = set()
        """What cannot be shown for a reason that waiting does not mend."""
        self._due: dict[int, float] = {}
        """Trials to be shown -> from when on."""
        self._files: dict[int, None] = {}
        """Trials whose files are to be kept, in order."""
        self._attachments: dict[Attachment, bool] = {}
        """-> whether it is kept."""
        self._is_study_shown = True

    @property
    def is_done(self) -> bool:
        """Whether there is nothing to do."""
        return not (self._due or self._files) and self._is_study_shown and all(self._attachments.values())

    def setting(self, group: int) -> list[TrialRow]:
        """The rows of one setting."""
        return [row for row in self.rows.values() if row.group == group]

    # What is given

    def add(self, row: TrialRow, now: float) -> bool:
        """A trial as it now stands; returns whether that is new."""
        if self.rows.get(row.number) == row:
            return False
        self.rows[row.number] = row
        self.unshown.discard(Job("trial", row.number))
        self.again(row, now)
        return True

    def again(self, row: TrialRow, now: float) -> None:
        """Have a trial's run looked at: soon while it runs, at once when it has ended."""
        due = now + GATHER_SECONDS if row.status in UNENDED else now
        self._due[row.number] = min(due, self._due.get(row.number, due))

    def attach(self, attachment: Attachment) -> None:
        """Something to be kept with the study."""
        self._attachments[attachment] = False

    def end(self, results: StudyResults) -> None:
        """How the study ended."""
        self.results, self._is_study_shown = results, False

    def everything_again(self, now: float, is_new: bool) -> None:
        """Have all runs looked at; `is_new`: the study's run was made anew and lacks its attachments."""
        if is_new:
            self._attachments = dict.fromkeys(self._attachments, False)
        self._is_study_shown = self.results is None
        for row in self.rows.values():  # most are as they should be, which costs nothing
            self.again(row, now)

    # What is to be done

    def next(self, now: float, hurried: bool) -> tuple[Job | None, float]:
        """What to do now, or for how many seconds there is nothing; `hurried`: somebody waits for all of it."""
        if self._due:
            number, due = min(self._due.items(), key=lambda entry: entry[1])
            if due <= now or hurried:
                return Job("trial", number), 0.0
        for number in self._files:
            return Job("files", number), 0.0
        for attachment, is_kept in self._attachments.items():
            if not is_kept:
                return Job("attach", attachment=attachment), 0.0
        if not self._is_study_shown and not self._due:
            return Job("study"), 0.0
        return None, min(min(self._due.values(), default=now + LOOK_SECONDS) - now, LOOK_SECONDS)

    def postpone(self, job: Job, until: float) -> None:
        """Try other trials first."""
        if job.kind == "trial" and job.number in self._due:
            self._due[job.number] = until

    def shown(self, row: TrialRow, now: float) -> None:
        """A trial's run is as `row` says, which may have grown old meanwhile."""
        self._due.pop(row.number, None)
        newest = self.rows[row.number]
        if newest is row:
            self.unshown.discard(Job("trial", row.number))
        else:
            self.again(newest, now)
        if row.status not in UNENDED and row.history:
            self._files[row.number] = None

    def study_shown(self, results: StudyResults | None, run_ids: dict[int, str], now: float) -> None:
        """The study's run is as `results` say, and there are runs for the trials in `run_ids`."""
        lost = [row for number, row in self.rows.items() if row.status != "waiting" and number not in run_ids]
        lost = [row for row in lost if Job("trial", row.number) not in self.unshown]
        for row in lost:  # somebody deleted their runs
            self.again(row, now)
        self._is_study_shown = self.results is results and not lost

    def finish(self, job: Job) -> None:
        """A job of another kind is done, or given up."""
        match job.kind:
            case "trial":
                self._due.pop(job.number, None)
            case "files":
                self._files.pop(job.number, None)
            case "attach" if job.attachment is not None:
                self._attachments[job.attachment] = True
            case "study":
                self._is_study_shown = True

    def give_up(self, job: Job) -> None:
        """Leave out what cannot be shown."""
        self.unshown.add(job)
        self.finish(job)
