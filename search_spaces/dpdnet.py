"""DPDNet-S on DPD: width, depth and dropout. Meant for a GPU cluster.

    gkm sweep --space search_spaces/dpdnet.py --data runs/data/dpd --gpus 1 --cluster aws-g5-spot

The baseline is the network as published, with the squared error of its authors.
"""

from gkm.config import DataConfig, DPDNetConfig, LossConfig, TrainingConfig, TrialConfig
from gkm.study.design.space import Choice, Float, SearchSpace

SPACE = SearchSpace(
    base=TrialConfig(
        model=DPDNetConfig.single(),
        data=DataConfig(crop_pixels=512, batch_size=5),
        loss=LossConfig(schedule="l2"),
        training=TrainingConfig(epochs=200, validate_every=5),
    ),
    parameters={
        "model.width": Choice(32, 64),
        "model.depth": Choice(4, 5),
        "model.dropout": Float(0.0, 0.5),
        "optim.learning_rate": Float(1e-5, 3e-4, log=True),
    },
    baseline={
        "model.width": 64,
        "model.depth": 5,
        "model.dropout": 0.4,
        "optim.learning_rate": 2e-5,
    },
    trials=16,
    first_rung_epochs=20,
    reduction_factor=3,
)
