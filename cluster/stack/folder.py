"""A folder of the user's choice in; where the stack keeps its data, keys, logs and state out."""

import os
from dataclasses import dataclass
from pathlib import Path

from gkm.errors import InputError

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Folder:
    """Where a stack keeps everything; open to the account that started it only."""

    root: Path

    @property
    def is_default(self) -> bool:
        """Whether it is the one that a start without --folder uses."""
        return self.root == default_folder()

    @property
    def keys(self) -> Path:
        """Passwords, keys and the token, in files of mode 600."""
        return self.root / "keys"

    @property
    def logs(self) -> Path:
        """What the servers say, one file each."""
        return self.root / "logs"

    @property
    def workspace(self) -> Path:
        """The workspace of jobs."""
        return self.root / "workspace"

    @property
    def postgres(self) -> Path:
        """PostgreSQL's databases."""
        return self.root / "postgres"

    @property
    def s3(self) -> Path:
        """SeaweedFS' objects."""
        return self.root / "s3"

    @property
    def state(self) -> Path:
        """Which processes run, and on which ports."""
        return self.root / "state.json"

    @property
    def environment(self) -> Path:
        """What a shell has to `source`."""
        return self.keys / "environment"

    def make(self) -> None:
        """Create what is missing. InputError where it cannot be used, or would be uploaded with every job."""
        if self.root.is_relative_to(CHECKOUT):
            raise InputError(f"{self.root}: lies in the checkout, which jobs upload; choose another --folder")
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            if self.root.stat().st_uid != os.getuid():
                raise InputError(f"{self.root}: belongs to another user; choose another --folder")
            # PostgreSQL runs as another account where this one is root: it has to get to its own folder.
            self.root.chmod(0o700 if os.getuid() else 0o711)
            for part in (self.keys, self.logs, self.workspace, self.s3):
                part.mkdir(mode=0o700, exist_ok=True)
                part.chmod(0o700)
        except OSError as error:
            raise InputError(f"{self.root}: cannot be used ({error.strerror}); choose another --folder") from None


def default_folder() -> Path:
    """Where a stack is kept unless the user says otherwise."""
    return Path.home() / ".local/state/gkm-stack" if os.getuid() else Path("/var/lib/gkm-stack")


def write_private(path: Path, text: str) -> None:
    """Write a file that only this account can read; whole or not at all, and at no moment readable by others."""
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    partial.replace(path)
