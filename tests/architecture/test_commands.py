"""Commands printed in documents, the Makefile and scripts: they exist and their flags are known."""

import re
import shlex
from pathlib import Path

import pytest

from pipelines.cli import PIPELINES

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
GROUPS = ("study.py", "registry.py")
"""Pipelines of several commands."""
NAMES = {name: f"{module}.py" for name, (module, _) in PIPELINES.items()}
COMMAND = re.compile(r"pipelines/(\w+\.py)(.*)")
CONSOLE = re.compile(rf"(?<![\w/.-])gkm ({'|'.join(NAMES)})(?![\w-])(.*)")
CALLED = re.compile(r"(?:^ +|`|^\$ )gkm ([\w-]+)", re.MULTILINE)
PATH = re.compile(
    r"(?<![\w/.-])((?:gkm|pipelines|search_spaces|cluster|tests|docs|benchmarks)/[\w/.-]+\.(?:py|yaml|md|sh|txt))"
)


def known_flags(command):
    """Of "sweep.py", or of "study.py show"."""
    sections = re.split(r"^(\w+\.py(?: \w+)?)\n", FLAGS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    texts = dict(zip(sections[1::2], sections[2::2], strict=True))
    return set(re.findall(r"(?<=\s)--?[a-z][\w-]*", texts.get(command, ""))) | {"--help"}


def unknown_flags(text):
    """ "pipelines/x.py --flag" or "gkm x --flag" for all flags in `text` that their command does not know."""
    text = re.sub(r"\s*\\\n\s*", " ", text)
    called = [(f"pipelines/{file}", file, rest) for file, rest in COMMAND.findall(text)]
    called += [(f"gkm {name}", NAMES[name], rest) for name, rest in CONSOLE.findall(text)]
    found = []
    for where, pipeline, rest in called:
        shown, file = where, pipeline
        command = re.split(r"[`&|;>#]|\s{2,}", rest)[0]
        try:
            words = shlex.split(command)
        except ValueError:
            words = command.split()
        if "--" in words:  # what follows is another command
            other = words[words.index("--") + 1 :]
            found += unknown_flags(f"gkm {shlex.join(other)}")
            words = words[: words.index("--")]
        if file in GROUPS and words:
            shown, file = f"{shown} {words[0]}", f"{file} {words[0]}"
        flags = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        found += [f"{shown} {flag}" for flag in sorted(flags - known_flags(file))]
    return found


@pytest.mark.parametrize("place", PLACES, ids=lambda path: str(path.relative_to(ROOT)))
def test_printed_commands_are_right(place):
    text = place.read_text(encoding="utf-8")
    assert unknown_flags(text) == []
    assert set(CALLED.findall(text)) <= {*NAMES, "--version", "--help", "--install-completion"}
    assert [path for path in PATH.findall(text) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("python pipelines/sweep.py --space a.py \\\n  --dataset b --study=c", ["pipelines/sweep.py --dataset"]),
        ("    gkm sweep --space a.py \\\n  --dataset b", ["gkm sweep --dataset"]),
        ("see `gkm study show quick --all` and --more", ["gkm study show --all"]),
        ("python pipelines/study.py export quick --to x", ["pipelines/study.py export --to"]),
        ("gkm submit --address x -- train --data y --space z", ["gkm train --space"]),
        ("gkm registry history --all; gkm registry show 3", ["gkm registry history --all"]),
        ("gkm evaluate-noise --sigma 3 --data x; gkm study compare a b", []),
    ],
)
def test_a_wrong_flag_is_found(text, found):
    assert unknown_flags(text) == found


def test_a_command_that_is_not_there_is_found():
    assert CALLED.findall("gkm finds `gkm tune --x`\n    gkm wait\nin gkm there is") == ["tune", "wait"]
