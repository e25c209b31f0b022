"""The search spaces that come with the project: what they hold, and that each can be planned."""

from pathlib import Path

import pytest
import torch

from gkm.config import network_kinds
from gkm.study.design.design import Design, load_space
from gkm.study.design.grid import Arms
from gkm.study.planning.plan import make_plan
from gkm.study.planning.rates import known_rate

FOLDER = Path(__file__).parents[3] / "search_spaces"
FILES = sorted(path for path in FOLDER.glob("*.py") if path.name != "__init__.py")
TABLE_4 = ["GKMNet", "SRAM*", "GKMNet(1)", "w/o Conv-LSTM", "Learned GCM (Rand)", "Learned GCM (GKM)"]
TABLE_5 = ["S=1, R=3", "S=2, R=3", "S=3, R=2"]
PUBLISHED_MILLIONS = {
    "GKMNet": 1.41,
    "w/o Conv-LSTM": 1.11,
    "GKMNet(1)": 1.41,
    "S=1, R=3": 1.41,
    "S=2, R=3": 4.22,
    "S=3, R=2": 2.81,
}


def _arms(name: str) -> Arms:
    space = load_space(FOLDER / name)
    assert isinstance(space, Arms)
    return space


@pytest.fixture(scope="module")
def designs() -> dict[str, Design]:
    return {path.stem: load_space(path) for path in FILES}


def test_every_file_is_another_study(designs: dict[str, Design]) -> None:
    assert len({design.fingerprint() for design in designs.values()}) == len(FILES) >= 7


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_file_says_what_it_is(path: Path) -> None:
    text = path.read_text()
    assert f"gkm sweep --space search_spaces/{path.name}" in text or path.stem == "quick"
    assert "@" not in text


def test_the_ablations_are_those_of_the_papers_tables() -> None:
    space = _arms("ablations.py")
    assert space.reference == "GKMNet"
    assert [arm for arm in space.arms if arm.partition(", s")[0] == arm] == TABLE_4 + TABLE_5
    assert list(_arms("ablations_small.py").arms) == TABLE_4


def test_arms_have_as_many_parameters_as_the_paper_says() -> None:
    from gkm.networks.gkmnet.gkmnet import GKMNet

    space = _arms("ablations.py")
    for arm, millions in PUBLISHED_MILLIONS.items():
        network = GKMNet(space.config(space.settings[arm]).model)
        count = sum(parameter.numel() for parameter in network.parameters())
        assert count / 1e6 == pytest.approx(millions, rel=0.03), arm


def test_the_frontiers_networks_cost_the_same_for_each_pixel() -> None:
    from gkm.networks import build, measure

    space, macs = _arms("frontier.py"), {}
    assert len(space.seeds) == 3
    for arm, values in space.settings.items():
        with torch.device("meta"):
            macs[arm] = measure(build(space.config(values).model), 64, 96).macs
    kinds = {space.config(values).model.kind for values in space.settings.values()}
    assert kinds == set(network_kinds()) - {"dmenet"}, "what DMENet learns is a map"
    assert all(0.9 < found / macs["GKMNet"] < 1.1 for found in macs.values()), macs


@pytest.mark.slow
@pytest.mark.parametrize("name", ["quick", "ablations_small", "training_small"])
def test_the_small_ones_are_made_for_minutes_on_two_cores(name: str, designs: dict[str, Design]) -> None:
    from tests.unit.study.manifests import manifest

    plan = make_plan(designs[name], manifest(), rates=known_rate("cpu"), devices=2, confirm=0)
    assert plan.wall_hours < 0.25


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_file_can_be_planned(path: Path) -> None:
    from tests.unit.study.manifests import manifest

    design = load_space(path)
    plan = make_plan(design, manifest(350, 74, 1120, 1680), rates=known_rate("a10g"), devices=8, confirm=3)
    assert plan.lines()[0].startswith(f"plan: {plan.trials} trials of at most {design.base.training.epochs} epochs; ")
    assert plan.figures()["multiply_adds"] > 0
