"""Measurements made up, as the gates take them."""

from collections.abc import Sequence
from typing import Any

from gkm.registry.clean_process import Clean
from gkm.registry.measuring import Measured, OnData

GAINS = (0.428, 0.943, 0.19, 1.254, 0.556, 0.393)
"""In dB, by photograph: what the sample's quick study gained over the blurred input."""


def measured(version: int = 2, opponent: int | None = None, gains: Sequence[float] = GAINS, **more: Any) -> Measured:
    """What was measured of a version that gains `gains` dB over its opponent, and is fine otherwise."""
    on = {name: more.pop(name) for name in tuple(more) if name in OnData.__dataclass_fields__}
    scores = OnData(
        **{
            "place": "/data/sample",
            "label": "sample",
            "fingerprint": "f",
            "photographs_id": "p",
            "scenes": ("s",) * len(gains),
            "names": tuple(map(str, range(len(gains)))),
            "opponent": "the blurred input" if opponent is None else f"version {opponent}",
            "psnr": tuple(30 + index + gain for index, gain in enumerate(gains)),
            "opponent_psnr": tuple(30.0 + index for index in range(len(gains))),
            "ssim": 0.9,
            "opponent_ssim": 0.8,
            "seconds_per_megapixel": 2.0,
            "noisy": {1.0: (29.0, 28.9), 3.0: (28.0, 28.0), 5.0: (27.0, 27.05)},
            **on,
        }
    )
    known = {"git_commit": "c0ffee", "data": "f", "seed": "0"}
    fine = {
        "parameters": 1000,
        "multiply_adds_per_pixel": 500.0,
        "hashed": True,
        "provenance": known,
        "on": (scores,),
        "clean": Clean(None, 1_000_000_000),
    }
    return Measured(version, opponent, **{**fine, **more})  # type: ignore[arg-type]
