"""One experiment's runs: made or found again by their tags, written to and read back, whatever they stand for."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from gkm.tracking import store
from gkm.tracking.address import redacted, sqlite_path
from gkm.tracking.artifacts import Artifacts
from gkm.tracking.connection import quoted
from gkm.tracking.health import causes, is_missing
from gkm.tracking.records import MLFLOW_STATUS, Status, to_text

_LONGEST_TAG = 5000
_LONGEST_PARAMETER = 6000
_BATCH = 100
"""MLflow takes at most so many parameters or tags in one call."""
NOTE = "mlflow.note.content"
"""Tag that MLflow's pages show as the description of a run."""
FRONT = ("arm", "kind", "phase", "status", "study", "verdict")
"""Tags that runs carry without the prefix "gkm." as well: those that a user of MLflow's pages filters and groups by."""
_NO_EPOCH = ("test/", "val/blurred_")
"""Begin the names of metrics that belong to no epoch."""
_METRICS_BATCH = 800
"""And 1000 metrics, parameters and tags together; metrics of one call are stored all or none."""


class Point(NamedTuple):
    """One value of a metric. MLflow stores a point once, however often it is logged."""

    metric: str
    value: float
    step: int
    timestamp_ms: int


class DataInput(NamedTuple):
    """A data set that a run used, as MLflow shows it."""

    name: str
    digest: str
    """Identifies the contents."""
    source: str
    """Where it lies."""
    context: str
    """What it was used for, such as "training"."""


def training_inputs(name: str, fingerprint: str, place: str) -> list[DataInput]:
    """What a training uses of the data set called `name`: its photographs to train and to validate on."""
    splits = (("train", "training"), ("validation", "validation"))
    return [DataInput(f"{name} {split}", fingerprint, place, context) for split, context in splits]


class Runs(Artifacts):
    """MLflow runs of one experiment."""

    def finish(self, run_id: str, status: Status, reason: str | None = None) -> None:
        """Mark a run with its `status` and, if given, the reason."""
        self.set_tags(run_id, {"gkm.status": status} | ({"gkm.reason": reason} if reason else {}))
        self.mark(run_id, status)

    def mark(self, run_id: str, status: Status, end_seconds: float | None = None) -> None:
        """Have MLflow show a run with its `status`, as ended at `end_seconds` (default: now) if it has ended."""
        word = MLFLOW_STATUS[status]
        if word in ("RUNNING", "SCHEDULED"):
            self.client.update_run(run_id, status=word)
        else:
            end_ms = None if end_seconds is None else round(end_seconds * 1000)
            self.client.set_terminated(run_id, status=word, end_time=end_ms)

    def tags(self, run_id: str) -> dict[str, str]:
        """The tags of a run."""
        return dict(self.client.get_run(run_id).data.tags)

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags; passwords in URIs are blotted out, long values cut."""
        self.log_batch(run_id, tags=tags)

    def log_metrics(
        self, run_id: str, metrics: Mapping[str, float], step: int = 0, timestamp_seconds: float | None = None
    ) -> None:
        """Record metrics at one step, all or none of them; again with the first time's timestamp changes nothing."""
        now = round((time.time() if timestamp_seconds is None else timestamp_seconds) * 1000)
        self.log_batch(run_id, points=[Point(key, float(value), step, now) for key, value in metrics.items()])

    def log_batch(
        self,
        run_id: str,
        *,
        points: Sequence[Point] = (),
        parameters: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Record all these in as few calls as MLflow allows: parameters first, then points in order, tags last.

        Points of one step are recorded all or none where they follow each other. Values are cleaned as by `clean`.
        """
        from mlflow.entities import Metric, Param, RunTag

        texts = {key: text[:_LONGEST_PARAMETER] for key, text in (parameters or {}).items()}
        values = [Param(key, text) for key, text in texts.items()]
        labels = [RunTag(key, text) for key, text in clean(tags or {}).items()]
        while len(values) > _BATCH:
            self.client.log_batch(run_id, params=values[:_BATCH])
            values = values[_BATCH:]
        *chunks, last = _by_step(points)
        for chunk in chunks:
            metrics = [Metric(p.metric, p.value, p.timestamp_ms, p.step) for p in chunk]
            self.client.log_batch(run_id, metrics=metrics, params=values)
            values = []
        while len(labels) > _BATCH or last or values:
            metrics = [Metric(p.metric, p.value, p.timestamp_ms, p.step) for p in last]
            self.client.log_batch(run_id, metrics=metrics, params=values, tags=labels[:_BATCH])
            last, values, labels = [], [], labels[_BATCH:]
        if labels:
            self.client.log_batch(run_id, tags=labels)

    def history(self, run_id: str, names: Iterable[str], times: bool = False) -> list[dict[str, float]]:
        """The metrics `names` of a run by epoch; where one was logged twice, the first counts.

        Metrics that belong to no epoch (of test photographs, of blurred ones) are left out. `times`: with the "time"
        (in Unix seconds) of each epoch.
        """
        epochs: dict[int, dict[str, float]] = {}
        for name in names:
            if name.startswith(_NO_EPOCH):
                continue
            points = self.client.get_metric_history(run_id, name)
            for point in sorted(points, key=lambda point: (point.step, point.timestamp)):
                entry = epochs.setdefault(point.step, {"epoch": float(point.step)})
                entry.setdefault(name, point.value)
                if times:
                    entry["time"] = min(entry.get("time", float("inf")), point.timestamp / 1000)
        return [epochs[step] for step in sorted(epochs)]

    def log_inputs(self, run_id: str, inputs: Iterable[DataInput]) -> None:
        """Record what data a run used; inputs that it has already are left as they are."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        entities = [
            DatasetInput(
                dataset=Dataset(
                    name=entry.name[:500],
                    digest=entry.digest[:36],
                    source_type="s3" if entry.source.startswith("s3://") else "local",
                    source=to_text({"uri": redacted(entry.source)}),
                ),
                tags=[InputTag("mlflow.data.context", entry.context)],
            )
            for entry in inputs
        ]
        self.client.log_inputs(run_id, datasets=entities)

    # Finding and making runs

    def get(self, run_id: str) -> Any | None:
        """A run by its id; None where there is none, or it was deleted."""
        if not run_id:
            return None
        try:
            run = self.client.get_run(run_id)
        except Exception as error:
            if is_missing(error):
                return None
            raise
        return run if run.info.lifecycle_stage == "active" else None

    def find(self, tags: Mapping[str, str]) -> list[Any]:
        """The runs that carry all `tags`, oldest first."""
        wanted = " and ".join(f"tags.`{key}` = {quoted(value)}" for key, value in tags.items())
        runs: list[Any] = []
        token: str | None = None
        while True:
            page = self.client.search_runs([self.experiment_id], wanted, max_results=1000, page_token=token)
            # Some databases compare text without regard to case.
            runs += [run for run in page if all(run.data.tags.get(key) == value for key, value in tags.items())]
            token = page.token
            if not token:
                return sorted(runs, key=lambda run: (run.info.start_time, run.info.run_id))

    def create(self, name: str, tags: Mapping[str, str], start_seconds: float | None = None) -> Any:
        """A new run."""
        start_ms = None if start_seconds is None else round(start_seconds * 1000)
        return self.client.create_run(self.experiment_id, start_time=start_ms, tags=clean(tags), run_name=name)

    def adopt_or_create(self, tags: Mapping[str, str], run_name: str) -> tuple[Any, bool]:
        """The oldest run that carries `tags`, or a new one; and whether it was there already."""
        self.prepare()
        with store.only_process(self.uri):
            if runs := self.find(tags):
                return runs[0], True
            created = self.client.create_run(self.experiment_id, tags=with_front(tags), run_name=run_name)
            if sqlite_path(self.uri):
                return created, False
        # A server knows no lock: of two runs made at once by two processes the older one stays.
        oldest = self.find(tags)[0]
        if oldest.info.run_id == created.info.run_id:
            return created, False
        self.client.delete_run(created.info.run_id)
        return oldest, True

    def log_parameters(self, run: Any, parameters: Mapping[str, object]) -> dict[str, str]:
        """Log the parameters the run lacks; returns those it has with another value."""
        texts = {key: to_text(value)[:_LONGEST_PARAMETER] for key, value in parameters.items()}
        known = run.data.params
        try:
            self.log_batch(run.info.run_id, parameters={k: text for k, text in texts.items() if k not in known})
        except Exception as error:
            if not any("IntegrityError" in str(cause) for cause in causes(error)):
                raise
            # Another process logged the same ones at the same moment, which MLflow does not expect.
            known = self.client.get_run(run.info.run_id).data.params
            self.log_batch(run.info.run_id, parameters={k: text for k, text in texts.items() if k not in known})
        return {key: text for key, text in texts.items() if known.get(key, text) != text}

    def mark_running(self, run: Any, tags: Mapping[str, str]) -> None:
        """Set `tags`, and take back what an earlier end of the run left."""
        self.set_tags(run.info.run_id, {**tags, "gkm.status": "running"})
        if "gkm.reason" in run.data.tags:
            self.client.delete_tag(run.info.run_id, "gkm.reason")
        if run.info.status != "RUNNING":
            self.client.update_run(run.info.run_id, status="RUNNING")


def clean(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags as they are kept: passwords in URIs blotted out, long values cut; those in `FRONT` without prefix, too."""
    return {key: redacted(str(value))[:_LONGEST_TAG] for key, value in with_front(tags).items()}


def with_front(tags: Mapping[str, str]) -> dict[str, str]:
    """`tags`, and those in `FRONT` without their prefix."""
    return {**{key: tags[f"gkm.{key}"] for key in FRONT if f"gkm.{key}" in tags}, **tags}


def _by_step(points: Sequence[Point]) -> list[list[Point]]:
    """`points` in portions for one call each, with no step divided; at least one portion, which may be empty."""
    portions: list[list[Point]] = [[]]
    step: list[Point] = []
    for index, point in enumerate(points):
        step.append(point)
        if index + 1 == len(points) or points[index + 1].step != point.step:
            if portions[-1] and len(portions[-1]) + len(step) > _METRICS_BATCH:
                portions.append([])
            portions[-1] += step
            step = []
    return portions
