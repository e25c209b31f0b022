"""One way to load crops, timed in a process of its own: a plan in, figures out, both JSON.

`benchmarks/loader.py` starts this file, our contenders with the project's Python, the peers with one that has them; so
it imports what they need only where they need it. All contenders give the same batches: float32 tensors of blurred and
of sharp crops in [0, 1], made from planes (3 x height x width) in the same way, in memory that earlier batches left.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gkm.data.reading.batch_memory import BatchMemory  # needs nothing but numpy and PyTorch

Array = np.ndarray[Any, Any]
Place = tuple[int, int, int]
"""Photograph, top row, left column of a crop."""
Batches = Iterator[tuple[torch.Tensor, torch.Tensor]]


class Plan:
    """The crops of all epochs, drawn beforehand, and where the photographs lie in every contender's format."""

    def __init__(self, path: Path) -> None:
        content = json.loads(path.read_text())
        self.folder = path.parent
        self.pixels: int = content["crop_pixels"]
        self.batch: int = content["batch_size"]
        self.epochs: list[list[Place]] = content["epochs"]
        self.photos: int = content["photos"]
        self.shape: tuple[int, int, int] = tuple(content["shape"])
        self.dtype: str = content["dtype"]
        self.memory = BatchMemory((self.batch, 3, self.pixels, self.pixels), keep=8)

    def photograph(self, index: int) -> tuple[Array, Array]:
        """The planes of a pair, as the parent left them for the peers to take up."""
        return tuple(np.load(self.folder / "planes" / f"{side}-{index:03d}.npy") for side in ("blurred", "sharp"))


def batches(plan: Plan, read: Callable[[int], tuple[Array, Array]], epoch: list[Place]) -> Batches:
    """Crops of the photographs that `read` gives, in the order of the plan."""
    return stacked(plan, ((read(photo), top, left) for photo, top, left in epoch))


def stacked(plan: Plan, crops: Iterator[tuple[tuple[Array, Array], int, int]]) -> Batches:
    """Whole batches from photographs and places within them, as our loader makes them."""
    for first in crops:
        sides = plan.memory.tensor(), plan.memory.tensor()
        for place, (planes, top, left) in enumerate(chain([first], (next(crops) for _ in range(plan.batch - 1)))):
            for planes_3HW, side in zip(planes, sides, strict=True):
                window = np.ascontiguousarray(planes_3HW[:, top : top + plan.pixels, left : left + plan.pixels])
                white = np.float32(np.iinfo(window.dtype).max)
                np.divide(window, white, out=side[place].numpy(), dtype=np.float32)
        yield sides


def ours(plan: Plan, *, limit_bytes: int | None = None, **options: int) -> Callable[[int], Batches]:
    """The project's loader on the project's shards; without threads, which are for overlapping with training."""
    from gkm.data.reading.cache import NodeCache, open_split
    from gkm.data.reading.loader import CropLoader

    cache = NodeCache(plan.folder / "cache-ours", limit_bytes)
    split = open_split(plan.folder / "shards", "train", cache, **options)
    loader = CropLoader(
        split,
        batch_size=plan.batch,
        crop_pixels=plan.pixels,
        crops_per_photo=len(plan.epochs[0]) // plan.photos,
        workers=0,
    )
    return lambda epoch: ((batch.input_BCHW, batch.sharp_B3HW) for batch in loader.epoch(epoch))


def streamed(plan: Plan) -> Callable[[int], Batches]:
    """Ours with nothing cached: every crop is read from the shards; a quarter of the photographs fits the buffer."""
    photo_bytes = 2 * int(np.prod(plan.shape)) * np.dtype(plan.dtype).itemsize
    return ours(plan, limit_bytes=0, buffer_bytes=plan.photos * photo_bytes // 4)


def png(plan: Plan) -> Callable[[int], Batches]:
    """A PNG file for every photograph, decoded for every crop."""
    from gkm.data.photos import read_rgb

    def read(index: int) -> tuple[Array, Array]:
        blurred, sharp = (read_rgb(plan.folder / "png" / f"{side}-{index:03d}.png") for side in ("blurred", "sharp"))
        return blurred.transpose(2, 0, 1), sharp.transpose(2, 0, 1)

    return lambda epoch: batches(plan, read, plan.epochs[epoch])


def webdataset(plan: Plan) -> Callable[[int], Batches]:
    """Tar files of raw planes, nothing to decode, on the local disk, read one after the other by a megabyte.

    Its samples come in the order of the files: in its k-th pass each photograph gives its k-th crop of the epoch.
    """
    os.environ["GOPEN_BUFFER"] = str(2**20)  # the quickest of those tried: a third more than its default
    import webdataset as wds

    folder = plan.folder / "webdataset"
    if not folder.exists():
        folder.mkdir()
        with wds.ShardWriter(f"{folder}/%05d.tar", maxsize=2**28, verbose=0) as sink:
            for index in range(plan.photos):
                blurred, sharp = plan.photograph(index)
                sink.write({"__key__": f"{index:03d}", "blurred.raw": blurred.tobytes(), "sharp.raw": sharp.tobytes()})

    def decoded(sample: dict[str, Any]) -> tuple[int, tuple[Array, Array]]:
        planes = [np.frombuffer(sample[f"{side}.raw"], plan.dtype).reshape(plan.shape) for side in ("blurred", "sharp")]
        return int(sample["__key__"]), (planes[0], planes[1])

    tars = sorted(str(path) for path in folder.glob("*.tar"))
    dataset = wds.WebDataset(tars, shardshuffle=False).map(decoded)

    def epoch_of(epoch: int) -> Batches:
        places: dict[int, list[Place]] = {photo: [] for photo in range(plan.photos)}
        for place in plan.epochs[epoch]:
            places[place[0]].append(place)
        passes = len(plan.epochs[epoch]) // plan.photos
        crops = ((planes, *places[photo][number][1:]) for number in range(passes) for photo, planes in dataset)
        return stacked(plan, crops)

    return epoch_of


def streaming(plan: Plan) -> Callable[[int], Batches]:
    """MosaicML Streaming: uncompressed MDS shards of raw planes of a fixed shape, copied as they are to a local cache.

    Its samples are asked for one by one: cheaper than through its own iterator and order.
    """
    from streaming import MDSWriter, StreamingDataset

    remote, local = plan.folder / "streaming", plan.folder / "cache-streaming"
    if not remote.exists():
        kind = f"ndarray:{plan.dtype}:{','.join(map(str, plan.shape))}"
        with MDSWriter(out=str(remote), columns={"blurred": kind, "sharp": kind}, size_limit=2**27) as sink:
            for index in range(plan.photos):
                blurred, sharp = plan.photograph(index)
                sink.write({"blurred": blurred, "sharp": sharp})
    dataset = StreamingDataset(remote=str(remote), local=str(local), shuffle=False, batch_size=plan.batch)

    def read(index: int) -> tuple[Array, Array]:
        sample = dataset[index]
        return sample["blurred"], sample["sharp"]

    return lambda epoch: batches(plan, read, plan.epochs[epoch])


CONTENDERS = {
    "ours": ours,
    "streamed": streamed,
    "png": png,
    "webdataset": webdataset,
    "streaming": streaming,
}


def _declare_torchvision() -> None:
    """Streaming imports torchvision, whose native library fits a PyTorch for CUDA alone; nothing of it is used."""
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _declare_torchvision.library = library  # type: ignore[attr-defined]


def timed(plan: Plan, open_contender: Callable[[Plan], Callable[[int], Batches]], seconds: float) -> dict[str, Any]:
    """Time to the first batch; crops for each second of processor time; memory beyond that of the libraries.

    With `seconds` = 0 the time to the first batch alone.
    """
    before = _memory()
    start = time.perf_counter()
    epoch_of = open_contender(plan)
    next(iter(epoch_of(0)))
    first_batch_seconds = time.perf_counter() - start
    if seconds == 0:
        return {"first_batch_seconds": first_batch_seconds}
    checksum = sum(
        zlib.crc32(blurred.numpy().tobytes(), zlib.crc32(sharp.numpy().tobytes()))
        for batch in epoch_of(0)
        for blurred, sharp in zip(*batch, strict=True)
    )
    crops, start, cpu_start = 0, time.perf_counter(), time.process_time()
    for epoch in count(1):
        for blurred, _ in epoch_of(epoch % len(plan.epochs)):
            crops += len(blurred)
            if time.perf_counter() - start > seconds:
                break
        if time.perf_counter() - start > seconds:
            break
    cpu_seconds = time.process_time() - cpu_start
    after = _memory()
    return {
        "first_batch_seconds": first_batch_seconds,
        "crops_per_second": crops / cpu_seconds,
        "crops": crops,
        "checksum": checksum,
        "own_bytes": after["RssAnon"] + after["RssShmem"] - before["RssAnon"] - before["RssShmem"],
        "shared_bytes": after["RssFile"] - before["RssFile"],
    }


def _memory() -> dict[str, int]:
    lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    return {words[0][:-1]: int(words[1]) * 1024 for words in lines if words[0].startswith("Rss")}


def main() -> None:
    name, path, seconds = sys.argv[1:]
    torch.set_num_threads(1)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    _import_libraries(name)
    plan = Plan(Path(path))
    if name in ("webdataset", "streaming") and not (plan.folder / name).exists():
        CONTENDERS[name](plan)  # writes its files
        shutil.rmtree(plan.folder / f"cache-{name}", ignore_errors=True)
    print(json.dumps(timed(plan, CONTENDERS[name], float(seconds))))


def _import_libraries(name: str) -> None:
    """So that their time and memory are not counted."""
    match name:
        case "webdataset":
            import webdataset  # noqa: F401
        case "streaming":
            _declare_torchvision()
            from streaming.base.util import clean_stale_shared_memory

            clean_stale_shared_memory()  # of a run that was stopped
        case _:
            pass


if __name__ == "__main__":
    main()
