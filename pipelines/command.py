"""A function with typer options in, a command that answers like the others out: help, progress, errors, exit status.

Exit status 0: done; 1: a defect of ours, with its traceback; 2: an input that cannot be used, in one sentence;
130: stopped by Ctrl-C.
"""

import functools
import inspect
import logging
import os
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.markup import escape

from gkm.errors import InputError

if TYPE_CHECKING:
    from rich.progress import Progress
    from rich.table import Table


_ENVIRONMENT = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
}
"""Settings of libraries, read when they are imported; the user's own values win."""


def run(function: Callable[..., None]) -> None:
    """Parses the command line, calls `function` and leaves the process with its exit status."""
    build(function)()


def build(function: Callable[..., None]) -> typer.Typer:
    """The command for `function`: options from its signature, help from its docstring.

    An "Examples:" section, if any, must end the docstring; its lines are shown as they stand.
    """
    text, _, examples = inspect.cleandoc(function.__doc__ or "").partition("\nExamples:\n")
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    lines = "\n".join(line.strip() for line in examples.splitlines() if line.strip())
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")
    app.command(
        help=escape("\n\n".join(paragraphs)),
        epilog=f"[bold]Examples[/bold]\n{escape(lines)}" if lines else None,
        no_args_is_help=False,
    )(_with_exit_status(function))
    return app


def say(text: str) -> None:
    """Prints one line of result to standard output, unbroken, so that paths and commands can be copied."""
    Console(highlight=False).print(text, markup=False, soft_wrap=True)


def show(table: "Table") -> None:
    """Prints a table to standard output; where that is no terminal, as wide as the table wants to be."""
    console = Console(highlight=False)
    console.print(table, width=None if console.is_terminal else 1000, crop=False)


def progress() -> "Progress":
    """A live display on standard error that vanishes when done; silent unless that is a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _with_exit_status(function: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> None:
        _quieten_libraries()
        try:
            function(*args, **kwargs)
        except InputError as error:
            _complain(f"error: {error}")
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            _complain("stopped by Ctrl-C; what was finished is kept")
            raise typer.Exit(130) from None

    return guarded


def _complain(sentence: str) -> None:
    Console(stderr=True, highlight=False).print(sentence, markup=False, soft_wrap=True)


def _quieten_libraries() -> None:
    """Keeps back library messages that users cannot act on; log records of WARNING and above still show."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"(ray|mlflow|torch|torchmetrics|lpips)\.")
    warnings.filterwarnings("ignore", category=DeprecationWarning)
