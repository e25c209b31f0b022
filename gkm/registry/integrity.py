"""A weights directory in, its hashes out; and the refusal of weights that are not those that were registered.

A version has the SHA-256 of its two files, one after the other, as the tag `gkm.weights`, and a file `SHA256SUMS`
beside them, as `sha256sum --check` reads it: the first is for whoever asks the registry, the second for whoever has the
files alone. Versions of before may have neither.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

from gkm.errors import InputError

FILES = ("model.json", "model.safetensors")
WEIGHTS_TAG = "gkm.weights"


def digest(weights: Path) -> str:
    """The SHA-256 of both files as one, in hex; OSError where one is missing."""
    return hashlib.sha256(b"".join((weights / name).read_bytes() for name in FILES)).hexdigest()


def check(weights: Path, source: str, registered: str | None = None) -> bool:
    """Whether the weights carry a hash, by the registry (`registered`) or by themselves; each that is there is right.

    Where they carry none, a warning says so. Raises InputError that names `source` where a hash is another one now;
    missing files are left to those who read them.
    """
    if any(not (weights / name).is_file() for name in FILES):
        return registered is not None
    now = digest(weights)
    if registered is not None and now != registered:
        raise InputError(
            f"{source}: its weights are not those that were registered (SHA-256 {now[:12]}, then {registered[:12]}); "
            "put the file back or choose another version"
        )
    inside = _check_sums(weights, source)
    if registered is None and not inside:
        logging.getLogger(__name__).warning(
            "%s: its weights carry no hash, so that nobody can tell whether they are those that were registered", source
        )
        return False
    return True


def _check_sums(weights: Path, source: str) -> bool:
    """Whether `SHA256SUMS` is there; InputError where it says something else than the files do."""
    from gkm.training.checkpoint import SUMS_NAME, damage

    if not (weights / SUMS_NAME).is_file():
        return False
    if (name := damage(weights, FILES)) is not None:
        raise InputError(
            f"{source}: {name} is not the one that was registered (its SHA-256 is not the one in {SUMS_NAME}); "
            "put the file back or choose another version"
        )
    return True
