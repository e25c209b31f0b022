"""Which checkpoint a trial goes on from when a study is taken up again."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

from pyarrow.fs import FileSelector, FileType

from gkm.training.checkpoint import SUMS_NAME


class SurvivingCheckpoint:
    """Mixed into Ray's trainable: where the checkpoint that it shall restore is gone, the next one takes its place.

    Tune drops old checkpoints before its own state names newer ones. A driver that is killed in between comes back to
    one that is gone, and its trial would fail. Where none is left the trial starts anew.
    """

    def restore(self, checkpoint_path: Any) -> None:
        """Takes Ray's training result, whose checkpoint it may replace."""
        survivor = first_complete(checkpoint_path.checkpoint)
        if survivor is not None:
            checkpoint_path.checkpoint = survivor
            super().restore(checkpoint_path)  # type: ignore[misc]


def first_complete(checkpoint: Any) -> Any | None:
    """Ray's `checkpoint`, or the first complete one of those written after it beside it."""
    for candidate in chain((checkpoint,), _written_after(checkpoint)):
        if candidate.filesystem.get_file_info(f"{candidate.path}/{SUMS_NAME}").type == FileType.File:
            return candidate
    return None


def _written_after(checkpoint: Any) -> Iterator[Any]:
    """The checkpoints beside this one with a higher number in their names, the lowest first."""
    folder, _, name = checkpoint.path.rpartition("/")
    found = checkpoint.filesystem.get_file_info(FileSelector(folder or ".", allow_not_found=True))
    for path in sorted(info.path for info in found if info.type == FileType.Directory):
        later = path.rpartition("/")[2]
        if later.startswith("checkpoint_") and later > name:
            yield type(checkpoint)(path, checkpoint.filesystem)
