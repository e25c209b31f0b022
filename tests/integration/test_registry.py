"""Registered models of every network as others use them: through MLflow alone, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from gkm.config import DPDNetConfig, ModelConfig, NRKNetConfig, TrialConfig
from gkm.data.photos import Pixels
from gkm.evaluation import restore_image
from gkm.networks import build
from gkm.registry import load, register
from gkm.tracking import open_tracking
from gkm.training.checkpoint import save_weights

SETTINGS = {
    "1": ModelConfig(max_kernel_size=9, num_kernels=5, num_scales=3, width=2),
    "2": NRKNetConfig(width=4, num_kernels=3, num_scales=2),
    "3": DPDNetConfig(width=2, depth=3),
    "4": DPDNetConfig(width=2, depth=3, views="dual"),
}
"""Version -> network."""
SIZES = {"landscape": (480, 640), "portrait": (451, 300)}
USER = """
import sys
import warnings
import numpy as np
warnings.simplefilter("ignore")
import mlflow.pyfunc
photos, out = np.load(sys.argv[1]), {}
for version in "1234":
    model = mlflow.pyfunc.load_model(f"models:/gkmnet/{version}")
    named = model.metadata.signature.inputs.input_names() if model.metadata.signature.inputs.has_input_names() else None
    print(version, named)
    for size in ("landscape", "portrait"):
        views = {side: photos[f"{size}-{side}"] for side in ("left", "right")}
        out[f"{version}-{size}"] = model.predict(views if named else photos[f"{size}-left"])
np.savez(sys.argv[2], **out)
try:
    model.predict({"left": photos["landscape-left"], "right": photos["portrait-right"]})
except Exception as error:
    print(error)
import gkm
print(gkm.__file__)
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = tmp_path_factory.mktemp("runs")
    tracking = open_tracking(workspace, f"sqlite:///{workspace}/mlflow.db")
    for version, settings in SETTINGS.items():
        torch.manual_seed(0)
        model = build(settings)
        with torch.no_grad():  # far enough from the identity to be told from it
            for parameter in model.parameters():
                parameter.mul_(1.2)
        run = tracking.start_trial(version, study_run_id=None, number=None, config=TrialConfig(), searched={}, tags={})
        weights = save_weights(model, tmp_path_factory.mktemp("weights"))
        assert register(tracking, run.run_id, weights) == int(version)
    return workspace


@pytest.fixture(scope="module")
def photos() -> dict[str, Pixels]:
    """A landscape of 480 x 640 and a portrait of 451 x 300 pixels, as left and right views."""
    from skimage import data

    wide = np.pad(data.astronaut(), ((0, 0), (0, 140), (0, 0)), mode="reflect")
    return {
        f"{name}-{side}": wide[:height, first : first + width]
        for name, (height, width) in SIZES.items()
        for side, first in (("left", 0), ("right", 5))
    }


@pytest.mark.slow
def test_mlflow_alone_deblurs_photographs_of_any_size(
    workspace: Path, photos: dict[str, Pixels], tmp_path: Path
) -> None:
    np.savez(tmp_path / "photos.npz", **photos)
    environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{workspace}/mlflow.db"}
    command = [sys.executable, "-c", USER, str(tmp_path / "photos.npz"), str(tmp_path / "restored.npz")]
    answer = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
    assert answer.returncode == 0, answer.stderr
    assert "mismatch" not in answer.stderr
    *asked, refused, source = answer.stdout.splitlines()
    assert asked == ["1 None", "2 None", "3 None", "4 ['left', 'right']"]
    assert "the views are 640x480 and 300x451 pixels" in refused
    assert str(workspace) in source  # the source that travels with the model was used
    restored = np.load(tmp_path / "restored.npz")
    tracking = open_tracking(workspace, f"sqlite:///{workspace}/mlflow.db")
    for version in SETTINGS:
        model = load(tracking, version).model
        for name, size in SIZES.items():
            ours, left, right = restored[f"{version}-{name}"], photos[f"{name}-left"], photos[f"{name}-right"]
            assert (ours.shape, ours.dtype) == ((*size, 3), np.uint8)
            assert (ours != left).any()
            seen = (left, right) if version == "4" else (left,)
            np.testing.assert_array_equal(ours, restore_image(model, *seen))
            if version == "4":
                assert (ours != restore_image(model, right, left)).any()
