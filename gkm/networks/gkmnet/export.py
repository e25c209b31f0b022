"""A network in; the same function as a program that runs without this project out: torch.export, or ONNX.

The caller writes it to a file. Height and width stay free, but are multiples of `size_multiple`; `extend` makes any
photograph suit, and its result is cropped to the photograph's size.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.nn import functional

from gkm.config import ModelConfig
from gkm.errors import InputError
from gkm.networks.gkmnet.gkmnet import GKMNet
from gkm.networks.gkmnet.sram import STRIDE

if TYPE_CHECKING:
    from torch.onnx import ONNXProgram

LARGEST_SIDE_PIXELS = 32768


def size_multiple(config: ModelConfig) -> int:
    """What an exported network's heights and widths are multiples of: 16 with three scales."""
    return STRIDE << (config.num_scales - 1)


def extend(blurred_B3HW: Tensor, config: ModelConfig) -> Tensor:
    """The image with its last row and column repeated up to the next suitable size, and to two multiples at least."""
    multiple = size_multiple(config)
    bottom, right = (max(-side % multiple, 2 * multiple - side) for side in blurred_B3HW.shape[-2:])
    return functional.pad(blurred_B3HW, (0, right, 0, bottom), mode="replicate")


def export_program(model: GKMNet) -> ExportedProgram:
    """`model` in its form for inference as one graph: blurred [1, 3, H, W] in [0, 1] to the finest result."""
    multiple = size_multiple(model.config)
    largest = LARGEST_SIDE_PIXELS // multiple
    height, width = (Dim(name, min=2, max=largest) for name in ("rows", "columns"))
    # Different sides, none of them special: equal or tiny ones could become part of the graph.
    example = torch.rand(1, 3, 5 * multiple, 7 * multiple)
    with torch.no_grad():
        return torch.export.export(
            _Finest(model.for_inference().cpu()),
            (example,),
            dynamic_shapes=({2: multiple * height, 3: multiple * width},),
            strict=False,
        )


def export_onnx(model: GKMNet) -> ONNXProgram:
    """The same as ONNX: input "blurred", output "restored"; write it with its `save(path)`.

    Raises InputError where the packages for it are missing.
    """
    try:
        import onnxscript  # noqa: F401
    except ImportError:
        raise InputError(
            "ONNX: the packages for it are not installed; install them with pip install 'gkm[export]'"
        ) from None
    with warnings.catch_warnings():
        # The exporter uses parts of PyTorch that are to change: nothing that a caller could do anything about.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            export_program(model), dynamo=True, verbose=False, input_names=["blurred"], output_names=["restored"]
        )
    assert program is not None
    return program


class _Finest(nn.Module):
    """The last scale's result, with a pyramid whose sizes are whole numbers for the tracer, too."""

    def __init__(self, network: GKMNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, blurred_13HW: Tensor) -> Tensor:
        images = [blurred_13HW]
        for _ in range(self.network.config.num_scales - 1):
            images.append(_halve(images[-1]))
        return self.network.at_scales(images[::-1])[-1]


def _halve(image_13HW: Tensor) -> Tensor:
    """`pyramid`'s bilinear halving with antialiasing, as a convolution by (1, 3, 3, 1) / 8, or what of it is inside."""
    taps = image_13HW.new_tensor([1.0, 3.0, 3.0, 1.0])
    kernel = torch.outer(taps, taps)[None, None]
    sums = functional.conv2d(image_13HW, kernel.expand(3, 1, 4, 4), stride=2, padding=1, groups=3)
    weights = functional.conv2d(torch.ones_like(image_13HW[:, :1]), kernel, stride=2, padding=1)
    return sums / weights
