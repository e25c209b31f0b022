"""The project's own source files in, parsed modules out, for the rules of this folder."""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("gkm", "pipelines", "search_spaces", "cluster")


@dataclass(frozen=True)
class Module:
    """One source file: its dotted name, its path below the root and its syntax tree."""

    name: str
    path: str
    source: str
    is_package: bool

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.source, self.path)

    def imports(self) -> Iterator[tuple[str, int]]:
        """(dotted name, line) of all that is imported, at any depth, for typing only or by a constant name too."""
        for node in ast.walk(self.tree):
            match node:
                case ast.Import(names=names):
                    yield from ((alias.name, node.lineno) for alias in names)
                case ast.ImportFrom(module=module, names=names, level=level):
                    base = self._absolute(module, level)
                    yield from ((f"{base}.{alias.name}", node.lineno) for alias in names)
                case ast.Call(func=function, args=[ast.Constant(value=str(name)), *_]) if ast.unparse(function) in (
                    "__import__",
                    "import_module",
                    "importlib.import_module",
                ):
                    yield name, node.lineno

    def _absolute(self, module: str | None, level: int) -> str:
        if level == 0:
            return module or ""
        parents = self.name.split(".")
        parents = parents[: len(parents) - level + self.is_package]
        return ".".join([*parents, module] if module else parents)


def _from_source(source: str, path: str) -> Module:
    is_package = path.endswith("__init__.py")
    name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return Module(name, path, source, is_package)


@pytest.fixture(scope="session")
def make_module() -> Callable[[str, str], Module]:
    """(source, path below the root) -> the module they would be: for the proof that a rule can be broken."""
    return _from_source


@pytest.fixture(scope="session")
def modules() -> list[Module]:
    """All modules of the project, tests left out."""
    paths = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return [_from_source(path.read_text(encoding="utf-8"), str(path.relative_to(ROOT))) for path in paths]


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the checkout."""
    return ROOT
