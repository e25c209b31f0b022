"""A source in, a data set out: whole or not at all, only if it is not there already, resumed where it was stopped."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gkm import storage
from gkm.data.dataset.manifest import (
    CARD,
    LEAKS,
    MANIFEST,
    SCHEMA_VERSION,
    Leak,
    Manifest,
    SplitInfo,
    read_manifest,
)
from gkm.data.dataset.pair import Pair
from gkm.data.photos import SPLITS, Split
from gkm.data.preparation.card import LookedAt, data_card
from gkm.data.preparation.duplicates import Duplicate, Photograph, find_duplicates
from gkm.data.preparation.leaks import refuse_named_scenes, refuse_shared
from gkm.data.preparation.shard_jobs import SHARD_BYTES, Receipt, ShardJob, finished, plan
from gkm.data.preparation.sources import Source, given_source
from gkm.data.preparation.unfinished import Unfinished, refuse_occupied
from gkm.errors import InputError

Runner = Callable[[Sequence[ShardJob]], Iterable[tuple[ShardJob, Receipt]]]
"""Does jobs, in any order, wherever it likes."""


@dataclass(frozen=True)
class Preparation:
    """The outcome: the manifest, whether there was nothing to do, and what is worth a look."""

    manifest: Manifest
    already_there: bool
    doubtful_pairs: int = 0
    duplicates: tuple[Duplicate, ...] = ()

    def warnings(self) -> list[str]:
        """What a user should look at, if anything."""
        found = []
        if self.doubtful_pairs:
            found.append(f"{self.doubtful_pairs} pairs do not seem to fit")
        if self.duplicates:
            found.append(f"{len(self.duplicates)} photographs occur twice")
        return [f"mind: {what}; see {CARD}" for what in found]


def one_by_one(jobs: Sequence[ShardJob]) -> Iterator[tuple[ShardJob, Receipt]]:
    """Does the jobs in this process."""
    for job in jobs:
        yield job, job()


def prepare(
    source: Source,
    out: str | Path,
    overwrite: bool = False,
    allow_duplicates: Collection[Leak] = (),
    run: Runner = one_by_one,
    progress: Callable[[int], object] = lambda _: None,
    shard_bytes: int = SHARD_BYTES,
) -> Preparation:
    """Writes the pairs of `source` to `out`, unless they are there already.

    Args:
        overwrite: whether another data set that is there may go.
        allow_duplicates: what two splits may have in common; see `Leak`.
        run: who makes the shards.
        progress: told how many more pairs are done.

    Raises InputError if `out` holds something else, if a photograph cannot be used, or if two splits have photographs
    in common. Shards that were finished before that, or before the process was killed, are not made again.
    """
    if not overwrite and (manifest := find_prepared(source, out)):
        Unfinished(out).tidy()
        return Preparation(manifest, already_there=True)
    refuse_occupied(out, overwrite)
    _refuse_unlike_names(source)
    refuse_named_scenes(source.origin, source.items, allow_duplicates)
    place = Unfinished(out)
    with place.held():
        jobs = plan(source, place, shard_bytes)
        receipts = dict(finished(jobs))
        progress(sum(len(receipt.facts) for receipt in receipts.values()))
        for job, receipt in run([job for job in jobs if job.name not in receipts]):
            receipts[job.name] = receipt
            progress(len(receipt.facts))
        return _completed(source, place, [(job.split, receipts[job.name]) for job in jobs], overwrite, allow_duplicates)


def write_dataset(
    pairs: Iterable[tuple[Split, Pair]],
    out: str | Path,
    description: Mapping[str, object],
    *,
    overwrite: bool = False,
    allow_duplicates: Collection[Leak] = (),
    shard_bytes: int = SHARD_BYTES,
) -> Manifest:
    """`prepare` for pairs that are at hand, each with its split; `description` says what they are."""
    source = given_source(pairs, description)
    return prepare(source, out, overwrite, allow_duplicates, shard_bytes=shard_bytes).manifest


def outlook(source: Source, out: str | Path, overwrite: bool = False, allow_duplicates: Collection[Leak] = ()) -> str:
    """What `prepare` would do, in words; InputError as there."""
    if overwrite:
        refuse_occupied(out, overwrite=True)
    elif there := find_prepared(source, out):
        return f"already there ({source.counts()}, fingerprint {there.fingerprint}), nothing to do"
    _refuse_unlike_names(source)
    refuse_named_scenes(source.origin, source.items, allow_duplicates)
    return f"would get {source.counts()}; nothing written (--dry-run)"


def find_prepared(source: Source, out: str | Path) -> Manifest | None:
    """The manifest at `out` if it was made from `source` as it is now; InputError if something else is there."""
    if storage.exists(storage.join(out, MANIFEST)):
        manifest = read_manifest(out)
        if (manifest.source, manifest.source_stamp) == (source.description, source.stamp):
            _refuse_missing_shards(out, manifest)
            return manifest
    refuse_occupied(out, overwrite=False)
    return None


def _completed(
    source: Source,
    place: Unfinished,
    receipts: Sequence[tuple[Split, Receipt]],
    overwrite: bool,
    allow_duplicates: Collection[Leak],
) -> Preparation:
    """Puts the finished shards together, unless they tell of something that must not be."""
    there = set(storage.list_files(place.location))
    for _, receipt in receipts:
        if receipt.shard.name not in there:
            raise InputError(
                f"{place.out}: {receipt.shard.name} was written on another machine; give a place in S3, or a folder "
                "that all machines of the cluster share"
            )
    pairs = [
        LookedAt(split, entry, facts)
        for split, receipt in receipts
        for entry, facts in zip(receipt.shard.pairs, receipt.facts, strict=True)
    ]
    duplicates = find_duplicates(photograph for pair in pairs for photograph in _photographs(pair))
    refuse_shared(source.origin, duplicates, allow_duplicates)
    manifest = _manifest(source, receipts, allow_duplicates)
    card = data_card(manifest, pairs, duplicates, source.recognised)
    files = {CARD: card.encode(), MANIFEST: manifest.to_json().encode()}
    place.complete(files, [receipt.shard.name for _, receipt in receipts], replace=overwrite)
    return Preparation(
        manifest,
        already_there=False,
        doubtful_pairs=sum(bool(pair.facts.doubts()) for pair in pairs),
        duplicates=tuple(duplicates),
    )


def _manifest(
    source: Source, receipts: Sequence[tuple[Split, Receipt]], allow_duplicates: Collection[Leak]
) -> Manifest:
    splits = {
        split: SplitInfo(shards=tuple(receipt.shard for part, receipt in receipts if part == split))
        for split in SPLITS
        if any(part == split for part, _ in receipts)
    }
    return Manifest(
        schema_version=SCHEMA_VERSION,
        source=source.description,
        origin=source.origin,
        source_stamp=source.stamp,
        left_out=source.left_out,
        duplicates_allowed=tuple(leak for leak in LEAKS if leak in allow_duplicates),
        splits=splits,
    )


def _photographs(pair: LookedAt) -> Iterator[Photograph]:
    entry, facts = pair.entry, pair.facts
    yield Photograph(pair.split, entry.scene, entry.name, entry.blurred_sha256, facts.blurred_print)
    yield Photograph(pair.split, entry.scene, entry.name, entry.sharp_sha256, facts.sharp_print)


def _refuse_unlike_names(source: Source) -> None:
    names: set[tuple[str, str, str]] = set()
    for item in source.items:
        if (key := (item.split, item.scene, item.name)) in names:
            raise InputError(
                f"{source.origin}: two pairs of the scene {item.scene} are called {item.name}; rename one's photographs"
            )
        names.add(key)


def _refuse_missing_shards(out: str | Path, manifest: Manifest) -> None:
    there = set(storage.list_files(out))
    for info in manifest.splits.values():
        for shard in info.shards:
            if shard.name not in there:
                raise InputError(
                    f"{storage.join(out, shard.name)}: is missing; prepare the data set again with --overwrite"
                )
