"""Uploaded photographs in, one restored at a time, the last few results kept out."""

from __future__ import annotations

import queue
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from io import BytesIO

from gkm.data.photos import Upload, as_8bit
from gkm.registry import LoadedModel
from gkm.restoration.photograph import Photograph, read_photograph
from gkm.restoration.restoring import restore
from gkm.restoration.writing import SUFFIXES, default_format, encode

MOST_WAITING = 8
"""Photographs that wait for their turn; more are sent away."""
_KEPT_RESULTS = 4


class BusyError(Exception):
    """Too many photographs wait already."""


@dataclass(frozen=True)
class Result:
    """A restored photograph, ready to be shown and fetched."""

    before: bytes
    """PNG of 8 bits."""
    after: bytes
    """The same, restored."""
    file: bytes
    """The restored photograph with its bits, alpha, EXIF and profile."""
    name: str
    """Of that file."""
    size: tuple[int, int]
    """Width and height in pixels."""
    model: str
    seconds: float


class Restorations:
    """A thread that restores one photograph after the other; it does not outlive the process."""

    def __init__(self, most_pixels: int) -> None:
        self.most_pixels = most_pixels
        self._jobs: queue.Queue[tuple[Future[str], Callable[[], Result]]] = queue.Queue(MOST_WAITING)
        self._results: dict[str, Result] = {}
        threading.Thread(target=self._work, name="gkm-restorations", daemon=True).start()

    @property
    def waiting(self) -> int:
        """Photographs whose turn has not come."""
        return self._jobs.qsize()

    def submit(self, upload: Upload, get_model: Callable[[], LoadedModel]) -> Future[str]:
        """The key of the result, in time; whoever asks for it no longer cancels it. BusyError if too many wait."""
        future: Future[str] = Future()
        try:
            self._jobs.put_nowait((future, lambda: self._restored(upload, get_model())))
        except queue.Full:
            raise BusyError from None
        return future

    def result(self, key: str) -> Result | None:
        """The result of that key; None where there was none, or newer ones took its place."""
        return self._results.get(key)

    def _work(self) -> None:
        while True:
            future, make = self._jobs.get()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = make()
            except Exception as error:  # told to whoever asked
                future.set_exception(error)
                continue
            key = secrets.token_urlsafe(16)
            for older in list(self._results)[: max(len(self._results) + 1 - _KEPT_RESULTS, 0)]:
                del self._results[older]
            self._results[key] = result
            future.set_result(key)

    def _restored(self, upload: Upload, loaded: LoadedModel) -> Result:
        began = time.perf_counter()
        before = read_photograph(upload, most_pixels=self.most_pixels)
        after = restore(loaded.model, before)
        form = default_format(before.kind)
        file = BytesIO()
        encode(file, after, form)
        stem = upload.name.rpartition(".")[0] or upload.name
        return Result(
            before=_shown(before),
            after=_shown(after),
            file=file.getvalue(),
            name=f"{stem}-restored{SUFFIXES[form]}",
            size=after.size,
            model=loaded.name if loaded.version is not None else "the given weights",
            seconds=time.perf_counter() - began,
        )


def _shown(photograph: Photograph) -> bytes:
    """What every browser can show, with the profile of its colours."""
    buffer = BytesIO()
    encode(buffer, Photograph(rgb_HW3=as_8bit(photograph.rgb_HW3), icc=photograph.icc), "png")
    return buffer.getvalue()
