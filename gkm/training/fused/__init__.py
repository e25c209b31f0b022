"""Trials trained together: `FusedTrials` of `FusedTrial`s that have one shape."""

from gkm.training.fused.trials import FusedTrial, FusedTrials, check_one_shape

__all__ = ["FusedTrial", "FusedTrials", "check_one_shape"]
