"""A DMENet and a photograph in, its map and what was restored out; and why it is not exported."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gkm.errors import InputError
from gkm.networks.dmenet.dmenet import DMENet
from gkm.networks.network import InsideView


@torch.no_grad()
def view(network: DMENet, blurred_13HW: Tensor) -> InsideView:
    """The map of one photograph's blur, and the photograph restored by it."""
    copied = network.for_inference()
    sigmas_11HW = copied.sigmas(blurred_13HW)
    return InsideView(
        results_3HW=[copied.deconvolved(blurred_13HW, sigmas_11HW)[0]],
        maps_KHW=sigmas_11HW[0],
        map_names=["σ"],
        maps_note="of its maps, which is the only one: the blur at every pixel, as sigma of a Gaussian in pixels",
    )


def export_form(network: DMENet) -> nn.Module:
    """Raises InputError: the deconvolution is no graph of tensors."""
    raise InputError(
        "dmenet: deconvolves by its map, which cannot be exported; deblur with it, or export a network of another kind"
    )
