"""Files, texts and pictures in; artifacts of runs, on this machine, in S3 or behind a server, out; and back."""

from __future__ import annotations

import io
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from gkm import storage
from gkm.errors import InputError
from gkm.storage import atomic
from gkm.tracking.connection import Connection

if TYPE_CHECKING:
    import numpy as np

_LOGGED_PICTURE = re.compile(r"images/(.+)\+step\+(\d+)\+timestamp\+\d+\+[0-9a-f-]+\+compressed\.webp")
"""The smaller copy, which MLflow writes last."""


class Artifacts(Connection):
    """The files that runs keep."""

    def log_text(self, run_id: str, name: str, text: str) -> None:
        """Keep `text` as the artifact `name` (a path with "/")."""
        with tempfile.TemporaryDirectory(prefix="gkm-") as folder:
            path = Path(folder) / Path(name).name
            path.write_text(text, encoding="utf-8")
            self.log_file(run_id, path, _folder_of(name))

    def log_image(self, run_id: str, name: str, image: np.ndarray) -> None:
        """Keep an image (height x width x 3, uint8) as the artifact `name`, such as "validation.png"."""
        from PIL import Image

        with tempfile.TemporaryDirectory(prefix="gkm-") as folder:
            path = Path(folder) / Path(name).name
            Image.fromarray(image).save(path)
            self.log_file(run_id, path, _folder_of(name))

    def log_picture(self, run_id: str, key: str, step: int, png: bytes, timestamp_seconds: float | None = None) -> None:
        """Keep a picture (PNG) as that of `key` at `step`: MLflow shows those of a key with a slider.

        Logged twice, it is there twice; see `picture_steps`.
        """
        from PIL import Image

        with Image.open(io.BytesIO(png)) as image:
            time_ms = None if timestamp_seconds is None else round(timestamp_seconds * 1000)
            self.client.log_image(run_id, image.convert("RGB"), key=key, step=step, timestamp=time_ms)

    def picture_steps(self, run_id: str, key: str) -> set[int]:
        """The steps of `key` whose picture the run has."""
        found = (_LOGGED_PICTURE.fullmatch(entry.path) for entry in self.client.list_artifacts(run_id, "images"))
        return {int(match[2]) for match in found if match and match[1] == key.replace("/", "~")}

    def log_file(self, run_id: str, path: Path, folder: str | None = None) -> None:
        """Keep a copy of the file at `path` as an artifact, under `folder` if given; replaces an older one whole."""
        location = self.artifact_root(run_id)
        if location is None:
            self.client.log_artifact(run_id, str(path), folder)
            return
        if storage.is_remote(location):
            storage.upload(path, storage.join(location, *([folder] if folder else []), path.name))
            return
        root = Path(location)
        target = root / (folder or "") / path.name
        # A process may be killed while it copies: the half copy stays outside the artifacts.
        with atomic.whole(target, aside=root.parent) as partial:
            shutil.copyfile(path, partial)

    def log_folder(self, run_id: str, path: Path, folder: str) -> None:
        """Keep a copy of all files below `path` as artifacts under `folder`."""
        root = self.artifact_root(run_id)
        if root is not None and storage.is_remote(root):
            storage.upload_folder(path, storage.join(root, folder))
        else:
            self.client.log_artifacts(run_id, str(path), folder)

    def artifact_root(self, run_id: str) -> str | None:
        """Where a run's artifacts lie if that is on this machine or in S3, else None: a server passes them on."""
        address: str = self.client.get_run(run_id).info.artifact_uri
        uri = urlsplit(address)
        if uri.scheme == "file":
            return unquote(uri.path)
        return address if storage.is_remote(address) else None

    def download(self, run_id: str, artifact_path: str, to: Path) -> Path:
        """Copy an artifact (a file or a folder) of a run to the folder `to`; returns where it lies then.

        Raises InputError where the run has no such artifact.
        """
        to.mkdir(parents=True, exist_ok=True)
        root = self.artifact_root(run_id)
        if root is not None and storage.is_remote(root):
            location, target = storage.join(root, artifact_path), to / artifact_path
            if not storage.exists(location):
                raise InputError(_missing(run_id, artifact_path))
            storage.fetch(location, target)
            return target
        try:
            return Path(self.client.download_artifacts(run_id, artifact_path, str(to)))
        except Exception as error:
            if not self._has_artifact(run_id, artifact_path):
                raise InputError(_missing(run_id, artifact_path)) from error
            raise

    def _has_artifact(self, run_id: str, artifact_path: str) -> bool:
        return any(
            entry.path == artifact_path for entry in self.client.list_artifacts(run_id, _folder_of(artifact_path))
        )


def _missing(run_id: str, artifact_path: str) -> str:
    return f"run {run_id}: keeps no {artifact_path}; the trial ended before it was written, or it was deleted"


def _folder_of(name: str) -> str | None:
    return name.rpartition("/")[0] or None
