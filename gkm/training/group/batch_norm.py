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

from gkm.training.group.exchange import Exchange, exchange_for, gathered

_MOST_BYTES_PER_NUMBER = 8


class GlobalBatchNorm2d(nn.BatchNorm2d):
    """Batch norm that, in training, takes mean and variance over the batches of all workers, which are equally large.

    What it learns of running statistics is the same on every worker, to the bit. Without other workers, and in
    evaluation mode, it is an ordinary batch norm.
    """

    exchange: Exchange = staticmethod(gathered)

    def forward(self, input: Tensor) -> Tensor:
        if not (self.training and torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1):
            return super().forward(input)
        self._check_input_dim(input)
        normed, statistics_2C = _Normalise.apply(input, self.weight, self.bias, self.eps, self.exchange)  # type: ignore[no-untyped-call]
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
    """Replace the batch norms in `model`, which keep their weights and running statistics; on all workers at once."""
    _replace(model)
    norms = [part for part in model.modules() if isinstance(part, GlobalBatchNorm2d)]
    if norms and torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1:
        place = next(tensor.device for norm in norms for tensor in (*norm.parameters(), *norm.buffers()))
        exchange = exchange_for(place, max(norm.num_features for norm in norms) * 2 * _MOST_BYTES_PER_NUMBER)
        for norm in norms:
            norm.exchange = exchange


def _replace(model: nn.Module) -> None:
    for name, part in model.named_children():
        if type(part) is nn.BatchNorm2d:
            setattr(model, name, _global(part))
        else:
            _replace(part)


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
    """(x, weight [C], bias [C], eps, exchange) -> the normalised x; mean and (biased) variance of all workers [2, C].

    One exchange of 2C numbers forwards, one backwards. Mean and variance of the workers are joined after Chan et al.
    (1979), without the cancellation of sums of squares.
    """

    @staticmethod
    def forward(
        ctx: Any, x_BCHW: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, exchange: Exchange
    ) -> tuple[Tensor, Tensor]:
        shares_W2C = exchange(torch.stack(_statistics(_at_least_32_bits(x_BCHW))))
        means_WC, variances_WC = shares_W2C.unbind(1)
        mean_C = means_WC.mean(0)
        variance_C = variances_WC.mean(0) + (means_WC - mean_C).square().mean(0)
        normed = functional.batch_norm(x_BCHW, mean_C, variance_C, weight, bias, training=False, eps=eps)
        ctx.save_for_backward(x_BCHW, weight, mean_C, variance_C)
        ctx.eps, ctx.exchange = eps, exchange
        statistics_2C = torch.stack((mean_C, variance_C))
        ctx.mark_non_differentiable(statistics_2C)
        return normed, statistics_2C

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream_BCHW: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        x_BCHW, weight, mean_C, variance_C = ctx.saved_tensors
        x, upstream = _at_least_32_bits(x_BCHW), _at_least_32_bits(upstream_BCHW)
        scale_C = torch.rsqrt(variance_C + ctx.eps)
        sum_C, product_C = _sums(upstream, x, mean_C, scale_C)
        sums_W2C = ctx.exchange(torch.stack((sum_C, product_C)))
        sum_of_all_C, product_of_all_C = sums_W2C.sum(0).div_(count(x) * len(sums_W2C))
        # scale * weight * (upstream - mean of upstream - normed x * mean of their products), in two passes
        slope_C = scale_C if weight is None else scale_C * weight
        x_grad = functional.batch_norm(
            x,
            mean_C,
            variance_C,
            -slope_C * product_of_all_C,
            -slope_C * sum_of_all_C,
            training=False,
            eps=ctx.eps,
        )
        x_grad = x_grad.addcmul_(upstream, slope_C[:, None, None]).to(x_BCHW.dtype)
        _, of_weight, of_bias, *_ = ctx.needs_input_grad
        # Gradients of weights are those of this worker's share; they are averaged with all others.
        return x_grad, product_C if of_weight else None, sum_C if of_bias else None, None, None


def _statistics(x_BCHW: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and (biased) variance of each channel."""
    if x_BCHW.device.type == "cpu":  # what batch norm itself does here, twice as fast as var_mean
        mean_C, variance_C = torch.ops.aten.batch_norm_update_stats(x_BCHW, None, None, 0.0)
    else:
        variance_C, mean_C = torch.var_mean(x_BCHW, dim=(0, 2, 3), correction=0)
    return mean_C, variance_C


def _sums(upstream_BCHW: Tensor, x_BCHW: Tensor, mean_C: Tensor, scale_C: Tensor) -> tuple[Tensor, Tensor]:
    """Of each channel: the sum of `upstream`, and that of its products with the normalised x."""
    if x_BCHW.device.type == "cpu":  # the same in one pass
        ones_C, wanted = torch.ones_like(mean_C), [False, True, True]
        _, product_C, sum_C = torch.ops.aten.native_batch_norm_backward(
            upstream_BCHW, x_BCHW, ones_C, None, None, mean_C, scale_C, True, 0.0, wanted
        )
    else:
        centred = x_BCHW - mean_C[:, None, None]
        sum_C, product_C = upstream_BCHW.sum((0, 2, 3)), (upstream_BCHW * centred).sum((0, 2, 3)) * scale_C
    return sum_C, product_C


def _at_least_32_bits(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()
