"""What the source files look like: lengths, names, docstrings, and what may never be called."""

import ast
from collections import Counter
from pathlib import PurePath

import pytest

MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 44
"""Of its statements: a command's options and their help are no work."""
MAX_MODULES = 15
HOMELESS = {"util", "utils", "helper", "helpers", "common", "misc"}
UNPICKLING = {"pickle.load", "pickle.loads", "cloudpickle.load", "cloudpickle.loads", "joblib.load", "dill.load"}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def length_violations(module):
    lines = module.source.count("\n")
    found = [f"{module.path}: {lines} lines; look for the second noun in it"] if lines > MAX_FILE_LINES else []
    for node in ast.walk(module.tree):
        if not isinstance(node, FUNCTIONS):
            continue
        first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
        if (length := (node.end_lineno or 0) - first.lineno + 1) > MAX_FUNCTION_LINES:
            found.append(f"{module.path}:{node.lineno}: {node.name} has {length} lines of statements")
    return found


def name_violations(module):
    words = {word for part in PurePath(module.path).with_suffix("").parts for word in part.split("_")}
    return [f"{module.path}: a homeless name" for _ in words & HOMELESS]


def docstring_violations(module):
    """Modules that hold code, and their public functions and classes, are documented."""
    documented = [(module.path, module.tree)] if module.tree.body else []
    documented += [
        (f"{module.path}:{node.lineno}: {node.name}", node)
        for node in module.tree.body
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)) and not node.name.startswith("_")
    ]
    return [f"{place} has no docstring" for place, node in documented if not ast.get_docstring(node)]


def unpickling_violations(module):
    """Weights travel as safetensors; a pickle runs what it holds."""
    found = []
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Call):
            continue
        function = ast.unparse(node.func)
        constants = {word.arg: word.value.value for word in node.keywords if isinstance(word.value, ast.Constant)}
        if (
            function in UNPICKLING
            or (function == "torch.load" and constants.get("weights_only") is not True)
            or (function in ("np.load", "numpy.load") and constants.get("allow_pickle", False) is not False)
            or function in ("eval", "exec")
        ):
            found.append(f"{module.path}:{node.lineno}: {function}")
    for name, line in module.imports():
        if name in UNPICKLING:
            found.append(f"{module.path}:{line}: {name}")
    return found


def path_edit_violations(module):
    calls = (node for node in ast.walk(module.tree) if isinstance(node, ast.Attribute))
    return [f"{module.path}:{node.lineno}: sys.path" for node in calls if ast.unparse(node) == "sys.path"]


def crowded(modules):
    """Folders with more modules than one takes in at a glance; what a package re-exports is not counted."""
    counted = Counter(str(PurePath(module.path).parent) for module in modules if not module.is_package)
    return [
        f"{folder}: {count} modules; find the rooms in it" for folder, count in counted.items() if count > MAX_MODULES
    ]


RULES = (length_violations, name_violations, docstring_violations, unpickling_violations, path_edit_violations)


@pytest.mark.parametrize("rule", RULES)
def test_project_keeps_rule(rule, modules):
    assert [violation for module in modules for violation in rule(module)] == []


def test_no_folder_is_crowded(modules):
    assert crowded(modules) == []


def test_a_crowded_folder_is_found(make_module):
    assert crowded([make_module("", f"gkm/a/b{number}.py") for number in range(MAX_MODULES + 1)])
    assert crowded([make_module("", f"gkm/a/b{number}.py") for number in range(MAX_MODULES)]) == []


@pytest.mark.parametrize(
    ("rule", "path", "source"),
    [
        (length_violations, "gkm/a.py", "x = 1\n" * (MAX_FILE_LINES + 1)),
        (length_violations, "gkm/a.py", "class A:\n    def f(self):\n" + "        x = 1\n" * (MAX_FUNCTION_LINES + 1)),
        (name_violations, "gkm/utils.py", ""),
        (name_violations, "gkm/helpers/photos.py", ""),
        (name_violations, "gkm/data/photo_utils.py", ""),
        (docstring_violations, "gkm/a.py", "x = 1"),
        (docstring_violations, "gkm/a.py", '"""A."""\ndef f(): pass'),
        (docstring_violations, "gkm/a.py", '"""A."""\nclass C: pass'),
        (unpickling_violations, "gkm/a.py", "import pickle\npickle.load(open('x', 'rb'))"),
        (unpickling_violations, "gkm/a.py", "from pickle import loads"),
        (unpickling_violations, "gkm/a.py", "torch.load('x')"),
        (unpickling_violations, "gkm/a.py", "torch.load('x', weights_only=False)"),
        (unpickling_violations, "gkm/a.py", "np.load('x', allow_pickle=True)"),
        (unpickling_violations, "gkm/a.py", "exec('x')"),
        (path_edit_violations, "gkm/a.py", "import sys\nsys.path.insert(0, '.')"),
    ],
)
def test_rule_can_be_broken(rule, path, source, make_module):
    assert rule(make_module(source, path))


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        (docstring_violations, '"""A."""\ndef _f(): pass\nclass _C:\n    def f(self): pass'),
        (unpickling_violations, "torch.load('x', weights_only=True)\nnp.load('x')"),
    ],
)
def test_honest_code_is_allowed(rule, source, make_module):
    assert rule(make_module(source, "gkm/a.py")) == []
