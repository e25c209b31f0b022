"""How long a network was trained, as its run has it, in words."""

import pytest

from gkm.scoring.training import Training, training_of

PARAMETERS = {"training.epochs": "3000", "data.crops_per_photo": "1", "data.crop_pixels": "256"}


def test_the_papers_training_is_whole_and_a_short_one_a_moment() -> None:
    found = training_of(PARAMETERS, {"best/epoch": 3000.0})
    assert found is not None
    assert found.sentence("GKMNet", 350) == (
        "GKMNet: weights of epoch 3000 of 3000, 1,050,000 crops of 256 pixels: 100% of the pixels that the paper's "
        "training saw."
    )
    short = Training(epoch=2, epochs=2, crops_per_photo=8, crop_pixels=64)
    assert short.sentence("SRN", 6) == (
        "SRN: weights of epoch 2 of 2, 96 crops of 64 pixels: trained for a moment, 5.7e-06 of the pixels that the "
        "paper's training saw."
    )
    assert short.sentence("SRN", None).endswith("the number of training photographs is not on record.")


@pytest.mark.parametrize("lacking", [*PARAMETERS, "best/epoch"])
def test_what_is_not_on_record_is_not_guessed(lacking: str) -> None:
    parameters = {key: value for key, value in PARAMETERS.items() if key != lacking}
    assert training_of(parameters, {} if lacking == "best/epoch" else {"best/epoch": 1.0}) is None
