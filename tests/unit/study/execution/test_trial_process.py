"""What travels to a trial, and what a trial refuses, without a cluster."""

import json
import pickle

import pytest

from gkm.config import TrialConfig
from gkm.errors import InputError
from gkm.study.decisions.conductor import Assignment
from gkm.study.execution.trial_process import MARKER, Job, check_folder, from_text, last_line, reported, to_text
from gkm.training.selection import Selection


def test_an_assignment_survives_its_journey():
    config = TrialConfig().with_values({"optim.learning_rate": 0.1 + 0.2, "training.seed": 5})
    sent = Assignment(7, config, "s3://bucket/studies/a b/trials/00007", 3)
    assert from_text(to_text(sent)) == sent


def test_a_node_that_does_not_see_the_folder_of_the_study_says_so(tmp_path):
    job = Job("data", str(tmp_path / "study"), "the record", Selection())
    with pytest.raises(InputError, match="this node does not see the study's folder"):
        check_folder(job)
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / MARKER).write_text(json.dumps({"record": "another"}))
    with pytest.raises(InputError, match=r"give --storage s3://BUCKET/PREFIX, or a --workspace"):
        check_folder(job)
    (tmp_path / "study" / MARKER).write_text(json.dumps({"record": "the record"}))
    check_folder(job)


def test_nothing_of_mlflow_travels_to_trials():
    """Neither a password in an address nor a database that other nodes cannot reach."""
    fields = set(Job.__dataclass_fields__)
    assert fields == {"data", "folder", "record_id", "selection", "cache", "workers", "leave"}
    assert b"tracking" not in pickle.dumps(Job("data", "folder", "id", Selection()))


def test_what_tune_adds_to_a_report_is_left_out():
    report = {"epoch": 1, "val/psnr": 20.5, "system/cpu_percent": 90.0, "time_total_s": 3.0, "pid": 5, "done": False}
    assert reported(report) == {"epoch": 1.0, "val/psnr": 20.5, "system/cpu_percent": 90.0}


def test_the_last_line_of_an_error_is_what_went_wrong(tmp_path):
    file = tmp_path / "error.txt"
    assert last_line(str(file)) == last_line(None) == "no reason given"
    file.write_text("Failure # 1\nearlier\nFailure # 2\nthe way\n\tit took\n\twhat went wrong\n\n")
    assert last_line(str(file)) == "what went wrong"
