"""Manifests of data sets that exist on paper only."""

from gkm.data.dataset.manifest import Manifest, PairEntry, ShardEntry, SplitInfo


def manifest(train: int = 12, validation: int = 3, height: int = 300, width: int = 451) -> Manifest:
    """A manifest with that many pairs, all of one size."""

    def split(name: str, count: int) -> SplitInfo:
        common = {"height": height, "width": width, "bits": 8}
        pairs = tuple(
            PairEntry(scene=scene, name="0", blurred_sha256=f"blurred {scene}", sharp_sha256=f"sharp {scene}", **common)
            for scene in (f"{name}-{index}" for index in range(count))
        )
        shard = ShardEntry(name=f"{name}.parquet", bytes=1, sha256="0", footer_bytes=12, footer_sha256="0", pairs=pairs)
        return SplitInfo(shards=(shard,))

    return Manifest(
        schema_version=2,
        source={"kind": "paper"},
        splits={"train": split("train", train), "validation": split("validation", validation)},
    )
