"""The command lines of the pipelines are an interface: flags.txt holds them, and a change is made on purpose.

After an intended change: `.venv/bin/python tests/architecture/test_flags.py` writes flags.txt anew.
"""

import importlib
import inspect
from pathlib import Path
from typing import Annotated, get_args, get_type_hints

import pytest
from typer import Argument, Option
from typer.models import ArgumentInfo, OptionInfo

FLAGS = Path(__file__).with_name("flags.txt")
PIPELINES = Path(__file__).resolve().parents[2] / "pipelines"


def flags_of(function):
    """One line per command-line parameter of a pipeline's function: its names, type, default or "required"."""
    hints = get_type_hints(function, include_extras=True)
    lines = []
    for name, parameter in inspect.signature(function).parameters.items():
        hint = hints[name]
        annotated = [info for info in getattr(hint, "__metadata__", ()) if isinstance(info, (OptionInfo, ArgumentInfo))]
        if annotated:  # typer takes the first positional argument of an annotation for a name, not for the default
            info, default = annotated[0], parameter.default
            written = [name for name in (info.default, *(info.param_decls or ())) if isinstance(name, str)]
        else:
            info = parameter.default if isinstance(parameter.default, (OptionInfo, ArgumentInfo)) else None
            default = info.default if info else parameter.default
            written = list(info.param_decls or ()) if info else []
        option = " ".join(written) or "--" + name.replace("_", "-")
        names = name.upper() if isinstance(info, ArgumentInfo) else option
        plain = hint.__origin__ if hasattr(hint, "__metadata__") else hint
        kind = plain.__name__ if isinstance(plain, type) and not get_args(plain) else str(plain)
        required = default in (..., inspect.Parameter.empty)
        lines.append(f"  {names} {kind} " + ("required" if required else f"= {default}"))
    return sorted(lines)


def collect():
    """The text of flags.txt as the pipelines stand."""
    lines = []
    for path in sorted(PIPELINES.glob("*.py")):
        module = importlib.import_module(f"pipelines.{path.stem}")
        if hasattr(module, "COMMANDS"):
            for name, function in module.COMMANDS.items():
                lines += [f"{path.name} {name}", *flags_of(function)]
        elif hasattr(module, "main"):
            lines += [path.name, *flags_of(module.main)]
    return "\n".join(lines) + "\n"


def test_flags_are_those_of_the_committed_list():
    assert collect() == FLAGS.read_text(encoding="utf-8"), (
        "a command line changed; if that is meant: .venv/bin/python tests/architecture/test_flags.py"
    )


def test_names_types_defaults_and_needs_are_all_seen():
    def before(
        photos: Annotated[list[Path], Argument()],
        data: Annotated[str, Option()],
        assignments: Annotated[list[str] | None, Option("--set")] = None,
        rounds: int = Option(4, "--trials", "-n"),
        dry_run: bool = False,
    ) -> None:
        """Before."""

    assert flags_of(before) == [
        "  --data str required",
        "  --dry-run bool = False",
        "  --set list[str] | None = None",
        "  --trials -n int = 4",
        "  PHOTOS list[pathlib.Path] required",
    ]


@pytest.mark.parametrize(
    ("pipeline", "names"),
    [
        ("prepare_data", {"--source", "--out"}),
        ("train", {"--data", "--config", "--set", "--workers"}),
        ("sweep", {"--space", "--data", "--study", "--trials"}),
        ("report", {"--study", "--out"}),
        ("import_model", {"FILE", "--network"}),
        ("deblur", {"PHOTOS", "--out"}),
        ("promote", {"--rollback"}),
        ("evaluate", {"--model", "--data", "--noise", "--protocol", "--published", "--tables", "--dry-run"}),
        ("evaluate_noise", {"--data"}),
        ("submit", {"COMMAND", "--address"}),
    ],
)
def test_promised_names_are_there(pipeline, names):
    """Names in the README and the cluster files, whatever the committed list says."""
    module = importlib.import_module(f"pipelines.{pipeline}")
    assert names <= {word for line in flags_of(module.main) for word in line.split()}


if __name__ == "__main__":
    FLAGS.write_text(collect(), encoding="utf-8")
