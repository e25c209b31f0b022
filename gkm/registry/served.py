"""A weights directory in, an MLflow pyfunc model out, and back: nothing in it is a pickle.

The model carries this package's source, so that it loads wherever its pinned requirements are installed. It takes one
RGB photograph, height x width x 3, uint8, of at least 16 pixels a side, and returns the restored one of the same size.
Where the network sees dual-pixel views, it takes both by name: {"left": photograph, "right": photograph}. In the place
of arrays it takes files of photographs as base64 text, which is how requests to a server should bring them: see
`gkm.restoration.requests`.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gkm.config import network_from_dict
from gkm.errors import InputError

Photo = npt.NDArray[np.uint8]

WEIGHTS_FOLDER = "data/weights"
"""Where the weights directory lies inside the MLflow model."""
_REQUIREMENTS = (
    "mlflow", "numpy", "pillow", "pyarrow", "pydantic", "requests", "safetensors", "tifffile", "torch",
    "torchvision",
)  # fmt: skip


class ServedModel:
    """What `mlflow.pyfunc.load_model` wraps; its weights are those that were registered, or it is not made."""

    def __init__(self, weights: Path) -> None:
        from gkm.registry import integrity
        from gkm.training.checkpoint import load_weights
        from gkm.training.context import best_device

        integrity.check(weights, str(weights))
        self._model = load_weights(weights).to(best_device())

    def predict(self, seen: Any, params: dict[str, Any] | None = None) -> Photo | list[dict[str, str]]:
        """The restored photograph, height x width x 3, uint8; of files as base64, a list of such files.

        Raises MlflowException, which a server answers with status 400, where what is `seen` is not what the network
        sees.
        """
        from mlflow.exceptions import MlflowException

        from gkm.restoration.requests import answer

        try:
            return answer(self._model, seen)
        except InputError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error


def save(weights: Path, folder: Path, run_id: str) -> None:
    """Write the MLflow model of the weights directory `weights`, trained in the run `run_id`, to the new `folder`."""
    with warnings.catch_warnings(action="ignore"):  # MLflow's, about its own type hints
        from mlflow.models import Model, ModelSignature
        from mlflow.pyfunc import save_model
        from mlflow.types import Schema, TensorSpec

    from gkm.registry import integrity
    from gkm.training.checkpoint import seal

    settings = network_from_dict(json.loads((weights / "model.json").read_text(encoding="utf-8")), str(weights))
    alone = settings.inputs == ("blurred",)
    photo = TensorSpec(np.dtype(np.uint8), (-1, -1, 3))
    # The one schema that lets arrays through, and texts too: `predict` says itself what it cannot use.
    anything = [TensorSpec(np.dtype(object), (-1,), None if alone else name) for name in settings.inputs]
    with tempfile.TemporaryDirectory(prefix="gkm-") as temporary:
        named = Path(temporary) / Path(WEIGHTS_FOLDER).name
        named.mkdir()
        for name in integrity.FILES:
            shutil.copyfile(weights / name, named / name)
        seal(named, integrity.FILES)
        save_model(
            folder,
            loader_module=__name__,
            data_path=str(named),
            code_paths=[str(Path(__file__).parents[1])],
            mlflow_model=Model(run_id=run_id),
            signature=ModelSignature(Schema(anything), Schema([photo])),
            input_example=_example() if alone else {name: _example() for name in settings.inputs},
            pip_requirements=requirements(),
        )


def requirements() -> list[str]:
    """Pinned packages the model needs; public versions only, since builds such as "+cpu" are not on every index."""
    return [f"{name}=={version(name).partition('+')[0]}" for name in _REQUIREMENTS]


def _example() -> Photo:
    rows, columns = np.indices((32, 48))
    return np.stack([rows * 8, columns * 5, rows + columns], axis=-1).astype(np.uint8)


def _load_pyfunc(path: str) -> ServedModel:
    """Called by MLflow with the weights directory."""
    return ServedModel(Path(path))
