"""A Dockerfile in; what is not pinned, runs as root, or would not be found when it is built, out."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

from cluster.checks.project import ROOT, secrets_in

DEVICES = {"cpu", "cuda"}
"""The targets."""
LEFT_OUT = ("DL3008", "DL3059")
"""Of hadolint's rules: Debian's packages keep no old versions to pin; several RUN in a row are wanted."""


def image_problems(text: str) -> list[str]:
    """Problems of a Dockerfile; hadolint's, too, where it is installed."""
    lines = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)).splitlines()
    steps = [(name, rest) for name, _, rest in (line.partition(" ") for line in lines if line.strip())]
    stages: dict[str, list[tuple[str, str]]] = {}
    name = ""
    for step, words in steps:
        if step == "FROM":
            name = words.split()[-1]
            stages[name] = []
        stages.setdefault(name, []).append((step, words))
    found = secrets_in(text) + _base_problems(stages) + _copy_problems(steps)
    if missing := DEVICES - set(stages):
        return [*found, f"has no target {', '.join(sorted(missing))}"]
    for target in sorted(DEVICES):
        found += [f"target {target}: {problem}" for problem in _target_problems(stages[target])]
    for install in re.findall(r"pip install[^;&\n]*", text.replace("\\\n", " ")):
        if "-c constraints.txt" not in install:
            found.append(f"not at the versions of constraints.txt: {install.strip()[:80]}")
    return found or hadolint_problems(text)


def _base_problems(stages: dict[str, list[tuple[str, str]]]) -> list[str]:
    found = []
    for steps in stages.values():
        source = next((words.split()[0] for step, words in steps if step == "FROM"), "")
        if source in {*stages, "scratch"}:
            continue
        if not re.fullmatch(r"python:3\.1[12]\.\d+-slim-\w+", source):
            found.append(f"FROM {source}: must be a version of Python 3.11 or 3.12, to the last digit, of Debian slim")
    return found


def _target_problems(steps: list[tuple[str, str]]) -> list[str]:
    names = [step for step, _ in steps]
    found = []
    if [words for step, words in steps if step == "USER"] != ["1000"]:
        found.append("USER: must be 1000, once")
    elif "RUN" in names[names.index("USER") :]:
        found.append("RUN: after USER")
    if not any(words.startswith("GKM_GIT_COMMIT=$GIT_COMMIT") for step, words in steps if step == "ENV"):
        found.append("ENV: without GKM_GIT_COMMIT=$GIT_COMMIT nothing says what code ran")
    if not any("GIT_COMMIT" in words and "40" in words for step, words in steps if step == "RUN"):
        found.append("RUN: does not refuse a build without a commit")
    health = [words for step, words in steps if step == "HEALTHCHECK"]
    if len(health) != 1 or "ray" not in health[0]:
        found.append("HEALTHCHECK: must ask Ray")
    return found


def _copy_problems(steps: list[tuple[str, str]]) -> list[str]:
    kept = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    patterns = [line.removeprefix("!") for line in kept if line.startswith("!")]
    sources = {
        source
        for step, words in steps
        if step in ("COPY", "ADD") and "--from=" not in words
        for source in words.split()[:-1]
    }
    found = [f"COPY {source}: is not there" for source in sorted(sources) if not (ROOT / source).exists()]
    found += [
        f"COPY {source}: .dockerignore keeps it out"
        for source in sorted(sources)
        if (ROOT / source).exists() and not any(fnmatch(source, pattern) for pattern in patterns)
    ]
    if missing := {"constraints.txt", "pyproject.toml", "README.md", "LICENSE", "gkm", "pipelines"} - sources:
        found.append(f"COPY: without {', '.join(sorted(missing))}")
    if any(step == "ADD" for step, _ in steps):
        found.append("ADD: fetches and unpacks; use COPY")
    return found


def linter(name: str) -> str | None:
    """Where the program of a linter is: beside this Python, or on the PATH; None: nowhere."""
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.is_file() else shutil.which(name)


def hadolint_problems(text: str) -> list[str]:
    """What hadolint says of a Dockerfile; nothing where it is not installed."""
    if not (program := linter("hadolint")):
        return []
    ignored = [word for rule in LEFT_OUT for word in ("--ignore", rule)]
    ended = subprocess.run(
        [program, "--no-color", *ignored, "-"], input=text, capture_output=True, text=True, check=False, timeout=60
    )
    return [f"hadolint: {line.removeprefix('-:')}" for line in (ended.stdout + ended.stderr).splitlines() if line]
