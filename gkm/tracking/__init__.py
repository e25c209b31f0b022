"""Studies and trials in, MLflow runs out: a parent run per study, a child run per trial, never made twice."""

from gkm.tracking.environment import environment_tags
from gkm.tracking.records import Status, StudyRun, TrialRecord
from gkm.tracking.store import default_tracking_uri, open_tracking, redacted
from gkm.tracking.studies import Tracking, TrialRun

__all__ = [
    "Status",
    "StudyRun",
    "Tracking",
    "TrialRecord",
    "TrialRun",
    "default_tracking_uri",
    "environment_tags",
    "open_tracking",
    "redacted",
]
