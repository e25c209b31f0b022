"""The best weights of a trial in, a sealed folder out: the network and what it scored on each validation photograph.

The folder holds `model.safetensors`, `model.json`, `validation.parquet` (columns scene, name, psnr, ssim) and
`SHA256SUMS`, written last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from gkm.networks import Network
from gkm.training.checkpoint import CONFIG_NAME, WEIGHTS_NAME, save_weights, seal

VALIDATION_NAME = "validation.parquet"
BEST_NAMES = (WEIGHTS_NAME, CONFIG_NAME, VALIDATION_NAME)
_SCHEMA = pa.schema([("scene", pa.string()), ("name", pa.string()), ("psnr", pa.float64()), ("ssim", pa.float64())])


@dataclass(frozen=True)
class PhotographScore:
    """How close one restored validation photograph is to its sharp partner."""

    scene: str
    name: str
    psnr: float
    """In dB; infinite for identical photographs."""
    ssim: float


def save_best(model: Network, scores: Sequence[PhotographScore], directory: Path) -> Path:
    """Write weights and scores into `directory`; they count only once `SHA256SUMS` is there."""
    save_weights(model, directory)
    pq.write_table(pa.Table.from_pylist([asdict(score) for score in scores], _SCHEMA), directory / VALIDATION_NAME)
    return seal(directory, BEST_NAMES)


def parse_scores(parquet: bytes) -> list[PhotographScore]:
    """Scores from the contents of `validation.parquet`."""
    rows = pq.read_table(pa.BufferReader(parquet), schema=_SCHEMA).to_pylist()
    return [PhotographScore(**row) for row in rows]
