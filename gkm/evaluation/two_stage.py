"""A method without a network in, a function that restores photographs out."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gkm.classical import METHODS, restore
from gkm.errors import InputError
from gkm.evaluation.restoring import Restore


def two_stage_restorer(key: str) -> Restore:
    """The method of `gkm.classical.METHODS` that is called so, on the processor; its result is where its input was.

    Raises InputError where there is none.
    """
    method = METHODS.get(key)
    if method is None:
        raise InputError(f"{key}: is no method; choose from {', '.join(METHODS)}")

    def restored(blurred_13HW: Tensor) -> Tensor:
        blurred_HW3 = blurred_13HW[0].permute(1, 2, 0).float().cpu().numpy()
        restored_HW3 = restore(method, blurred_HW3)
        result_3HW = torch.from_numpy(np.ascontiguousarray(restored_HW3.transpose(2, 0, 1)))
        return result_3HW[None].to(blurred_13HW.device)

    return restored
