"""A network in; the same network out whose batch norms normalise by the crops of all workers together.

Names and contents of the state dict stay, so checkpoints, the registry and inference see ordinary batch norms. It works
with any backend of `torch.distributed` (PyTorch's own SyncBatchNorm is for CUDA alone). Shape legend: B crops of this
worker, C channels, H x W pixels.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import Function, once_differentiable
from torch.nn import functional


class GlobalBatchNorm2d(nn.BatchNorm2d):
    """Batch norm that, in training, takes mean and variance over the batches of all workers, which are equally large.

    What it learns of running statistics is the same on every worker, to the bit. Without other workers, and in
    evaluation mode, it is an ordinary batch norm.
    """

    def forward(self, input: Tensor) -> Tensor:
        if not (self.training and torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1):
            return super().forward(input)
        self._check_input_dim(input)
        normed, statistics_2C = _Normalise.apply(input, self.weight, self.bias, self.eps)  # type: ignore[no-untyped-call]
        if self.track_running_stats:
            self._keep(statistics_2C, count(input) * torch.distributed.get_world_size())
        result: Tensor = normed
        return result

    @torch.no_grad()
    def _keep(self, statistics_2C: Tensor, total: int) -> None:
        """Move the running statistics towards those of a batch of `total` numbers a channel."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        if self.momentum is None:
            raise ValueError("batch norm over all workers needs a momentum; cumulative averages are not kept")
        mean_C, variance_C = statistics_2C
        self.running_mean.lerp_(mean_C.to(self.running_mean), self.momentum)
        unbiased_C = variance_C * (total / max(1, total - 1))
        self.running_var.lerp_(unbiased_C.to(self.running_var), self.momentum)


def with_global_statistics(model: nn.Module) -> None:
    """Replace the batch norms in `model`, which keep their weights and running statistics."""
    for name, part in model.named_children():
        if type(part) is nn.BatchNorm2d:
            setattr(model, name, _global(part))
        else:
            with_global_statistics(part)


def has_batch_norm(model: nn.Module) -> bool:
    """Whether what `model` does in training with a crop depends on the other crops of the batch."""
    return any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in model.modules())


def count(x_BCHW: Tensor) -> int:
    """Numbers of each channel."""
    return x_BCHW.numel() // x_BCHW.shape[1]


def _global(norm: nn.BatchNorm2d) -> GlobalBatchNorm2d:
    replaced = GlobalBatchNorm2d(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
    replaced._parameters.update(norm._parameters)
    replaced._buffers.update(norm._buffers)
    return replaced.train(norm.training)


class _Normalise(Function):
    """(x, weight [C], bias [C], eps) -> the normalised x, and mean and (biased) variance of all workers [2, C].

    One exchange of 2C numbers forwards, one backwards. Mean and variance of the workers are joined after Chan et al.
    (1979), without the cancellation of sums of squares.
    """

    @staticmethod
    def forward(
        ctx: Any, x_BCHW: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor]:
        variance_C, mean_C = torch.var_mean(_at_least_32_bits(x_BCHW), dim=(0, 2, 3), correction=0)
        shares_W2C = _gathered(torch.stack((mean_C, variance_C)))
        means_WC, variances_WC = shares_W2C.unbind(1)
        mean_C = means_WC.mean(0)
        variance_C = variances_WC.mean(0) + (means_WC - mean_C).square().mean(0)
        normed = functional.batch_norm(x_BCHW, mean_C, variance_C, weight, bias, training=False, eps=eps)
        scale_C = torch.rsqrt(variance_C + eps)
        ctx.save_for_backward(x_BCHW, weight, mean_C, scale_C)
        ctx.workers = len(shares_W2C)
        statistics_2C = torch.stack((mean_C, variance_C))
        ctx.mark_non_differentiable(statistics_2C)
        return normed, statistics_2C

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream_BCHW: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        x_BCHW, weight, mean_C, scale_C = ctx.saved_tensors
        upstream = _at_least_32_bits(upstream_BCHW)
        centred = _at_least_32_bits(x_BCHW) - _of_channels(mean_C)
        sum_C = upstream.sum((0, 2, 3))
        product_C = (upstream * centred).sum((0, 2, 3))
        sums_2C = torch.stack((sum_C, product_C))
        torch.distributed.all_reduce(sums_2C)
        sums_2C /= count(x_BCHW) * ctx.workers
        slope_C = sums_2C[1] * scale_C.square()
        x_grad = upstream - _of_channels(sums_2C[0])
        x_grad -= centred.mul_(_of_channels(slope_C))
        x_grad *= _of_channels(scale_C if weight is None else scale_C * weight)
        if weight is None:
            return x_grad.to(x_BCHW.dtype), None, None, None
        # Gradients of weights are those of this worker's share; they are averaged with all others.
        return x_grad.to(x_BCHW.dtype), product_C * scale_C, sum_C, None


def _gathered(share: Tensor) -> Tensor:
    """The tensors of all workers, in the order of their ranks: the same numbers everywhere."""
    shares = [torch.empty_like(share) for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather(shares, share)
    return torch.stack(shares)


def _of_channels(values_C: Tensor) -> Tensor:
    return values_C[:, None, None]


def _at_least_32_bits(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()
