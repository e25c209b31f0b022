"""How much memory and time a large photograph takes, the paper's network at full width: peak in GB and seconds.

Every size runs in this process alone, so that the peak is its own: python benchmarks/large_photograph.py
"""

import argparse
import time

import numpy as np
import torch
from machine import describe, peak_bytes

from gkm.config import ModelConfig
from gkm.evaluation import restore_image
from gkm.networks.gkmnet.gkmnet import GKMNet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--height", type=int, default=4000)
    parser.add_argument("--width", type=int, default=6000)
    options = parser.parse_args()
    photo = np.random.default_rng(0).integers(0, 256, (options.height, options.width, 3), dtype=np.uint8)
    started, worked = time.monotonic(), time.process_time()
    restored = restore_image(GKMNet(ModelConfig.paper()), photo)
    seconds, processor = time.monotonic() - started, time.process_time() - worked
    if restored.shape != photo.shape:
        raise SystemExit(f"the result has the shape {restored.shape}")
    gigabytes = peak_bytes() / 1e9
    megapixels = options.height * options.width / 1e6
    threads = torch.get_num_threads()
    print(describe())
    print(
        f"{megapixels:g} megapixels: peak {gigabytes:.2f} GB, {seconds:.0f} s ({processor:.0f} s of {threads} threads)"
    )


if __name__ == "__main__":
    main()
