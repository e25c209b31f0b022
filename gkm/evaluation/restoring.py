"""A network in, a function that restores photographs out; photographs in, the restored ones out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from gkm.config import Input
from gkm.errors import InputError
from gkm.evaluation.tensors import refuse_other, to_8bit, to_input
from gkm.networks import Network, strips

Restore = Callable[[Tensor], Tensor]
"""What a network sees, [1,C,H,W] in [0,1] (the blurred photograph, C = 3), in; the restored one, [1,3,H,W], out."""


LARGE_PIXELS = 4_000_000
"""GKMNet as a whole takes about 1.2 GB for each million pixels (at width 32, float32)."""


def restorer(model: nn.Module) -> Restore:
    """The finest output of `model` (which returns a list, coarse to fine) as a function, without gradients.

    Batch statistics are those of training; the model is left in the mode it was found in. Photographs of more than
    LARGE_PIXELS pixels pass in strips, if the network can: the same result but for rounding, in much less memory.
    """

    def restore(input_1CHW: Tensor) -> Tensor:
        if isinstance(model, Network) and input_1CHW[0, 0].numel() > LARGE_PIXELS:
            return strips.restore(model, input_1CHW)
        was_training = model.training
        model.eval()
        try:
            with torch.no_grad():
                finest: Tensor = model(input_1CHW)[-1]
                return finest
        finally:
            model.train(was_training)

    return restore


def restore_image(model: nn.Module, *photos_HW3: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """`model` applied to what it sees, on its own device; the result is uint8 of the same size.

    That is a photograph of uint8 or uint16, or the left and then the right view of one: the model's `inputs`. Raises
    InputError where there are more or fewer, or of different sizes, and FloatingPointError if the result has values
    that are not finite.
    """
    inputs = model.inputs if isinstance(model, Network) else ("blurred",)
    if len(photos_HW3) != len(inputs):
        raise InputError(
            f"the network sees {_in_words(inputs)}, but was given {len(photos_HW3)}; give it {len(inputs)}"
        )
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    input_1CHW = to_input(photos_HW3).to(device)
    restored_13HW = restorer(model)(input_1CHW)
    refuse_other(restored_13HW, input_1CHW, "the photograph")
    return to_8bit(restored_13HW)


def _in_words(inputs: Sequence[Input]) -> str:
    return "one photograph" if inputs == ("blurred",) else f"its {' and '.join(inputs)} views"
