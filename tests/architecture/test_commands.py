"""Commands printed in documents, the Makefile and scripts: their files exist and their flags are known."""

import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FLAGS = Path(__file__).with_name("flags.txt")
PLACES = sorted(
    path
    for pattern in (
        "*.md",
        "docs/**/*.md",
        "cluster/*.md",
        "cluster/*.sh",
        "cluster/*.yaml",
        "Makefile",
        "pipelines/*.py",
    )
    for path in ROOT.glob(pattern)
)
COMMAND = re.compile(r"(pipelines/\w+\.py)(.*)")
PATH = re.compile(
    r"(?<![\w/.-])((?:gkm|pipelines|search_spaces|cluster|tests|docs|benchmarks)/[\w/.-]+\.(?:py|yaml|md|sh|txt))"
)


def known_flags(pipeline):
    sections = re.split(r"^(\w+\.py)\n", FLAGS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    texts = dict(zip(sections[1::2], sections[2::2], strict=True))
    return set(re.findall(r"(?<=\s)--?[a-z][\w-]*", texts.get(pipeline, ""))) | {"--help"}


def unknown_flags(text):
    """ "pipelines/x.py --flag" for all flags in `text` that their pipeline does not know."""
    found = []
    for pipeline, rest in COMMAND.findall(re.sub(r"\s*\\\n\s*", " ", text)):
        command = re.split(r"[`&|;>#]|\s{2,}", rest)[0]
        try:
            words = shlex.split(command)
        except ValueError:
            words = command.split()
        flags = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        found += [f"{pipeline} {flag}" for flag in sorted(flags - known_flags(Path(pipeline).name))]
    return found


@pytest.mark.parametrize("place", PLACES, ids=lambda path: str(path.relative_to(ROOT)))
def test_printed_commands_are_right(place):
    text = place.read_text(encoding="utf-8")
    assert unknown_flags(text) == []
    assert [path for path in PATH.findall(text) if not (ROOT / path).exists()] == []


def test_a_wrong_flag_is_found():
    assert unknown_flags("python pipelines/sweep.py --space a.py \\\n  --dataset b --study=c") == [
        "pipelines/sweep.py --dataset"
    ]
