"""How much faster is the network than its naive formulation? Both in one run: seconds, ratios, differences, memory.

    python benchmarks/inference.py                   288 x 416 and 1680 x 1120 pixels; some minutes
    python benchmarks/inference.py --quick           the smaller size alone, without memory
    python benchmarks/inference.py --compile         with torch.compile beside the others
    python benchmarks/inference.py --weights FILE    a checkpoint of the release instead of random weights
    python benchmarks/inference.py --threads 1       processor time of one thread: for a machine that others use too
    python benchmarks/inference.py --network nrknet  NRKNet instead of GKMNet

The peer is the network written down plainly (GKMNet: benchmarks/naive.py; NRKNet: tests/unit/networks/nrknet/plain.py)
with the same weights and channels last; of the smaller image it is measured laid out as usual, too.
Every round runs each contender once; a ratio is the median of the ratios of the rounds, so that
a busy machine slows both. bfloat16 is left out where the processor has no instructions for it: it then takes ten times
as long, whoever asks. "of peak" compares the multiply-adds that we carry out per second with a single 3x3 convolution
64 -> 64 of the same precision, measured in the same run. Memory is the peak of a process of its own that runs one
contender once. --compile adds torch.compile, with the seconds that its first call takes.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from machine import clock, describe, peak_bytes
from naive import NaiveGKMNet
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from gkm.config import GKMNetConfig, NRKNetConfig
from gkm.networks import build, load_official, measure
from gkm.networks.gkmnet import official as gkmnet_official
from gkm.networks.gkmnet.strips import restore_by_strips
from gkm.networks.nrknet import official as nrknet_official
from gkm.training.context import has_bfloat16

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.unit.networks.nrknet.plain import PlainNRKNet

SIZES = ((288, 416), (1120, 1680))
Run = Callable[[Tensor], Tensor]
DTYPES = (torch.float32, torch.bfloat16) if has_bfloat16(torch.device("cpu")) else (torch.float32,)
AS_USUAL, COMPILED = "as usual", "compiled"
KINDS = [str(dtype).removeprefix("torch.") for dtype in DTYPES]


def random_weights(network: str, path: Path) -> None:
    """A checkpoint in the authors' layout: a start, with the norms' statistics of a few images."""
    torch.manual_seed(0)
    model = build(GKMNetConfig.official() if network == "gkmnet" else NRKNetConfig())
    with torch.no_grad():
        for _ in range(3):
            model(photograph(96, 96))
    export = gkmnet_official.export_official if network == "gkmnet" else nrknet_official.export_official
    export(model, path)


def photograph(height: int, width: int) -> Tensor:
    """Something as smooth as a photograph, [1, 3, H, W] in [0, 1]."""
    shades = functional.interpolate(torch.rand(1, 3, height // 16, width // 16), size=(height, width), mode="bicubic")
    return (shades + 0.02 * torch.randn_like(shades)).clamp(0, 1)


def naive_run(network: str, name: str, weights: Path) -> Run:
    """The finest result of the plain formulation as a function."""
    layout = torch.contiguous_format if AS_USUAL in name else torch.channels_last
    state = load_file(weights) if weights.suffix == ".safetensors" else torch.load(weights, weights_only=True)
    naive = NaiveGKMNet(blur_layout=layout).eval() if network == "gkmnet" else PlainNRKNet().eval()
    naive.load_state_dict(state)
    if network != "gkmnet":
        naive.to(memory_format=layout)

    def run(image: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled="bfloat16" in name):
            outputs = naive(image) if network == "gkmnet" else naive(image.contiguous(memory_format=layout))[0]
            return outputs[-1].float()

    return run


def contender(network: str, name: str, weights: Path) -> Run:
    """The finest result of one implementation as a function."""
    if name.startswith("naive"):
        return naive_run(network, name, weights)
    dtype = torch.bfloat16 if "bfloat16" in name else torch.float32
    ours = load_official(weights, network).for_inference(dtype)
    if COMPILED in name:
        compiled = torch.compile(ours)
        return lambda image: compiled(image)[-1]
    if "strips" in name:
        return lambda image: restore_by_strips(ours, image)
    return lambda image: ours(image)[-1]


def convolution_peak(dtype: torch.dtype) -> float:
    """Multiply-adds per second of a 3x3 convolution 64 -> 64, the best of several."""
    x = torch.rand(1, 64, 144, 208).to(dtype).contiguous(memory_format=torch.channels_last)
    kernels = torch.rand(64, 64, 3, 3).to(dtype).contiguous(memory_format=torch.channels_last)
    seconds = []
    for _ in range(12):
        started = clock()
        functional.conv2d(x, kernels, padding=1)
        seconds.append(clock() - started)
    return 144 * 208 * 64 * 64 * 9 / min(seconds)


def compare(network: str, weights: Path, height: int, width: int, rounds: int, others: list[str]) -> None:
    """Print one table: seconds and ratios to naive, the distance to the peak, the difference of results."""
    names = [f"{who} {kind}" for kind in KINDS for who in ("naive", "ours")] + others
    runs = {name: contender(network, name, weights) for name in names}
    image = photograph(height, width)
    executed = measure(load_official(weights, network), height, width).executed_macs
    with torch.no_grad():
        results, first_seconds = {}, {}
        for name, run in runs.items():
            started = time.perf_counter()
            results[name] = run(image)
            first_seconds[name] = time.perf_counter() - started
        rows: list[dict[str, float]] = []
        peaks = dict.fromkeys(KINDS, 0.0)
        for _ in range(rounds):
            row = {}
            for name, run in runs.items():
                started = clock()
                run(image)
                row[name] = clock() - started
            rows.append(row)
            for kind, dtype in zip(KINDS, DTYPES, strict=True):
                peaks[kind] = max(peaks[kind], convolution_peak(dtype))
    print(f"\n{width} x {height} pixels, {torch.get_num_threads()} threads, median of {rounds} rounds")
    print("convolution peak, GMAC/s:", ", ".join(f"{kind} {peak / 1e9:.0f}" for kind, peak in peaks.items()))
    reference = results["naive float32"]
    for name in names:
        seconds = statistics.median(row[name] for row in rows)
        ratio = statistics.median(row["naive float32"] / row[name] for row in rows)
        line = f"{name:22} {seconds:7.3f} s  naive / this {ratio:5.2f}"
        if name.startswith("ours"):
            line += (
                f"  {executed / seconds / 1e9:4.0f} GMAC/s, {executed / seconds / peaks[name.split()[1]]:4.0%} of peak"
            )
        if COMPILED in name:
            line += f"  first call {first_seconds[name]:.0f} s"
        difference = results[name] - reference
        spread = (reference.max() - reference.min()).item()
        psnr = 10 * torch.log10(spread**2 / difference.square().mean()).item()
        print(f"{line}  largest difference {difference.abs().max().item():.1e}, PSNR {psnr:.1f} dB")
    if not (results["ours float32"] - reference).abs().max() < 1e-4:
        raise SystemExit("the two implementations do not agree: the ratios mean nothing")


def compare_memory(network: str, weights: Path, height: int, width: int) -> None:
    """Print the peak of resident memory of each implementation, from a process of its own."""
    print(f"\npeak memory, {width} x {height} pixels (the process, and what the image added to it)")
    naive = 0
    strips = ["ours float32 in strips"] if network == "gkmnet" else []
    for name in ("naive float32", *(f"ours {kind}" for kind in KINDS), *strips):
        command = [sys.executable, __file__, "--network", network, "--weights", str(weights)]
        command += ["--memory-of", name, str(height), str(width)]
        before, peak = map(int, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
        naive = naive or peak
        print(f"{name:23} {peak / 2**20:6.0f} MiB, {(peak - before) / 2**20:6.0f} MiB; {peak / naive:4.0%} of naive")


def report_memory(network: str, name: str, weights: Path, height: int, width: int) -> None:
    """Bytes at the peak before and after one image."""
    run = contender(network, name, weights)
    with torch.no_grad():
        run(photograph(64, 64))
        before = peak_bytes()
        run(photograph(height, width))
    print(before, peak_bytes())


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the smaller size alone, without memory")
    parser.add_argument("--network", choices=("gkmnet", "nrknet"), default="gkmnet")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--compile", action="store_true", help="torch.compile beside the others")
    parser.add_argument("--memory-of", nargs=3, metavar=("CONTENDER", "HEIGHT", "WIDTH"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        weights = options.weights
        if weights is None:
            weights = Path(folder) / "weights.safetensors"
            random_weights(options.network, weights)
        if options.memory_of:
            name, height, width = options.memory_of
            report_memory(options.network, name, weights, int(height), int(width))
            return
        print(describe())
        compiled = [f"ours {kind} {COMPILED}" for kind in KINDS] if options.compile else []
        compare(options.network, weights, *SIZES[0], options.rounds, [f"naive float32 {AS_USUAL}", *compiled])
        if not options.quick:
            compare(options.network, weights, *SIZES[1], min(options.rounds, 3), [])
            compare_memory(options.network, weights, *SIZES[-1])


if __name__ == "__main__":
    main()
