"""A file of weights in, its tensors by name out, and back: plain state dicts, read without running any code.

Files are safetensors, `.npz` archives of arrays, or `.pth` files of which only tensors and plain containers are read.
"""

from __future__ import annotations

import os
import pickle
import re
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from gkm.errors import InputError
from gkm.storage import atomic

REMEDY = "give a .safetensors, .npz or .pth file of the release"
PARALLEL = "module."
"""In front of every name where a network was saved as PyTorch's data parallelism wraps it."""


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors in `path` by name; InputError where it cannot be read, holds code, or is no plain state dict."""
    try:
        match path.suffix:
            case ".safetensors":
                weights = load_file(path)
            case ".npz":
                with np.load(path, allow_pickle=False) as archive:
                    weights = {name: torch.from_numpy(archive[name]) for name in archive.files}
            case _:
                weights = torch.load(path, "cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); {REMEDY}") from None
    except (SafetensorError, pickle.UnpicklingError, zipfile.BadZipFile, RuntimeError, EOFError, ValueError, TypeError):
        raise InputError(f"{path}: is no state dict that can be read without running code; {REMEDY}") from None
    if not isinstance(weights, dict) or not all(isinstance(tensor, Tensor) for tensor in weights.values()):
        raise InputError(f"{path}: holds more than a plain state dict; give the network's state dict alone")
    if weights and all(str(name).startswith(PARALLEL) for name in weights):
        return {name.removeprefix(PARALLEL): tensor for name, tensor in weights.items()}
    return weights


def write_state_dict(state: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors by name as .safetensors or .pth, whole or not at all; InputError for other file names."""
    if path.suffix not in {".safetensors", ".pth"}:
        raise InputError(f"{path}: weights are written as .safetensors or .pth; choose one of these names")
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    if path.suffix == ".safetensors":
        return write_tensors(plain, path)
    with atomic.whole(path) as unfinished:
        torch.save(plain, unfinished)


def write_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write contiguous tensors of the CPU as safetensors, whole or not at all; OSError where that cannot be done."""
    with atomic.whole(path) as unfinished:
        unfinished.touch()
        mode = unfinished.stat().st_mode  # what the umask leaves; safetensors writes for nobody else to read
        try:
            save_file(dict(tensors), unfinished)
            with suppress(OSError):  # a file system without modes
                unfinished.chmod(mode)
        except SafetensorError as error:
            # A full disk arrives as text, "... (os error 28)": whoever handles it needs the number.
            code = re.search(r"\(os error (\d+)\)", str(error))
            if code is None:
                raise
            raise OSError(int(code[1]), os.strerror(int(code[1])), str(path)) from error


def fill(expected: Mapping[str, Tensor], weights: Mapping[str, Tensor], path: Path) -> None:
    """Copy `weights`, read from `path`, into the tensors of the release's names; both must have the same names.

    Raises InputError naming the file and the first key that is unknown, missing or of the wrong shape; then nothing
    has been copied.
    """
    for name in weights:
        if name not in expected:
            raise InputError(f"{path}: {name} is no weight of the authors' release; give one of its checkpoints")
    for name, tensor in expected.items():
        if name not in weights:
            raise InputError(f"{path}: {name} is missing; give a complete checkpoint of the authors' release")
        if weights[name].shape != tensor.shape:
            raise InputError(
                f"{path}: {name} has the shape {list(weights[name].shape)}, but the authors' release has "
                f"{list(tensor.shape)}; give a checkpoint of the unchanged release"
            )
    with torch.no_grad():
        for name, tensor in expected.items():
            tensor.copy_(weights[name])
