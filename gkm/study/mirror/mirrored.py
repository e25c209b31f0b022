"""A study's facts and rows in; its runs in MLflow, found again or made, and brought in line with them, out.

Every method compares what MLflow has with what it should have, writes the difference, and may be called again after
any failure. Only the driver of a study calls them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gkm.study.mirror.facts import StudyFacts
from gkm.study.mirror.mirrored_files import copy_pictures, copy_weights
from gkm.study.mirror.notes import runs_link
from gkm.study.mirror.projection import (
    EPOCHS_TAG,
    FILES_TAG,
    REMOVABLE_TAGS,
    WEIGHTS_TAG,
    Look,
    below_setting,
    points,
    setting_look,
    study_look,
    trial_look,
)
from gkm.study.mirror.read_back import foreign
from gkm.study.record.results import StudyResults, TrialRow
from gkm.tracking import NOTE, Point, Tracking, clean, training_inputs
from gkm.tracking.records import MLFLOW_STATUS

_FILES = "files: "
"""Begins what a note says of a trial's files."""
_EARLIER = "gkm.earlier"
"""Marks a parent run that version 0.1.0 made: its trials do not name their record."""


@dataclass
class _Run:
    """A run as MLflow has it."""

    id: str
    name: str
    status: str
    tags: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    has_data: bool = False
    is_new: bool = False

    @classmethod
    def of(cls, run: Any, is_new: bool = False) -> _Run:
        """From MLflow's own object."""
        data, info = run.data, run.info
        return cls(
            id=info.run_id,
            name=info.run_name or "",
            status=info.status,
            tags=_shared(data.tags),
            parameters=_shared(data.params),
            metrics=dict(data.metrics),
            has_data=bool(run.inputs and run.inputs.dataset_inputs),
            is_new=is_new,
        )


class MirroredStudy:
    """The runs of one study; open once made."""

    def __init__(self, tracking: Tracking, facts: StudyFacts, prefer: Iterable[str] = ()) -> None:
        """Find the study's runs, or make its parent. Of doubled runs one with an id in `prefer` stays, else the oldest.

        A parent that another record stands behind is never touched; see `conflict`.
        """
        self.tracking, self.facts = tracking, facts
        self.conflict: str | None = None
        """What other study of that name is there, said when this one's parent is made."""
        self._prefer = set(prefer)
        self.parent = self._open_parent()
        self.trials: dict[int, _Run] = {}
        self.settings: dict[int, _Run] = {}
        self._list()

    def run_ids(self) -> dict[int, str]:
        """Trial number -> run id."""
        return {number: run.id for number, run in self.trials.items()}

    # Opening

    def _open_parent(self) -> _Run:
        facts = self.facts
        parents = self.tracking.studies(facts.name)
        mine = [run for run in parents if run.data.tags.get("gkm.record") == facts.record_id]
        # Version 0.1.0 kept no record; the record of such a study was made from its runs.
        mine = mine or [run for run in parents if _is_earlier(run, facts)][:1]
        if mine:
            return self._only(mine)
        own = {"gkm.kind": "study", "gkm.study": facts.name, "gkm.record": facts.record_id}
        run, adopted = self.tracking.adopt_or_create(own, run_name=facts.name)
        if parents and not adopted:
            self.conflict = (
                f"MLflow at {self.tracking.address} has another study called {facts.name} ({foreign(parents[-1])}); "
                f"this one is kept apart, in run {run.info.run_id}"
            )
        return _Run.of(run, is_new=not adopted)

    def _list(self) -> None:
        facts = self.facts
        found = self.tracking.find({"gkm.record": facts.record_id})
        if self.parent.tags.get(_EARLIER) or "gkm.record" not in self.parent.tags:
            self.parent.tags[_EARLIER] = ""  # to be written with the others
            below = self.tracking.find({"gkm.kind": "trial", "mlflow.parentRunId": self.parent.id})
            found += [run for run in below if "gkm.record" not in run.data.tags]
        for kind, key, into in (("trial", "gkm.number", self.trials), ("setting", "gkm.group", self.settings)):
            doubles: dict[int, list[Any]] = {}
            for run in found:
                if run.data.tags.get("gkm.kind") == kind and run.data.tags.get(key, "").isdigit():
                    doubles.setdefault(int(run.data.tags[key]), []).append(run)
            into.clear()
            into.update({number: self._only(runs) for number, runs in doubles.items()})

    def _only(self, runs: Sequence[Any]) -> _Run:
        """The one that stays of runs, oldest first, of the same thing; the others are deleted."""
        stays = next((run for run in runs if run.info.run_id in self._prefer), runs[0])
        for run in runs:
            if run is not stays:
                self.tracking.client.delete_run(run.info.run_id)
        return _Run.of(stays)

    # Trials and settings

    def show(self, row: TrialRow, others: Sequence[TrialRow] = ()) -> None:
        """Bring a trial's run in line. `others`: the rows of the same setting, this one among them."""
        run = self.trials.get(row.number)
        if run is None and row.status == "waiting":
            return
        parent = self._setting(row, others or [row]).id if below_setting(self.facts, row) else self.parent.id
        look = trial_look(self.facts, row, parent)
        if run is not None and _contradicts(run, look):
            # Another trial had this number, before a record that was lost: its run stays, under another kind.
            self.tracking.set_tags(run.id, {"gkm.kind": "superseded"})
            if run.status == "RUNNING":
                self.tracking.mark(run.id, "interrupted")
            run = None
        if run is None:
            run = self.trials[row.number] = self._create(look)
        if _FILES in (note := run.tags.get("gkm.note", "")):
            look.tags["gkm.note"] = _joined(row.notes, note[note.index(_FILES) :])
        sent = int(run.tags.get(EPOCHS_TAG, 0))
        new = points(row, sent)
        if new:
            look.tags[EPOCHS_TAG] = str(row.epochs)
        self._bring(run, look, new)

    def show_setting(self, rows: Sequence[TrialRow]) -> None:
        """Bring the run of a setting in line, if one of its trials hangs below it and has a run."""
        if rows and (run := self.settings.get(rows[0].group)) is not None:
            self._bring(run, setting_look(self.facts, rows, self.parent.id), ())

    def _setting(self, row: TrialRow, rows: Sequence[TrialRow]) -> _Run:
        run = self.settings.get(row.group)
        if run is None:
            look = setting_look(self.facts, rows, self.parent.id)
            run = self.settings[row.group] = self._create(look)
        return run

    # The study

    def show_study(self, results: StudyResults | None) -> None:
        """Bring the parent run in line, while the study runs (`results` None) or at its end."""
        look = study_look(self.facts, results, self.run_ids())
        if _EARLIER in self.parent.tags:
            look.tags[_EARLIER] = "true"
        experiment = self.tracking.experiment_id
        links = [f"[All runs of this study]({runs_link(experiment, self.facts.name)})"]
        if (best := look.tags.get("gkm.best_run")) is not None:
            links.append(f"[Its best run](#/experiments/{experiment}/runs/{best})")
        look.tags[NOTE] += f"\n\n{' · '.join(links)}"
        self._bring(self.parent, look, ())

    def look_again(self) -> None:
        """List the runs anew; doubled ones, which a broken connection can leave behind, are deleted."""
        self._prefer |= {run.id for run in (*self.trials.values(), *self.settings.values())}
        self._list()

    def tidy(self, rows: Mapping[int, TrialRow]) -> None:
        """See to it that no run of a trial goes on running of which the record knows nothing."""
        groups = {row.group for row in rows.values()}
        for known, runs in ((set(rows), self.trials), (groups, self.settings)):
            for number, run in runs.items():
                if number not in known and run.status == "RUNNING":
                    self.tracking.finish(run.id, "interrupted", "is not in the study's record")
                    run.status = MLFLOW_STATUS["interrupted"]

    def attach(self, path: Path, folder: str | None) -> None:
        """Keep a file, or all files of a folder, with the parent run."""
        if path.is_dir():
            self.tracking.log_folder(self.parent.id, path, folder or path.name)
        else:
            self.tracking.log_file(self.parent.id, path, folder)

    # Files

    def keep_files(self, row: TrialRow) -> None:
        """Copy the best weights, their scores and the pictures of a trial that is not trained now to its run."""
        run = self.trials.get(row.number)
        best = row.best_epoch
        if run is None or best is None or not row.place or run.tags.get(FILES_TAG) == str(row.epochs):
            return
        epoch = int(row.history[-1].get("best/epoch", best["epoch"]))
        lacking = [self._keep_weights(run, row, epoch), copy_pictures(self.tracking, run.id, row, run.is_new)]
        run.is_new = False
        note = _joined(row.notes, *(f"{_FILES}{text}" for text in lacking if text))
        tags = {"gkm.note": note} if note else {}
        if not any(lacking):
            tags[FILES_TAG] = str(row.epochs)
        self._tag(run, tags)
        if not note and "gkm.note" in run.tags:
            self._untag(run, "gkm.note")

    def _keep_weights(self, run: _Run, row: TrialRow, epoch: int) -> str | None:
        """Returns what is wrong with them."""
        if run.tags.get(WEIGHTS_TAG) == str(epoch):
            return None
        if (wrong := copy_weights(self.tracking, run.id, row.place, epoch)) is None:
            self._tag(run, {WEIGHTS_TAG: str(epoch)})
        return wrong

    # Writing differences

    def _create(self, look: Look) -> _Run:
        tags = {key: value for key, value in look.tags.items() if key != EPOCHS_TAG}
        return _Run.of(self.tracking.create(look.name, tags, look.started), is_new=True)

    def _bring(self, run: _Run, look: Look, new: Sequence[Point]) -> None:
        wanted = clean(look.tags)
        tags = {key: value for key, value in wanted.items() if run.tags.get(key) != value}
        parameters = {key: text for key, text in look.parameters.items() if key not in run.parameters}
        changed = {key: value for key, value in look.metrics.items() if run.metrics.get(key) != value}
        now = round((look.ended or time.time()) * 1000)
        every = [*new, *(Point(key, value, look.step, now) for key, value in changed.items())]
        if tags or parameters or every:
            self.tracking.log_batch(run.id, points=every, parameters=parameters, tags=tags)
            run.tags |= _shared(tags)
            run.parameters |= _shared(parameters)
            run.metrics |= changed
        for key in REMOVABLE_TAGS:
            if key in run.tags and key not in wanted:
                self._untag(run, key)
        if run.name != look.name:
            self.tracking.client.update_run(run.id, name=look.name)
            run.name = look.name
        if self.facts.data_fingerprint and not run.has_data:
            inputs = training_inputs(self.facts.data_name, self.facts.data_fingerprint, self.facts.data)
            self.tracking.log_inputs(run.id, inputs)
            run.has_data = True
        if run.status != MLFLOW_STATUS[look.status]:
            self.tracking.mark(run.id, look.status, look.ended)
            run.status = MLFLOW_STATUS[look.status]

    def _tag(self, run: _Run, tags: Mapping[str, str]) -> None:
        new = {key: value for key, value in clean(tags).items() if run.tags.get(key) != value}
        if new:
            self.tracking.set_tags(run.id, new)
            run.tags |= _shared(new)

    def _untag(self, run: _Run, key: str) -> None:
        self.tracking.client.delete_tag(run.id, key)
        del run.tags[key]


def _shared(texts: Mapping[str, str]) -> dict[str, str]:
    """The same texts, each kept once in memory: most are those of many runs."""
    return {sys.intern(key): sys.intern(text) for key, text in texts.items()}


def _is_earlier(run: Any, facts: StudyFacts) -> bool:
    """Whether version 0.1.0 made the parent run of this very study."""
    tags = run.data.tags
    same_space = tags.get("gkm.space") == facts.tags.get("gkm.space")
    return "gkm.record" not in tags and same_space and tags.get("gkm.data") == facts.data_fingerprint


def _contradicts(run: _Run, look: Look) -> bool:
    """Whether a run has other settings than it should have: MLflow's parameters cannot change."""
    return any(run.parameters.get(key, text) != text for key, text in look.parameters.items())


def _joined(notes: Sequence[str], *more: str) -> str:
    return "; ".join([*notes, *more])
