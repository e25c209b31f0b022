"""Tables 4 and 5 of the paper in full: GKMNet without each of its parts, and other numbers of scales and iterations.

The arms have the names that the tables use; S is the number of scales, R that of iterations at each. For Table 5 the
paper counts the weights of S=1, R=3 once for all iterations, and those of S=2, R=3 and S=3, R=2 for each iteration.
Both are here: an arm is as the paper counts it, and the other way is named beside it. "S=3, R=1" is GKMNet itself.

    gkm sweep --space search_spaces/ablations.py --data runs/data/dpd --gpus 1 --cluster aws-g5-spot

36 trials of 3000 epochs, none stopped. On eight A10G: about a week and, at on-demand prices, 1500 USD, as
`--plan --cluster aws-g5-spot` reckons it for DPD.
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
        # Table 4
        "SRAM*": {"model.output": "sigmoid_image"},
        "GKMNet(1)": {"model.num_scales": 1},
        "w/o Conv-LSTM": {"model.recurrent": "conv"},
        "Learned GCM (Rand)": {"model.gcm": "learned_random"},
        "Learned GCM (GKM)": {"model.gcm": "learned_gaussian"},
        # Table 5
        "S=1, R=3": {"model.num_scales": 1, "model.iterations_per_scale": 3, "model.share_iterations": True},
        "S=1, R=3, separate": {"model.num_scales": 1, "model.iterations_per_scale": 3},
        "S=2, R=3": {"model.num_scales": 2, "model.iterations_per_scale": 3},
        "S=2, R=3, shared": {"model.num_scales": 2, "model.iterations_per_scale": 3, "model.share_iterations": True},
        "S=3, R=2": {"model.iterations_per_scale": 2},
        "S=3, R=2, shared": {"model.iterations_per_scale": 2, "model.share_iterations": True},
    },
    seeds=(0, 1, 2),
)
