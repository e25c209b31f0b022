"""What a sweep refuses, each in one sentence with exit status 2, before it makes anything."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from gkm.study.design.design import load_space
from gkm.study.record.record import RecordPlace, create_record
from pipelines.sweep import main
from pipelines.terminal.command import build

GOOD = """
from gkm.config import DataConfig, ModelConfig, TrainingConfig, TrialConfig
from gkm.study.design.space import Choice, Condition, Float, SearchSpace

BASE = TrialConfig(
    model=ModelConfig(max_kernel_size=5, num_kernels=3, num_scales=1, width=2),
    data=DataConfig(crop_pixels=32, batch_size=2),
    training=TrainingConfig(epochs=3),
)
"""
SPACE = f'{GOOD}SPACE = SearchSpace({{"model.num_kernels": Choice(1, 3)}}, base=BASE, trials=2)\n'
Sweep = Callable[..., Result]


@pytest.fixture
def sweep(tmp_path: Path, tiny_data: Path, monkeypatch: pytest.MonkeyPatch) -> Sweep:
    """Runs a sweep of a space file with that text in a workspace that is not there yet."""
    monkeypatch.chdir(tmp_path)

    def call(space: str = SPACE, *more: object, data: object = tiny_data, workspace: object = "runs") -> Result:
        Path("space.py").write_text(space)
        arguments = ["--space", "space.py", "--data", data, "--workspace", workspace, *more]
        environment: dict[str, Any] = dict.fromkeys(
            ("GKM_RECORD", "GKM_WORKSPACE", "MLFLOW_TRACKING_URI", "RAY_ADDRESS")
        )
        result = CliRunner().invoke(build(main), [str(argument) for argument in arguments], env=environment)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call


def assert_refused(result: Result, sentence: str) -> None:
    assert result.exit_code == 2, result.output
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1, result.stderr
    assert result.stderr.startswith("error: ")


@pytest.mark.parametrize(
    ("space", "sentence"),
    [
        ("import sys\nsys.exit(3)\n", "space.py: ends the process (exit 3) instead of defining SPACE"),
        (
            "x = 1\n\n1 / 0\n",
            "space.py: cannot be used as a search space (ZeroDivisionError: division by zero, line 3)",
        ),
        ("SPACE = 3\n", "space.py: defines no SPACE"),
        ("SPACE = (\n", "space.py: cannot be used as a search space"),
        (f'{GOOD}SPACE = SearchSpace({{"optim.learning_rate": Float(1e-2, 1e-4)}}, base=BASE)', "optim.learning_rate"),
        (f'{GOOD}SPACE = SearchSpace({{"model.num_kernels": Choice()}}, base=BASE)', "model.num_kernels"),
        (f'{GOOD}SPACE = SearchSpace({{"model.depth": Choice(1)}}, base=BASE)', "model.depth"),
        (
            f'{GOOD}SPACE = SearchSpace({{"model.num_kernels": Choice(1, 3), "optim.learning_rate": '
            'Condition("model.num_kernels", (5,), Float(1e-4, 1e-2))}, base=BASE)',
            "model.num_kernels",
        ),
        (f'{GOOD}SPACE = SearchSpace({{"model.num_kernels": Choice(1, 3)}}, base=BASE, trails=4)', "trails"),
        (f'{GOOD}SPACE = SearchSpace({{"data.crop_pixels": Choice(32, 512)}}, base=BASE)', "data.crop_pixels = 512"),
        (
            f'{GOOD}SPACE = SearchSpace({{"training.precision": Choice("float32", "float16")}}, base=BASE)',
            "training.precision = float16 needs a GPU",
        ),
    ],
)
def test_a_space_that_cannot_be_used(sweep: Sweep, space: str, sentence: str) -> None:
    assert_refused(sweep(space), sentence)
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    "parameters",
    [
        '"model.kind": Choice("dpdnet"), "model.views": Choice("single", "dual")',
        '"model.kind": Choice("gkmnet", "dpdnet"), "model.views": Condition("model.kind", ("dpdnet",), Choice("dual"))',
    ],
)
def test_a_network_that_sees_views_which_the_data_set_lacks(sweep: Sweep, tiny_data: Path, parameters: str) -> None:
    space = f"{GOOD}SPACE = SearchSpace({{{parameters}}}, base=BASE)"
    assert_refused(
        sweep(space), f"{tiny_data}: has no dual-pixel views of train-0/0, but the network sees left and right"
    )
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--space", "none.py"), "none.py: there is no such search space file"),
        (("--data", "nowhere"), "nowhere"),
        (("--trials", "0"), "budget: trials = 0"),
        (("--max-epochs", "0"), "budget: epochs = 0"),
        (("--hours", "0"), "budget: hours = 0"),
        (("--hours", "nan"), "budget: hours = nan"),
        (("--study", "a/b"), "'a/b' is no name for a study"),
        (("--workers", "3"), "data.batch_size = 2 cannot be divided among 3 workers"),
        (("--tracking-uri", "http://127.0.0.1:9"), "no MLflow server answers"),
        (("--record", "sqlite:////nowhere/studies.db"), "the record's database cannot be opened"),
        (("--record", "nonsense://host/x"), "the record's database cannot be opened"),
        (("--record", "s3://bucket/studies"), "a record cannot lie in S3"),
    ],
)
def test_options_that_cannot_be_used(sweep: Sweep, arguments: tuple[str, ...], sentence: str) -> None:
    assert_refused(sweep(SPACE, *arguments), sentence)
    assert not Path("runs").exists()


def test_a_space_file_whose_name_is_none_for_a_study(sweep: Sweep) -> None:
    Path("my space.py").write_text(SPACE)
    assert_refused(sweep(SPACE, "--space", "my space.py"), "my space.py: 'my space' is no name for a study")
    assert sweep(SPACE, "--space", "my space.py").stderr.rstrip().endswith("; give another with --study")
    named = sweep(SPACE, "--space", "my space.py", "--study", "mine", "--dry-run")
    assert named.exit_code == 0, named.output


@pytest.mark.parametrize(
    ("known", "sentence"),
    [
        ({"space": "000000000000"}, "study space: exists with another search space"),
        ({"data": "000000000000"}, "study space: exists with another data set"),
        ({"seed": 5}, "study space: exists with another search seed"),
    ],
)
@pytest.mark.parametrize("state", ["finished", "interrupted"])
def test_another_study_under_a_known_name(
    sweep: Sweep, known: dict[str, object], sentence: str, state: str, tmp_path: Path
) -> None:
    (tmp_path / "space.py").write_text(SPACE)
    design = load_space(tmp_path / "space.py")
    facts = {"base": design.base.model_dump(mode="json"), "budget": design.limits.to_json(), "folder": "x", **known}
    facts |= {"state": state, "mirrored": "all"}
    create_record(RecordPlace(str(tmp_path / "runs" / "studies")), "space", objectives=design.objectives, facts=facts)
    before = sorted(path for path in (tmp_path / "runs").rglob("*"))
    assert_refused(sweep(), sentence)
    after = sorted(
        path for path in (tmp_path / "runs").rglob("*") if path.suffix != ".lease" and "mlflow" not in path.name
    )
    assert after == before


def test_a_workspace_in_the_copy_that_ray_deletes_after_a_job(
    sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "session_1" / "runtime_resources" / "working_dir_files" / "_ray_pkg_1"
    copy.mkdir(parents=True)
    monkeypatch.chdir(copy)
    assert_refused(sweep(), "runs: lies in Ray's own copy of the working directory")
    assert not (copy / "runs").exists()
    assert "lies in Ray's own copy" not in sweep(SPACE, "--trials", "0", workspace=tmp_path / "runs").stderr


def test_a_budget_in_money_needs_a_price(sweep: Sweep) -> None:
    assert_refused(sweep(SPACE, "--cost", "5"), "--cluster")
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--trials-per-gpu", 4], "--trials-per-gpu 4: shares whole GPUs, but --gpus is 0; give --gpus 1 with it"),
        (["--trials-per-gpu", 4, "--gpus", 2], "but --gpus is 2; give --gpus 1 with it"),
        (["--trials-per-gpu", 2, "--gpus", 1, "--workers", "1:2"], "but --workers 1:2 makes groups; leave one"),
    ],
)
def test_gpus_that_cannot_be_shared_are_refused(sweep: Sweep, more: list[object], sentence: str) -> None:
    assert_refused(sweep(SPACE, *more, "--dry-run"), sentence)
    assert not Path("runs").exists()


def test_a_plan_says_that_trials_share_a_gpu(sweep: Sweep) -> None:
    result = sweep(SPACE, "--trials-per-gpu", 4, "--gpus", 1, "--dry-run")
    assert result.exit_code == 0, result.output
    assert "4 trials at a time" in result.output
    assert "4 trials have a GPU together" in result.output
