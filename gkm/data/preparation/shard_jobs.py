"""A source in, the shards that it will be made into out, each a job that any process can do; and which are done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, ValidationError

from gkm import storage
from gkm.data.dataset.encoding import ENCODING
from gkm.data.dataset.manifest import SCHEMA_VERSION, ShardEntry
from gkm.data.dataset.pair import Pair
from gkm.data.dataset.shard_file import write_shard
from gkm.data.dataset.shard_reader import open_shard
from gkm.data.photos import SPLITS, Split
from gkm.data.preparation.inspection import Facts
from gkm.data.preparation.sources import Item, Source, stamp_of
from gkm.data.preparation.unfinished import Unfinished
from gkm.errors import InputError

SHARD_BYTES = 128 * 2**20
"""A shard is closed when it holds this many bytes of pixels."""


class Receipt(BaseModel):
    """What is known of a finished shard: what the manifest says of it, and facts of each of its pairs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shard: ShardEntry
    facts: tuple[Facts, ...]


@dataclass(frozen=True)
class ShardJob:
    """One shard to be made; may be sent to another process. Holds one pair at a time."""

    split: Split
    name: str
    """Tells from which photographs, files of what size and time, and how: the same name, the same contents."""
    items: tuple[Item, ...]
    place: Unfinished

    @property
    def pixel_bytes(self) -> int:
        """How much work it is."""
        return sum(item.pixel_bytes for item in self.items)

    def __call__(self) -> Receipt:
        """Writes the shard, then its receipt."""
        facts: list[Facts] = []

        def pairs() -> Iterator[Pair]:
            for item in self.items:
                pair = item.load()
                facts.append(Facts.of(pair))
                yield pair

        entry = write_shard(storage.join(self.place.location, self.name), pairs())
        receipt = Receipt(shard=entry, facts=tuple(facts))
        self.place.write_receipt(self.name, receipt.model_dump_json().encode())
        return receipt


def plan(source: Source, place: Unfinished, shard_bytes: int = SHARD_BYTES) -> list[ShardJob]:
    """The shards of a source: the same for the same files, whoever makes them; InputError if there are no pairs."""
    jobs: list[ShardJob] = []
    for split in SPLITS:
        parts: list[list[Item]] = [[]]
        for item in source.items:
            if item.split != split:
                continue
            if sum(other.pixel_bytes for other in parts[-1]) >= shard_bytes:
                parts.append([])
            parts[-1].append(item)
        for number, items in enumerate(part for part in parts if part):
            facts = [[item.scene, item.name, item.stamp, item.label] for item in items]
            key = stamp_of([SCHEMA_VERSION, ENCODING, source.description, facts])[:8]
            jobs.append(ShardJob(split, f"{split}-{number:05d}-{key}.parquet", tuple(items), place))
    if not jobs:
        raise InputError(f"{source.origin}: there are no pairs to prepare; give photographs")
    return jobs


def finished(jobs: Sequence[ShardJob]) -> Iterator[tuple[str, Receipt]]:
    """Receipts of earlier attempts whose shards are still there and whole."""
    there = set(jobs[0].place.receipts())
    for job in jobs:
        if job.name in there:
            try:
                receipt = Receipt.model_validate_json(job.place.receipt(job.name))
                open_shard(job.place.location, receipt.shard)
            except (ValidationError, InputError):
                continue
            yield job.name, receipt
