"""Who may import whom: the layers and fences of docs/architecture.md, read from the syntax tree."""

import ast
from pathlib import PurePath

import pytest

LAYERS = (
    {"gkm.errors"},
    {"gkm.config", "gkm.storage"},
    {"gkm.tracking", "gkm.lpips_weights"},
    {"gkm.metrics", "gkm.light"},
    {"gkm.losses", "gkm.classical"},
    {"gkm.data", "gkm.networks"},
    {"gkm.evaluation"},
    {"gkm.training", "gkm.restoration"},
    {"gkm.trial"},
    {"gkm.study"},
    {"gkm.registry", "search_spaces"},
    {"gkm.scoring"},
    {"gkm.report", "gkm.demo"},
    {"pipelines"},
    {"cluster"},
)
"""From the bottom; a part imports from lower rows only, never from its neighbours in a row."""

RANK = {part: rank for rank, parts in enumerate(LAYERS) for part in parts}

ROOMS = {
    "gkm.data": (
        {"photos"},
        {"dataset", "finding"},
        {"simulation"},
        {"preparation", "reading"},
    ),
    "gkm.networks": (
        {"network"},
        {"ops", "state_dict"},
        {"*"},
        {"kinds"},
        {"complexity", "export", "strips"},
    ),
    "gkm.study": (
        {"design"},
        {"record"},
        {"mirror", "decisions", "planning"},
        {"execution", "insight"},
        {"single"},
    ),
}
"""The same inside the large packages: room by room, from the bottom. "*" are all others: a network is a folder.

What a package's own `__init__` imports is above all of its rooms."""

ROOM_RANK = {
    f"{package}.{room}": rank for package, rows in ROOMS.items() for rank, rooms in enumerate(rows) for room in rooms
}

FENCES = {
    "ray": ("gkm/study/", "gkm/training/context.py", "gkm/data/preparation/distributed.py", "cluster/checks/"),
    "optuna": ("gkm/study/",),
    "mlflow": ("gkm/tracking", "gkm/registry"),
    "boto3": ("gkm/storage/", "cluster/stack/"),
    "botocore": ("gkm/storage/", "cluster/checks/", "cluster/stack/"),
    "psycopg": ("cluster/stack/servers/",),
    "typer": ("pipelines/", "cluster/stack/__main__.py"),
    "click": ("pipelines/",),
    "argparse": ("pipelines/",),
    "starlette": ("gkm/demo/",),
    "uvicorn": ("gkm/demo/",),
}
"""Library -> the only places that import it."""

NO_INPUT_OUTPUT = ("gkm/networks/", "gkm/losses.py", "gkm/metrics.py")
READERS = ("gkm/networks/state_dict.py",)
"""The exception: reading and writing the authors' checkpoints is all it is for."""
INPUT_OUTPUT = {
    "os", "io", "shutil", "tempfile", "urllib", "requests", "socket", "subprocess", "sqlite3",
    "PIL", "imageio", "skimage", "safetensors", "pyarrow", "gkm.storage", "gkm.tracking",
}  # fmt: skip
GPU_MEMORY_CALLS = {"tl.load"}
"""Triton's kernels load from the memory of the GPU, which is no input."""
INPUT_OUTPUT_CALLS = {"open", "print", "load", "save", "read_text", "read_bytes", "write_text", "write_bytes", "unlink"}


def part_of(name):
    """ "gkm.data.reading.cache" -> "gkm.data"; names outside the project -> None."""
    top, _, rest = name.partition(".")
    if top == "gkm" and rest:
        return f"gkm.{rest.split('.')[0]}"
    return top if top in ("pipelines", "search_spaces", "cluster") else None


def layer_violations(module):
    part = part_of(module.name)
    if part is None:  # gkm/__init__.py: what it imports, everything imports
        return [f"{module.path}:{line}: gkm/__init__.py imports {name}" for name, line in module.imports()]
    if part not in RANK:
        return [f"{module.path}: {part} has no layer; give it one in tests/architecture/test_layers.py"]
    found = []
    for name, line in module.imports():
        other = part_of(name)
        if other is None or other == part or other not in RANK:
            continue
        if RANK[other] >= RANK[part]:
            found.append(f"{module.path}:{line}: {part} imports {name}, which is not below it")
    return found


def room_rank(room):
    """Row of "gkm.data.reading" in its package, for want of its own that of "*"; None where it has no place."""
    part = part_of(room)
    return ROOM_RANK.get(room, ROOM_RANK.get(f"{part}.*") if room != part else None)


def room_violations(module):
    part = part_of(module.name)
    if part not in ROOMS or module.name == part:
        return []
    room = ".".join(module.name.split(".")[:3])
    if room_rank(room) is None:
        return [f"{module.path}: {room} has no place in {part}; give it one in tests/architecture/test_layers.py"]
    found = []
    for name, line in module.imports():
        other = ".".join(name.split(".")[:3])
        if other == room or part_of(other) != part:
            continue
        if other == part or (room_rank(other) is not None and room_rank(other) >= room_rank(room)):
            found.append(f"{module.path}:{line}: {room} imports {name}, which is not below it")
    return found


def circles(modules):
    """Modules that import each other, whatever the number of steps and wherever the imports stand."""
    names = {module.name for module in modules}
    imported = {module.name: {_module_of(name, names) for name, _ in module.imports()} for module in modules}
    for name, others in imported.items():
        imported[name] = others - {None, name}
    found, done = [], set()

    def walk(name, path):
        if name in path:
            found.append(" -> ".join([*path[path.index(name) :], name]))
        elif name not in done:
            for other in sorted(imported[name]):
                walk(other, [*path, name])
            done.add(name)

    for name in sorted(imported):
        walk(name, [])
    return found


def _module_of(name, names):
    """The module that an import of "a.b.c" reads: a.b.c, or a.b where c is something in it."""
    while name and name not in names:
        name = name.rpartition(".")[0]
    return name or None


def fence_violations(module):
    return [
        f"{module.path}:{line}: {name} is imported outside {', '.join(places)}"
        for name, line in module.imports()
        for places in [FENCES.get(name.split(".")[0])]
        if places and not module.path.startswith(places)
    ]


def input_output_violations(module):
    if not module.path.startswith(NO_INPUT_OUTPUT) or any(PurePath(module.path).match(pattern) for pattern in READERS):
        return []
    found = [
        f"{module.path}:{line}: imports {name}"
        for name, line in module.imports()
        if name.split(".")[0] in INPUT_OUTPUT or part_of(name) in INPUT_OUTPUT
    ]
    found += [
        f"{module.path}:{node.lineno}: calls {ast.unparse(node.func)}"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) not in GPU_MEMORY_CALLS
        and ast.unparse(node.func).rpartition(".")[2] in INPUT_OUTPUT_CALLS
    ]
    return found


def environment_violations(module):
    if module.path.startswith(("gkm/storage/", "gkm/tracking", "pipelines/", "cluster/stack/servers/programs.py")):
        return []
    readers = ("os.environ", "os.getenv", "os.putenv")
    found = [
        f"{module.path}:{node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node) in readers
    ]
    found += [f"{module.path}:{line}: imports {name}" for name, line in module.imports() if name in readers]
    return found


RULES = (layer_violations, room_violations, fence_violations, input_output_violations, environment_violations)


@pytest.mark.parametrize("rule", RULES)
def test_project_keeps_rule(rule, modules):
    assert [violation for module in modules for violation in rule(module)] == []


def test_no_modules_import_each_other(modules):
    assert circles(modules) == []


def test_a_circle_is_found_through_lazy_imports(make_module):
    one = make_module("from gkm.b import thing", "gkm/a.py")
    other = make_module("def f():\n    from gkm import a", "gkm/b.py")
    assert circles([one, other]) == ["gkm.a -> gkm.b -> gkm.a"]
    assert circles([one, make_module("", "gkm/b.py")]) == []


@pytest.mark.parametrize(
    ("rule", "path", "source"),
    [
        (room_violations, "gkm/data/dataset/pair.py", "from gkm.data.reading.crops import turned"),
        (room_violations, "gkm/data/reading/crops.py", "from gkm.data.preparation import card"),
        (room_violations, "gkm/study/design/space.py", "def f():\n    from gkm.study.record.record import open_record"),
        (room_violations, "gkm/study/novelty.py", ""),
        (room_violations, "gkm/networks/network.py", "def f():\n    from gkm.networks.gkmnet import GKMNet"),
        (room_violations, "gkm/networks/ops/mixing.py", "from gkm.networks.nrknet.nrknet import NRKNet"),
        (room_violations, "gkm/networks/nrknet/nrknet.py", "from gkm.networks.gkmnet.kernels import gaussian_bank"),
        (room_violations, "gkm/networks/nrknet/nrknet.py", "from gkm.networks.strips import restore"),
        (layer_violations, "gkm/data/reading/cache.py", "from gkm.training.loop import fit"),
        (layer_violations, "gkm/data/reading/cache.py", "def f():\n    from gkm import trial"),
        (layer_violations, "gkm/data/reading/cache.py", "from ...study import results"),
        (layer_violations, "gkm/data/__init__.py", "from ..study import results"),
        (layer_violations, "gkm/networks/gkmnet/gcm.py", "from gkm.data.photos import read_rgb"),
        (layer_violations, "gkm/study/tuner.py", "import pipelines.sweep"),
        (layer_violations, "gkm/study/tuner.py", "from search_spaces import quick"),
        (layer_violations, "gkm/study/tuner.py", "import importlib\nimportlib.import_module('search_spaces.quick')"),
        (
            layer_violations,
            "gkm/config/trial.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from gkm.trial import run_trial",
        ),
        (layer_violations, "gkm/restoration/batch.py", "from gkm.registry import load"),
        (layer_violations, "gkm/classical/jnb.py", "from gkm.evaluation import restorer"),
        (layer_violations, "gkm/report/page.py", "from gkm.demo import app"),
        (layer_violations, "gkm/novelty.py", ""),
        (layer_violations, "gkm/__init__.py", "from gkm.trial import run_trial"),
        (fence_violations, "gkm/training/loop.py", "import ray"),
        (fence_violations, "gkm/training/loop.py", "def f():\n    import ray.train as train"),
        (fence_violations, "gkm/trial.py", "from ray import tune"),
        (fence_violations, "gkm/trial.py", "import mlflow"),
        (fence_violations, "gkm/trial.py", "from optuna.trial import Trial"),
        (fence_violations, "gkm/data/dataset/manifest.py", "import boto3"),
        (fence_violations, "gkm/trial.py", "import argparse"),
        (fence_violations, "gkm/registry/served.py", "from starlette.requests import Request"),
        (input_output_violations, "gkm/metrics.py", "import os"),
        (input_output_violations, "gkm/metrics.py", "from pathlib import Path\nPath('x').read_bytes()"),
        (input_output_violations, "gkm/metrics.py", "from gkm import storage"),
        (input_output_violations, "gkm/losses.py", "def f():\n    return open('x')"),
        (input_output_violations, "gkm/networks/gkmnet/gcm.py", "import torch\ntorch.load('x')"),
        (environment_violations, "gkm/trial.py", "import os\nx = os.environ['HOME']"),
        (environment_violations, "gkm/trial.py", "import os\nx = os.getenv('HOME')"),
        (environment_violations, "gkm/trial.py", "from os import environ"),
    ],
)
def test_rule_can_be_broken(rule, path, source, make_module):
    assert rule(make_module(source, path))


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("gkm/training/loop.py", "from gkm.data.reading.loader import Batch\nfrom gkm.config import TrialConfig"),
        ("gkm/training/context.py", "import ray.train"),
        ("gkm/data/reading/cache.py", "from .shards import read_manifest\nimport numpy"),
        ("gkm/data/__init__.py", "from .shards import read_manifest"),
        ("gkm/networks/__init__.py", "from gkm.networks.complexity import measure"),
        ("gkm/networks/state_dict.py", "from safetensors.torch import load_file"),
        ("gkm/networks/ops/triton_mixing.py", "import triton.language as tl\ntl.load(0)"),
        ("pipelines/sweep.py", "from pipelines.terminal.command import run\nimport os\nos.environ.get('X')"),
        ("search_spaces/quick.py", "from gkm.study.design.space import Choice"),
    ],
)
def test_downward_imports_are_allowed(path, source, make_module):
    module = make_module(source, path)
    assert [violation for rule in RULES for violation in rule(module)] == []
