"""A network, or a method without one, and a photograph in; the photograph with its bits, alpha, EXIF and profile out.

`gkm deblur`, `mlflow models serve` and `gkm demo` all restore with it, and so give the same pixels. The arithmetic is
that of `gkm.evaluation.restore_image`, by strips of rows where that spares memory.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gkm.config import Input
from gkm.data.photos import Pixels, quantised
from gkm.errors import InputError
from gkm.evaluation import Restore, restorer, to_input
from gkm.evaluation.tensors import row_strips
from gkm.networks import Network
from gkm.restoration.memory import within_memory
from gkm.restoration.photograph import Photograph

_NO_MEMORY = ("can't allocate memory", "out of memory")
"""In what PyTorch says where there is none, on the processor and on a GPU."""


def restore(model: Network | Restore, *seen: Photograph) -> Photograph:
    """What a network, on its own device, makes of what it sees: a photograph, or the left and the right view of one.

    A restoring function sees a photograph, on the processor.

    The result keeps all but the colours of the first: bits, alpha, EXIF, profile. Raises InputError where the network
    sees something else or gives no picture, and where the views differ in size.
    """
    function, inputs, device = _parts(model)
    if len(seen) != len(inputs):
        needed = "one photograph" if len(inputs) == 1 else f"its {' and '.join(inputs)} views"
        raise InputError(f"the network sees {needed}, but was given {len(seen)} photographs; give it what it sees")
    try:
        with within_memory() if device.type == "cpu" else nullcontext():
            input_1CHW = to_input([photograph.rgb_HW3 for photograph in seen]).to(device)
            restored_13HW = function(input_1CHW)
            del input_1CHW
            pixels_HW3 = _to_pixels(restored_13HW, seen[0].rgb_HW3.dtype)
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not any(words in str(error).lower() for words in _NO_MEMORY):
            raise
        width, height = seen[0].size
        raise InputError(
            f"its {width}x{height} pixels do not fit into memory; scale it down, or choose another model"
        ) from None
    return replace(seen[0], rgb_HW3=pixels_HW3)


def _parts(model: Network | Restore) -> tuple[Restore, tuple[Input, ...], torch.device]:
    """What restores, what it sees, and where."""
    if not isinstance(model, Network):
        return model, ("blurred",), torch.device("cpu")
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    return restorer(model), model.inputs, device


def _to_pixels(restored_13HW: Tensor, dtype: np.dtype[Any]) -> Pixels:
    """Levels of uint8 or uint16; InputError where they are not finite."""
    height, width = restored_13HW.shape[-2:]
    levels = np.iinfo(dtype).max
    pixels_HW3: npt.NDArray[Any] = np.empty((height, width, 3), dtype)
    for rows in row_strips(height, width):
        strip_3hW = restored_13HW[0, :, rows].float()
        if not bool(torch.isfinite(strip_3hW).all()):
            raise InputError("the network gives no picture of it; choose another model")
        scaled_3hW = (strip_3hW.clamp(0, 1) * levels).cpu().numpy()
        pixels_HW3[rows] = quantised(scaled_3hW.transpose(1, 2, 0), dtype)
    return pixels_HW3
