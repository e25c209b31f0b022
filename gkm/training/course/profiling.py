"""Batches of a training in; the same batches, and once, while they pass, a trace and a summary of some steps, out.

The profiler of PyTorch watches whole steps of one epoch, after some that warm up. Nothing of it is in the way of a
training that was not asked for it.
"""

from __future__ import annotations

import gzip
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.autograd.profiler_util import FunctionEventAvg
from torch.profiler import ProfilerActivity, profile, record_function

from gkm.training.epoch import BatchSource, PairedBatch
from gkm.training.scratch import scratch
from gkm.training.usage import memory_bytes

WARM_UP_STEPS = 3
PROFILED_STEPS = 3
"""At most: an epoch may end before."""
OPERATORS = 10
"""In the summary."""
WAITING, STEP = "gkm: wait for crops", "gkm: step"
"""What the trace calls them."""
_FOLDER = "gkm-profile-"

Keep = Callable[[bytes, str], None]
"""Takes the trace (gzipped JSON, as Chrome and Perfetto read it) and the summary."""


@dataclass
class ProfiledBatches:
    """A `BatchSource` with the batches of another one, during which some steps are profiled.

    What starting and reading the profiler takes is done within `aside`.
    """

    batches: BatchSource
    device: torch.device
    keep: Keep
    aside: Callable[[], AbstractContextManager[None]] = nullcontext
    warm_up: int = WARM_UP_STEPS
    steps: int = PROFILED_STEPS
    _passed: int = 0
    _done: bool = False

    def epoch(self, epoch: int, start_batch: int = 0) -> Iterator[PairedBatch]:
        """The batches of the other source; a step is what is done with one until the next is asked for."""
        batches = self.batches.epoch(epoch, start_batch)
        while not self._done:
            if self._passed >= self.warm_up:
                yield from self._profiled(batches)
                break
            try:
                batch = next(batches)
            except StopIteration:
                return
            yield batch
            self._passed += 1
        yield from batches

    def _profiled(self, batches: Iterator[PairedBatch]) -> Iterator[PairedBatch]:
        """Some batches; training may end during any of them."""
        with self.aside():
            watch = _Watch(self.device)
        try:
            for _ in range(self.steps):
                with record_function(WAITING):
                    batch = watch.waited_for(batches)
                if batch is None:
                    break
                with record_function(STEP):
                    yield batch
                watch.count += 1
        finally:
            with self.aside():
                watch.stop()
        if watch.count:
            self._done = True
            with self.aside():
                self.keep(*watch.result())


class _Watch:
    """The profiler at work, and what it does not measure."""

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._device = device
        self.count = 0
        """Whole steps so far."""
        self._waited = self._seconds = 0.0
        self._held = self._memory()
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if self._cuda else [])]
        self._profile = profile(activities=activities, profile_memory=True)
        self._profile.start()
        self._began = self._now()

    def waited_for(self, batches: Iterator[PairedBatch]) -> PairedBatch | None:
        """The next batch; None: there is none."""
        asked = time.perf_counter()
        batch = next(batches, None)
        self._waited += time.perf_counter() - asked
        return batch

    def stop(self) -> None:
        self._seconds = self._now() - self._began
        self._profile.stop()

    def result(self) -> tuple[bytes, str]:
        """The trace, gzipped, and the summary."""
        with scratch(Path(tempfile.gettempdir()), _FOLDER) as folder:
            self._profile.export_chrome_trace(str(folder / "trace.json"))
            trace = (folder / "trace.json").read_bytes()
        return gzip.compress(trace), "\n".join(self._lines(trace))

    def _lines(self, trace: bytes) -> Iterator[str]:
        milliseconds = 1000 * self._seconds / self.count
        steps = f"{self.count} step{'s' * (self.count > 1)}"
        yield f"profile of {steps} on {self._name()}: {milliseconds:.1f} ms a step, the profiler's own work included"
        yield f"  wait for crops   {100 * self._waited / self._seconds:.1f} % of the time"
        where = "the GPU" if self._cuda else "this process"
        yield (
            f"  memory           a step takes up to {most_held(trace, cuda=self._cuda) / 1e6:.1f} MB; "
            f"{where} held {self._held / 1e6:.1f} MB before"
        )
        found = [event for event in self._profile.key_averages() if event.key not in (WAITING, STEP)]
        total = sum(self._own(event) for event in found) or 1.0
        yield f"  {'operator':44} {'calls':>7} {'ms':>9} {'share':>7}    of one step"
        for event in sorted(found, key=self._own, reverse=True)[:OPERATORS]:
            own, calls = self._own(event), event.count / self.count
            yield f"  {event.key[:44]:44} {calls:7.0f} {own / 1000 / self.count:9.2f} {100 * own / total:6.1f} %"

    def _own(self, event: FunctionEventAvg) -> float:
        """Microseconds in an operator itself, on the device."""
        return float(event.self_device_time_total if self._cuda else event.self_cpu_time_total)

    def _name(self) -> str:
        return torch.cuda.get_device_name(self._device) if self._cuda else "the processor"

    def _memory(self) -> float:
        """Bytes that are held now."""
        return float(torch.cuda.memory_allocated(self._device)) if self._cuda else memory_bytes()

    def _now(self) -> float:
        if self._cuda:
            torch.cuda.synchronize(self._device)
        return time.perf_counter()


def most_held(trace: bytes, *, cuda: bool) -> int:
    """The most bytes that the steps of a Chrome trace held at a time, beyond what was held at their beginning."""
    kind = 1 if cuda else 0
    changes = [
        (float(event["ts"]), int(event["args"]["Bytes"]))
        for event in json.loads(trace)["traceEvents"]
        if event.get("name") == "[memory]" and event["args"].get("Device Type") == kind
    ]
    held = most = 0
    for _, change in sorted(changes, key=lambda entry: entry[0]):
        held += change
        most = max(most, held)
    return most
