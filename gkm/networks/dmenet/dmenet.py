"""A blurred photograph in, the photograph deconvolved by a map of its blur out: DMENet (Lee et al., CVPR 2019).

What it learns is the map: in training mode it gives maps, and a step shows it sharp crops that lenses of known blur
take anew. Shape legend: B images, C channels, H x W pixels.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from gkm.classical import restore_by_map
from gkm.config import LossConfig
from gkm.config.dmenet import DMENetConfig
from gkm.losses import multi_scale_loss
from gkm.networks.dmenet.lens import taken
from gkm.networks.dmenet.map_network import HALVINGS, MapNetwork, Refinement, Stage, from_sigmas, to_sigmas
from gkm.networks.network import Network, Progress, check_size
from gkm.networks.ops.extension import extended


class DMENet(Network):
    """The map network, and in evaluation mode the deconvolution by its map (`gkm.classical`)."""

    config: DMENetConfig
    recomputed: ClassVar[tuple[type[nn.Module], ...]] = (Stage, Refinement)

    def __init__(self, config: DMENetConfig) -> None:
        super().__init__(config)
        self.size_multiple = 1 << HALVINGS
        self.maps = MapNetwork(config.width, config.refinements)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, blurred_B3HW: Tensor) -> list[Tensor]:
        """In evaluation mode the restored photographs in [0, 1], as a list of one; in training mode maps of the blur.

        `blurred_B3HW` in [0, 1] has any height and width of at least 16. The maps (`gkm.networks.dmenet.map_network`)
        are [B, 1, h, w]: five auxiliary ones from a sixteenth of the size up to all of it, then the map itself. Raises
        ValueError for smaller images.
        """
        if not self.training:
            return [self.deconvolved(blurred_B3HW, self.sigmas(blurred_B3HW))]
        height, width = blurred_B3HW.shape[-2:]
        sizes = [-(-side // (1 << halvings)) for halvings in (*range(HALVINGS, -1, -1), 0) for side in (height, width)]
        found = self._found(blurred_B3HW)
        return [one[..., :h, :w] for one, h, w in zip(found, sizes[::2], sizes[1::2], strict=True)]

    def sigmas(self, blurred_B3HW: Tensor) -> Tensor:
        """The blur at every pixel, [B, 1, H, W], as sigma of a Gaussian in pixels: from 0 to 7."""
        height, width = blurred_B3HW.shape[-2:]
        return to_sigmas(self._found(blurred_B3HW)[-1][..., :height, :width].float())

    def deconvolved(self, blurred_B3HW: Tensor, sigmas_B1HW: Tensor) -> Tensor:
        """Photographs in [0, 1] deconvolved on the processor by maps of sigma, [B, 1, H, W] in pixels."""
        if blurred_B3HW.is_meta:  # shapes alone: what is counted are convolutions
            return torch.empty_like(blurred_B3HW)
        photographs = blurred_B3HW.detach().float().cpu().permute(0, 2, 3, 1).numpy()
        maps = sigmas_B1HW.detach()[:, 0].cpu().numpy()
        restored_BHW3 = np.stack([restore_by_map(*both) for both in zip(photographs, maps, strict=True)])
        return torch.from_numpy(restored_BHW3).permute(0, 3, 1, 2).contiguous().to(blurred_B3HW)

    def training_pair(self, input_BCHW: Tensor, sharp_B3HW: Tensor, progress: Progress) -> tuple[Tensor, Tensor]:
        """The sharp crops as lenses of known blur take them, and the maps of that blur; blurred crops are not used."""
        blurred_B3HW, sigmas_B1HW = taken(sharp_B3HW, self.config.largest_sigma_pixels, progress.epoch)
        return blurred_B3HW, from_sigmas(sigmas_B1HW)

    def cost(
        self, outputs: Sequence[Tensor], input_BCHW: Tensor, sharp_B3HW: Tensor, loss: LossConfig, progress: Progress
    ) -> Tensor | None:
        """The sum of all maps' squared errors, whatever `loss.schedule` says: its costs are of photographs."""
        return multi_scale_loss(outputs, sharp_B3HW, "l2")

    def for_inference(self, dtype: torch.dtype = torch.float32) -> Self:
        """A frozen copy for restoring photographs, channels last and without the auxiliary maps; the same results.

        With `dtype` bfloat16 the map is found in 16 bits.
        """
        copied = copy.deepcopy(self).eval().requires_grad_(False)
        copied.maps.auxiliary = nn.ModuleList()
        return copied.to(dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def _found(self, blurred_B3HW: Tensor) -> list[Tensor]:
        check_size(self, blurred_B3HW)
        maps: list[Tensor] = self.maps(extended(blurred_B3HW, self.size_multiple))
        return maps
