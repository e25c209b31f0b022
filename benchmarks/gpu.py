"""What does one GPU make of the network? Images a second, memory, share of the peak, trials side by side; one run.

    python benchmarks/gpu.py                             all of it, in at most ten minutes
    python benchmarks/gpu.py --only operator             one part: restoring, trials or operator
    python benchmarks/gpu.py --device cpu --quick        tiny sizes, to see that it runs

Restoring: the release's network (benchmarks/naive.py is the peer, with the same weights) in float32, TF32, bfloat16 and
float16, eager, compiled and captured as a CUDA graph; naive in 16 bits runs under autocast. Rows that fail say why;
rows for which there is no time left are named.
Trials: 1, 2, 4 and 8 of search_spaces/quick.py, as processes that share the device, and fused in one process.
Operator: equation (9) of 1680 x 1120 pixels by `gkm::mix_in_tiles`, against separable convolutions, and against the
least time that memory and arithmetic allow (its roofline). Peaks are measured in the same run, by a product of large
matrices of each precision and by a copy.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import torch
from device import Arithmetic, Bench, captured
from fused_trials import trial
from machine import describe
from naive import NaiveGKMNet
from safetensors.torch import load_file
from torch import Tensor, nn

from gkm.config import ModelConfig, TrialConfig
from gkm.data.reading.loader import Batch
from gkm.networks import measure
from gkm.networks.gkmnet.gkmnet import GKMNet
from gkm.networks.gkmnet.official import export_official, load_official
from gkm.networks.ops.mixing_operator import by_convolutions, mix_in_tiles
from gkm.networks.ops.tiling import MixingCost, backward_cost, forward_cost
from gkm.training.fused import FusedTrials
from search_spaces.quick import SPACE

PARTS = ("restoring", "trials", "operator")


def contenders(folder: Path) -> dict[str, nn.Module]:
    """Both networks with the same weights, in evaluation mode."""
    torch.manual_seed(0)
    export_official(GKMNet(ModelConfig.official()), folder / "start.safetensors")
    naive = NaiveGKMNet()
    naive.load_state_dict(load_file(folder / "start.safetensors"))
    return {"naive": naive.eval(), "ours": load_official(folder / "start.safetensors").eval()}


def restoring(bench: Bench) -> None:
    """Images a second of ours and naive, their ratio, memory and share of the peak."""
    size, batch = ((32, 48), 1) if bench.quick else ((720, 1280), 1)
    image = torch.rand(batch, 3, *size, device=bench.device)
    print(f"restoring, {batch} x {size[1]} x {size[0]} pixels, width 32")
    with tempfile.TemporaryDirectory() as folder:
        networks = contenders(Path(folder))
    ours = networks["ours"]
    assert isinstance(ours, GKMNet)
    macs = batch * measure(ours, *size).executed_macs
    for mode in bench.modes:
        for arithmetic in bench.arithmetic:
            speeds: dict[str, float] = {}
            for name, network in networks.items():
                row = partial(_restoring_row, bench, name, network, mode, arithmetic, image, macs, speeds)
                bench.row(f"  {name}, {arithmetic.name}, {mode}", row)


def _restoring_row(
    bench: Bench,
    name: str,
    network: nn.Module,
    mode: str,
    arithmetic: Arithmetic,
    image: Tensor,
    macs: int,
    speeds: dict[str, float],
) -> str:
    arithmetic.set()
    torch.compiler.reset()
    own = isinstance(network, GKMNet)
    model = network.for_inference(arithmetic.dtype) if isinstance(network, GKMNet) else network
    model = model.to(bench.device)
    called: Any = torch.compile(model) if mode == "compiled" else model
    if bench.device == "cuda":
        torch.cuda.reset_peak_memory_stats()

    @torch.no_grad()
    def run() -> Tensor:
        with nullcontext() if own else arithmetic.autocast(bench.device):
            result: Tensor = called(image)[-1]
        return result

    seconds = bench.time(captured(bench, run) if mode == "captured" else run)
    speeds[name] = 1 / seconds
    said = f"{len(image) / seconds:9.2f} images/s"
    if bench.device == "cuda":
        said += f"  {torch.cuda.max_memory_allocated() / 2**20:6.0f} MiB"
    if own:
        said += f"  {macs / seconds / bench.peak(arithmetic):4.0%} of peak"
        said += f"  ours / naive {speeds['ours'] / speeds['naive']:.2f}" if "naive" in speeds else ""
    return said


def trials(bench: Bench) -> None:
    """Steps a second of all trials together: processes that share the device, and fused."""
    base = SPACE.base
    if bench.quick:
        base = base.with_values({"data.crop_pixels": 32, "data.batch_size": 2, "model.num_kernels": 3})
    print(f"trials of width {base.model.width}, {base.data.batch_size} crops of {base.data.crop_pixels} pixels")
    for count in (1, 2) if bench.quick else (1, 2, 4, 8):
        configs = [base.with_values({"training.seed": seed}) for seed in range(count)]
        bench.row(f"  {count} as processes", partial(_as_processes, bench, configs))
        bench.row(f"  {count} fused", partial(_fused, bench, configs))


def _fused(bench: Bench, configs: list[TrialConfig]) -> str:
    return f"{steps_a_second(bench, configs):9.2f} steps/s"


def steps_a_second(bench: Bench, configs: list[TrialConfig]) -> float:
    """Steps of all trials of one group."""
    members = [trial(config) for config in configs]
    for member in members:
        member.network.to(bench.device)
    group = FusedTrials(members)
    shape = configs[0].data.batch_size, 3, *2 * (configs[0].data.crop_pixels,)
    batches = [Batch(*(torch.rand(shape, device=bench.device) for _ in range(2))) for _ in configs]
    return len(configs) / bench.time(lambda: group.step(batches, 0))


def _as_processes(bench: Bench, configs: list[TrialConfig]) -> str:
    context = torch.multiprocessing.get_context("spawn")
    start, speeds = context.Barrier(len(configs)), context.Queue()
    options = bench.device, bench.quick, start, speeds
    processes = [context.Process(target=_alone, args=(config, *options)) for config in configs]
    for process in processes:
        process.start()
    total = sum(speeds.get(timeout=300) for _ in processes)
    for process in processes:
        process.join()
    return f"{total:9.2f} steps/s"


def _alone(config: TrialConfig, device: str, quick: bool, start: Any, speeds: Queue[float]) -> None:
    """A trial in a process of its own: once to warm up, and then beside the others."""
    torch.set_num_threads(1)
    bench = Bench(device, quick=quick, minutes=5)
    steps_a_second(bench, [config])
    bench.seconds *= 3
    start.wait(timeout=300)
    speeds.put(steps_a_second(bench, [config]))


def operator(bench: Bench) -> None:
    """Equation (9) alone, forwards and backwards, with M = K = 21."""
    size = (40, 48) if bench.quick else (1120, 1680)
    network = GKMNet(ModelConfig.paper())
    taps, places = network.gcm.get_buffer("taps_3JM").flatten(0, 1), network.gcm.get_buffer("places_3K")
    given = [tensor.to(bench.device) for tensor in (taps, places)]
    kernels = places.shape[1]
    shapes = (1, 3, *size), (1, kernels, *size), (3, 3, kernels)
    print(f"operator, {size[1]} x {size[0]} pixels, M = K = {kernels}; copies {bench.bandwidth() / 1e9:.0f} GB/s")
    for arithmetic in bench.arithmetic[:3]:
        image, gamma, omega = (torch.randn(shape, device=bench.device, dtype=arithmetic.dtype) for shape in shapes)
        leaves = [leaf.requires_grad_() for leaf in (image, gamma, omega)]
        for name, mix in (("mix_in_tiles", mix_in_tiles), ("separable convolutions", by_convolutions)):
            given = [taps.to(bench.device, arithmetic.dtype), given[1]]
            run = partial(mix, image, *given, gamma, omega)
            costs = (cost(1, kernels, kernels, *size) for cost in (forward_cost, backward_cost))
            for way, cost in zip(("forwards", "backwards"), costs, strict=True):
                row = partial(_operator_row, bench, arithmetic, run, leaves, cost, backwards=way == "backwards")
                bench.row(f"  {name}, {arithmetic.name}, {way}", row)


def _operator_row(
    bench: Bench,
    arithmetic: Arithmetic,
    run: Callable[[], Tensor],
    leaves: list[Tensor],
    cost: MixingCost,
    *,
    backwards: bool,
) -> str:
    arithmetic.set()
    if backwards:
        mixed = run()
        upstream = torch.ones_like(mixed)
        seconds = bench.time(lambda: torch.autograd.grad(mixed, leaves, upstream, retain_graph=True))
    else:
        seconds = bench.time(torch.no_grad()(run))
    moved = cost.bytes * arithmetic.dtype.itemsize / 4
    least = max(moved / bench.bandwidth(), cost.macs / bench.peak(arithmetic))
    return f"{1e3 * seconds:9.3f} ms  roofline {1e3 * least:.3f} ms, {least / seconds:4.0%} of it"


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", choices=PARTS, action="append")
    parser.add_argument("--minutes", type=float, default=10)
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("PyTorch finds no GPU here; give --device cpu --quick to see that the benchmark runs")
    bench = Bench(options.device, quick=options.quick, minutes=options.minutes)
    print(torch.cuda.get_device_name() if options.device == "cuda" else describe(), f"PyTorch {torch.__version__}")
    for part in options.only or PARTS:
        {"restoring": restoring, "trials": trials, "operator": operator}[part](bench)


if __name__ == "__main__":
    main()
