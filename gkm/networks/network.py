"""What a network is to the rest of the project: `Network`, and by `Kind` what can be done with it beyond training.

A network is a folder beside this module whose `__init__` has `KIND`, and settings in `gkm.config`. `config` and
`forward` are all that it must have; everything else has an answer here for networks that say nothing. Shape legend:
B images, C = 3 channels for each of a network's inputs, H x W pixels.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from gkm.config import Input, LossConfig, NetworkConfig
from gkm.errors import InputError


@dataclass(frozen=True)
class Progress:
    """How far training has come."""

    epoch: int
    """From 0."""
    epochs: int


class Network(nn.Module):
    """Blurred photographs in, restored ones at one or several scales out."""

    inputs: tuple[Input, ...]
    """What `forward` sees, in the order of its channels: what its settings say."""
    smallest_side_pixels: ClassVar[int] = 16
    """Least height and width of a photograph."""
    size_multiple: int = 1
    """Heights and widths that are multiples of this pass without being extended."""
    reach_pixels: int | None = None
    """How far a pixel of the input can change the result, at most: large photographs then pass in strips of rows (see
    `gkm.networks.strips`). None: as far as the photograph goes."""

    recomputed: ClassVar[tuple[type[nn.Module], ...]] = ()
    """Parts that are computed again for the gradients, instead of being kept, where `training.accumulate` asks for less
    memory but batch norm needs all crops at once: large inside, small at their borders, none within another."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config: Any = config
        """The settings; subclasses declare which."""
        self.inputs = config.inputs

    def forward(self, input_BCHW: Tensor) -> list[Tensor]:
        """Restored images (in [0, 1] but for over- and undershoot) to train on, from coarse to fine.

        `input_BCHW` in [0, 1] has any height and width of at least `smallest_side_pixels`. The last result is as large,
        [B, 3, H, W]; one that is smaller by s halvings has ceil(H / 2^s) x ceil(W / 2^s) pixels. A network with a
        `training_pair` of its own may give something else in training mode. Raises ValueError for smaller images.
        """
        raise NotImplementedError

    def training_pair(self, input_BCHW: Tensor, sharp_B3HW: Tensor, progress: Progress) -> tuple[Tensor, Tensor]:
        """What a training step shows the network, and what `cost` compares its outputs with: the crops as they are.

        A network that learns something else than restoring makes both from the crops. What it draws for that depends on
        the crops and `progress` alone, so that a step stays the same however the batch is divided, and when resumed.
        """
        return input_BCHW, sharp_B3HW

    def for_inference(self, dtype: torch.dtype = torch.float32) -> Self:
        """A frozen copy for restoring photographs; `dtype` is the arithmetic of its convolutions, if it has a choice.

        It gives the same results as this network in evaluation mode, and cannot be trained.
        """
        return copy.deepcopy(self).eval().requires_grad_(False)

    def with_window(self, pixels: int | None) -> Self:
        """A copy that pools over windows of `pixels` where this one does so over whole photographs; None: over these.

        Raises InputError for networks that do not pool over whole photographs, and for impossible windows.
        """
        raise InputError(f"{self.config.kind}: pools over no whole photographs, so it has no use for windows")

    def cost(
        self, outputs: Sequence[Tensor], input_BCHW: Tensor, sharp_B3HW: Tensor, loss: LossConfig, progress: Progress
    ) -> Tensor | None:
        """What training lowers at this step, a scalar, by the network itself; None: `gkm.losses` says it, as usual.

        `outputs` are those of `forward`, in float32; the others are what `training_pair` gave. The cost is a mean over
        the crops, which may be divided among workers. A network whose paper has a cost of its own gives it where
        `loss.schedule` is "paper", and None elsewhere.
        """
        return None


def check_size(network: Network, input_BCHW: Tensor) -> None:
    """Raises ValueError for images that are too small for `network`, or have other channels than it takes."""
    channels, height, width = input_BCHW.shape[-3:]
    smallest = network.smallest_side_pixels
    if min(height, width) < smallest:
        raise ValueError(
            f"the image has {height} x {width} pixels, but the network needs at least {smallest} x {smallest}; "
            "give a larger one"
        )
    if channels != 3 * len(network.inputs):
        raise ValueError(
            f"the image has {channels} channels, but the network takes three of each: {', '.join(network.inputs)}"
        )


@dataclass(frozen=True)
class Operations:
    """What one call of a part of a network takes."""

    macs: int = 0
    """Multiply-adds by definition, however they are carried out."""
    paper: int = 0
    """Operations as the tables of GKMNet's paper count them (docs/fidelity.md)."""


@dataclass(frozen=True)
class InsideView:
    """What a network did with one photograph, to be shown in a report."""

    results_3HW: Sequence[Tensor]  # noqa: N815
    """The result of each scale, from coarse to fine."""
    maps_KHW: Tensor | None = None  # noqa: N815
    """Maps of the finest scale that say what is done where; None: it has none worth a look."""
    map_names: Sequence[str] = ()
    """A word for each of them."""
    maps_note: str = ""
    """A sentence on what they are: "how much of ..."."""


@dataclass(frozen=True)
class Kernels:
    """The kernels that a network filters with, as in Figure 4."""

    sigmas_K: Tensor  # noqa: N815
    """Standard deviations in pixels of the Gaussians in their places."""
    before_KMM: Tensor | None  # noqa: N815
    """What they were before training; None where they were random and the seed is not known."""
    now_KMM: Tensor  # noqa: N815
    """What they are: the same ones, if they are fixed."""
    learned: bool
    """Whether training changes them."""
    random: bool
    """Whether they were random before it."""

    @property
    def moved_K(self) -> Tensor | None:
        """How far each has moved: the norm of its change, relative to what it was."""
        if self.before_KMM is None:
            return None
        change = torch.linalg.vector_norm(self.now_KMM - self.before_KMM, dim=(1, 2))
        relative: Tensor = change / torch.linalg.vector_norm(self.before_KMM, dim=(1, 2))
        return relative


def kernel_names(count: int, sigmas_pixels: Sequence[float] | None) -> list[str]:
    """A word for each of `count` kernels: their sigmas, δ for none; numbers where they are no Gaussians."""
    if sigmas_pixels is None:
        return [f"{index}" for index in range(1, count + 1)]
    return ["δ" if sigma == 0 else f"σ {sigma:.3g}" for sigma in sigmas_pixels]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """How networks of one kind are made, and what else can be done with them; what is None cannot."""

    build: Callable[[Any], Network]
    """Settings -> an untrained network."""
    load_official: Callable[[str | Path], Network] | None = None
    """File of a checkpoint as the network's authors release them -> the trained network, in evaluation mode.

    Raises InputError naming the file and the first weight that is missing, unknown or of the wrong shape."""
    restore_by_strips: Callable[[Any, Tensor], Tensor] | None = None
    """Network, input [1, C, H, W] -> its finest result in evaluation mode (but for rounding) in little memory."""
    look_inside: Callable[[Any, Tensor], InsideView] | None = None
    """Network, input [1, C, H, W] -> what the network, in evaluation mode, does with it."""
    kernels: Callable[[Any, int | None], Kernels | None] | None = None
    """Network, seed of its training or None -> its kernels, if its settings give it any."""
    operations: Callable[[nn.Module, tuple[Any, ...], Any], Operations | None] | None = None
    """A part of a network, inputs and output of a call -> what it takes beyond the layers in it; of a layer, instead of
    what is known of such layers. None: nothing."""
    export_form: Callable[[Any], nn.Module] | None = None
    """Network -> a frozen copy on the CPU, from an input to its finest result, that can be exported with free sizes."""
