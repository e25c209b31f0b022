"""What does minimal filtering save? Convolutions and networks with it and without, in one process: ms and ratios.

    python benchmarks/filtering.py               one thread, its processor time; two minutes
    python benchmarks/filtering.py --threads 2   seconds on the clock, for a machine with nothing else to do

The peer is the same convolution by PyTorch (oneDNN), channels last. Of networks a step is measured (without optimiser),
and a photograph in evaluation mode as `for_inference()` restores it. Medians of rounds in turn.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable

import torch
from machine import clock, describe

from gkm.config import DPDNetConfig, GKMNetConfig, NetworkConfig, NRKNetConfig, SRNConfig
from gkm.networks import build
from gkm.networks.ops import winograd
from gkm.networks.ops.convolution import convolve

CONVOLUTIONS = (
    ("gates, 76 to 176 channels", 4, 76, 64, 64, 176, 5),
    ("the same, a photograph", 1, 76, 144, 208, 176, 5),
    ("gates, 40 to 96 channels", 4, 40, 48, 48, 96, 5),
    ("128 to 128 channels", 4, 128, 32, 32, 128, 3),
    ("512 to 512 channels", 4, 512, 32, 32, 512, 3),
)
"""Name, images, channels, height, width, channels of the result, side of the kernel."""
NETWORKS: tuple[NetworkConfig, ...] = (GKMNetConfig.official(), SRNConfig(), DPDNetConfig(), NRKNetConfig())
CROPS, CROP_PIXELS, PHOTOGRAPH_PIXELS = 2, 128, 256
PAYS = winograd.pays


def compared(action: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Milliseconds without and with minimal filtering."""
    found: dict[bool, list[float]] = {False: [], True: []}
    for number in range(rounds + 1):
        for used in (False, True):
            winograd.pays = PAYS if used else lambda *_: False  # type: ignore[assignment]
            began = clock()
            action()
            if number:  # the first of each is warm-up
                found[used].append(1000 * (clock() - began))
    return statistics.median(found[False]), statistics.median(found[True])


def line(name: str, *pairs: tuple[float, float]) -> str:
    """A row of a table."""
    cells = [f"{without:8.1f} | {with_it:8.1f} | {without / with_it:5.2f}" for without, with_it in pairs]
    return f"| {name:27} | " + " | ".join(cells) + " |"


def convolution(
    images: int, inputs: int, height: int, width: int, outputs: int, side: int
) -> list[tuple[float, float]]:
    """Forwards, and all gradients."""
    x = torch.randn(images, inputs, height, width).contiguous(memory_format=torch.channels_last).requires_grad_()
    weight = torch.randn(outputs, inputs, side, side).div_(side * inputs**0.5).requires_grad_()
    upstream = torch.randn(images, outputs, height, width).contiguous(memory_format=torch.channels_last)

    def forwards() -> None:
        with torch.no_grad():
            convolve(x, weight, None)

    both = compared(lambda: torch.autograd.grad(convolve(x, weight, None), (x, weight), upstream), 9)
    return [compared(forwards, 9), both]


def network(config: NetworkConfig, rounds: int) -> list[tuple[float, float]]:
    """A step, and a photograph."""
    torch.manual_seed(0)
    model = build(config).train()
    crops, photograph = torch.rand(CROPS, 3, CROP_PIXELS, CROP_PIXELS), torch.rand(1, 3, *[PHOTOGRAPH_PIXELS] * 2)

    def step() -> None:
        model.zero_grad(set_to_none=True)
        results = model(crops)
        sum(result.square().mean() for result in results).backward()

    trained = compared(step, rounds)
    frozen = model.eval().for_inference()

    def restore() -> None:
        with torch.no_grad():
            frozen(photograph)

    return [trained, compared(restore, rounds)]


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3, help="of networks")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"{describe()}; {options.threads} thread(s), milliseconds\n")
    print("| convolution | forwards | filtered | ratio | with gradients | filtered | ratio |")
    print("|---|---|---|---|---|---|---|")
    for name, *shape in CONVOLUTIONS:
        print(line(name, *convolution(*shape)), flush=True)
    print(f"\n| network | a step, {CROPS} crops of {CROP_PIXELS} | filtered | ratio | {PHOTOGRAPH_PIXELS} x "
          f"{PHOTOGRAPH_PIXELS} | filtered | ratio |\n|---|---|---|---|---|---|---|")  # fmt: skip
    for config in NETWORKS:
        print(line(config.kind, *network(config, options.rounds)), flush=True)


if __name__ == "__main__":
    main()
