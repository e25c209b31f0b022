"""An image and coefficient maps in, the image blurred by recursive kernels out.

Shape legend: B images, 3 channels, K kernels, H x W pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class RecursiveKernels(nn.Module):
    """image_B3HW in, its K+1 versions [B, K+1, 3, H, W] out: the image, then each filtered from the one before.

    A step filters rows and then columns of each colour with three taps (a, b, a) that sum to 1; beyond the border the
    image is mirrored, without repeating the last pixel. So the kernels grow by two pixels a step.
    """

    def __init__(self, num_kernels: int) -> None:
        super().__init__()
        self.logits_K32 = nn.Parameter(torch.rand(num_kernels, 3, 2))

    def taps(self) -> Tensor:
        """The taps [K, 3, 3] of each step and colour: the softmax of (a, b, a)."""
        return torch.softmax(torch.cat((self.logits_K32, self.logits_K32[..., :1]), dim=2), dim=2)

    def forward(self, image_B3HW: Tensor) -> Tensor:
        versions = [image_B3HW]
        for taps_33 in self.taps().to(image_B3HW.dtype):
            padded = functional.pad(versions[-1], (1, 1, 1, 1), mode="reflect")
            rows = functional.conv2d(padded, taps_33[:, None, None, :], groups=3)
            versions.append(functional.conv2d(rows, taps_33[:, None, :, None], groups=3))
        return torch.stack(versions, dim=1)


class Blur(nn.Module):
    """An image_B3HW and its maps [B, K+1, H, W] in, W(maps * G(image)) out: a blur that differs from pixel to pixel.

    Every map weights the three channels of its version; a 1x1 convolution sums the products.
    """

    def __init__(self, num_kernels: int) -> None:
        super().__init__()
        self.kernels = RecursiveKernels(num_kernels)
        self.mixing = nn.Conv2d(3 * (num_kernels + 1), 3, kernel_size=1)

    def forward(self, image_B3HW: Tensor, maps_BKHW: Tensor) -> Tensor:
        if image_B3HW.device.type == "cpu" and not torch.is_grad_enabled() and not torch.compiler.is_compiling():
            return self._one_version_at_a_time(image_B3HW, maps_BKHW)
        products = maps_BKHW[:, :, None] * self.kernels(image_B3HW)
        blurred: Tensor = self.mixing(products.flatten(1, 2))
        return blurred

    def _one_version_at_a_time(self, image_B3HW: Tensor, maps_BKHW: Tensor) -> Tensor:
        """The same sum without gradients: one version is held, and its weighted share added to the result."""
        assert self.mixing.bias is not None
        weights_K33 = self.mixing.weight.view(3, -1, 3).transpose(0, 1)
        version = image_B3HW.transpose(0, 1).clone(memory_format=torch.contiguous_format)
        spare, sums = torch.empty_like(version), torch.empty_like(version)
        result = self.mixing.bias[:, None].repeat(1, version[0].numel())
        steps = [None, *self.kernels.taps().to(version.dtype)]
        for place, (taps_33, weights) in enumerate(zip(steps, weights_K33, strict=True)):
            if taps_33 is not None:
                side, centre = taps_33[:, 0].view(3, 1, 1, 1), taps_33[:, 1].view(3, 1, 1, 1)
                _filter(version, side, centre, 3, sums, spare)
                _filter(spare, side, centre, 2, sums, version)
            torch.mul(version, maps_BKHW[:, place], out=spare)
            result.addmm_(weights, spare.view(3, -1))
        return result.view_as(version).transpose(0, 1)


def _filter(image: Tensor, side: Tensor, centre: Tensor, axis: int, sums: Tensor, result: Tensor) -> None:
    """`result` becomes the image filtered along one axis with (side, centre, side); `sums` is room for neighbours."""
    inner, length = image.shape[axis] - 2, image.shape[axis]
    neighbours = sums.narrow(axis, 0, inner)
    torch.add(image.narrow(axis, 0, inner), image.narrow(axis, 2, inner), out=neighbours)
    torch.mul(image, centre, out=result)
    result.narrow(axis, 1, inner).addcmul_(neighbours, side)
    for end, mirrored in ((0, 1), (length - 1, length - 2)):
        result.narrow(axis, end, 1).addcmul_(image.narrow(axis, mirrored, 1), side, value=2)
