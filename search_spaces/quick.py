"""A first sweep for a laptop: minutes on two cores, small networks, every axis of the paper's ablations.

The best settings are not confirmed with fresh seeds, which would double its time: `--confirm 2` does it.
"""

from gkm.config import DataConfig, ModelConfig, OptimConfig, TrainingConfig, TrialConfig
from gkm.study.design.space import Choice, Float, SearchSpace

SPACE = SearchSpace(
    base=TrialConfig(
        model=ModelConfig(max_kernel_size=9, num_kernels=9, width=8, window_pixels=128),
        data=DataConfig(crop_pixels=64, batch_size=8, crops_per_photo=16, flips=True),
        optim=OptimConfig(learning_rate=3e-3, clip_norm=1.0, schedule="cosine", decay_factor=0.02, warmup_epochs=1),
        training=TrainingConfig(epochs=27, validate_every=1, ema=0.99),
    ),
    parameters={
        "model.max_kernel_size": Choice(5, 9, 13),
        "model.num_kernels": Choice(5, 9, 13),
        "model.num_scales": Choice(1, 2, 3),
        "model.gcm": Choice("fixed", "learned_gaussian", "learned_random"),
        "loss.schedule": Choice("paper", "l2", "ssim"),
        "optim.learning_rate": Float(1e-3, 1e-2, log=True),
    },
    baseline={
        "model.max_kernel_size": 9,
        "model.num_kernels": 9,
        "model.num_scales": 3,
        "model.gcm": "fixed",
        "loss.schedule": "paper",
        "optim.learning_rate": 3e-3,
    },
    trials=8,
    first_rung_epochs=3,
    reduction_factor=3,
    confirm=0,
)
