"""`manifest.json` in, a checked list of a data set's splits, shards and pairs out; and its fingerprint."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_serializer, field_validator, model_validator

from gkm import storage
from gkm.config import Input
from gkm.data.photos import SPLITS, Split
from gkm.errors import InputError

MANIFEST = "manifest.json"
SCHEMA_VERSION: Literal[2] = 2
"""Of shards and manifest; raise it when older code could not read them."""

Leak = Literal["scene", "exact", "near"]
"""What two splits can have in common: a scene that the source names, photographs equal in every pixel, or nearly."""
LEAKS: tuple[Leak, ...] = get_args(Leak)

CARD = "data_card.html"
"""Lies beside the manifest, which does not mention it."""
_DATASET_FILE = re.compile(
    rf"{re.escape(MANIFEST)}|{re.escape(CARD)}|({'|'.join(SPLITS)})-\d{{5}}(-[0-9a-f]{{8}})?\.parquet"
)


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PairEntry(_Record):
    """What the manifest knows of a pair; the hashes are of the decoded pixels, little-endian."""

    scene: str
    name: str
    height: Annotated[int, Field(ge=1)]
    width: Annotated[int, Field(ge=1)]
    bits: Literal[8, 16]
    blurred_sha256: str
    sharp_sha256: str
    label: str | None = None
    left_sha256: str | None = None
    right_sha256: str | None = None

    @property
    def photo_bytes(self) -> int:
        """Bytes of one of its decoded photographs."""
        return self.height * self.width * 3 * self.bits // 8

    def has(self, inputs: Sequence[Input]) -> bool:
        """Whether all of these photographs are there."""
        return all(getattr(self, f"{name}_sha256") is not None for name in inputs)


class ShardEntry(_Record):
    """What the manifest knows of a shard; the hashes are of the file and of the Parquet footer at its end."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    bytes: Annotated[int, Field(ge=1)]
    sha256: str
    footer_bytes: Annotated[int, Field(ge=12)]
    footer_sha256: str
    pairs: Annotated[tuple[PairEntry, ...], Field(min_length=1)]


class SplitInfo(_Record):
    """Shards of one split."""

    shards: tuple[ShardEntry, ...]

    @property
    def entries(self) -> tuple[PairEntry, ...]:
        """All pairs of the split, in the order of the shards."""
        return tuple(entry for shard in self.shards for entry in shard.pairs)

    @property
    def pairs(self) -> int:
        """How many pairs the split has."""
        return len(self.entries)

    @property
    def scenes(self) -> tuple[str, ...]:
        """Scenes of the split, sorted, each once."""
        return tuple(sorted({entry.scene for entry in self.entries}))


class Manifest(_Record):
    """Contents of `manifest.json`."""

    schema_version: Literal[2]
    source: dict[str, Any]
    """What the pairs were made from and how; part of the fingerprint, so without places and times."""
    origin: str = ""
    """Where the source lay when the data set was prepared."""
    source_stamp: str = ""
    """Changes when the source's files change; tells a finished preparation from an outdated one."""
    left_out: tuple[str, ...] = ()
    """What the source held besides."""
    duplicates_allowed: tuple[Leak, ...] = ()
    """What two splits were allowed to have in common; if anything, their scores are no test."""
    splits: dict[Split, SplitInfo]

    @field_validator("duplicates_allowed", mode="before")
    @classmethod
    def _all_or_none(cls, value: object) -> object:
        """Version 0.1.0 at first allowed all kinds or none."""
        return {True: LEAKS, False: ()}[value] if isinstance(value, bool) else value

    @field_serializer("duplicates_allowed")
    def _none_is_false(self, value: tuple[Leak, ...]) -> list[Leak] | bool:
        """Manifests of data sets without leaks are what they were before the kinds had names."""
        return list(value) or False

    @model_validator(mode="after")
    def _split_by_content(self) -> Self:
        seen: dict[tuple[str, str], Split] = {}
        for split, info in self.splits.items() if "exact" not in self.duplicates_allowed else ():
            for entry in info.entries:
                if (there := seen.setdefault((entry.blurred_sha256, entry.sharp_sha256), split)) != split:
                    raise InputError(
                        f"the pair {entry.scene}/{entry.name}: is in the splits {there} and {split}, so scores would "
                        "be of photographs seen in training"
                    )
        return self

    @cached_property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits of the source and of every pixel; the same for the same input on every run."""
        pairs = {
            name: [entry.model_dump(exclude_none=True) for entry in info.entries] for name, info in self.splits.items()
        }
        return _digest({"source": self.source, "pairs": pairs})[:12]

    def to_json(self) -> str:
        """What `manifest.json` holds: all of this, with the fingerprint and a checksum that gives any edit away."""
        content = {"fingerprint": self.fingerprint, **self.model_dump(mode="json", exclude_none=True)}
        return json.dumps({"checksum": _digest(content), **content}, indent=1) + "\n"

    def require(self, split: Split, data: str | Path, inputs: Sequence[Input] = ("blurred",)) -> None:
        """InputError naming the data set `data` if it has no photographs of `split`, or lacks what a network sees."""
        if split not in self.splits:
            there = ", ".join(name for name in SPLITS if name in self.splits)
            raise InputError(
                f"{data}: has no {split} photographs, only {there}; add some and prepare the data set again"
            )
        without = next((entry for entry in self.splits[split].entries if not entry.has(inputs)), None)
        if without is not None:
            raise InputError(
                f"{data}: has no dual-pixel views of {without.scene}/{without.name}, but the network sees "
                f"{' and '.join(inputs)}; prepare it again with --views, or choose a network that sees the photograph"
            )

    def count(self, split: Split) -> int:
        """How many pairs `split` has; 0 if the data set lacks it."""
        return self.splits[split].pairs if split in self.splits else 0


def read_manifest(data: str | Path) -> Manifest:
    """The manifest of the data set in `data`; InputError if there is none, or if it is damaged or edited."""
    location = storage.join(data, MANIFEST)
    if not storage.exists(location):
        raise InputError(f"{data}: holds no data set (no {MANIFEST}); make one with: gkm prepare --out {data}")
    remedy = "prepare the data set again with --overwrite"
    try:
        content = json.loads(storage.read_bytes(location))
        if (version := content["schema_version"]) != SCHEMA_VERSION:
            newer = isinstance(version, int) and version > SCHEMA_VERSION
            raise InputError(
                f"{location}: has schema_version {version}, but this version of gkm reads {SCHEMA_VERSION}; "
                f"{'use the newer gkm that made it' if newer else remedy}"
            )
        checksum = content.pop("checksum")
        untouched = checksum == _digest(content)
        content.pop("fingerprint")
        manifest = Manifest.model_validate(content)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        path = ".".join(str(part) for part in problem["loc"])
        reason = problem["msg"].removeprefix("Value error, ")
        raise InputError(f"{location}: {path + ': ' if path else ''}{reason}; {remedy}") from None
    except InputError:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{location}: is no manifest of a data set ({error}); {remedy}") from None
    if not untouched:
        raise InputError(f"{location}: was edited, its checksum no longer fits its contents; {remedy}")
    return manifest


def is_of_dataset(name: str) -> bool:
    """Whether a data set has files of that name."""
    return _DATASET_FILE.fullmatch(name) is not None


def _digest(content: object) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
