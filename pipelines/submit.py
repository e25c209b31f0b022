"""A command in; the same as a job on a Ray cluster out, with the commit that it comes from."""

import json
import os
import re
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from gkm.errors import InputError
from pipelines.cli import PIPELINES
from pipelines.terminal.command import ENVIRONMENT, run, say


def main(
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND...", help="A command of gkm and its options.")],
    address: Annotated[
        str | None,
        typer.Option(envvar="RAY_ADDRESS", show_default=False, help="Dashboard of the cluster, http://HOST:8265."),
    ] = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not follow the job's log.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be called; submit nothing.")] = False,
) -> None:
    """Submit a command as a job, by `ray job submit`, from the root of the checkout.

    The job runs in a copy of the checkout: places of its data and its workspace are absolute. The copy has no
    repository, so the commit travels with it. Ctrl-C ends the log, not the job; `ray job stop` ends it.

    Examples:
      python pipelines/submit.py -- sweep --space search_spaces/quick.py --data /mnt/sample --workspace /mnt/runs
      python pipelines/submit.py --address http://127.0.0.1:8265 --no-wait -- prepare --out /mnt/sample
    """
    from gkm.tracking.environment import git_commit

    if command[0] not in PIPELINES:
        raise InputError(f"{command[0]}: is no command of gkm; there are {', '.join(PIPELINES)}")
    if not Path("pipelines/cli.py").is_file():
        raise InputError(f"{Path.cwd()}: is not the root of a checkout of gkm, which the job needs; go there")
    variables = dict(ENVIRONMENT)
    if commit := git_commit():
        variables["GKM_GIT_COMMIT"] = commit
    call = [str(Path(sys.executable).with_name("ray")), "job", "submit", "--working-dir", "."]
    call += ["--runtime-env-json", json.dumps({"env_vars": variables})]
    call += [*(["--address", address] if address else []), *(["--no-wait"] if no_wait else [])]
    call += ["--", "python", "-m", "pipelines.cli", *map(_for_shell, command)]
    if dry_run:
        return say(shlex.join(call))
    os.execv(call[0], call)


def _for_shell(word: str) -> str:
    """`word`, spelt so that it reaches the job as it is: a shell reads it, after Ray has quoted it as for Windows.

    Ray puts words with blanks between double quotes, escapes double quotes with the backslashes before them, and leaves
    all else as it is.
    """
    if not word or " " in word or "\t" in word:
        return re.sub(r'\\(?!\\*("|\Z))|[$`]', r"\\\g<0>", word)
    return re.sub(r"""\\(?!\\*")|[^\w@%+=:,./"\\-]""", r"\\\g<0>", word)


if __name__ == "__main__":
    run(main)
