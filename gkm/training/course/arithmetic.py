"""`training.precision` and a device in; what the steps of a training compute in, or a refusal, out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn

from gkm.config import TrialConfig
from gkm.errors import InputError

LEAST_SCALE = 2.0**-14
"""Of losses in float16: where gradients overflow even so, they are no numbers at any scale."""
_TYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}
_AMPERE = (8, 0)
"""Compute capability of the first GPUs with TF32."""


def refuse_precision(config: TrialConfig, device: torch.device) -> None:
    """Raises InputError, naming the setting, where `device` cannot compute in `training.precision`."""
    if device.type != "cuda":
        if (problem := config.processor_problem()) is not None:
            raise InputError(problem)
    elif config.training.precision == "tf32" and torch.cuda.get_device_capability(device) < _AMPERE:
        raise InputError("training.precision = tf32: this GPU has none; set float32 or float16")


class Arithmetic:
    """What steps compute in. In float16 losses are scaled, and a step whose gradients overflow is left out.

    The scale is halved then, and doubled after 2000 steps without; on several workers it is the same on all.
    """

    def __init__(self, precision: str, device: torch.device) -> None:
        self._precision, self._device = precision, device
        self._scaler = torch.amp.GradScaler(device.type, enabled=precision == "float16")

    @contextmanager
    def products(self) -> Iterator[None]:
        """Within the block, products of float32 on GPUs are made in TF32, or, unless that is asked for, are not."""
        if self._device.type != "cuda":
            yield
            return
        convolutions, matrices = torch.backends.cudnn, torch.backends.cuda.matmul
        before = convolutions.allow_tf32, matrices.allow_tf32
        convolutions.allow_tf32 = matrices.allow_tf32 = self._precision == "tf32"
        try:
            yield
        finally:
            convolutions.allow_tf32, matrices.allow_tf32 = before

    def forward(self) -> AbstractContextManager[object]:
        """For the forward pass of a network."""
        dtype = _TYPES.get(self._precision)
        return nullcontext() if dtype is None else torch.autocast(self._device.type, dtype)

    def backward(self, loss: Tensor) -> None:
        """Add up the gradients of `loss`."""
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call,unused-ignore]

    def step(self, optimizer: torch.optim.Optimizer, model: nn.Module, clip_norm: float | None) -> None:
        """One step with the gradients added up, whose norm is limited to `clip_norm`."""
        if clip_norm is not None:
            self._scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
        self._scaler.step(optimizer)
        self._scaler.update()

    def problem(self) -> str | None:
        """Why steps are left out one after the other; None: they are not."""
        scale = float(self._scaler.get_scale())
        return (
            None if scale >= LEAST_SCALE else f"gradients overflow in float16 even where losses count {scale:.0e} times"
        )

    def state(self) -> dict[str, float]:
        """What a checkpoint keeps of this: nothing but in float16."""
        return dict(self._scaler.state_dict())

    def restore(self, state: dict[str, float]) -> None:
        """Go on from `state`."""
        if state:
            self._scaler.load_state_dict(state)
