"""The sections of a trial's settings beside the network's: data, loss, optimiser, training."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gkm.config.base import Settings


class DataConfig(Settings):
    """What a training batch is made of (section 4)."""

    crop_pixels: Annotated[int, Field(ge=16, le=2048)] = 256
    """Side of the square training crops, in pixels."""
    crop_schedule: tuple[Annotated[int, Field(ge=16, le=2048)], ...] = ()
    """Sides of smaller crops to begin with, in rising order: these and `crop_pixels` have equal parts of the epochs."""
    batch_size: Annotated[int, Field(ge=1, le=1024)] = 4
    """Crops per optimiser step, over all workers."""
    crops_per_photo: Annotated[int, Field(ge=1, le=4096)] = 1
    """Crops taken from each photograph in one epoch."""
    flips: bool = False
    """Random flips and quarter turns beside the paper's random crop."""
    noise_sigma_8bit: Annotated[float, Field(ge=0, le=64)] = 0.0
    """Standard deviation of Gaussian noise added to the blurred crops, in 8-bit grey levels (Table 2, "+")."""
    match_brightness: bool = False
    """Whether sharp crops get the mean brightness of their blurred partners, in each colour: blur moves light and
    makes none, but two exposures of a scene differ, and a network would learn the mean of these differences."""

    @property
    def crop_sides(self) -> tuple[int, ...]:
        """Sides of the crops in the course of training, each for an equal part of the epochs."""
        return (*self.crop_schedule, self.crop_pixels)

    def crop_pixels_at(self, epoch: int, epochs: int) -> int:
        """Side of the crops in `epoch` (from 0) of `epochs`."""
        return self.crop_sides[epoch * len(self.crop_sides) // epochs]


class LossConfig(Settings):
    """The cost C of equation (10) over the course of training."""

    schedule: Literal["paper", "release", "l2", "ssim"] = "paper"
    """"paper": l2 for the first third of the epochs, then SSIM and l2 in turn, a sixth each; "release": l2 for a
    quarter, then SSIM and l2 in turn, a fortieth each; "l2" / "ssim": that cost throughout."""
    fourier_weight: Annotated[float, Field(ge=0)] = 0.0
    """Weight of a Fourier term (see `gkm.losses.fourier_l1`) beside that cost, at every scale; 0: none."""


class OptimConfig(Settings):
    """Adam and its learning rate (section 4), which is set anew in each epoch."""

    learning_rate: Annotated[float, Field(gt=0, le=1)] = 1e-4
    schedule: Literal["step", "cosine"] = "step"
    """"step": the learning rate drops; "cosine": it falls along half a cosine, to `decay_factor` of it at the end."""
    decay_factor: Annotated[float, Field(gt=0, le=1)] = 0.1
    """The learning rate is multiplied by this once ..."""
    decay_after: Annotated[float, Field(gt=0, le=1)] = 2 / 3
    """... after this fraction of the epochs ..."""
    decays: Annotated[int, Field(ge=1, le=100)] = 1
    """... or this often, the first time then, and further ones at equal distances in what is left."""
    warmup_epochs: Annotated[int, Field(ge=0)] = 0
    """Epochs in which the learning rate rises to what it would be."""
    clip_norm: Annotated[float, Field(gt=0)] | None = None
    """Largest norm of the gradient; None: no clipping, as in the paper."""


class TrainingConfig(Settings):
    """Length, precision and seed of a training run."""

    epochs: Annotated[int, Field(ge=1, le=1_000_000)] = 3000
    validate_every: Annotated[int, Field(ge=1)] = 1
    """Epochs between validations (and reports, and checkpoints); the last epoch is always validated."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    precision: Literal["float32", "tf32", "bfloat16", "float16"] = "float32"
    """Arithmetic of the forward pass and its gradients; weights stay float32. "tf32": of products alone, and "float16",
    whose losses are scaled so that small gradients do not vanish: on GPUs."""
    accumulate: Annotated[int, Field(ge=1, le=1024)] = 1
    """Pieces in which a worker computes the gradient of its crops, to need less memory; the same step."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay of the moving average of the weights, which is validated and kept in their place; 0: no average."""
    checkpoint_minutes: Annotated[float, Field(ge=0)] = 5.0
    """Longest time without a checkpoint, within epochs, too; 0: only after validated epochs. Identifies nothing."""


GPU_PRECISIONS = ("tf32", "float16")
"""Of `TrainingConfig.precision`: those for which processors have no instructions, or none that PyTorch makes use of."""
