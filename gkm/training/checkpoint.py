"""Training state <-> a directory of safetensors and JSON, written atomically and verified when read.

A weights directory holds `model.safetensors` and `model.json` (the settings of the network, its kind among them). A
checkpoint directory is a weights directory with `state.json` (epoch, history, what else resumes training) and
`optimizer.safetensors` beside them, `average.safetensors` where training averages its weights, `random.safetensors`
where it stands within an epoch, and `SHA256SUMS`, written last, which covers every file: a directory without it was
never finished. `gkm.training.store` says where they are kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from gkm.config import network_from_dict
from gkm.errors import InputError
from gkm.networks import Network, build
from gkm.networks.state_dict import write_tensors
from gkm.storage import atomic

WEIGHTS_NAME = "model.safetensors"
CONFIG_NAME = "model.json"
OPTIMIZER_NAME = "optimizer.safetensors"
AVERAGE_NAME = "average.safetensors"
RANDOM_NAME = "random.safetensors"
STATE_NAME = "state.json"
SUMS_NAME = "SHA256SUMS"
CHECKPOINT_NAMES = (WEIGHTS_NAME, CONFIG_NAME, OPTIMIZER_NAME, STATE_NAME)
"""Of every checkpoint."""
_OPTIONAL = (AVERAGE_NAME, RANDOM_NAME)


@dataclass(frozen=True)
class Checkpoint:
    """What resumes a training run: tensors by name and plain JSON state."""

    weights: dict[str, Tensor]
    optimizer: dict[str, Any]
    """An optimiser's state dict."""
    state: dict[str, Any]
    average: dict[str, Tensor] | None = None
    """The averaged weights; None: training does not average."""
    random: dict[str, Tensor] = field(default_factory=dict)
    """States of the generators of random numbers, as bytes; empty at the end of an epoch."""


def save_weights(model: Network, directory: Path) -> Path:
    """Write `model.safetensors` and `model.json` into `directory` (made if missing); returns `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    write_tensors(_contiguous(model.state_dict()), directory / WEIGHTS_NAME)
    atomic.write_whole(directory / CONFIG_NAME, f"{model.config.model_dump_json(indent=2)}\n".encode())
    return directory


def load_weights(directory: Path, source: str | None = None) -> Network:
    """The network saved in `directory`, on the CPU, in evaluation mode.

    Raises InputError naming `source` (default: the directory) where files are missing, damaged or do not fit.
    """
    source = source or str(directory)
    try:
        settings = json.loads((directory / CONFIG_NAME).read_bytes())
        weights = load_file(directory / WEIGHTS_NAME)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(
            f"{source}: holds no weights that can be read ({reason}); "
            f"give a directory with {WEIGHTS_NAME} and {CONFIG_NAME}"
        ) from None
    except (SafetensorError, ValueError) as error:
        first_line = str(error).splitlines()[0]
        raise InputError(f"{source}: the weights are damaged ({first_line}); use another copy or train again") from None
    model = build(network_from_dict(settings, f"{source}: {CONFIG_NAME}"))
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        detail = " ".join(str(error).split())[:300]
        raise InputError(f"{source}: {WEIGHTS_NAME} does not fit {CONFIG_NAME} ({detail}); use another copy") from None
    return model.eval()


def save_checkpoint(
    model: Network,
    optimizer: torch.optim.Optimizer,
    state: Mapping[str, Any],
    directory: Path,
    *,
    average: Mapping[str, Tensor] | None = None,
    random: Mapping[str, Tensor] | None = None,
) -> Path:
    """Write a checkpoint into `directory`; it counts as complete only once `SHA256SUMS` is there."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / SUMS_NAME).unlink(missing_ok=True)
    moments, plain = _split_optimizer(optimizer.state_dict())
    save_weights(model, directory)
    write_tensors(moments, directory / OPTIMIZER_NAME)
    text = json.dumps({"optimizer": plain, "training": dict(state)}) + "\n"
    atomic.write_whole(directory / STATE_NAME, text.encode())
    names = list(CHECKPOINT_NAMES)
    for name, tensors in ((AVERAGE_NAME, average), (RANDOM_NAME, random)):
        if tensors is not None:
            write_tensors(_contiguous(tensors), directory / name)
            names.append(name)
    return seal(directory, names)


def seal(directory: Path, names: Sequence[str]) -> Path:
    """Write `SHA256SUMS` over the files `names`, by which `damage` knows that `directory` is whole."""
    sums = "".join(f"{_sha256(directory / name)}  {name}\n" for name in names)
    atomic.write_whole(directory / SUMS_NAME, sums.encode())
    return directory


def damage(directory: Path, names: Sequence[str]) -> str | None:
    """Which of `names`, of what was sealed with them, or `SHA256SUMS` is missing or has no longer the hash noted then.

    None: all is well.
    """
    try:
        sums = {line[66:]: line[:64] for line in (directory / SUMS_NAME).read_text().splitlines()}
    except (OSError, UnicodeDecodeError):
        return SUMS_NAME
    for name in dict.fromkeys([*names, *sums]):
        try:
            if sums.get(name) != _sha256(directory / name):
                return name
        except OSError:
            return name
    return None


def is_complete(directory: Path) -> bool:
    """Whether a checkpoint was written to its end and every file still has the hash noted then."""
    return damage(directory, CHECKPOINT_NAMES) is None


def load_checkpoint(directory: Path) -> Checkpoint:
    """Read a checkpoint written by `save_checkpoint`; InputError where it is unfinished or damaged."""
    if not is_complete(directory):
        raise InputError(
            f"{directory}: the checkpoint is unfinished or damaged; resume from an earlier one or start anew"
        )
    state = json.loads((directory / STATE_NAME).read_text())
    optimizer = _join_optimizer(load_file(directory / OPTIMIZER_NAME), state["optimizer"])
    average, random = (load_file(directory / name) if (directory / name).exists() else None for name in _OPTIONAL)
    return Checkpoint(load_file(directory / WEIGHTS_NAME), optimizer, state["training"], average, random or {})


def training_state(text: bytes) -> dict[str, Any]:
    """`Checkpoint.state` from the contents of `state.json` alone."""
    state: dict[str, Any] = json.loads(text)["training"]
    return state


def _split_optimizer(state: dict[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """An optimiser's state as tensors named "index.key" and everything else as JSON."""
    tensors: dict[str, Tensor] = {}
    scalars: dict[str, dict[str, Any]] = {}
    for index, entries in state["state"].items():
        for key, value in entries.items():
            if isinstance(value, Tensor):
                tensors[f"{index}.{key}"] = value.detach().cpu().contiguous()
            else:
                scalars.setdefault(str(index), {})[key] = value
    return tensors, {"groups": state["param_groups"], "scalars": scalars}


def _join_optimizer(tensors: Mapping[str, Tensor], plain: Mapping[str, Any]) -> dict[str, Any]:
    entries: dict[int, dict[str, Any]] = {int(index): dict(values) for index, values in plain["scalars"].items()}
    for name, value in tensors.items():
        index, _, key = name.partition(".")
        entries.setdefault(int(index), {})[key] = value
    return {"state": entries, "param_groups": plain["groups"]}


def _contiguous(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
