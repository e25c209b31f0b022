"""Which network? GKMNet, NRKNet and DPDNet-S at a laptop's size, each with its own settings: minutes on two cores.

    gkm sweep --space search_spaces/networks.py --data runs/data/sample --study networks

What a network is searched for is a condition on `model.kind`; width and learning rate are searched for all of them.
The first three trials are one of each network.
At this size the comparison says little about the networks as published.
"""

from gkm.config import DataConfig, GKMNetConfig, OptimConfig, TrainingConfig, TrialConfig
from gkm.study.design.parameters import Condition
from gkm.study.design.space import Choice, Float, SearchSpace

SPACE = SearchSpace(
    base=TrialConfig(
        model=GKMNetConfig(max_kernel_size=9, num_kernels=9, width=8),
        data=DataConfig(crop_pixels=64, batch_size=8, crops_per_photo=8, flips=True),
        optim=OptimConfig(learning_rate=3e-3, clip_norm=1.0),
        training=TrainingConfig(epochs=9),
    ),
    parameters={
        "model.kind": Choice("gkmnet", "nrknet", "dpdnet"),
        "model.width": Choice(4, 8),
        "model.num_kernels": Condition("model.kind", ("gkmnet", "nrknet"), Choice(5, 9)),
        "model.max_kernel_size": Condition("model.kind", ("gkmnet",), Choice(9)),
        "model.depth": Condition("model.kind", ("dpdnet",), Choice(3, 4)),
        "optim.learning_rate": Float(3e-4, 1e-2, log=True),
    },
    points_to_evaluate=[{"model.kind": "gkmnet"}, {"model.kind": "nrknet"}, {"model.kind": "dpdnet"}],
    trials=6,
    first_rung_epochs=3,
    reduction_factor=3,
    confirm=0,
)
