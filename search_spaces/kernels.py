"""The bank of Gaussian kernels: its largest size M, its number K, and whether its kernels are learned.

    gkm sweep --space search_spaces/kernels.py --data runs/data/dpd --gpus 1 --cluster aws-g5-spot

54 trials (18 combinations, three seeds) of 1500 epochs, half the paper's, none stopped. On eight A10G with DPD: about
three days and 580 USD on demand.
"""

from gkm.config import DataConfig, ModelConfig, TrainingConfig, TrialConfig
from gkm.study.design.grid import Grid
from gkm.study.design.parameters import Choice

SPACE = Grid(
    base=TrialConfig(
        model=ModelConfig.paper(),
        data=DataConfig(crop_pixels=256, batch_size=4),
        training=TrainingConfig(epochs=1500, validate_every=25),
    ),
    parameters={
        "model.max_kernel_size": Choice(11, 21, 31),
        "model.num_kernels": Choice(5, 11, 21),
        "model.gcm": Choice("fixed", "learned_gaussian"),
    },
    seeds=(0, 1, 2),
)
