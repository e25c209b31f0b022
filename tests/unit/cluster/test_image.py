"""The Dockerfile: pinned, without root, and made of files that exist and reach the build."""

import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def steps():
    """(instruction, arguments) of each step, continued lines joined."""
    text = (ROOT / "cluster" / "Dockerfile").read_text()
    lines = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)).splitlines()
    return [tuple(line.split(None, 1)) for line in lines if line.strip()]


def test_base_is_pinned_to_a_python_we_support(steps):
    base = dict(steps)["FROM"]
    assert re.fullmatch(r"python:3\.1[12]\.\d+-slim-\w+", base)


def test_copied_files_exist_and_are_not_ignored(steps):
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    kept = [line.removeprefix("!") for line in ignore if line.startswith("!")]
    sources = [source for name, words in steps if name == "COPY" for source in words.split()[:-1]]
    assert {"gkm", "pipelines", "search_spaces", "constraints.txt"} <= set(sources)
    assert [source for source in sources if not (ROOT / source).exists()] == []
    assert [source for source in sources if not any(fnmatch(source, pattern) for pattern in kept)] == []


def test_every_package_comes_at_its_pinned_version(steps):
    installs = [part for name, words in steps if name == "RUN" for part in re.findall(r"pip install[^;&]*", words)]
    assert installs
    assert all("-c constraints.txt" in install for install in installs)


def test_readme_and_licence_reach_the_package_build(steps):
    copied = " ".join(words for name, words in steps if name == "COPY")
    assert "README.md" in copied
    assert "LICENSE" in copied


def test_it_runs_without_root(steps):
    assert [words for name, words in steps if name == "USER"] == ["1000"]
    assert [name for name, _ in steps].index("USER") > max(i for i, (name, _) in enumerate(steps) if name == "RUN")
