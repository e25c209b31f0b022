"""What do the training loop and a second worker cost? Ratios to a bare PyTorch loop, and to one worker.

    python benchmarks/scaling.py             a quarter of an hour on two idle cores
    python benchmarks/scaling.py --quick     one round of few steps: whether it works, not how fast it is

Loop: gkm.training.loop.fit against the shortest loop that trains the same network with the same optimiser on the same
batches, read by the same loader and put together before; in turn, in one process with one thread. Once without
validation and checkpoints between the steps, once with the checkpoint at the end of each epoch.

Workers: one and two processes (gloo), a thread each, with the same batches of the whole; one after the other. The
efficiency is the speed of two over twice that of one. Data wait is the share of an epoch in which a worker waits for
its next crops. Two processes need two idle cores: on a machine that others use the figures say nothing.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from machine import describe
from scipy.ndimage import gaussian_filter
from torch import Tensor

from gkm.config import TrialConfig
from gkm.data.dataset.pair import Pair
from gkm.data.preparation.preparation import write_dataset
from gkm.data.reading.cache import open_split
from gkm.data.reading.loader import Batch, CropLoader
from gkm.losses import multi_scale_loss
from gkm.networks import Network, build
from gkm.training.context import GroupContext, LocalContext
from gkm.training.loop import Validation, fit
from gkm.training.store import open_store

BATCH, PHOTO_PIXELS = 4, 512


def settings(options: argparse.Namespace, epochs: int) -> TrialConfig:
    """A trial of so many epochs."""
    return TrialConfig().with_values(
        {
            "model.width": options.width,
            "data.batch_size": BATCH,
            "data.crop_pixels": options.crop,
            "data.crops_per_photo": BATCH * options.steps // 4,
            "loss.schedule": "l2",
            "training.epochs": epochs,
            "training.checkpoint_minutes": 0,
        }
    )


def photographs(folder: Path) -> Path:
    """A data set of four photographs to train on, mosaics and their averages."""
    generator, pairs = np.random.default_rng(0), []
    for index in range(5):
        tiles = generator.uniform(0, 255, (PHOTO_PIXELS // 8, PHOTO_PIXELS // 8, 3))
        sharp = np.kron(tiles, np.ones((8, 8, 1)))
        photos = [image.round().astype(np.uint8) for image in (gaussian_filter(sharp, (2, 2, 0)), sharp)]
        pairs.append(("train" if index else "validation", Pair(f"scene-{index}", "0", *photos)))
    write_dataset(pairs, folder / "data", {"kind": "synthetic"})
    return folder / "data"


def loader(config: TrialConfig, folder: Path, rank: int = 0, size: int = 1) -> CropLoader:
    """The batches of a trial."""
    return CropLoader(
        open_split(str(folder / "data"), "train", str(folder / "cache")),
        batch_size=BATCH,
        crop_pixels=config.data.crop_pixels,
        crops_per_photo=config.data.crops_per_photo,
        rank=rank,
        world_size=size,
    )


class Ready:
    """Batches put together before; `seconds` are those between asking for the first and for the end of an epoch."""

    def __init__(self, batches: list[Batch]) -> None:
        self.batches, self.seconds = batches, 0.0

    def epoch(self, epoch: int, start_batch: int = 0) -> Iterator[Batch]:
        """All of them."""
        began = time.process_time()
        yield from self.batches[start_batch:]
        self.seconds = time.process_time() - began


def unvalidated(model: Network) -> Validation:
    """No validation: it is no part of the question."""
    return Validation({"val/psnr": 0.0})


def bare(model: Network, optimizer: torch.optim.Optimizer, batches: list[Batch]) -> float:
    """The shortest loop; seconds of the processor."""
    began, losses = time.process_time(), list[Tensor]()
    for batch in batches:
        optimizer.zero_grad(set_to_none=True)
        loss = multi_scale_loss(model(batch.input_BCHW), batch.sharp_B3HW, "l2")
        loss.backward()  # type: ignore[no-untyped-call,unused-ignore]
        optimizer.step()
        losses.append(loss.detach())
    torch.stack(losses).tolist()
    return time.process_time() - began


def compare_loops(folder: Path, options: argparse.Namespace) -> None:
    """Print what our loop takes beyond the bare one."""
    config = settings(options, 1)
    source = Ready(list(loader(config, folder).epoch(0)))
    torch.manual_seed(0)
    theirs = build(config.model).train()
    optimizer = torch.optim.Adam(theirs.parameters(), lr=config.optim.learning_rate, fused=True)
    bare(theirs, optimizer, source.batches[:2])
    within, whole, least = [], [], []
    for number in range(options.rounds):
        model = build(config.model)
        context = LocalContext(open_store(str(folder / f"trial-{number}")))
        began = time.process_time()
        fit(model, source, unvalidated, config, context)
        ours = time.process_time() - began
        peer = bare(theirs, optimizer, source.batches)
        within.append(source.seconds / peer - 1)
        whole.append(ours / peer - 1)
        least.append(peer / len(source.batches))
    print(f"bare PyTorch loop: {statistics.median(least):.4f} s a step of {BATCH} crops of {options.crop} pixels")
    print(f"gkm over it, between the first and the last step: {statistics.median(within):+.2%}")
    print(f"gkm over it, with start, checkpoint and best weights of an epoch: {statistics.median(whole):+.2%}")


def work(rank: int, size: int, folder: Path, config: TrialConfig, name: str) -> None:
    """One of `size` processes that train together; rank 0 leaves the metrics of the last epoch."""
    torch.set_num_threads(1)
    meeting = f"file://{folder}/{name}-meeting"
    torch.distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=size)
    torch.manual_seed(0)
    context = GroupContext(open_store(str(folder / name)), rank, size, torch.device("cpu"))
    history = fit(build(config.model), loader(config, folder, rank, size), unvalidated, config, context)
    if rank == 0:
        (folder / f"{name}.json").write_text(json.dumps(history[-1]))
    torch.distributed.destroy_process_group()


def compare_workers(folder: Path, options: argparse.Namespace) -> None:
    """Print how fast two workers are, measured by the fastest of some rounds of each."""
    speeds: dict[int, list[float]] = {1: [], 2: []}
    waits: dict[int, list[float]] = {1: [], 2: []}
    for number in range(options.rounds):
        for size in (1, 2):
            name = f"group-{number}-{size}"
            sizes = ["--steps", options.steps, "--width", options.width, "--crop", options.crop]
            own = [*sizes, "--folder", folder, "--name", name]
            command = [sys.executable, __file__, "--size", size, *own]
            group = [subprocess.Popen([str(part) for part in (*command, "--rank", rank)]) for rank in range(size)]
            if any(process.wait() for process in group):
                raise SystemExit(f"a group of {size} failed")
            metrics = json.loads((folder / f"{name}.json").read_text())
            speeds[size].append(metrics["system/crops_per_second"])
            waits[size].append(metrics["system/data_wait_percent"])
    for size, found in speeds.items():
        print(f"{size} worker{'s' * (size > 1)}: {max(found):.2f} crops/s, {min(waits[size]):.2f} % data wait")
    print(f"efficiency of two workers: {max(speeds[2]) / (2 * max(speeds[1])):.1%}")


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--steps", type=int, default=12, help="of an epoch")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--crop", type=int, default=256, help="pixels, the paper's by default")
    parser.add_argument("--width", type=int, default=8)
    for name in ("--rank", "--size"):
        parser.add_argument(name, type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--name", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rank is not None:
        config = settings(options, 2)  # the first epoch warms up
        work(options.rank, options.size, options.folder, config, options.name)
        return
    if options.quick:
        options.steps, options.rounds, options.crop = 4, 1, 64
    torch.set_num_threads(1)
    print(describe())
    print(f"width {options.width}, crops of {options.crop} pixels")
    print(f"{options.steps} steps an epoch, {options.rounds} rounds")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        photographs(folder)
        compare_loops(folder, options)
        compare_workers(folder, options)


if __name__ == "__main__":
    main()
