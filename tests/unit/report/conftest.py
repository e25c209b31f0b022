"""Made-up studies with every kind of trial, and made-up test scores, to build pages from."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from gkm.config import DataConfig, ModelConfig, TrainingConfig, TrialConfig
from gkm.evaluation import ImageScore
from gkm.report import Baseline, Example, Inside, Kernels, NoiseScores, TestScores
from gkm.study.design.budget import Budget, Spent
from gkm.study.design.objective import PSNR, Objective
from gkm.study.record.results import StudyResults, TrialRow

BASE = TrialConfig(
    model=ModelConfig(max_kernel_size=9, num_kernels=9, width=8),
    data=DataConfig(crop_pixels=64),
    training=TrainingConfig(epochs=18),
)
SEARCHED = [
    (9, 9, 3, "fixed", "paper", 3e-3, "finished", 18),
    (5, 13, 2, "learned_gaussian", "l2", 7.1e-3, "stopped", 4),
    (13, 5, 3, "learned_random", "ssim", 1.2e-3, "stopped", 6),
    (13, 9, 2, "learned_gaussian", "paper", 4.4e-3, "finished", 18),
    (9, 13, 1, "fixed", "l2", 9.8e-3, "failed", 2),
    (5, 5, 1, "fixed", "ssim", 1.9e-3, "stopped", 4),
    (13, 13, 3, "fixed", "paper", 2.3e-3, "finished", 18),
    (9, 9, 3, "learned_gaussian", "l2", 5.2e-3, "failed", 0),
]
PATHS = (
    "model.max_kernel_size",
    "model.num_kernels",
    "model.num_scales",
    "model.gcm",
    "loss.schedule",
    "optim.learning_rate",
)
REASONS = {
    "failed": "the l2 loss became nan at epoch 3, step 5; lower optim.learning_rate (0.0098) or set optim.clip_norm",
    "stopped": "behind 3 of 4 other trials at epoch 4",
}
PHOTOGRAPHS = ("barn/barn-1", "barn/barn-2", "lake/lake-1", "rocks/rocks-1")
BLURRED = (24.9, 25.6, 26.0, 25.1)


def made_up_trial(number: int, row: tuple[Any, ...]) -> TrialRow:
    *values, status, epochs = row
    parameters = dict(zip(PATHS, values, strict=True))
    reach = 25.6 + 0.23 * math.sin(3 * number + 1)
    history: list[dict[str, float]] = []
    for epoch in range(1, epochs + 1):
        psnr = reach + 0.9 * (1 - math.exp(-epoch / 5)) + 0.05 * math.sin(number + 2 * epoch)
        history.append(
            {
                "epoch": float(epoch),
                "train/loss": (0.3 if epoch in (7, 8, 9, 13, 14, 15) and values[4] == "paper" else 0.012) / epoch**0.2,
                "val/psnr": psnr,
                "best/val/psnr": max(psnr, history[-1]["best/val/psnr"] if history else psnr),
                "val/ssim": 0.78 + 0.02 * (1 - math.exp(-epoch / 5)) + 0.003 * number,
                "learning_rate": 1e-3,
                "seconds": 3.7 * epoch,
            }
        )
    return TrialRow(
        number=number,
        run_id=f"{number:032x}",
        status=status,
        reason=REASONS.get(status),
        config=BASE.with_values(parameters),
        parameters=parameters,
        history=tuple(history),
        group=number,
    )


def made_up_study(rows: list[tuple[Any, ...]] = SEARCHED) -> StudyResults:
    trials = tuple(made_up_trial(number, row) for number, row in enumerate(rows))
    return StudyResults(
        "quick",
        trials,
        record_id="5f3c",
        record="/runs/records/quick.journal",
        run_id="0" * 32,
        data_fingerprint="3f9a10cc24e1",
        photographs=PHOTOGRAPHS,
        blurred=BLURRED,
        rungs=(2, 6),
        budget=Budget(trials=8),
        spent=Spent(trials=8, epochs=70, hours=0.2),
        planned={"trial_epochs": 88.0, "device_hours": 0.1},
    )


def one_epoch(psnr: float) -> tuple[dict[str, float], ...]:
    """The history of a trial that scores `psnr` at its only epoch."""
    return (
        {"epoch": 18.0, "train/loss": 0.01, "val/psnr": psnr, "best/val/psnr": psnr, "val/ssim": 0.8, "seconds": 60.0},
    )


def made_up_confirmed() -> StudyResults:
    """Three settings of the search, two of them trained again with a fresh seed, which changes the winner."""
    study = made_up_study([SEARCHED[0], SEARCHED[3], SEARCHED[6]])
    trials = []
    scores = [(0, 0, 26.0), (1, 1, 27.0), (2, 2, 26.9), (3, 1, 26.2), (4, 2, 26.6)]
    for number, group, psnr in scores:
        lead = study.trials[group]
        fresh = number > 2
        trials.append(
            dataclasses.replace(
                lead,
                number=number,
                run_id=f"{number:032x}",
                group=group,
                seed=int(fresh),
                config=lead.config.with_values({"training.seed": int(fresh)}),
                phase="confirm" if fresh else "search",
                history=one_epoch(psnr),
                photographs=tuple(psnr + shift for shift in (-0.5, 0.1, 0.3, 0.1 + 0.02 * number)),
            )
        )
    return dataclasses.replace(study, trials=tuple(trials), confirm_settings=2)


ARMS = {"full": 0.0, "no learned kernels": -0.6, "more scales": 0.5, "other rate": 0.0, "one seed": -0.3}


def made_up_ablation() -> StudyResults:
    """Arms that are worse, better and the same, and one of which a single seed finished."""
    wobble = np.random.default_rng(5).normal(0, 1, (len(ARMS), 3, len(PHOTOGRAPHS)))
    trials = []
    for seed in range(3):
        for place, (arm, effect) in enumerate(ARMS.items()):
            values = {} if arm == "full" else {"model.num_scales": 1 + place % 3, "model.width": 4 + place}
            per_photograph = np.array(BLURRED) + 1.2 + effect + 0.03 * wobble[place, seed]
            failed = arm == "one seed" and seed > 0
            trials.append(
                TrialRow(
                    number=len(trials),
                    status="failed" if failed else "finished",
                    config=BASE.with_values({**values, "training.seed": seed}),
                    parameters=dict(values),
                    history=() if failed else one_epoch(float(per_photograph.mean())),
                    reason=REASONS["failed"] if failed else None,
                    seed=seed,
                    group=place,
                    arm=arm,
                    photographs=None if failed else tuple(map(float, per_photograph)),
                )
            )
    return dataclasses.replace(
        made_up_study([]), name="ablation", trials=tuple(trials), kind="arms", reference="full", rungs=()
    )


def made_up_front() -> StudyResults:
    """A search for restored photographs and for a small network."""
    study = made_up_study()
    small = Objective("multiply_adds", "min", "MAC/pixel")
    trials = tuple(
        dataclasses.replace(trial, complexity={"multiply_adds": 9000.0 - 900 * trial.number}) for trial in study.trials
    )
    return dataclasses.replace(study, trials=trials, objectives=(PSNR, small))


def made_up_example(scene: str, height: int = 96, width: int = 128) -> Example:
    generator = np.random.default_rng(len(scene))
    coarse = generator.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    sharp = coarse.repeat(8, axis=0).repeat(8, axis=1)
    blurred = np.mean([np.roll(sharp, shift, 1) for shift in range(-3, 4)], axis=0).astype(np.uint8)
    restored = ((sharp.astype(int) + blurred) // 2).astype(np.uint8)
    return Example(scene=scene, name=scene, blurred_HW3=blurred, restored_HW3=restored, sharp_HW3=sharp)


def made_up_scores(by_psnr: float = 0.0, by_lpips: float = 0.0) -> list[ImageScore]:
    figures = [("china", 26.13, 0.8012, 0.2211), ("rocket", 31.02, 0.9103, 0.1480), ("flower <b>", 24.87, 0.7540, 0.31)]
    return [
        ImageScore(
            scene=scene, name=scene, psnr=psnr + by_psnr * (1 + i / 4), ssim=ssim + by_psnr / 40, lpips=d + by_lpips
        )
        for i, (scene, psnr, ssim, d) in enumerate(figures)
    ]


def made_up_tests(examples: list[Example] | None = None) -> TestScores:
    if examples is None:
        examples = [made_up_example(score.scene) for score in made_up_scores()]
    noise = [
        NoiseScores(sigma_8bit=s, blurred=made_up_scores(-s / 4), restored=made_up_scores(0.7 - s / 3, -0.02))
        for s in (0, 1, 3, 5)
    ]
    return TestScores(
        blurred=made_up_scores(),
        restored=made_up_scores(0.71, -0.031),
        examples=examples,
        noise=noise,
        baseline=Baseline(name="GKM fixed point, oracle kernels", iterations=3, scores=made_up_scores(0.4, -0.01)),
        inside=made_up_inside(),
    )


def made_up_inside() -> Inside:
    photo = made_up_example("china").restored_HW3
    waves = np.sin(np.linspace(0, 9, 96 * 128)).reshape(96, 128)
    return Inside(
        maps_note="coefficient maps of the finest scale",
        scene="china",
        name="china",
        whole=True,
        results_HW3=[photo[::4, ::4], photo[::2, ::2], photo],
        maps_KHW=[waves, -waves / 2, waves / 8],
        map_names=["δ", "σ 1", "σ 3"],
    )


def made_up_kernels(learned: bool = False) -> Kernels:
    from gkm.networks.gkmnet.kernels import gaussian_bank

    sigmas, kernels = gaussian_bank(13, 13)
    start = kernels.numpy()
    change = np.random.default_rng(0).normal(0, 0.004, start.shape).astype(np.float32)
    return Kernels(start_KMM=start, learned_KMM=start + change if learned else None, sigmas_pixels=sigmas.tolist())


PROVENANCE = {"Study": "quick", "Commit": "1934ca7", "Data fingerprint": "3f9a10cc24e1", "Seed": "0", "torch": "2.13.0"}


@pytest.fixture
def study() -> StudyResults:
    return made_up_study()


@pytest.fixture
def tests() -> TestScores:
    return made_up_tests()


@pytest.fixture
def ablation() -> StudyResults:
    return made_up_ablation()


@pytest.fixture
def confirmed() -> StudyResults:
    return made_up_confirmed()


@pytest.fixture
def front() -> StudyResults:
    return made_up_front()
