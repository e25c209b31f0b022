"""A checkpoint released by a network's authors in, a version of the registered model out."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

from gkm.errors import InputError
from gkm.registry.challengers import register
from gkm.tracking import NOTE, Tracking


@dataclass(frozen=True)
class Imported:
    """What was registered."""

    version: int
    run_id: str
    parameters: int
    """Of the network, trained ones."""
    sha256: str
    """Of the file."""


def import_model(tracking: Tracking, file: Path, kind: str, *, source: str = "", licence: str = "") -> Imported:
    """Register the checkpoint in `file`, of the authors of the network `kind`, as challenger.

    The version and its run carry as tags where the file comes from (`source`; left out: its path), its licence and its
    SHA-256. The same file again gives the same version.

    Raises InputError where the file is no checkpoint of that network: names and shapes of all weights are checked.
    """
    from gkm.networks import load_official
    from gkm.training.checkpoint import save_weights

    network = load_official(file, kind)
    try:
        with file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); give a file that stays where it is") from None
    tags = {
        "gkm.network": kind,
        "gkm.source": source or str(file.resolve()),
        "gkm.licence": licence or "not stated",
        "gkm.sha256": digest,
    }
    own = {"gkm.kind": "import", "gkm.network": kind, "gkm.sha256": digest}
    run, _ = tracking.adopt_or_create(own, run_name=f"import {file.name}")
    run_id = str(run.info.run_id)
    told = f"The checkpoint `{file.name}` of **{kind}**, as its authors released it. Licence: {tags['gkm.licence']}."
    whence = f"From {tags['gkm.source']}, SHA-256 {digest}."
    tracking.set_tags(run_id, {**tags, NOTE: f"{told}\n\n{whence}"})
    with tempfile.TemporaryDirectory(prefix="gkm-") as temporary:
        weights = save_weights(network, Path(temporary))
        version = register(tracking, run_id, weights, tags=tags, summary=f"{kind} as its authors released it.")
    tracking.finish(run_id, "finished")
    return Imported(version, run_id, sum(p.numel() for p in network.parameters()), digest)
