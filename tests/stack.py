"""A real `make stack` that tests start, disturb and stop."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
START_SECONDS = 400


class Stack:
    """A stack in a folder of its own, that the account of PostgreSQL can reach where this one is root."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="gkm-stack-", dir="/tmp"))
        self.log = self.folder.with_suffix(".log")
        self.process: subprocess.Popen[bytes] | None = None

    def command(self, *words: object) -> list[str]:
        return [sys.executable, "-m", "cluster.stack", *map(str, words), "--folder", str(self.folder)]

    def call(self, *words: object) -> subprocess.CompletedProcess[str]:
        """Another command of the stack, to its end."""
        return subprocess.run(
            self.command(*words), capture_output=True, text=True, check=False, cwd=ROOT, timeout=START_SECONDS
        )

    def start(self, *options: object) -> str:
        """Start it; what it says once it runs."""
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.command("start", "--cpus", 2, *options), stdout=log, stderr=log, cwd=ROOT, start_new_session=True
            )
        deadline = time.monotonic() + START_SECONDS
        while "Ctrl-C ends" not in (said := self.log.read_text()):
            assert self.process.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.2)
        return said

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it so; its exit status."""
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(120)

    def remove(self) -> None:
        """End it, and delete what it kept."""
        if self.process is not None and self.process.poll() is None:
            self.stop()
        self.call("stop")
        shutil.rmtree(self.folder, ignore_errors=True)
        self.log.unlink(missing_ok=True)

    @property
    def environment(self) -> dict[str, str]:
        """What `source FOLDER/keys/environment` gives."""
        lines = (self.folder / "keys" / "environment").read_text().splitlines()
        return dict(re.fullmatch(r"export (\w+)='?(.*?)'?", line).groups() for line in lines)  # type: ignore[union-attr, misc]

    def submit(self, *words: object, **variables: str) -> subprocess.Popen[str]:
        """A command of gkm as a job, begun."""
        environment = {**os.environ, **self.environment, **variables, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
        return subprocess.Popen(
            [sys.executable, "-m", "pipelines.cli", "submit", "--", *map(str, words)],
            env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
