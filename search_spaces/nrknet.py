"""NRKNet on DPD: K, scales, blocks and iterations at full width. Meant for a GPU cluster.

    gkm sweep --space search_spaces/nrknet.py --data runs/data/dpd --gpus 1 --cluster aws-g5-spot

The baseline is the network of the authors' release, with its cost and a schedule of the learning rate like GKMNet's.
"""

from gkm.config import DataConfig, NRKNetConfig, TrainingConfig, TrialConfig
from gkm.study.design.space import Choice, Float, Int, SearchSpace

SPACE = SearchSpace(
    base=TrialConfig(
        model=NRKNetConfig.paper(),
        data=DataConfig(crop_pixels=256, batch_size=4, flips=True),
        training=TrainingConfig(epochs=3000, validate_every=25),
    ),
    parameters={
        "model.num_kernels": Int(5, 33, step=4),
        "model.num_scales": Choice(1, 2, 3),
        "model.blocks": Choice(1, 2),
        "model.finest_iterations": Choice(1, 2),
        "model.added_iterations": Choice(0, 1),
        "model.pyramid": Choice("nearest", "bilinear"),
        "loss.schedule": Choice("paper", "l2", "ssim"),
        "optim.learning_rate": Float(3e-5, 1e-3, log=True),
    },
    baseline={
        "model.num_kernels": 21,
        "model.num_scales": 3,
        "model.blocks": 1,
        "model.finest_iterations": 1,
        "model.added_iterations": 1,
        "model.pyramid": "nearest",
        "loss.schedule": "paper",
        "optim.learning_rate": 1e-4,
    },
    trials=32,
    first_rung_epochs=100,
    reduction_factor=3,
)
