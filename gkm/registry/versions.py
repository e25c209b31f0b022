"""A version, an alias or a directory in, a network out, with the weights that were registered or not at all."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gkm import storage
from gkm.errors import InputError
from gkm.registry import integrity, served, standing
from gkm.registry.ledger import REGISTERED_NAME
from gkm.registry.standing import CHALLENGER, CHAMPION, PREVIOUS
from gkm.tracking import Tracking, redacted

if TYPE_CHECKING:
    from gkm.networks import Network

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "PREVIOUS",
    "REGISTERED_NAME",
    "LoadedModel",
    "aliases",
    "find",
    "load",
    "versions",
]


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
    hashed: bool = True
    """Whether its weights carry a hash, which is right: those of versions registered before may carry none."""


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
        weights = fetch(tracking, f"{uri}/{served.WEIGHTS_FOLDER}", Path(temporary), name)
        hashed = integrity.check(weights, f"{name}, {redacted(uri)}", version.tags.get(integrity.WEIGHTS_TAG))
        model = load_weights(weights, name)
    return LoadedModel(model, name, int(version.version), labels, version.run_id, hashed)


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
    return search(tracking, f"name = '{REGISTERED_NAME}'")


def aliases(tracking: Tracking) -> dict[str, int]:
    """Alias -> version, as the history has it: also where a process died before it had set them all."""
    return dict(standing.read(tracking).aliases)


def search(tracking: Tracking, wanted: str) -> list[Any]:
    """MLflow's records of the versions that `wanted`, a filter of MLflow's, lets through, newest first."""
    found: list[Any] = []
    token: str | None = None
    while True:
        page = tracking.client.search_model_versions(wanted, max_results=1000, page_token=token)
        found += page
        token = page.token
        if not token:
            return sorted(found, key=lambda version: -int(version.version))


def fetch(tracking: Tracking, uri: str, to: Path, name: str) -> Path:
    """Copy the files of the version called `name` that lie at `uri` below the folder `to`; returns where they are."""
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
