"""How much memory and time a large photograph takes, the paper's network at full width: peak in GB and seconds.

Every size runs in this process alone, so that the peak is its own:

    python benchmarks/large_photograph.py
    python benchmarks/large_photograph.py --height 10000 --width 10000 --tiny    three kernels, width 4, one scale
"""

import argparse
import time

import numpy as np
import torch
from machine import describe, peak_bytes

from gkm.config import ModelConfig
from gkm.errors import InputError
from gkm.networks.gkmnet.gkmnet import GKMNet
from gkm.restoration.photograph import Photograph
from gkm.restoration.restoring import restore


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--height", type=int, default=4000)
    parser.add_argument("--width", type=int, default=6000)
    parser.add_argument("--tiny", action="store_true", help="A network as small as those of tests.")
    options = parser.parse_args()
    photo = np.random.default_rng(0).integers(0, 256, (options.height, options.width, 3), dtype=np.uint8)
    started, worked = time.monotonic(), time.process_time()
    tiny = ModelConfig(max_kernel_size=5, num_kernels=3, num_scales=1, width=4)
    network = GKMNet(tiny if options.tiny else ModelConfig.paper())
    try:
        restored = restore(network, Photograph(rgb_HW3=photo)).rgb_HW3
    except InputError as error:
        raise SystemExit(str(error)) from None
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
