"""What one trial keeps, at a place (a folder or an `s3://` prefix): written by the trial, read by whoever follows it.

    checkpoints/epoch-0000007/                 what training goes on from; the newest two
    checkpoints/epoch-0000007-batch-0000120/   the same within the epoch that follows; the newest
    best/epoch-0000007/                        the best weights and their scores (`gkm.training.best`)
    pictures/validation-0000007.png
    profile/trace.json.gz  summary.txt         where steps were profiled (`gkm.training.course.profiling`)

The best weights of an epoch are written before its checkpoint, whose history names them, and older ones are deleted
after it. So the weights that a checkpoint speaks of are there, whenever the process was killed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from gkm import storage
from gkm.errors import InputError
from gkm.training.best import BEST_NAMES, VALIDATION_NAME, PhotographScore, parse_scores
from gkm.training.checkpoint import CHECKPOINT_NAMES, STATE_NAME, SUMS_NAME, damage, training_state
from gkm.training.place import Place, Write, open_place

TRACE_NAME, SUMMARY_NAME = "profile/trace.json.gz", "profile/summary.txt"
"""Of profiled steps; the summary is written last."""
At = tuple[int, int]
"""Where a checkpoint stands: complete epochs, and batches of the next one."""

_CHECKPOINT = re.compile(r"(?:checkpoints/)?epoch-(\d+)(?:-batch-(\d+))?/")
"""Version 0.1.0 kept them right below the place."""
_BEST = re.compile(r"best/epoch-(\d+)/")
_PICTURE = re.compile(r"pictures/validation-(\d+)\.png")


@dataclass(frozen=True)
class Found:
    """What training goes on from."""

    directory: Path | None
    """Of the newest whole checkpoint; None: there is none."""
    note: str | None = None
    """Why it is not a newer one, in a sentence."""


class TrialStore(Protocol):
    """What one trial keeps."""

    place: str

    def save_checkpoint(self, at: At, write: Write) -> None:
        """Keep what `write` writes as the checkpoint at `at`; an OSError or InputError leaves the others whole."""

    def latest_checkpoint(self) -> AbstractContextManager[Found]:
        """The newest whole checkpoint, to be read within a `with` block; unfinished ones count for nothing."""

    def save_best(self, epoch: int, write: Write) -> None:
        """Keep what `write` writes (see `gkm.training.best.save_best`) as the best weights, those of `epoch`."""

    def save_picture(self, epoch: int, png: bytes) -> None:
        """Keep a picture of restored validation photographs."""

    def save_profile(self, trace: bytes, summary: str) -> None:
        """Keep a trace of steps (gzipped JSON) and its summary, in the place of an older one."""

    def prune(self, checkpoints: Collection[At], best: Collection[int]) -> None:
        """Delete all other checkpoints than these, and the best weights of all other epochs than those."""

    @property
    def idle(self) -> bool:
        """Whether all that was saved is where it belongs, or has failed."""

    def wait(self) -> None:
        """Return once all that was saved is where it belongs; raises OSError or InputError where it cannot be."""


class PlacedStore:
    """A `TrialStore` at any `Place`."""

    def __init__(self, place: str, *, background: bool = False) -> None:
        self.place = place
        self._files = open_place(place, background=background)

    def save_checkpoint(self, at: At, write: Write) -> None:
        self._files.write_folder(f"checkpoints/{_folder(*at)}", write)

    @contextmanager
    def latest_checkpoint(self) -> Iterator[Found]:
        damaged: list[At] = []
        for at, name in _finished_checkpoints(self._files.files()):
            with self._files.open_folder(name) as directory:
                if damage(directory, CHECKPOINT_NAMES) is None:
                    yield Found(directory, _explained(damaged, at))
                    return
            damaged.append(at)
        yield Found(None, _explained(damaged, None))

    def save_best(self, epoch: int, write: Write) -> None:
        self._files.write_folder(f"best/{_folder(epoch)}", write)

    def save_picture(self, epoch: int, png: bytes) -> None:
        self._files.write(f"pictures/validation-{epoch:07d}.png", png)

    def save_profile(self, trace: bytes, summary: str) -> None:
        self._files.write(TRACE_NAME, trace)
        self._files.write(SUMMARY_NAME, summary.encode())

    def prune(self, checkpoints: Collection[At], best: Collection[int]) -> None:
        names = self._files.files()
        for pattern, kept in ((_CHECKPOINT, set(checkpoints)), (_BEST, {(epoch, 0) for epoch in best})):
            for at, name in _folders(pattern, names):
                if at not in kept:
                    self._files.delete_folder(name)

    @property
    def idle(self) -> bool:
        return self._files.idle

    def wait(self) -> None:
        self._files.wait()


def open_store(place: str, *, background: bool = False) -> TrialStore:
    """The store of a trial at `place`, made when something is kept there.

    `background`: saving to S3 returns before it is done, in order; see `TrialStore.wait`.
    """
    return PlacedStore(place, background=background)


def read_history(place: str) -> list[dict[str, float]]:
    """The validated epochs of a trial as its newest whole checkpoint has them; none if it has no checkpoint yet."""
    history: list[dict[str, float]] = _newest_state(place).get("history", [])
    return history


def _newest_state(place: str) -> dict[str, Any]:
    files = open_place(place)
    for _, name in _finished_checkpoints(files.files()):
        try:
            return training_state(_verified(files, place, name, STATE_NAME))
        except InputError:
            continue  # damaged, or deleted meanwhile for a newer one
    return {}


def newest_checkpoint(place: str) -> At | None:
    """Where the newest finished checkpoint stands, whole or damaged; None: there is none."""
    return next((at for at, _ in _finished_checkpoints(open_place(place).files())), None)


def read_notes(place: str) -> list[str]:
    """What a user should know of a trial, as its newest whole checkpoint has it."""
    return list(_newest_state(place).get("notes", ()))


def best_place(place: str, epoch: int) -> str:
    """The folder of the best weights, those of `epoch`."""
    return storage.join(place, "best", _folder(epoch))


def fetch_best(place: str, epoch: int, to: Path) -> Path:
    """Copy the best weights, those of `epoch`, into the folder `to`; returns `to`.

    Raises InputError naming the file that is missing or damaged.
    """
    location = best_place(place, epoch)
    storage.fetch(location, to)
    if (name := damage(to, BEST_NAMES)) is not None:
        raise _unusable(storage.join(location, name))
    return to


def read_validation(place: str, epoch: int) -> list[PhotographScore]:
    """Scores of the best weights, those of `epoch`, one a validation photograph; InputError as for `fetch_best`."""
    return parse_scores(_verified(open_place(place), place, f"best/{_folder(epoch)}", VALIDATION_NAME))


def list_pictures(place: str) -> list[int]:
    """Epochs of which there is a picture, in order."""
    return sorted(int(found[1]) for name in open_place(place).files() if (found := _PICTURE.fullmatch(name)))


def fetch_picture(place: str, epoch: int) -> bytes:
    """A picture as PNG; InputError if there is none."""
    return open_place(place).read(f"pictures/validation-{epoch:07d}.png")


def read_profile(place: str) -> tuple[bytes, str] | None:
    """The trace of profiled steps, gzipped, and its summary; None where none were profiled."""
    files = open_place(place)
    if SUMMARY_NAME not in files.files():
        return None
    return files.read(TRACE_NAME), files.read(SUMMARY_NAME).decode()


def _folder(epoch: int, batch: int = 0) -> str:
    return f"epoch-{epoch:07d}" + (f"-batch-{batch:07d}" if batch else "")


def _folders(pattern: re.Pattern[str], names: Iterable[str]) -> set[tuple[At, str]]:
    """Where they stand, and the names, of the folders that the files `names` are in."""
    matches = (found for name in names if (found := pattern.match(name)))
    return {((int(found[1]), int((*found.groups(), None)[1] or 0)), found[0].rstrip("/")) for found in matches}


def _finished_checkpoints(names: Sequence[str]) -> list[tuple[At, str]]:
    """Those that were written to their end, the newest first."""
    there = set(names)
    return sorted((found for found in _folders(_CHECKPOINT, names) if f"{found[1]}/{SUMS_NAME}" in there), reverse=True)


def spoken(at: At) -> str:
    """Where a checkpoint stands, in words."""
    epoch, batch = at
    return f"epoch {epoch}" if not batch else f"epoch {epoch + 1}, batch {batch}"


def _explained(damaged: list[At], at: At | None) -> str | None:
    if not damaged:
        return None
    if len(damaged) == 1:
        what = f"checkpoint of {spoken(damaged[0])} is damaged"
    elif any(batch for _, batch in damaged):
        what = f"checkpoints of {' and '.join(map(spoken, damaged))} are damaged"
    else:
        what = f"checkpoints of epochs {' and '.join(str(epoch) for epoch, _ in damaged)} are damaged"
    if at is None:
        return f"{what}: no checkpoint is whole; training starts anew"
    return f"{what}; training goes on from {spoken(at)}"


def _verified(files: Place, place: str, folder: str, name: str) -> bytes:
    """Contents of one file of a folder that has sums."""
    content = files.read(f"{folder}/{name}")
    line = f"{hashlib.sha256(content).hexdigest()}  {name}"
    if line not in files.read(f"{folder}/{SUMS_NAME}").decode(errors="replace").splitlines():
        raise _unusable(storage.join(place, folder, name))
    return content


def _unusable(location: str) -> InputError:
    return InputError(f"{location}: is missing or damaged; put back a copy of it, or train the network again")
