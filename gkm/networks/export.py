"""A network in; the same function as a program that runs without this project out: torch.export, or ONNX.

The caller writes it to a file. Height and width stay free, but are multiples of the network's `size_multiple`; `extend`
makes any photograph suit, and its result is cropped to the photograph's size.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.nn import functional

from gkm.errors import InputError
from gkm.networks.kinds import kind_of
from gkm.networks.network import Network

if TYPE_CHECKING:
    from torch.onnx import ONNXProgram

LARGEST_SIDE_PIXELS = 32768


def extend(input_BCHW: Tensor, network: Network) -> Tensor:
    """The image with its last row and column repeated up to the next suitable size.

    That is a multiple of the network's `size_multiple`, two multiples and its smallest photograph at least.
    """
    multiple, smallest = network.size_multiple, network.smallest_side_pixels
    least = max(2, -(-smallest // multiple)) * multiple
    bottom, right = (max(-side % multiple, least - side) for side in input_BCHW.shape[-2:])
    return functional.pad(input_BCHW, (0, right, 0, bottom), mode="replicate")


def export_program(network: Network) -> ExportedProgram:
    """`network` in its form for inference as one graph: an input [1, C, H, W] in [0, 1] to the finest result."""
    multiple = network.size_multiple
    smallest = max(2, -(-network.smallest_side_pixels // multiple))
    height, width = (Dim(name, min=smallest, max=LARGEST_SIDE_PIXELS // multiple) for name in ("rows", "columns"))
    # Different sides, none of them special: equal or tiny ones could become part of the graph.
    sides = (5 * multiple * max(1, smallest // 2), 7 * multiple * max(1, smallest // 2))
    example = torch.rand(1, 3 * len(network.inputs), *sides)
    form = kind_of(network).export_form
    with torch.no_grad():
        return torch.export.export(
            form(network) if form else _Finest(network.for_inference().cpu()),
            (example,),
            dynamic_shapes=({2: multiple * height, 3: multiple * width},),
            strict=False,
        )


def export_onnx(network: Network) -> ONNXProgram:
    """The same as ONNX: input "blurred" or, of views, "left_right", output "restored"; write it by its `save(path)`.

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
            export_program(network),
            dynamo=True,
            verbose=False,
            input_names=["_".join(network.inputs)],
            output_names=["restored"],
        )
    assert program is not None
    return program


class _Finest(nn.Module):
    """The last scale's result alone."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, input_1CHW: Tensor) -> Tensor:
        finest: Tensor = self.network(input_1CHW)[-1]
        return finest
