"""How much faster is a training step than with the naive formulation? Both in one run: seconds, ratios, loss curves.

    python benchmarks/training_step.py             50 steps of four crops of 128 pixels, width 32; some minutes
    python benchmarks/training_step.py --quick     8 steps
    python benchmarks/training_step.py --threads 1     processor time of one thread: for a machine that others use too

The peer is benchmarks/naive.py, also with its dense convolution laid out as usual, with the same start, crops, cost (l2
at three scales) and optimiser (Adam, as PyTorch chooses it). Every step is taken by all contenders in turn, and a ratio
is the median over the steps. In bfloat16 all run under autocast, and ours is compared with naive in float32 and in
bfloat16; it is left out where the processor has no instructions for it.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import torch
from machine import describe
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


def clock() -> float:
    """Seconds; of the process alone where it has one thread, so that others on the machine do not count."""
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


class Contender:
    """A network, its optimiser and its precision."""

    def __init__(self, model: nn.Module, *, bfloat16: bool, fused: bool) -> None:
        self.model = model.train()
        self.optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=fused or None)
        self.bfloat16 = bfloat16
        self.seconds: list[float] = []
        self.losses: list[float] = []

    def step(self, blurred: Tensor, sharp: Tensor) -> None:
        """One step of training, timed."""
        started = clock()
        with torch.autocast("cpu", torch.bfloat16) if self.bfloat16 else nullcontext():
            outputs = self.model(blurred)
        loss = multi_scale_loss([output.float() for output in outputs], sharp, "l2")
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.losses.append(loss.item())
        self.seconds.append(clock() - started)


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
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--crop-pixels", type=int, default=128)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    steps = 8 if options.quick else options.steps
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        start = Path(folder) / "start.safetensors"
        export_official(GKMNet(ModelConfig.official()), start)
        contenders: dict[str, Contender] = {}
        for kind in ("float32", "bfloat16")[: 1 + has_bfloat16(torch.device("cpu"))]:
            for name, layout in (("naive", torch.channels_last), ("naive, as usual,", torch.contiguous_format)):
                naive = NaiveGKMNet(blur_layout=layout)
                naive.load_state_dict(load_file(start))
                contenders[f"{name} {kind}"] = Contender(naive, bfloat16=kind == "bfloat16", fused=False)
            contenders[f"ours {kind}"] = Contender(load_official(start), bfloat16=kind == "bfloat16", fused=True)
    for _ in range(steps):
        blurred, sharp = crops(4, options.crop_pixels)
        for contender in contenders.values():
            contender.step(blurred, sharp)
    print(describe())
    print(f"4 crops of {options.crop_pixels} pixels, width 32, {torch.get_num_threads()} threads, {steps} steps")
    reference = contenders["naive float32"]
    for name, contender in contenders.items():
        ratio = statistics.median(a / b for a, b in zip(reference.seconds[1:], contender.seconds[1:], strict=True))
        own = contenders[f"naive {name.split()[-1]}"]
        same = statistics.median(a / b for a, b in zip(own.seconds[1:], contender.seconds[1:], strict=True))
        distance = max(abs(a - b) / a for a, b in zip(reference.losses, contender.losses, strict=True))
        print(
            f"{name:26} {statistics.median(contender.seconds):6.3f} s a step  naive float32 / this {ratio:5.2f}, "
            f"naive of this precision / this {same:5.2f}  loss {contender.losses[0]:.4f} -> "
            f"{contender.losses[-1]:.4f}, at most {distance:.2%} from naive's"
        )


if __name__ == "__main__":
    main()
