"""What a user calls a model in; what is scored out: a network with its place in the registry, or a plain method."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from gkm.classical import METHODS
from gkm.config import Input
from gkm.errors import InputError
from gkm.evaluation.fixed_point import FIXED_POINT
from gkm.networks import Network
from gkm.registry import LoadedModel, load
from gkm.scoring.training import Training, training_of
from gkm.study.single.repeating import DATA, LOCATION
from gkm.tracking import Tracking

BLURRED_INPUT, FIXED_POINT_INPUT = "blurred", "fixed-point"
"""What a user writes for the blurred photographs themselves, and for the iteration without learning."""
_PARENT = "mlflow.parentRunId"


@dataclass(frozen=True)
class TrainingData:
    """What a network was trained on, as its run has it."""

    fingerprint: str
    place: str | None
    """Where the data set lay; None: not on record."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One thing to score."""

    label: str
    """Its name in tables."""
    kind: Literal["network", "blurred", "fixed-point", "two-stage"]
    identity: str
    """The same for the same weights and settings, wherever they lie; or the name of the method."""
    method: str | None = None
    """Key of `gkm.classical.METHODS` where the kind is "two-stage"."""
    inputs: tuple[Input, ...] = ("blurred",)
    network: Network | None = None
    """On the CPU, in evaluation mode."""
    version: int | None = None
    run_id: str | None = None
    trained_on: TrainingData | None = None
    """None where that is not known."""
    training: Training | None = None
    """How long it was trained; None where that is not known."""


BLURRED = Subject(label="blurred input", kind="blurred", identity="blurred")
"""The photographs as they are: what every gain is over."""


def find_subject(tracking: Tracking, selector: str | None, label: str | None = None) -> Subject:
    """What `selector` names: "blurred", "fixed-point", a method, a run's id, or whatever `gkm.registry.load` takes.

    Args:
        label: how to call it in tables; None: by its own name.

    Raises InputError where there is no such model, or its weights cannot be read.
    """
    if selector == BLURRED_INPUT:
        return BLURRED
    if selector == FIXED_POINT_INPUT:
        return Subject(label=label or FIXED_POINT, kind="fixed-point", identity="fixed-point")
    if (method := METHODS.get(selector or "")) is not None:
        return Subject(label=label or method.label, kind="two-stage", identity=method.identity, method=method.key)
    if selector is not None and re.fullmatch(r"[0-9a-f]{32}", selector) and not Path(selector).exists():
        loaded = LoadedModel(_of_run(tracking, selector), f"run {selector[:8]}", run_id=selector)
    else:
        loaded = load(tracking, selector)
    return Subject(
        label=label or loaded.name,
        kind="network",
        identity=identity_of(loaded.model),
        inputs=loaded.model.inputs,
        network=loaded.model,
        version=loaded.version,
        run_id=loaded.run_id,
        trained_on=None if loaded.run_id is None else training_data(tracking, loaded.run_id),
        training=None if loaded.run_id is None else _training(tracking, loaded.run_id),
    )


def find_subjects(
    tracking: Tracking, wanted: Sequence[tuple[str | None, str | None]], windows: Sequence[int] = ()
) -> list[Subject]:
    """The subjects of (label, selector) pairs in their order, each once; see `find_subject`.

    Networks are followed by themselves with each of `windows` (see `within_windows`). Raises InputError where two
    different models have one label, and where a network has no use for windows.
    """
    found: dict[str, Subject] = {}
    for label, selector in wanted:
        subject = find_subject(tracking, selector, label)
        for one in (subject, *within_windows(subject, windows)):
            if found.setdefault(one.label, one).identity != one.identity:
                raise InputError(f"--model {one.label}=...: is given to two models; give each a label of its own")
    return list(found.values())


def within_windows(subject: Subject, windows: Sequence[int]) -> list[Subject]:
    """A network as it is with each of `windows` in the place of its own setting (see `Network.with_window`).

    They have no run, for what is logged there is of the model's own settings. Raises InputError where a network has
    no use for windows.
    """
    if subject.network is None:
        return []
    changed = [subject.network.with_window(pixels) for pixels in windows]
    return [
        replace(subject, label=f"{subject.label}, window {pixels}", identity=identity_of(one), network=one, run_id=None)
        for pixels, one in zip(windows, changed, strict=True)
    ]


def identity_of(network: Network) -> str:
    """SHA-256 of a network's settings and weights, however they were stored."""
    settings = network.config.model_dump(mode="json", exclude_defaults=True) | {"kind": network.config.kind}
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def training_data(tracking: Tracking, run_id: str) -> TrainingData | None:
    """What the network of a run was trained on; None where neither the run nor its study says so."""
    tags: dict[str, str] = {}
    above: str | None = run_id
    while above is not None and (DATA not in tags or LOCATION not in tags):
        run = tracking.get(above)
        if run is None:
            break
        tags = {**run.data.tags, **tags}
        above = run.data.tags.get(_PARENT)
    return TrainingData(tags[DATA], tags.get(LOCATION)) if DATA in tags else None


def _training(tracking: Tracking, run_id: str) -> Training | None:
    run = tracking.get(run_id)
    return None if run is None else training_of(run.data.params, run.data.metrics)


def _of_run(tracking: Tracking, run_id: str) -> Network:
    """The best weights that a run keeps."""
    from gkm.training.checkpoint import load_weights

    tracking.must_exist()
    if tracking.get(run_id) is None:
        raise InputError(
            f"{run_id}: there is no run with that id in {tracking.address}; correct --model or --workspace"
        )
    with tempfile.TemporaryDirectory(prefix="gkm-") as temporary:
        return load_weights(tracking.download(run_id, "weights", Path(temporary)), f"run {run_id}")
