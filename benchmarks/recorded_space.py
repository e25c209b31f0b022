"""The study of our own whose curves benchmarks/search.py plays on: 64 small networks, none of them stopped.

gkm sweep --space benchmarks/recorded_space.py --data runs/data/sample --study recorded
"""

from gkm.config import DataConfig, ModelConfig, OptimConfig, TrainingConfig, TrialConfig
from gkm.study.design.search import Random
from gkm.study.design.space import Choice, Float, SearchSpace
from gkm.study.design.stopping import NoStopping

SPACE = SearchSpace(
    base=TrialConfig(
        model=ModelConfig(max_kernel_size=9, num_kernels=9, width=4),
        data=DataConfig(crop_pixels=48, batch_size=8, crops_per_photo=8, flips=True),
        optim=OptimConfig(clip_norm=1.0),
        training=TrainingConfig(epochs=9, validate_every=1),
    ),
    parameters={
        "model.num_kernels": Choice(5, 9, 13),
        "model.num_scales": Choice(1, 2, 3),
        "model.gcm": Choice("fixed", "learned_gaussian", "learned_random"),
        "loss.schedule": Choice("paper", "l2", "ssim"),
        "optim.learning_rate": Float(1e-4, 3e-2, log=True),
    },
    sampler=Random(),
    stopping=NoStopping(),
    trials=64,
    confirm=0,
)
