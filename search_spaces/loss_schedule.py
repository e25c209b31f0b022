"""The cost C of equation (10) over the course of training: the paper's, the authors' release's, l2 and SSIM alone.

    gkm sweep --space search_spaces/loss_schedule.py --data runs/data/dpd --gpus 1 --cluster aws-g5-spot

12 trials of 3000 epochs, none stopped. On eight A10G with DPD: about two days and 390 USD on demand.
"""

from gkm.config import DataConfig, ModelConfig, TrainingConfig, TrialConfig
from gkm.study.design.grid import Arms

SPACE = Arms(
    base=TrialConfig(
        model=ModelConfig.paper(),
        data=DataConfig(crop_pixels=256, batch_size=4),
        training=TrainingConfig(epochs=3000, validate_every=25),
    ),
    reference="paper",
    arms={
        "paper": {},
        "release": {"loss.schedule": "release"},
        "l2": {"loss.schedule": "l2"},
        "ssim": {"loss.schedule": "ssim"},
    },
    seeds=(0, 1, 2),
)
