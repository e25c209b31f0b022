"""A version, an alias or a directory in, a network out, with the weights that were registered or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gkm import storage
from gkm.config import settings_class
from gkm.config.networks import DEFAULT_KIND
from gkm.errors import InputError
from gkm.registry import integrity, served, standing
from gkm.registry.ledger import REGISTERED_NAME
from gkm.registry.standing import CHALLENGER, CHAMPION, PREVIOUS
from gkm.tracking import Tracking, redacted

if TYPE_CHECKING:
    from gkm.networks import Network

MODEL_TAG = "gkm.logged_model"
"""The LoggedModel that a version is, in MLflow."""
NETWORK_TAG = "gkm.network"
"""The kind of a version's network; versions without it are older than the tag."""

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "MODEL_TAG",
    "NETWORK_TAG",
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
        selector: a version, an alias, a URI such as "models:/gkmnet@champion" or "models:/gkmnet/3", a directory of
            weights, or the kind of a network, such as "srn": the champion or the challenger if it is of that kind, or
            else the newest that is; None: the champion, or the challenger while there is no champion.

    Raises InputError where there is no such model.
    """
    from gkm.training.checkpoint import load_weights

    text = None if selector is None else str(selector)
    if text is not None and storage.is_folder(Path(text)):
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
    if number not in existing and settings_class(name) is not None:
        return _of_kind(tracking, name, known, existing)
    if number not in existing:
        there = ", ".join([*sorted(known), *map(str, sorted(existing))])
        raise InputError(f"{selector}: is no version or alias of {REGISTERED_NAME}, nor a directory; there are {there}")
    return existing[number]


def _of_kind(tracking: Tracking, kind: str, known: Mapping[str, int], existing: Mapping[int, Any]) -> Any:
    """The version to use of a network `kind`; `existing` has the newest first."""
    preferred = [known[alias] for alias in (CHAMPION, CHALLENGER) if alias in known]
    for number in (*preferred, *existing):
        if number in existing and _kind_of(tracking, existing[number]) == kind:
            return existing[number]
    raise InputError(
        f"{kind}: no such network is registered in {tracking.address}; train one with gkm train --data DATA "
        f"--set model.kind={kind} --register"
    )


def _kind_of(tracking: Tracking, version: Any) -> str:
    """The kind of a version's network: what its tag says, or else the settings of its LoggedModel."""
    if (tagged := version.tags.get(NETWORK_TAG)) is not None:
        return str(tagged)
    if (model_id := version.tags.get(MODEL_TAG)) is None:
        return DEFAULT_KIND
    return str(tracking.client.get_logged_model(model_id).params.get("model.kind", DEFAULT_KIND))


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
