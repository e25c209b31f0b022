"""Table 4 of the paper with small networks: its six arms, three seeds each, in minutes on two cores.

The networks are those of quick.py and the training is far too short for the paper's figures; the question is whether
the differences point the same way.

    gkm sweep --space search_spaces/ablations_small.py --data runs/data/sample

18 trials of 10 epochs, none stopped: about 8 minutes on two cores.
"""

from gkm.config import DataConfig, ModelConfig, OptimConfig, TrainingConfig, TrialConfig
from gkm.study.design.grid import Arms

SPACE = Arms(
    base=TrialConfig(
        model=ModelConfig(max_kernel_size=9, num_kernels=9, width=8),
        data=DataConfig(crop_pixels=64, batch_size=8, crops_per_photo=8, flips=True),
        optim=OptimConfig(learning_rate=3e-3, clip_norm=1.0),
        training=TrainingConfig(epochs=10, validate_every=2),
    ),
    reference="GKMNet",
    arms={
        "GKMNet": {},
        "SRAM*": {"model.output": "sigmoid_image"},
        "GKMNet(1)": {"model.num_scales": 1},
        "w/o Conv-LSTM": {"model.recurrent": "conv"},
        "Learned GCM (Rand)": {"model.gcm": "learned_random"},
        "Learned GCM (GKM)": {"model.gcm": "learned_gaussian"},
    },
    seeds=(0, 1, 2),
)
