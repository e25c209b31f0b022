"""The "+" models of Table 2: GKMNet trained on photographs with noise of 1, 3 and 5 grey levels, against none.

Validation photographs have no noise, so what the "+" models lose is what the study shows; what they gain on noisy
photographs is what evaluate_noise.py shows, for the registered model.

    gkm sweep --space search_spaces/noise.py --data runs/data/dpd --gpus 1 --cluster aws-g5-spot

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
    reference="GKMNet",
    arms={
        "GKMNet": {},
        "GKMNet+ (1)": {"data.noise_sigma_8bit": 1.0},
        "GKMNet+ (3)": {"data.noise_sigma_8bit": 3.0},
        "GKMNet+ (5)": {"data.noise_sigma_8bit": 5.0},
    },
    seeds=(0, 1, 2),
)
