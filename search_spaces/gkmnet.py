"""The paper's network on DPD: M, K, T, loss schedule and kernels at full width. Meant for a GPU cluster.

    gkm sweep --space search_spaces/gkmnet.py --data runs/data/dpd --gpus 1 --cluster aws-g5-spot

64 trials of at most 3000 epochs, the best three settings trained again. On eight A10G: about two and a half days and,
at on-demand prices, 490 USD.
"""

from gkm.config import DataConfig, ModelConfig, TrainingConfig, TrialConfig
from gkm.study.design.space import Choice, Float, Int, SearchSpace

SPACE = SearchSpace(
    base=TrialConfig(
        model=ModelConfig.paper(),
        data=DataConfig(crop_pixels=256, batch_size=4, flips=True),
        training=TrainingConfig(epochs=3000, validate_every=25),
    ),
    parameters={
        "model.max_kernel_size": Int(9, 33, step=4),
        "model.num_kernels": Int(5, 33, step=4),
        "model.num_scales": Choice(1, 2, 3, 4),
        "model.gcm": Choice("fixed", "learned_gaussian", "learned_random"),
        "loss.schedule": Choice("paper", "release", "l2", "ssim"),
        "optim.learning_rate": Float(3e-5, 1e-3, log=True),
    },
    baseline={
        "model.max_kernel_size": 21,
        "model.num_kernels": 21,
        "model.num_scales": 3,
        "model.gcm": "fixed",
        "loss.schedule": "paper",
        "optim.learning_rate": 1e-4,
    },
    trials=64,
    first_rung_epochs=100,
    reduction_factor=3,
)
