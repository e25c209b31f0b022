"""A batch for which the memory does not suffice in; how many of its crops would fit, and what to set, out."""

from __future__ import annotations

from collections.abc import Callable

import torch

from gkm.config import TrialConfig
from gkm.training.context import TrainingContext

_SAID = ("can't allocate memory", "cannot allocate memory", "out of memory")
"""How errors that are no class of their own begin to say it: of the processor's allocator, of libraries of GPUs."""


CONTEXTS = 0.1
"""Part of a GPU's memory that is left to what CUDA keeps for each process beside its tensors, assumed."""


class BatchTooLargeError(RuntimeError):
    """A batch does not fit into the memory; the message says what does."""


def keep_to_share(processes: int) -> None:
    """Let this process have an equal share of its GPU's memory, where so many use it: more is as if there were none.

    One that needs more than its share then fails by itself, and takes nothing from the others.
    """
    if torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction((1 - CONTEXTS) / processes)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that there is not enough memory, on a GPU or of the machine."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _SAID)


def largest_share(attempt: Callable[[int], None], crops: int) -> int:
    """The most crops, half as many with each try, with which `attempt` does not run out of memory; 0: none."""
    while (crops := crops // 2) > 0:
        _free()
        try:
            attempt(crops)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        else:
            return crops
    return 0


def too_large(config: TrialConfig, context: TrainingContext, side: int, fitting: int | None, *, pieces: bool) -> str:
    """A sentence about a share of a batch of crops of `side` pixels that does not fit; `fitting` of them do (None: ?).

    `pieces`: whether `training.accumulate` divides the batch; else it has parts of the network computed again.
    """
    crops = config.data.batch_size // context.world_size
    where = "this GPU's memory" if context.device.type == "cuda" else "the memory"
    what = (
        f"{crops} crops of {side} pixels a step, in {config.training.accumulate} pieces,"
        if (config.training.accumulate > 1)
        else f"{crops} crops of {side} pixels a step"
    )
    if fitting == 0:
        return f"{what} do not fit into {where}, nor does one; set data.crop_pixels to less than {side}"
    if fitting:  # pieces are of the same size
        accumulate = config.training.accumulate
        fitting = (-(-fitting // accumulate) if pieces else fitting // accumulate) * accumulate
    less = f"set data.batch_size={fitting * context.world_size}" if fitting else "set a smaller data.batch_size"
    fit = f", {fitting} would" if fitting else ""
    same = _same_step(config, crops, fitting, pieces)
    return f"{what} do not fit into {where}{fit}: {less}{same}"


def _same_step(config: TrialConfig, crops: int, fitting: int | None, pieces: bool) -> str:
    """The setting by which the very same step takes less memory, if there is one left to try."""
    accumulate = config.training.accumulate
    if accumulate > 1 and not pieces:
        return ""
    wanted = -(-crops // (fitting // accumulate)) if pieces and fitting else 2 * accumulate
    while wanted < crops and crops % wanted:
        wanted += 1
    how = "in pieces" if pieces else "in less memory"
    return f", or training.accumulate={wanted} for the same step {how}" if wanted <= crops else ""


def _free() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
