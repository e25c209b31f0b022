"""Studies and trials in, MLflow runs out: a parent run per study, a child run per trial, never made twice."""

from gkm.tracking.address import redacted
from gkm.tracking.environment import environment_tags
from gkm.tracking.health import TrackingAwayError, as_away, is_missing
from gkm.tracking.models import ModelFiles, link_scores, log_model
from gkm.tracking.records import SEARCHED_PREFIX, Status, StudyRun, TrialRecord, to_text
from gkm.tracking.runs import NOTE, DataInput, Point, clean, training_inputs
from gkm.tracking.store import default_tracking_uri
from gkm.tracking.studies import Tracking, TrialRun, open_tracking

__all__ = [
    "NOTE",
    "SEARCHED_PREFIX",
    "DataInput",
    "ModelFiles",
    "Point",
    "Status",
    "StudyRun",
    "Tracking",
    "TrackingAwayError",
    "TrialRecord",
    "TrialRun",
    "as_away",
    "clean",
    "default_tracking_uri",
    "environment_tags",
    "is_missing",
    "link_scores",
    "log_model",
    "open_tracking",
    "redacted",
    "to_text",
    "training_inputs",
]
