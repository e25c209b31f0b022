"""A Python file in; the search space, grid or ablation that it defines out."""

from __future__ import annotations

import contextlib
import io
import re
import runpy
from dataclasses import fields
from pathlib import Path

from gkm.errors import InputError
from gkm.study.design.grid import Arms, Grid
from gkm.study.design.space import SearchSpace

Design = SearchSpace | Grid | Arms
"""What a study tries."""


def load_space(path: Path) -> Design:
    """The `SPACE` that the Python file at `path` defines.

    Raises InputError where the file is missing, fails, ends the process, or defines no `SPACE`.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such search space file; see the folder search_spaces for examples")
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            names = runpy.run_path(str(path))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except SystemExit as error:
        raise InputError(
            f"{path}: ends the process (exit {error.code}) instead of defining SPACE; remove that"
        ) from None
    except Exception as error:
        raise InputError(f"{path}: cannot be used as a search space ({_explained(error)})") from None
    space = names.get("SPACE")
    if not isinstance(space, Design):
        raise InputError(
            f"{path}: defines no SPACE = SearchSpace(...), Grid(...) or Arms(...); see search_spaces/quick.py"
        )
    return space


def _explained(error: Exception) -> str:
    """One sentence for what went wrong in a file."""
    if problems := getattr(error, "errors", None):  # of a setting
        problem = problems()[0]
        where = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            return f"{getattr(error, 'title', 'it')} has no setting {where}; docs/configuration.md lists them"
        return f"{getattr(error, 'title', '')}.{where}: {problem['msg']}".removeprefix(".")
    text = str(error).strip().splitlines()[-1] if str(error).strip() else ""
    unknown = re.search(r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'", text)
    if unknown:
        known = {kind.__name__: kind for kind in (SearchSpace, Grid, Arms)}.get(unknown[1])
        there = f"; it has {', '.join(field.name for field in fields(known) if field.init)}" if known else ""
        return f"{unknown[1]} has no {unknown[2]}{there}"
    line = _line_of(error)
    return f"{type(error).__name__}: {text}{f', line {line}' if line else ''}".replace(": ,", ",")


def _line_of(error: Exception) -> int | None:
    """The last line of the file itself that was being run."""
    if isinstance(error, SyntaxError):
        return error.lineno
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_name == "<module>" and "runpy" not in trace.tb_frame.f_code.co_filename:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
