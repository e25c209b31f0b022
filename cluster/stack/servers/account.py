"""Whether this process is root in; the account that PostgreSQL runs as out: it refuses to be root."""

import os
import pwd
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gkm.errors import InputError

CANDIDATES = ("postgres", "nobody")


@dataclass(frozen=True)
class Account:
    """An account of this machine."""

    name: str
    user: int
    group: int

    def arguments(self) -> dict[str, Any]:
        """What subprocess needs to start a process as this account, with none of root's groups."""
        return {"user": self.user, "group": self.group, "extra_groups": []}

    def reaches(self, path: Path) -> bool:
        """Whether it may pass through all folders above `path` and enter it; by the rights of everybody."""
        return all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents))


def other_account() -> Account | None:
    """None where PostgreSQL may run as this account; InputError where root finds no other."""
    if os.getuid():
        return None
    for name in CANDIDATES:
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, found.pw_uid, found.pw_gid)
    raise InputError(
        f"PostgreSQL does not run as root, and there is no account {' or '.join(CANDIDATES)} to run it as; "
        "add one, or start the stack as another user"
    )
