"""A function with typer options in, a command that answers like the others out: help, progress, errors, exit status.

Exit status 0: done; 1: a defect of ours, with its traceback; 2: an input that cannot be used, or a full disk, in one
sentence; 130: stopped by Ctrl-C; 143: stopped by SIGTERM, or a study by `gkm study stop`.
"""

import errno
import functools
import gc
import inspect
import logging
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from typer.core import TyperCommand

from gkm.errors import InputError

if TYPE_CHECKING:
    from rich.progress import Progress
    from rich.table import Table


INTERRUPTED, TERMINATED = 128 + signal.SIGINT, 128 + signal.SIGTERM
"""Exit status after Ctrl-C, and after SIGTERM."""
ENVIRONMENT = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # its handler has a study that was stopped look like one that is done
    "TUNE_GLOBAL_CHECKPOINT_S": "100000",  # its own state is never read: the record of a study has all
    "TUNE_MAX_PENDING_TRIALS_PG": "1000",  # a cluster that grows has to see how many trials wait
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
}
"""Settings of libraries, read when they are imported; the user's own values win."""
OBJECTS_BEFORE_COLLECTING = 50_000
"""Python looks for garbage after so many new objects, not after 700: imports make a million, none of which is any, and
looking through them takes a tenth of the time of a short command."""
_FULL = {errno.ENOSPC, errno.EDQUOT}
_SQLITE_FULL = "database or disk is full"


def run(function: Callable[..., None]) -> None:
    """Parses the command line, calls `function` and leaves the process with its exit status."""
    build(function)()


def run_group(functions: Mapping[str, Callable[..., None]], line: str) -> None:
    """As `run`, for several functions by name; see `build_group`."""
    build_group(functions, line)()


def build(function: Callable[..., None], words: Callable[[str], str] = str) -> typer.Typer:
    """The command for `function`: options from its signature, help from its docstring.

    An "Examples:" section, if any, must end the docstring; its lines are shown as they stand, each put through `words`.
    """
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")
    _add(app, None, function, words)
    return app


def build_group(
    functions: Mapping[str, Callable[..., None]], line: str, words: Callable[[str], str] = str
) -> typer.Typer:
    """One command for several functions, by name; `line` says what they have in common."""
    app = typer.Typer(
        add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich", no_args_is_help=True, help=line
    )
    app.callback()(lambda: None)
    for name, function in functions.items():
        _add(app, name, function, words)
    return app


def _add(app: typer.Typer, name: str | None, function: Callable[..., None], words: Callable[[str], str]) -> None:
    text, _, examples = inspect.cleandoc(function.__doc__ or "").partition("\nExamples:\n")
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    lines = "\n".join(words(line.strip()) for line in examples.splitlines() if line.strip())
    app.command(
        name,
        cls=_Command,
        help=escape("\n\n".join(paragraphs)),
        epilog=f"[bold]Examples[/bold]\n{escape(lines)}" if lines else None,
        no_args_is_help=False,
    )(_with_exit_status(function))


def say(text: str) -> None:
    """Prints one line of result to standard output, unbroken, so that paths and commands can be copied."""
    Console(highlight=False).print(text, markup=False, soft_wrap=True)


def show(table: "Table") -> None:
    """Prints a table to standard output; where that is no terminal, as wide as the table wants to be."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=1000)
    console.print(table)


def leave(sentence: str, status: int) -> NoReturn:
    """Says on standard error why the command ends early, and ends it."""
    _complain(sentence)
    raise typer.Exit(status)


def warn(sentence: str) -> None:
    """Prints a line to standard error; the command goes on."""
    _complain(sentence)


def progress() -> "Progress":
    """A live display on standard error that vanishes when done; silent unless that is a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def timed_progress() -> "Progress":
    """As `progress`, with the time that is left instead of counts, for steps of different length."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn()
    )  # fmt: skip
    return Progress(
        *columns,
        console=console,
        transient=True,
        disable=not console.is_terminal,
        speed_estimate_period=3600.0,
        redirect_stdout=False,  # what is piped elsewhere has to get there
    )


@contextmanager
def keeping_signals() -> Iterator[None]:
    """Gives Ctrl-C and SIGTERM back to those who heeded them before the block: Ray puts handlers of its own there.

    A SIGTERM in the block, by which Ray's handler leaves the process where it stands, is theirs as well.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    came = False
    try:
        yield
    except SystemExit as error:
        if error.code != signal.SIGTERM:
            raise
        came = True
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)
    if came:
        signal.raise_signal(signal.SIGTERM)
        raise KeyboardInterrupt  # what the block was to make is not there


class _Command(TyperCommand):
    def make_context(self, *arguments: Any, **keywords: Any) -> Any:
        """As typer does it; what an option's own check refuses is one sentence, too."""
        try:
            return super().make_context(*arguments, **keywords)
        except InputError as error:
            leave(f"error: {error}", 2)

    def parse_args(self, context: Any, arguments: list[str]) -> list[str]:
        """As typer does it; an option whose metavar stands in brackets may have no value, which means "all"."""
        optional = {name for one in self.params if (one.metavar or "").startswith("[") for name in one.opts}
        following = [*arguments[1:], "--"]
        arguments = [
            f"{argument}=all" if argument in optional and after.startswith("-") else argument
            for argument, after in zip(arguments, following, strict=False)
        ]
        return super().parse_args(context, arguments)


class _TerminatedError(BaseException):
    """SIGTERM came."""


def _with_exit_status(function: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> None:
        _quieten_libraries()
        gc.set_threshold(OBJECTS_BEFORE_COLLECTING)
        try:
            with _heeding_sigterm():
                function(*args, **kwargs)
        except InputError as error:
            leave(f"error: {error}", 2)
        except KeyboardInterrupt:
            leave("stopped by Ctrl-C; what was finished is kept", INTERRUPTED)
        except _TerminatedError:
            leave("stopped by SIGTERM; what was finished is kept", TERMINATED)
        except Exception as error:
            if (sentence := _full_disk(error)) is None:
                raise
            leave(f"error: {sentence}", 2)

    return guarded


@contextmanager
def _heeding_sigterm() -> Iterator[None]:
    """SIGTERM, which cluster managers send, ends the block like Ctrl-C does."""

    def end(number: int, frame: FrameType | None) -> None:
        raise _TerminatedError

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _full_disk(error: BaseException | None) -> str | None:
    """What to say of an error that comes from a full disk, however it was wrapped; None for others."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return f"{error.filename or 'the disk'}: {error.strerror or 'is full'}; make room and start again"
        if _SQLITE_FULL in str(error):
            return (
                f"the disk with the tracking database or the record is full ({_SQLITE_FULL}); make room and start again"
            )
        error = error.__cause__ or error.__context__
    return None


def _complain(sentence: str) -> None:
    Console(stderr=True, highlight=False).print(sentence, markup=False, soft_wrap=True)


def _quieten_libraries() -> None:
    """Keeps back library messages that users cannot act on; log records of WARNING and above still show."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"(ray|mlflow|torch|lpips)\.")
    warnings.filterwarnings("ignore", category=DeprecationWarning)
