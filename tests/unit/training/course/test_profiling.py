"""Steps that are profiled: the same batches, one trace of whole steps, and a summary that says what is in it."""

from __future__ import annotations

import gzip
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from gkm.training.course.profiling import ProfiledBatches, most_held
from gkm.training.usage import Pace


class Numbers:
    """As many batches in an epoch as asked for."""

    def __init__(self, count: int) -> None:
        self.count = count

    def epoch(self, epoch: int, start_batch: int = 0) -> Iterator[Any]:
        return iter(range(100 * epoch + start_batch, 100 * epoch + self.count))


def profiled(count: int, **changes: int) -> tuple[ProfiledBatches, list[tuple[bytes, str]]]:
    kept: list[tuple[bytes, str]] = []
    source = ProfiledBatches(
        Numbers(count), torch.device("cpu"), lambda trace, said: kept.append((trace, said)), **changes
    )
    return source, kept


def step() -> None:
    x = torch.ones(500, 500)  # a megabyte
    torch.mm(x, x)  # and another one


def test_a_trace_of_some_steps_and_a_summary() -> None:
    source, kept = profiled(9, warm_up=2, steps=3)
    seen = []
    for epoch in range(2):
        for batch in source.epoch(epoch, epoch):
            seen.append(batch)
            step()
    assert seen == [*range(9), *range(101, 109)]
    ((trace, summary),) = kept
    events = json.loads(gzip.decompress(trace))["traceEvents"]
    assert [event["name"] for event in events if event.get("cat") == "user_annotation"].count("gkm: step") == 3
    assert sum(event["name"] == "aten::mm" for event in events) == 3
    assert summary.startswith("profile of 3 steps on the processor: ")
    assert re.search(r"wait for crops +[\d.]+ % of the time", summary)
    held = re.search(r"a step takes up to ([\d.]+) MB", summary)
    assert held is not None
    assert 2.0 <= float(held[1]) < 3.5
    assert re.search(r"aten::mm +1 +[\d.]+ +[\d.]+ %", summary)


def test_what_the_profiler_takes_is_not_taken_for_waiting() -> None:
    pace, within = Pace(), []

    @contextmanager
    def aside() -> Iterator[None]:
        with pace.aside():
            yield
        within.append(len(kept))

    kept: list[str] = []

    def keep(_: bytes, said: str) -> None:
        time.sleep(1)
        kept.append(said)

    source = ProfiledBatches(Numbers(4), torch.device("cpu"), keep, aside, warm_up=1, steps=2)
    for _ in pace.waited_for(source.epoch(0)):
        step()
        pace.count(1)
    assert within == [0, 0, 1]  # it started, stopped, and was read
    measured = pace.measure()
    assert measured["system/data_wait_percent"] < 50
    assert measured["system/crops_per_second"] > 4


def test_an_epoch_that_ends_earlier_ends_the_trace() -> None:
    source, kept = profiled(2, warm_up=3, steps=3)
    for epoch in range(3):
        for _ in source.epoch(epoch):
            step()
    assert [summary.partition(" on ")[0] for _, summary in kept] == ["profile of 1 step"]


def test_a_training_that_ends_within_is_not_profiled_and_leaves_no_profiler_running() -> None:
    source, kept = profiled(9, warm_up=1, steps=3)
    batches = source.epoch(0)
    for _ in range(3):
        next(batches)
    batches.close()  # type: ignore[attr-defined]
    assert kept == []
    for _ in source.epoch(1):  # which would fail beside another one
        step()
    assert len(kept) == 1


def test_what_a_step_holds_is_counted_from_its_beginning_and_by_device() -> None:
    def event(ts: float, size: int, device: int = 0) -> dict[str, Any]:
        return {"name": "[memory]", "ts": ts, "args": {"Bytes": size, "Device Type": device}}

    events = [event(3, -60), event(1, 100), event(2, 50), event(2.5, 900, device=1), {"name": "aten::mm", "ts": 0}]
    trace = json.dumps({"traceEvents": events}).encode()
    assert (most_held(trace, cuda=False), most_held(trace, cuda=True)) == (150, 900)
