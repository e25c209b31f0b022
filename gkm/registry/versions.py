"""Weights in, a version of the registered model out; a version, an alias or a directory in, a network out."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gkm import storage
from gkm.errors import InputError
from gkm.registry import served
from gkm.tracking import Tracking, redacted

if TYPE_CHECKING:
    from gkm.networks import Network
    from gkm.study.record.results import StudyResults

REGISTERED_NAME = "gkmnet"
CHALLENGER = "challenger"
"""The newest registered version."""
CHAMPION = "champion"
"""The version to use: it passed the gate of `gkm.registry.promote`."""
PREVIOUS = "previous"
"""The champion before, to roll back to."""

_DESCRIPTION = (
    "Defocus deblurring: a photograph (RGB, uint8, of any size), or its left and right dual-pixel views where the "
    "version was trained on them, in; the restored photograph out."
)
_CARRIED_TAGS = ("gkm.data", "gkm.fingerprint", "gkm.git_commit", "gkm.seed", "gkm.trial")
"""Tags of the training run that a version repeats."""
_ANNOUNCED = "gkm.announced"
"""Tag of versions whose alias was set: a registration cut short is completed by the next."""


@dataclass(frozen=True)
class LoadedModel:
    """A network with its place in the registry."""

    model: Network
    """On the CPU, in evaluation mode."""
    name: str
    """How to speak of it: "gkmnet version 3 (champion)", or the directory it came from."""
    version: int | None = None
    """None for weights from a directory."""
    aliases: tuple[str, ...] = ()
    run_id: str | None = None


def register(
    tracking: Tracking, run_id: str, weights: Path, *, tags: Mapping[str, str] | None = None, description: str = ""
) -> int:
    """Make the weights directory `weights` of the run `run_id` a version of `gkmnet`, and that version the challenger.

    Registering the same weights of the same run again changes nothing. Returns the version.
    Raises InputError where the weights are missing or damaged.
    """
    from gkm.training.checkpoint import load_weights

    load_weights(weights)
    digest = _digest(weights)
    known = next((v for v in _versions(tracking, run_id) if v.tags.get("gkm.weights") == digest), None)
    version = known or _create(tracking, run_id, weights, digest, dict(tags or {}), description)
    if _ANNOUNCED not in version.tags:
        set_alias(tracking, CHALLENGER, int(version.version))
        tracking.client.set_model_version_tag(REGISTERED_NAME, version.version, _ANNOUNCED, CHALLENGER)
    return int(version.version)


def register_best(tracking: Tracking, results: StudyResults) -> int:
    """Register the best trial of a study as challenger; returns the version.

    Raises InputError where the study has no validated trial, or its weights are gone.
    """
    best = results.best
    if best is None:
        raise InputError(f"study {results.name}: has no validated trial to register; see the reasons in its trials")
    if results.status != "finished":
        raise InputError(f"study {results.name}: is {results.status}; nothing is registered before it has finished")
    if best.run_id is None:
        raise InputError(f"study {results.name}: best trial {best.number} is not in MLflow yet; start the study again")
    described = f"Best of {len(results.trials)} trials of the study {results.name}: {best.score:.2f} dB in validation."
    tags = {"gkm.study": results.name, f"gkm.{results.metric}": f"{best.score:.4f}"}
    return register_run(tracking, best.run_id, tags=tags, description=described)


def register_run(tracking: Tracking, run_id: str, *, tags: Mapping[str, str], description: str) -> int:
    """Register the best weights of a trial as challenger; returns the version.

    Raises InputError where its weights are gone or damaged.
    """
    with tempfile.TemporaryDirectory(prefix="gkm-") as temporary:
        weights = tracking.download(run_id, "weights", Path(temporary))
        return register(tracking, run_id, weights, tags=tags, description=description)


def load(tracking: Tracking, selector: str | int | None = None) -> LoadedModel:
    """The network that `selector` names.

    Args:
        selector: a version, an alias, a URI such as "models:/gkmnet@champion" or "models:/gkmnet/3", or a directory of
            weights; None: the champion, or the challenger while there is no champion.

    Raises InputError where there is no such model.
    """
    from gkm.training.checkpoint import load_weights

    text = None if selector is None else str(selector)
    if text is not None and Path(text).is_dir():
        return LoadedModel(load_weights(Path(text)), text)
    if text is not None and storage.is_remote(text):
        with tempfile.TemporaryDirectory(prefix="gkm-") as temporary:
            storage.fetch(text, Path(temporary))
            return LoadedModel(load_weights(Path(temporary), text), text)
    version = find(tracking, text)
    labels = tuple(alias for alias, number in sorted(aliases(tracking).items()) if number == int(version.version))
    name = f"{REGISTERED_NAME} version {version.version}" + (f" ({', '.join(labels)})" if labels else "")
    uri = tracking.client.get_model_version_download_uri(REGISTERED_NAME, version.version)
    with tempfile.TemporaryDirectory(prefix="gkm-") as temporary:
        weights = _fetch(tracking, f"{uri}/{served.WEIGHTS_FOLDER}", Path(temporary), name)
        _refuse_changed(weights, version, f"{name}, {redacted(uri)}")
        model = load_weights(weights, name)
    return LoadedModel(model, name, int(version.version), labels, version.run_id)


def find(tracking: Tracking, selector: str | None) -> Any:
    """MLflow's record of the version that `selector` (see `load`) names; InputError where there is none."""
    known, existing = aliases(tracking), {int(version.version): version for version in versions(tracking)}
    if not existing:
        raise InputError(
            f"{tracking.address}: no model is registered there; run pipelines/sweep.py first, or correct --workspace"
        )
    if selector is None:
        selector = CHAMPION if CHAMPION in known else CHALLENGER
    name = selector.removeprefix(f"models:/{REGISTERED_NAME}").lstrip("/@")
    number = known.get(name, int(name) if name.isdecimal() else -1)
    if number not in existing:
        there = ", ".join([*sorted(known), *map(str, sorted(existing))])
        raise InputError(f"{selector}: is no version or alias of {REGISTERED_NAME}, nor a directory; there are {there}")
    return existing[number]


def versions(tracking: Tracking) -> list[Any]:
    """MLflow's records of all versions of `gkmnet`, with their tags, newest first."""
    tracking.must_exist()
    return _search(tracking, f"name = '{REGISTERED_NAME}'")


def aliases(tracking: Tracking) -> dict[str, int]:
    """Alias -> version."""
    from mlflow.exceptions import MlflowException

    tracking.must_exist()
    try:
        found = tracking.client.get_registered_model(REGISTERED_NAME).aliases
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return {}
    return {alias: int(number) for alias, number in found.items()}


def set_alias(tracking: Tracking, alias: str, version: int | None) -> None:
    """Point `alias` to `version`; None takes it away."""
    if version is None:
        tracking.client.delete_registered_model_alias(REGISTERED_NAME, alias)
    else:
        tracking.client.set_registered_model_alias(REGISTERED_NAME, alias, str(version))


def _create(tracking: Tracking, run_id: str, weights: Path, digest: str, tags: dict[str, str], description: str) -> Any:
    from mlflow.exceptions import MlflowException

    run = tracking.client.get_run(run_id)
    carried = {key: run.data.tags[key] for key in _CARRIED_TAGS if key in run.data.tags}
    # The folder is named for the weights: another registration of the run cannot change what a version points to.
    folder = f"model-{digest[:12]}"
    with tempfile.TemporaryDirectory(prefix="gkm-") as temporary:
        local = Path(temporary) / folder
        served.save(weights, local, run_id)
        tracking.log_folder(run_id, local, folder)
    try:
        tracking.client.create_registered_model(REGISTERED_NAME, description=_DESCRIPTION)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    return tracking.client.create_model_version(
        REGISTERED_NAME,
        f"{run.info.artifact_uri}/{folder}",
        run_id,
        tags={key: redacted(value) for key, value in {**carried, **tags, "gkm.weights": digest}.items()},
        description=description or None,
    )


def _versions(tracking: Tracking, run_id: str) -> list[Any]:
    return _search(tracking, f"name = '{REGISTERED_NAME}' and run_id = '{run_id}'")


def _search(tracking: Tracking, wanted: str) -> list[Any]:
    found: list[Any] = []
    token: str | None = None
    while True:
        page = tracking.client.search_model_versions(wanted, max_results=1000, page_token=token)
        found += page
        token = page.token
        if not token:
            return sorted(found, key=lambda version: -int(version.version))


def _fetch(tracking: Tracking, uri: str, to: Path, name: str) -> Path:
    import mlflow.artifacts
    from mlflow.exceptions import MlflowException

    if storage.is_remote(uri):
        storage.fetch(uri, to)
        return to
    try:
        return Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(to), tracking_uri=tracking.uri))
    except (MlflowException, OSError) as error:
        reason = redacted(str(error).strip().splitlines()[-1])
        raise InputError(
            f"{name}: its weights cannot be fetched from {redacted(uri)} ({reason}); "
            "put them back or choose another version"
        ) from error


def _refuse_changed(weights: Path, version: Any, source: str) -> None:
    """Raises InputError where the weights are not those that were registered."""
    registered = version.tags.get("gkm.weights")
    try:
        now = _digest(weights)
    except OSError:
        return  # whoever loads them says which file is missing
    if registered is not None and now != registered:
        raise InputError(
            f"{source}: its weights are not those that were registered (SHA-256 {now[:12]}, then {registered[:12]}); "
            "put the file back or choose another version"
        )


def _digest(weights: Path) -> str:
    content = b"".join((weights / name).read_bytes() for name in ("model.json", "model.safetensors"))
    return hashlib.sha256(content).hexdigest()
