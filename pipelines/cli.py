"""The console command `gkm`: a pipeline's name and its options in, what its file in `pipelines` does out.

A pipeline is imported when it is called or asked for help, so that `gkm --help` answers at once.
"""

from __future__ import annotations

import importlib
import re
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from pipelines.terminal.command import build, build_group, say

PIPELINES = {
    "prepare": ("prepare_data", "Make a data set of photographs, ready for training."),
    "train": ("train", "Train one network."),
    "sweep": ("sweep", "Run a study: a search, a grid or an ablation."),
    "study": ("study", "List, show, stop, compare, export and replay studies."),
    "submit": ("submit", "Run one of these commands as a job on a Ray cluster."),
    "report": ("report", "Write the report page of a study."),
    "evaluate": ("evaluate", "Score models on test photographs; the tables of the paper."),
    "evaluate-noise": ("evaluate_noise", "Measure a model on noisy photographs."),
    "promote": ("promote", "Make a version champion if it passes the gates, or roll back."),
    "registry": ("registry", "Show versions of the registered model and their history."),
    "import-model": ("import_model", "Register a checkpoint released by a network's authors."),
    "deblur": ("deblur", "Deblur photographs."),
    "demo": ("demo", "Open a page to try a model on photographs."),
}
"""Name -> module of `pipelines`, and what it does."""
_NAMES = {module: name for name, (module, _) in PIPELINES.items()}


def main() -> None:
    """Runs the command line."""
    app()


def in_its_words(text: str) -> str:
    """`text` with the names of this command in the place of those of files."""
    return re.sub(r"python pipelines/(\w+)\.py", lambda found: f"gkm {_NAMES.get(found[1], found[1])}", text)


class _Lazy(TyperCommand):
    """Stands for a pipeline until it is needed."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        module = importlib.import_module(f"pipelines.{PIPELINES[str(self.name)][0]}")
        if commands := getattr(module, "COMMANDS", None):
            real = build_group(commands, PIPELINES[str(self.name)][1], in_its_words)
        else:
            real = build(module.main, in_its_words)
        return typer.main.get_command(real).make_context(info_name, args, parent, **extra)


app = typer.Typer(name="gkm", no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="rich")
for _name, (_, _line) in PIPELINES.items():
    app.command(_name, cls=_Lazy, help=_line)(lambda: None)


def _show_version(wanted: bool) -> None:
    if wanted:
        say(f"gkm {version('gkm')}")
        raise typer.Exit


@app.callback()
def _options(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Sweeps and ablations of GKMNet, which deblurs photographs that are out of focus."""


if __name__ == "__main__":
    main()
