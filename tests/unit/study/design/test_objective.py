"""What counts as better."""

import pytest

from gkm.errors import InputError
from gkm.study.design.objective import PSNR, Constraint, Objective, dominates, pareto_front

SPEED = Objective("seconds_per_megapixel", "min", "s/MP")


def test_better_follows_the_mode_and_the_worst_is_beaten_by_all() -> None:
    for objective, good, bad in ((PSNR, 31.0, 30.0), (SPEED, 0.1, 0.2)):
        assert objective.better(good, bad)
        assert not objective.better(bad, good)
        assert not objective.better(good, good)
        assert objective.best([bad, good, bad]) == good
        assert objective.better(-1e300 if objective.mode == "max" else 1e300, objective.worst)


def test_a_front_is_what_nothing_beats_everywhere() -> None:
    points = {0: (30.0, 1.0), 1: (29.0, 0.5), 2: (28.0, 1.2), 3: (30.0, 1.1), 4: (27.0, 0.5), 5: (29.0, 0.5)}
    assert pareto_front(points, (PSNR, SPEED)) == [0, 1, 5]
    assert pareto_front({number: point[:1] for number, point in points.items()}, (PSNR,)) == [0, 3]
    assert not dominates(points[1], points[5], (PSNR, SPEED))
    assert dominates(points[0], points[3], (PSNR, SPEED))


def test_values_are_rounded_for_people_with_their_unit() -> None:
    assert PSNR.text(30.8149) == "30.81 dB"
    assert Objective("val/ssim", "max", "").text(0.91237) == "0.9124"
    assert Objective("multiply_adds", "min", "MAC/pixel").text(1234567) == "1.23e+06 MAC/pixel"


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: Objective("val/psnrr"), "val/psnrr is no metric of a trial; there are val/psnr"),
        (lambda: Objective("val/psnr", "maximum"), "must be 'max' or 'min'"),  # type: ignore[arg-type]
        (lambda: Constraint("val/psnr", 3), "not known before training; there are parameters"),
        (lambda: Constraint("parameters", 0), "leaves nothing"),
    ],
)
def test_impossible_objectives_and_limits_are_refused(make: object, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        make()  # type: ignore[operator]
