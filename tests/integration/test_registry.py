"""The registered model as others use it: through MLflow alone, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from gkm.config import ModelConfig, TrialConfig
from gkm.data.photos import read_rgb, write_rgb
from gkm.evaluation import restore_image
from gkm.networks.gkmnet.gkmnet import GKMNet
from gkm.registry import load, register
from gkm.tracking import open_tracking
from gkm.training.checkpoint import save_weights

USER = """
import sys
import warnings
import numpy as np
warnings.simplefilter("ignore")
import mlflow.pyfunc
model = mlflow.pyfunc.load_model("models:/gkmnet@challenger")
for path in sys.argv[1:]:
    np.save(path.replace(".png", ".npy"), model.predict(np.load(path.replace(".png", ".in.npy"))))
import gkm
print(gkm.__file__)
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = tmp_path_factory.mktemp("runs")
    torch.manual_seed(0)
    model = GKMNet(ModelConfig(max_kernel_size=9, num_kernels=5, num_scales=3, width=2))
    with torch.no_grad():  # far enough from the identity to be told from it
        for parameter in model.parameters():
            parameter.mul_(1.2)
    tracking = open_tracking(workspace, f"sqlite:///{workspace}/mlflow.db")
    run = tracking.start_trial("t", study_run_id=None, number=None, config=TrialConfig(), searched={}, tags={})
    register(tracking, run.run_id, save_weights(model, tmp_path_factory.mktemp("weights")))
    return workspace


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A landscape of 480 x 640 and a portrait of 451 x 300 pixels, their pixels beside them for a bare process."""
    from skimage import data

    folder = tmp_path_factory.mktemp("photos")
    sizes = {"landscape.png": (480, 640), "portrait.png": (451, 300)}
    for name, (height, width) in sizes.items():
        write_rgb(folder / name, np.pad(data.astronaut(), ((0, 0), (0, 128), (0, 0)), mode="reflect")[:height, :width])
        np.save(folder / name.replace(".png", ".in.npy"), read_rgb(folder / name))
    return [folder / name for name in sizes]


def test_mlflow_alone_deblurs_photographs_of_any_size(workspace: Path, photos: list[Path], tmp_path: Path) -> None:
    environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{workspace}/mlflow.db"}
    command = [sys.executable, "-c", USER, *map(str, photos)]
    answer = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
    assert answer.returncode == 0, answer.stderr
    assert "mismatch" not in answer.stderr
    assert str(workspace) in answer.stdout  # the source that travels with the model was used
    model = load(open_tracking(workspace, f"sqlite:///{workspace}/mlflow.db"), "challenger").model
    for path in photos:
        restored = np.load(path.with_suffix(".npy"))
        blurred = read_rgb(path)
        assert (restored.shape, restored.dtype) == (blurred.shape, np.uint8)
        assert (restored != blurred).any()
        np.testing.assert_array_equal(restored, restore_image(model, blurred))
