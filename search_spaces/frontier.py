"""At equal cost, which network? The peers of Table 1 at the multiply-adds for each pixel of the quick study's GKMNet.

    gkm sweep --space search_spaces/frontier.py --data runs/data/sample --study frontier

Every arm takes 0.9 to 1.1 times the 34.7 thousand multiply-adds for each pixel (by definition, as tables have them) of
a GKMNet of width 8 with 9 kernels of up to 9 pixels. The cost is what each network's paper has. GKMNet and AttNet start
at their input. NRKNet, DPDNet and SRN do not, and are behind it after a training as short as this; so SRN stands here
twice, the second time with its results added to its input.

18 trials of 10 epochs, none stopped. That says how far each network gets in a short training, not where it ends.
"""

from gkm.config import DataConfig, GKMNetConfig, OptimConfig, TrainingConfig, TrialConfig
from gkm.study.design.grid import Arms

SPACE = Arms(
    base=TrialConfig(
        model=GKMNetConfig(max_kernel_size=9, num_kernels=9, width=8),
        data=DataConfig(crop_pixels=64, batch_size=8, crops_per_photo=8, flips=True),
        optim=OptimConfig(learning_rate=3e-3, clip_norm=1.0),
        training=TrainingConfig(epochs=10, validate_every=2),
    ),
    reference="GKMNet",
    arms={
        "GKMNet": {},
        "NRKNet": {"model.kind": "nrknet", "model.width": 11, "model.num_kernels": 9},
        "DPDNet-S": {"model.kind": "dpdnet", "model.width": 13},
        "SRN": {"model.kind": "srn", "model.width": 7, "model.blocks": 1},
        "SRN, added": {"model.kind": "srn", "model.width": 7, "model.blocks": 1, "model.residual": True},
        "AttNet": {"model.kind": "attnet", "model.width": 5},
    },
    seeds=(0, 1, 2),
)
