"""Weights in, a version of the registered model out; which takes the alias `challenger`, if it has a claim to it.

Whoever registers weights by name wants them promoted next: they take it. The winner of a study takes it only from a
version that did worse on the validation photographs of the same data.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gkm.errors import InputError
from gkm.registry import history, integrity, ledger, served, standing, versions
from gkm.registry.card import registration_card
from gkm.registry.ledger import REGISTERED_NAME
from gkm.registry.standing import CHALLENGER, CHAMPION, Standing
from gkm.tracking import Tracking, log_model, redacted

if TYPE_CHECKING:
    from gkm.data.dataset.dataset import Dataset
    from gkm.data.reading.cache import NodeCache
    from gkm.networks import Network
    from gkm.study.record.results import StudyResults

_CARRIED_TAGS = ("gkm.data", "gkm.fingerprint", "gkm.git_commit", "gkm.seed", "gkm.trial")
"""Tags of the training run that a version repeats."""
_ANNOUNCED = "gkm.announced"
"""Tag of versions that took the alias, or were refused it: a registration cut short is completed by the next."""
_TAKEN, _NOT_TAKEN = "challenger", "registered"
"""Events."""


@dataclass(frozen=True)
class Registered:
    """A version, and what became of its claim."""

    version: int
    is_challenger: bool
    """Whether it took the alias when it was registered."""
    reason: str = ""
    """Why it did or did not, after "because" as it were; empty where nobody else had a claim."""

    @property
    def sentence(self) -> str:
        """Such as "gkmnet version 3, alias challenger"."""
        alias = f"alias {CHALLENGER}" if self.is_challenger else f"without the alias {CHALLENGER}"
        return f"{REGISTERED_NAME} version {self.version}, {alias}" + (f": {self.reason}" if self.reason else "")


def register(
    tracking: Tracking, run_id: str, weights: Path, *, tags: Mapping[str, str] | None = None, summary: str = ""
) -> int:
    """Make the weights directory `weights` of the run `run_id` a version of `gkmnet`, and that version the challenger.

    Its description is its model card, with the sentence `summary` in front. Registering the same weights of the same
    run again changes nothing. Returns the version.

    Raises InputError where the weights are missing or damaged.
    """
    return _claim(tracking, _version(tracking, run_id, weights, dict(tags or {}), summary), None).version


def register_run(tracking: Tracking, run_id: str, *, tags: Mapping[str, str], summary: str) -> int:
    """Register the best weights of a trial as challenger; returns the version.

    Raises InputError where its weights are gone or damaged.
    """
    with tempfile.TemporaryDirectory(prefix="gkm-") as temporary:
        weights = tracking.download(run_id, "weights", Path(temporary))
        return register(tracking, run_id, weights, tags=tags, summary=summary)


def register_best(
    tracking: Tracking,
    results: StudyResults,
    data: Dataset | str | None = None,
    cache: NodeCache | str | None = None,
) -> Registered:
    """Register the best trial of a study; it takes the alias `challenger` if it has a better claim to it.

    That is where nobody has it, or the champion has it, or a version that did worse on the validation photographs of
    the same data: by recorded figures, or else measured on `data`. Where the data differ the newer version takes it.

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
    with tempfile.TemporaryDirectory(prefix="gkm-") as temporary:
        weights = tracking.download(best.run_id, "weights", Path(temporary))
        version = _version(tracking, best.run_id, weights, tags, described)
    return _claim(tracking, version, _Rival(tracking, results, data, cache))


def find_registered(tracking: Tracking, run_id: str | None) -> Registered | None:
    """What was registered of a run, if anything was: the newest version."""
    for version in versions.versions(tracking):
        if version.run_id == run_id:
            known = _claimed(version, standing.read(tracking))
            return known or Registered(int(version.version), True)
    return None


@dataclass(frozen=True)
class _Rival:
    """The winner of a study, to be compared with the challenger."""

    tracking: Tracking
    results: StudyResults
    data: Dataset | str | None
    cache: NodeCache | str | None

    def beats(self, version: int, incumbent: Any) -> tuple[bool, str]:
        """Whether `version` has the better claim than the version `incumbent`, and why."""
        objective, tag = self.results.objectives[0], f"gkm.{self.results.metric}"
        name, there = f"version {incumbent.version}", incumbent.tags.get("gkm.data")
        here = self.results.data_fingerprint
        if there and here and there != here:
            return True, f"{name}, which had it, was chosen on other data ({there}, not {here})"
        if there and tag in incumbent.tags:
            assert self.results.best is not None
            own, other, text = self.results.best.score, float(incumbent.tags[tag]), objective.text
            better = other - own if objective.mode == "min" else own - other
        elif self.data is None:
            return True, f"{name}, which had it, has no recorded {self.results.metric} to compare with"
        else:
            try:
                own, other = (
                    _validation_psnr(self.tracking, v, self.data, self.cache) for v in (version, incumbent.version)
                )
            except InputError as error:
                return True, f"{name}, which had it, cannot be measured ({error})"
            better, text = own - other, "{:.2f} dB".format
        figures = f"{text(own)} on the same validation photographs"
        if round(better, 4) > 0:
            return True, f"{figures}, better than {name} with {text(other)}"
        return False, f"{figures}, not better than {name} with {text(other)}, which keeps it"


def _claim(tracking: Tracking, version: Any, rival: _Rival | None) -> Registered:
    """Have `version` take the alias, or not, unless that was settled before."""
    number = int(version.version)
    while True:
        seen = standing.read(tracking)
        if (known := _claimed(version, seen)) is not None:
            if seen.unsettled:
                standing.settle(tracking)
            return known
        taken, reason = _verdict(tracking, number, seen, rival)
        event = _TAKEN if taken else _NOT_TAKEN
        entry = {
            "event": event,
            "time": history.now(),
            "version": number,
            "reason": reason,
            "who": history.whoami(),
            "aliases": {CHALLENGER: number} if taken else {},
            "tags": {_ANNOUNCED: event},
        }
        if standing.change(tracking, seen, entry):
            return Registered(number, taken, reason)


def _verdict(tracking: Tracking, number: int, seen: Standing, rival: _Rival | None) -> tuple[bool, str]:
    incumbent = seen.aliases.get(CHALLENGER)
    if rival is None or incumbent in (None, number):
        return True, ""
    if incumbent == seen.aliases.get(CHAMPION):
        return True, f"version {incumbent}, which had it, is the champion"
    record = next((v for v in versions.versions(tracking) if int(v.version) == incumbent), None)
    if record is None:
        return True, f"version {incumbent}, which had it, was deleted"
    return rival.beats(number, record)


def _claimed(version: Any, seen: Standing) -> Registered | None:
    """What became of the claim of `version`, if it was made."""
    number = int(version.version)
    for entry in seen.history.entries:
        if entry["version"] == number and entry["event"] in (_TAKEN, _NOT_TAKEN):
            return Registered(number, entry["event"] == _TAKEN, entry["reason"])
    return Registered(number, True) if _ANNOUNCED in version.tags else None


def _version(tracking: Tracking, run_id: str, weights: Path, tags: dict[str, str], summary: str) -> Any:
    """MLflow's record of these weights of this run; made where there is none."""
    from gkm.training.checkpoint import load_weights

    network = load_weights(weights)
    digest = integrity.digest(weights)
    known = versions.search(tracking, f"name = '{REGISTERED_NAME}' and run_id = '{run_id}'")
    found = next((version for version in known if version.tags.get(integrity.WEIGHTS_TAG) == digest), None)
    ledger.ensure(tracking)
    return found or _create(tracking, run_id, weights, network, {**tags, integrity.WEIGHTS_TAG: digest}, summary)


def _create(
    tracking: Tracking, run_id: str, weights: Path, network: Network, tags: dict[str, str], summary: str
) -> Any:
    run = tracking.client.get_run(run_id)
    digest = tags[integrity.WEIGHTS_TAG]
    every = {key: run.data.tags[key] for key in _CARRIED_TAGS if key in run.data.tags} | tags
    # Files of its own: another registration of the run cannot change what a version points to.
    with tempfile.TemporaryDirectory(prefix="gkm-") as temporary:
        local = Path(temporary) / REGISTERED_NAME
        served.save(weights, local, run_id)
        settings = {f"model.{key}": str(value) for key, value in network.config.model_dump(mode="json").items()}
        own = {key: every[key] for key in (integrity.WEIGHTS_TAG, "gkm.study") if key in every}
        kept = log_model(tracking, run_id, local, name=REGISTERED_NAME, tags=own, parameters=settings)
    known = {versions.MODEL_TAG: kept.model_id, versions.NETWORK_TAG: network.config.kind}
    return tracking.client.create_model_version(
        REGISTERED_NAME,
        kept.location,
        run_id,
        tags={key: redacted(value) for key, value in {**every, **known}.items()},
        description=registration_card(tracking, run, network, digest=digest, tags=every, summary=summary),
        model_id=kept.model_id,
    )


def _validation_psnr(
    tracking: Tracking, version: int | str, data: Dataset | str, cache: NodeCache | str | None
) -> float:
    """Mean PSNR in dB on the validation photographs."""
    from gkm.data.reading.cache import open_split
    from gkm.evaluation import evaluate, mean_scores, restorer
    from gkm.training.context import best_device

    device = best_device()
    loaded = versions.load(tracking, version)
    photos = open_split(data, "validation", cache, inputs=loaded.model.inputs)
    restore = restorer(loaded.model.to(device))
    try:
        scores = evaluate(restore, photos, inputs=loaded.model.inputs, with_lpips=False, device=device)
    except FloatingPointError as error:
        raise InputError(f"{loaded.name}: {error}") from None
    return mean_scores(scores)["psnr"]
