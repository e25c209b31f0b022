"""Which settings of the quick study restore scenes that training has not seen? Gains in dB, settings side by side.

    python benchmarks/held_out_scenes.py             2 settings, 5 scenes each; half an hour on two idle cores
    python benchmarks/held_out_scenes.py --quick     one epoch, two scenes: whether it works
    python benchmarks/held_out_scenes.py --arm "batches of 4:data.batch_size=4,training.epochs=18"

Each scene of the embedded sample's training and validation photographs is held out once. The baseline of
search_spaces/quick.py, with the settings of an arm, trains on the photographs of the other four, and what it gains over
the blurred photographs of the scene held out is printed: with attention over the whole photograph, and with windows of
one and two crops (`model.window_pixels`). The test photographs are not read. The peer is the first arm.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
from machine import describe

from gkm.config import TrialConfig
from gkm.data.dataset.dataset import open_dataset
from gkm.data.dataset.pair import Pair
from gkm.data.dataset.shard_reader import read_shard
from gkm.data.preparation.preparation import prepare, write_dataset
from gkm.data.preparation.sources import sample_source
from gkm.data.reading.cache import open_split
from gkm.evaluation import evaluate, restorer
from gkm.training.checkpoint import load_weights
from gkm.training.context import LocalContext
from gkm.training.store import fetch_best, open_store
from gkm.trial import run_trial, score_blurred
from search_spaces.quick import SPACE

ARMS = {
    "steps": "optim.schedule=step,optim.decay_factor=0.1,optim.warmup_epochs=0,training.ema=0",
    "cosine and average": "",
}
"""Beside the quick study's own settings, which are those of the last; the first has the paper's schedule."""


def sample_pairs(folder: Path) -> list[Pair]:
    """The training and validation photographs of the embedded sample."""
    prepare(sample_source(), folder / "sample")
    splits = open_dataset(folder / "sample").manifest.splits
    shards = [shard for name in ("train", "validation") for shard in splits[name].shards]
    return [pair for shard in shards for pair in read_shard(folder / "sample", shard)]


def gains(config: TrialConfig, data: Path, folder: Path) -> list[float]:
    """Train; what the best epoch gains on the validation photographs, dB: whole, windows of one and of two crops."""
    torch.set_num_threads(1)
    result = run_trial(config, str(data), LocalContext(open_store(str(folder))), cache=str(data.parent / "cache"))
    assert result.best_epoch is not None
    network = load_weights(fetch_best(str(folder), result.best_epoch, folder / "kept")).eval()
    photographs = open_split(str(data), "validation", str(data.parent / "cache"))
    blurred = statistics.fmean(score.psnr for score in score_blurred(str(data), str(data.parent / "cache")))
    found = []
    for pixels in (None, config.data.crop_pixels, 2 * config.data.crop_pixels):
        restore = restorer(network if pixels is None else network.with_window(pixels))
        scores = evaluate(restore, (photographs[i] for i in range(len(photographs))), with_lpips=False)
        found.append(statistics.fmean(score.psnr for score in scores) - blurred)
    return found


def line(name: str, scene: str, gained: list[float]) -> str:
    """What is printed of `gains`."""
    whole, one, two = gained
    return f"{name:24} {scene:12} {whole:+.3f} dB, windows {one:+.3f}, of two crops {two:+.3f}"


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--arm", action="append", default=[], metavar="NAME:KEY=VALUE,...")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    arms = dict(arm.split(":", 1) for arm in options.arm) or ARMS
    began = time.monotonic()
    print(describe())
    every = 1 if options.quick else 3
    base = SPACE.config(SPACE.baseline).with_values({"training.validate_every": every, "model.window_pixels": None})
    short = ["training.epochs=1", "optim.warmup_epochs=0"] if options.quick else []
    configs = {
        name: base.with_assignments([*filter(None, settings.split(",")), *short]) for name, settings in arms.items()
    }
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        pairs = sample_pairs(folder)
        scenes = sorted({pair.scene for pair in pairs})[: 2 if options.quick else None]
        for scene in scenes:
            split = [("validation" if pair.scene == scene else "train", pair) for pair in pairs]
            write_dataset(split, folder / scene / "data", {"kind": "sample, one scene held out"})
        with ProcessPoolExecutor(options.processes, multiprocessing.get_context("spawn")) as pool:
            under_way = {
                (name, scene): pool.submit(gains, config, folder / scene / "data", folder / scene / name)
                for name, config in configs.items()
                for scene in scenes
            }
            found = {}
            for (name, scene), result in under_way.items():
                found[name, scene] = result.result()
                print(line(name, scene, found[name, scene]), flush=True)
    first = next(iter(configs))
    for name in configs:
        means = [statistics.fmean(found[name, scene][place] for scene in scenes) for place in range(3)]
        better = sum(found[name, scene][0] > found[first, scene][0] for scene in scenes)
        against = "" if name == first else f"; better than {first} for {better} of {len(scenes)} scenes"
        print(line(name, "mean", means) + against)
    print(f"in {(time.monotonic() - began) / 60:.0f} minutes")


if __name__ == "__main__":
    main()
