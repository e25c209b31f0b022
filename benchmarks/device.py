"""What runs on a device in, seconds of it out; the device's own peaks, and the precisions that it is asked for."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Arithmetic:
    """A precision by its name."""

    name: str
    dtype: torch.dtype
    tf32: bool = False

    def set(self) -> None:
        """Let products of float32 be made in TF32, or not."""
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = self.tf32

    def autocast(self, device: str) -> AbstractContextManager[object]:
        """For networks whose weights stay in float32."""
        return nullcontext() if self.dtype == torch.float32 else torch.autocast(device, self.dtype)


ARITHMETIC = (
    Arithmetic("float32", torch.float32),
    Arithmetic("TF32", torch.float32, tf32=True),
    Arithmetic("bfloat16", torch.bfloat16),
    Arithmetic("float16", torch.float16),
)


class Bench:
    """A device, how long each row may take, and when all must be done."""

    def __init__(self, device: str, *, quick: bool, minutes: float) -> None:
        self.device, self.quick = device, quick
        self.seconds = 0.05 if quick else 1.0
        self.end = time.monotonic() + 60 * minutes
        # On a processor TF32 is float32, and compiling takes a minute.
        self.arithmetic = ARITHMETIC if device == "cuda" else (ARITHMETIC[0], ARITHMETIC[2])
        self.modes = ("eager", "compiled", "captured") if device == "cuda" else ("eager",)
        self.peaks: dict[str, float] = {}

    def wait(self) -> None:
        """Until the device has done all that it was given."""
        if self.device == "cuda":
            torch.cuda.synchronize()

    def time(self, run: Callable[[], object]) -> float:
        """Seconds of one run, the mean over those that fit into the time of a row, after three to warm up."""
        for _ in range(1 if self.quick else 3):
            run()
        self.wait()
        runs, started = 0, time.perf_counter()
        while runs == 0 or time.perf_counter() - started < self.seconds:
            run()
            runs += 1
            self.wait()
        return (time.perf_counter() - started) / runs

    def peak(self, arithmetic: Arithmetic) -> float:
        """Multiply-adds a second of a product of large matrices."""
        if arithmetic.name not in self.peaks:
            arithmetic.set()
            side = 256 if self.quick else 8192
            a, b = (torch.randn(side, side, device=self.device, dtype=arithmetic.dtype) for _ in range(2))
            self.peaks[arithmetic.name] = side**3 / self.time(lambda: a @ b)
        return self.peaks[arithmetic.name]

    def bandwidth(self) -> float:
        """Bytes a second, read and written, of a copy."""
        source = torch.empty(1_000_000 if self.quick else 256_000_000, device=self.device)
        target = torch.empty_like(source)
        return 8 * source.numel() / self.time(lambda: target.copy_(source))

    def row(self, name: str, measured: Callable[[], str]) -> None:
        """Print a row, or why there is none."""
        try:
            said = measured() if time.monotonic() < self.end else "left out: no time is left (--minutes)"
        except Exception as error:  # a row must not end the others
            first_line = str(error).strip().partition("\n")[0]
            said = f"failed: {type(error).__name__}: {first_line}"
        print(f"{name:44} {said}", flush=True)


def captured(bench: Bench, run: Callable[[], object]) -> Callable[[], None]:
    """The same work as one CUDA graph."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(side)
    bench.wait()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay
