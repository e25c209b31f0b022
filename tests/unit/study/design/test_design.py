"""Space files in; what they define, or one sentence about what is wrong with them, out."""

from pathlib import Path

import pytest

from gkm.errors import InputError
from gkm.study.design.design import load_space
from gkm.study.design.grid import Arms, Grid
from gkm.study.design.space import SearchSpace

IMPORTS = "from gkm.config import *\nfrom gkm.study.design.grid import *\nfrom gkm.study.design.space import *\n"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("SPACE = SearchSpace({'model.num_kernels': Choice(3, 5)})", SearchSpace),
        ("SPACE = Grid({'model.num_kernels': Choice(3, 5)})", Grid),
        ("SPACE = Arms({'few': {'model.num_kernels': 3}, 'base': {}}, reference='base')", Arms),
    ],
)
def test_a_file_defines_a_search_a_grid_or_an_ablation(tmp_path: Path, text: str, kind: type) -> None:
    path = tmp_path / "mine.py"
    path.write_text(IMPORTS + text)
    assert isinstance(load_space(path), kind)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("SPACE = 3", "defines no SPACE"),
        ("import nothing_like_this", "ModuleNotFoundError"),
        ("SPACE = SearchSpace({'model.x': Choice(1)})", r"model\.x is no setting"),
        ("SPACE = SearchSpace({'model.width': Choice(8)}, trails=4)", "SearchSpace has no trails; it has parameters, "),
        ("SPACE = Grid({'model.width': Choice(8)}, trials=4)", "Grid has no trials; it has parameters, "),
        ("B = TrialConfig(model=ModelConfig(widht=8))", "GKMNetConfig has no setting widht; docs/configuration.md"),
        ("B = TrialConfig(model=ModelConfig(max_kernel_size=8))", r"GKMNetConfig\.max_kernel_size: .*must be odd"),
        ("B = TrialConfig(training=TrainingConfig(epochs=0))", r"TrainingConfig\.epochs: .*greater than or equal to 1"),
        ("SPACE = SearchSpace({'model.num_kernels': Int(9, 5)})", "9 to 5 is empty"),
        ("x = 1\n\nx / 0", "ZeroDivisionError: division by zero, line 6"),
        ("SPACE = SearchSpace(", "SyntaxError"),
        ("raise SystemExit(3)", r"ends the process \(exit 3\) instead of defining SPACE"),
        ("def f():\n    raise ValueError\nf()", "ValueError, line 6"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_one_sentence(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(IMPORTS + text)
    with pytest.raises(InputError, match=rf"mine\.py: .*{reason}") as refusal:
        load_space(path)
    assert "\n" not in str(refusal.value)
    assert "http" not in str(refusal.value)


def test_what_a_file_prints_is_held_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.py"
    path.write_text(IMPORTS + "print('hello')\nSPACE = Grid({'model.num_kernels': Choice(3, 5)})")
    load_space(path)
    assert capsys.readouterr().out == ""


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.py: there is no such search space file"):
        load_space(tmp_path / "none.py")
