"""What workers that train one network together need of each other within a step: batch norms over all their crops."""

from gkm.training.group.batch_norm import GlobalBatchNorm2d, has_batch_norm, with_global_statistics

__all__ = ["GlobalBatchNorm2d", "has_batch_norm", "with_global_statistics"]
