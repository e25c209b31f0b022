"""Frozen, validated settings of a trial; see `gkm.config.trial`."""

from gkm.config.base import Settings
from gkm.config.gkmnet import GKMNetConfig
from gkm.config.trial import (
    SMALLEST_SCALE_PIXELS,
    DataConfig,
    LossConfig,
    OptimConfig,
    TrainingConfig,
    TrialConfig,
    parse_assignments,
    setting_paths,
)

ModelConfig = GKMNetConfig
"""Another name, from when GKMNet was the only network."""

__all__ = [
    "SMALLEST_SCALE_PIXELS",
    "DataConfig",
    "GKMNetConfig",
    "LossConfig",
    "ModelConfig",
    "OptimConfig",
    "Settings",
    "TrainingConfig",
    "TrialConfig",
    "parse_assignments",
    "setting_paths",
]
