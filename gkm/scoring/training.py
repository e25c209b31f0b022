"""The MLflow run of a network in; how long it was trained, in figures and in words, out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PAPER_PIXELS = 3000 * 350 * 256**2
"""Of crops in the paper's training: 3000 epochs of the 350 photographs of DPD, a crop of 256 pixels from each."""
SHORT_SHARE = 0.01
"""A training that saw less of that than this is called a moment."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """How long a network was trained until it had the weights that were kept."""

    epoch: int
    """From 1."""
    epochs: int
    """What was planned."""
    crops_per_photo: int
    crop_pixels: int

    def share(self, photographs: int) -> float:
        """Pixels seen, as a share of those that the paper's training saw."""
        return self.epoch * self.crops_per_photo * photographs * self.crop_pixels**2 / PAPER_PIXELS

    def sentence(self, label: str, photographs: int | None) -> str:
        """What to say of the network called `label`, trained on so many photographs; None: not known."""
        said = f"{label}: weights of epoch {self.epoch} of {self.epochs}"
        if photographs is None:
            return f"{said}, the number of training photographs is not on record."
        crops = self.epoch * self.crops_per_photo * photographs
        said += f", {crops:,} crops of {self.crop_pixels} pixels"
        share = self.share(photographs)
        if share >= SHORT_SHARE:
            return f"{said}: {share:.0%} of the pixels that the paper's training saw."
        return f"{said}: trained for a moment, {share:.2g} of the pixels that the paper's training saw."


def training_of(parameters: Mapping[str, str], metrics: Mapping[str, float]) -> Training | None:
    """The training that a run has on record; None where it has none, as for checkpoints of others."""
    try:
        return Training(
            epoch=int(metrics["best/epoch"]),
            epochs=int(parameters["training.epochs"]),
            crops_per_photo=int(parameters["data.crops_per_photo"]),
            crop_pixels=int(parameters["data.crop_pixels"]),
        )
    except (KeyError, ValueError):
        return None
