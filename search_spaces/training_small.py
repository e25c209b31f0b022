"""What settings of the training itself are worth to a small network: one change each, three seeds.

    gkm sweep --space search_spaces/training_small.py --data runs/data/sample

15 trials of 12 epochs, none stopped: about 10 minutes on two cores.
"""

from gkm.config import DataConfig, ModelConfig, OptimConfig, TrainingConfig, TrialConfig
from gkm.study.design.grid import Arms

SPACE = Arms(
    base=TrialConfig(
        model=ModelConfig(max_kernel_size=9, num_kernels=9, width=8),
        data=DataConfig(crop_pixels=64, batch_size=8, crops_per_photo=8, flips=True),
        optim=OptimConfig(learning_rate=3e-3, clip_norm=1.0),
        training=TrainingConfig(epochs=12, validate_every=2),
    ),
    reference="steps",
    arms={
        "steps": {},
        "average of the weights": {"training.ema": 0.99},
        "cosine": {"optim.schedule": "cosine", "optim.decay_factor": 0.02},
        "cosine, average": {"optim.schedule": "cosine", "optim.decay_factor": 0.02, "training.ema": 0.99},
        "no clipping": {"optim.clip_norm": None},
    },
    seeds=(0, 1, 2),
)
