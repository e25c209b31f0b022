"""A shape in, a tensor of it out, in memory that an earlier batch has left.

Fresh memory is cleared by the kernel page by page, which takes longer than filling it with crops.
"""

from __future__ import annotations

import weakref
from collections import deque

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


class BatchMemory:
    """Up to `keep` pieces of memory that wait for the next tensor of `shape`. Safe in threads."""

    def __init__(self, shape: tuple[int, ...], keep: int) -> None:
        self._shape = shape
        self._left: deque[npt.NDArray[np.float32]] = deque(maxlen=keep)

    def tensor(self) -> Tensor:
        """A float32 tensor of any contents. Its memory is used again when it and all its views are gone."""
        try:
            memory = self._left.pop()
        except IndexError:
            memory = np.empty(self._shape, np.float32)
        lease = memory.view()  # the tensor holds this array, so the end of one is the end of the other
        weakref.finalize(lease, self._left.append, memory).atexit = False
        return torch.from_numpy(lease)
