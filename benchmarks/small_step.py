"""What is a training step of the quick study made of? Processor time of one thread: fixed, convolutions, the rest.

    python benchmarks/small_step.py              2 minutes
    python benchmarks/small_step.py --compile    the same step through torch.compile, too; some minutes more

The network is that of search_spaces/quick.py's baseline (width 8), its step 8 crops of 64 pixels. What a step of one
crop of 32 pixels takes is nearly all spent on starting operations, whatever their size: trials that are trained
together could at most share that. Operators are those of PyTorch's profiler, by the time that they take themselves;
what is left with all their multiply-adds at the peak of the processor (one 3x3 convolution 64 -> 64) bounds what better
convolutions and products could gain. Where the processor has instructions for bfloat16, the step is timed in it, too.
"""

from __future__ import annotations

import argparse
import statistics

import torch
from inference import convolution_peak
from machine import describe
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode
from training_step import Contender, crops

from gkm.networks import build
from gkm.training.context import has_bfloat16
from search_spaces.quick import SPACE

SIZES = ((8, 64), (4, 64), (8, 32), (1, 32))
"""Crops and their pixels; the first are the study's, the last the least."""
KINDS = {
    "convolutions": ("aten::mkldnn_convolution", "aten::convolution_backward", "aten::_slow_conv2d"),
    "products of matrices": ("aten::bmm", "aten::mm", "aten::addmm"),
    "batch norm": ("aten::native_batch_norm",),
}
COUNTED = {"convolutions": ("aten.convolution",), "products of matrices": ("aten.bmm", "aten.mm", "aten.addmm")}


def seconds_of(contender: Contender, count: int, pixels: int, steps: int = 1) -> list[float]:
    """Of each step, on crops of its own."""
    return [contender.step(*crops(count, pixels))[0] for _ in range(steps)]


def multiply_adds(contender: Contender) -> dict[str, float]:
    """Of one of the study's steps, by the kind of operator."""
    with FlopCounterMode(display=False) as counter:
        seconds_of(contender, *SIZES[0])
    counts = {str(operator): count / 2 for operator, count in counter.get_flop_counts()["Global"].items()}
    return {
        kind: sum(count for operator, count in counts.items() if operator.startswith(names))
        for kind, names in COUNTED.items()
    }


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--steps", type=int, default=40)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(describe())
    torch.manual_seed(0)
    network = build(SPACE.config(SPACE.baseline).model)
    contender = Contender(network, bfloat16=False, fused=True)
    medians = []
    for count, pixels in SIZES:
        seconds = seconds_of(contender, count, pixels, options.steps)
        medians.append(statistics.median(seconds[options.steps // 4 :]))
        print(f"{count} crops of {pixels} pixels: {1e3 * medians[-1]:.0f} ms", flush=True)
    whole, fixed = medians[0], medians[-1]
    most = whole / (whole - fixed)
    print(f"fixed: {fixed / whole:.0%} of a step; trials that shared all of it would be {most:.2f} times as fast")
    with profile(activities=[ProfilerActivity.CPU]) as watched:
        seconds_of(contender, *SIZES[0], 5)
    events = watched.key_averages()
    profiled = sum(event.self_cpu_time_total for event in events)
    macs = multiply_adds(contender)
    peak = convolution_peak(torch.float32)
    saved = 0.0
    for kind, names in KINDS.items():
        share = sum(event.self_cpu_time_total for event in events if event.key.startswith(names)) / profiled
        line = f"{kind}: {share:.0%} of the profiled time"
        if kind in macs:
            line += (
                f", {macs[kind] / 1e9:.2f} GMAC at {macs[kind] / (share * whole) / 1e9:.0f} of {peak / 1e9:.0f} GMAC/s"
            )
            saved += share * whole - macs[kind] / peak
        print(line)
    print(f"with both at the peak: {1e3 * (whole - saved):.0f} ms, {whole / (whole - saved):.2f} times as fast")
    operations = sum(event.count for event in events if event.key.startswith("aten::"))
    print(f"operations: {operations // 5} a step")
    if has_bfloat16(torch.device("cpu")):
        half = Contender(network, bfloat16=True, fused=True)
        seconds = seconds_of(half, *SIZES[0], options.steps)
        print(f"in bfloat16: {1e3 * statistics.median(seconds[options.steps // 4 :]):.0f} ms")
    if options.compile:
        torch._dynamo.config.recompile_limit = 256
        compiled = Contender(torch.compile(network, dynamic=False), bfloat16=False, fused=True)
        (first,) = seconds_of(compiled, *SIZES[0])
        seconds = seconds_of(compiled, *SIZES[0], options.steps)
        print(
            f"compiled: {1e3 * statistics.median(seconds[options.steps // 4 :]):.0f} ms, the first step {first:.0f} s"
        )


if __name__ == "__main__":
    main()
