"""Settings, objectives and photographs in, words for them out."""

from __future__ import annotations

from collections.abc import Mapping

from gkm.study.design.objective import Objective

PARAMETER_NAMES: Mapping[str, tuple[str, str]] = {
    "model.max_kernel_size": ("M", "M, largest kernel in pixels"),
    "model.num_kernels": ("K", "K, kernels in the bank"),
    "model.num_scales": ("T", "T, scales"),
    "model.iterations_per_scale": ("R", "R, iterations at each scale"),
    "model.gcm": ("kernels", "kernels, fixed or learned"),
    "model.width": ("width", "width, channels of the first stage"),
    "loss.schedule": ("loss", "loss schedule"),
    "optim.learning_rate": ("rate", "learning rate"),
    "data.crop_pixels": ("crop", "crop in pixels"),
    "data.batch_size": ("batch", "batch size"),
    "data.noise_sigma_8bit": ("noise", "training noise in 8-bit levels"),
    "data.match_brightness": ("match brightness", "sharp crops as bright as their blurred partners"),
    "training.seed": ("seed", "seed"),
}
"""Setting -> (head of a column, plain words); others are called by the last part of their path."""

OBJECTIVE_NAMES: Mapping[str, tuple[str, str]] = {
    "val/psnr": ("PSNR (dB)", "validation PSNR (dB)"),
    "val/ssim": ("SSIM", "validation SSIM"),
    "val/loss": ("val. loss", "validation loss"),
    "train/loss": ("loss", "training loss"),
    "seconds_per_megapixel": ("s/MP", "seconds per megapixel"),
    "seconds": ("seconds", "seconds of training"),
    "parameters": ("parameters", "parameters of the network"),
    "multiply_adds": ("MAC/pixel", "multiply-adds per pixel"),
}
"""Metric -> (head of a column, plain words)."""


def short_name(path: str) -> str:
    """A setting in a word."""
    return PARAMETER_NAMES.get(path, (path.rpartition(".")[2].replace("_", " "), ""))[0]


def long_name(path: str) -> str:
    """A setting in plain words."""
    return PARAMETER_NAMES.get(path, ("", path.rpartition(".")[2].replace("_", " ")))[1]


def objective_head(objective: Objective) -> str:
    """An objective as the head of a column."""
    return OBJECTIVE_NAMES[objective.metric][0]


def objective_name(objective: Objective) -> str:
    """An objective in plain words, with its unit."""
    return OBJECTIVE_NAMES[objective.metric][1]


def photograph_title(scene: str, name: str) -> str:
    """A photograph by its scene, and by its name where that is another."""
    return scene if scene == name else f"{scene} / {name}"
