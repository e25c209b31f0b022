"""What users call models: versions, aliases, runs, folders and methods without a network."""

from pathlib import Path

import pytest

from gkm.classical import METHODS
from gkm.config import TrialConfig
from gkm.errors import InputError
from gkm.scoring.subjects import BLURRED, TrainingData, find_subject, find_subjects, training_data
from gkm.tracking import Tracking

Run = tuple[Tracking, str]


def test_the_same_weights_are_the_same_subject_wherever_they_lie(
    trained_run: Run, small_weights: Path, tiny_data: Path
) -> None:
    tracking, run_id = trained_run
    version, run, folder = (find_subject(tracking, selector) for selector in (None, run_id, str(small_weights)))
    assert version.identity == run.identity == folder.identity
    assert (version.label, version.version, version.run_id) == ("gkmnet version 1 (challenger)", 1, run_id)
    assert (run.label, run.run_id) == (f"run {run_id[:8]}", run_id)
    assert (folder.label, folder.run_id, folder.trained_on) == (str(small_weights), None, None)
    assert version.trained_on is not None
    assert version.trained_on.place == str(tiny_data)


def test_a_trial_of_a_study_was_trained_on_the_data_of_its_study(trained_run: Run) -> None:
    tracking, _ = trained_run
    study = tracking.start_study("s", parameters={}, tags={"gkm.data": "abc", "gkm.data_location": "/data/dpd"})
    trial = tracking.start_trial(
        "of study", study_run_id=study.run_id, number=0, config=TrialConfig(), searched={}, tags={}
    )
    assert training_data(tracking, trial.run_id) == TrainingData("abc", "/data/dpd")


def test_methods_without_a_network_have_names(trained_run: Run) -> None:
    tracking, _ = trained_run
    assert find_subject(tracking, "blurred") is BLURRED
    found = find_subject(tracking, "fixed-point")
    assert (found.label, found.kind, found.network) == ("GKM fixed point, oracle kernels", "fixed-point", None)


def test_windows_are_subjects_of_their_own_beside_the_model(trained_run: Run) -> None:
    tracking, _ = trained_run
    model, windowed, blurred = find_subjects(tracking, [("mine", "1"), (None, "blurred")], [16])
    assert (model.label, windowed.label, blurred.label) == ("mine", "mine, window 16", "blurred input")
    assert windowed.identity != model.identity
    assert (windowed.run_id, windowed.trained_on) == (None, model.trained_on)
    assert windowed.network is not None
    assert windowed.network.config.window_pixels == 16
    with pytest.raises(InputError, match="a window of 3 pixels"):
        find_subjects(tracking, [("mine", "1")], [3])


def test_two_stage_methods_are_found_by_name_and_told_apart(trained_run: Run) -> None:
    found = [find_subject(trained_run[0], key) for key in METHODS]
    assert [(subject.kind, subject.method, subject.network) for subject in found] == [
        ("two-stage", key, None) for key in METHODS
    ]
    assert len({subject.identity for subject in found}) == len({subject.label for subject in found}) == len(METHODS)
    assert find_subject(trained_run[0], "ebdb", "mine").label == "mine"


def test_labels_are_the_users_and_tell_models_apart(trained_run: Run, small_weights: Path, tmp_path: Path) -> None:
    tracking, run_id = trained_run
    found = find_subjects(tracking, [("mine", "1"), ("mine", run_id), (None, "blurred")])
    assert [subject.label for subject in found] == ["mine", "blurred input"]
    with pytest.raises(InputError, match=r"--model mine=\.\.\.: is given to two models"):
        find_subjects(tracking, [("mine", "1"), ("mine", "fixed-point")])


@pytest.mark.parametrize(
    ("selector", "sentence"),
    [
        ("winner", "winner: is no version or alias"),
        ("f" * 32, "f: there is no run with that id"),
        ("{empty}", "holds no weights that can be read"),
    ],
)
def test_what_is_no_model_is_said(trained_run: Run, tmp_path: Path, selector: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        find_subject(trained_run[0], selector.format(empty=tmp_path))
