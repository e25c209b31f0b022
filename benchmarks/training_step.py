"""How much faster is a training step than with the naive formulation? Both in one run: seconds, ratios, loss curves.

    python benchmarks/training_step.py             5 turns of 12 steps, four crops of 128 pixels; some minutes
    python benchmarks/training_step.py --quick     2 turns
    python benchmarks/training_step.py --threads 1     processor time of one thread: for a machine that others use too

The peer is benchmarks/naive.py, also with its dense convolution laid out as usual, with the same start, crops, cost (l2
at three scales) and optimiser (Adam, as PyTorch chooses it); all have width 32. In turn each contender trains alone, in
a new process, as a training does; its first steps, in which it gets its memory, are not timed. A ratio is the
median over the turns. In bfloat16 all run under autocast; it is left out where the processor cannot compute in it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
from contextlib import nullcontext
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from machine import clock, describe
from naive import NaiveGKMNet
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from gkm.config import ModelConfig
from gkm.losses import multi_scale_loss
from gkm.networks.gkmnet.gkmnet import GKMNet
from gkm.networks.gkmnet.official import export_official, load_official
from gkm.training.context import has_bfloat16

LEARNING_RATE = 1e-4
STEPS, UNTIMED = 12, 4
"""Of a turn."""


class Contender:
    """A network, its optimiser and its precision."""

    def __init__(self, model: nn.Module, *, bfloat16: bool, fused: bool) -> None:
        self.model = model.train()
        self.optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=fused or None)
        self.bfloat16 = bfloat16

    def step(self, blurred: Tensor, sharp: Tensor) -> tuple[float, float]:
        """One step of training: its seconds and its loss."""
        started = clock()
        with torch.autocast("cpu", torch.bfloat16) if self.bfloat16 else nullcontext():
            outputs = self.model(blurred)
        loss = multi_scale_loss([output.float() for output in outputs], sharp, "l2")
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        reached = loss.item()
        return clock() - started, reached


def train(kind: str, start: Path, seed: int, options: argparse.Namespace, pipe: Connection) -> None:
    """A turn of a contender: seconds and losses of its steps are sent."""
    torch.set_num_threads(options.threads)
    model: nn.Module
    if kind.startswith("ours"):
        model = load_official(start)
    else:
        model = NaiveGKMNet(blur_layout=torch.contiguous_format if "as usual" in kind else torch.channels_last)
        model.load_state_dict(load_file(start))
    contender = Contender(model, bfloat16=kind.endswith("bfloat16"), fused=kind.startswith("ours"))
    torch.manual_seed(seed)
    pipe.send([contender.step(*crops(4, options.crop_pixels)) for _ in range(STEPS)])


class Turns:
    """What a contender has reached: the median of the seconds of each turn, and all losses."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.losses: list[float] = []

    def add(self, *given: object) -> None:
        """Let it train in a process of its own."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=train, args=(*given, theirs), daemon=True)
        process.start()
        theirs.close()
        steps = ours.recv()
        process.join()
        self.seconds.append(statistics.median(seconds for seconds, _ in steps[UNTIMED:]))
        self.losses += [loss for _, loss in steps]


def crops(count: int, pixels: int) -> tuple[Tensor, Tensor]:
    """Blurred and sharp crops: shades of several sizes, and their averages over 5 x 5 pixels."""
    sharp = sum(
        functional.interpolate(torch.rand(count, 3, pixels // size, pixels // size), size=(pixels, pixels)) / 3
        for size in (2, 8, 32)
    )
    assert isinstance(sharp, Tensor)
    return functional.avg_pool2d(sharp, 5, stride=1, padding=2, count_include_pad=False), sharp


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--crop-pixels", type=int, default=128)
    options = parser.parse_args()
    turns = 2 if options.quick else options.turns
    torch.manual_seed(0)
    precisions = ("float32", "bfloat16")[: 1 + has_bfloat16(torch.device("cpu"))]
    contenders = {f"{who} {of}": Turns() for of in precisions for who in ("naive", "naive, as usual,", "ours")}
    with tempfile.TemporaryDirectory() as folder:
        start = Path(folder) / "start.safetensors"
        export_official(GKMNet(ModelConfig.official()), start)
        for turn in range(turns):
            for kind, contender in contenders.items():
                contender.add(kind, start, turn, options)
    print(describe())
    shape = f"4 crops of {options.crop_pixels} pixels, width 32, {options.threads} threads"
    print(f"{shape}, {turns} turns of {STEPS} steps, {UNTIMED} of them untimed")
    naive = contenders["naive float32"], contenders["naive, as usual, float32"]
    better = min(naive, key=lambda contender: statistics.median(contender.seconds))
    for name, contender in contenders.items():
        of_naive, of_usual, of_better = (
            statistics.median(a / b for a, b in zip(peer.seconds, contender.seconds, strict=True))
            for peer in (*naive, better)
        )
        distance = max(abs(a - b) / a for a, b in zip(naive[0].losses, contender.losses, strict=True))
        print(
            f"{name:26} {statistics.median(contender.seconds):6.3f} s a step  float32 of naive / this {of_naive:5.2f}, "
            f"of naive as usual / this {of_usual:5.2f}, of the better / this {of_better:5.2f}  "
            f"loss {contender.losses[0]:.4f} -> {contender.losses[-1]:.4f}, at most {distance:.2%} from naive's"
        )


if __name__ == "__main__":
    main()
