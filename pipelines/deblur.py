"""Photographs in, restored photographs out."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gkm.errors import InputError
from pipelines.terminal.command import run, say, timed_progress
from pipelines.terminal.deblurred import Report, shown
from pipelines.terminal.options import DEFAULT_WORKSPACE, TRACKING_URI, WINDOW, WORKSPACE

if TYPE_CHECKING:
    from gkm.evaluation import Restore
    from gkm.networks import Network
    from gkm.restoration.batch import Outcome
    from gkm.restoration.inputs import Job, Jobs


def main(
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder for the restored photographs.")],
    photos: Annotated[
        list[Path] | None,
        typer.Argument(help="Files, folders, and globs in quotation marks.", metavar="PHOTO", show_default=False),
    ] = None,
    left: Annotated[
        list[Path] | None,
        typer.Option(help="Left dual-pixel view, for models that see both; may be repeated.", show_default=False),
    ] = None,
    right: Annotated[
        list[Path] | None, typer.Option(help="The right view that goes with it.", show_default=False)
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="[png|jpeg|tiff]",
            show_default="tiff for TIFF, png for all others",
            help="Of the restored photographs.",
        ),
    ] = None,
    compare: Annotated[bool, typer.Option("--compare", help="Write NAME-compare.png, too: before and after.")] = False,
    model: Annotated[
        str | None,
        typer.Option(help="Version, alias or directory of weights; left out: the champion, or else the challenger."),
    ] = None,
    window: WINDOW = None,
    method: Annotated[
        str | None,
        typer.Option(
            "--with",
            help="A method without a network, ebdb or jnb; or the registered model of one kind: gkmnet, nrknet, "
            "dpdnet, srn, attnet or dmenet.",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace restored photographs of before.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be written; write nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each photograph.")] = False,
    workspace: WORKSPACE = DEFAULT_WORKSPACE,
    tracking_uri: TRACKING_URI = None,
) -> None:
    """Deblur photographs with the registered model; each keeps its name, size, bits, EXIF data and colour profile.

    Of folders, all photographs in and below them are restored. One there that cannot be used is said, the rest goes on,
    and the command ends with status 2. Photographs given by name are checked first: where one of them cannot be used,
    nothing is written. What is restored already is kept, so that the same command goes on where it was stopped. What is
    restored from two views is named after the left one.

    Examples:
      python pipelines/deblur.py photo.jpg --out restored
      python pipelines/deblur.py holiday "more/**/*.tif" --out restored --compare
      python pipelines/deblur.py holiday --out restored --format jpeg --model challenger --json
      python pipelines/deblur.py photo.tif --out restored --model path/to/weights --window 64 --overwrite
      python pipelines/deblur.py --left photo_L.png --right photo_R.png --out restored
      python pipelines/deblur.py photo.jpg --out restored --with ebdb
      python pipelines/deblur.py photo.jpg --out restored --with srn
    """
    if method is not None:
        _check_method(method, model, window)
    asked = _asked(photos or [], left or [], right or [], out, form, compare)

    from gkm.restoration.batch import check, is_done, restore_all

    todo = [job for job in asked.jobs if overwrite or not is_done(job)]
    _check_named([job for job in todo if job.named])
    report = Report(as_json, dry_run, len(asked.jobs))
    if dry_run or not todo:
        for job in asked.jobs:
            report.tell(check(job) if job in todo else _kept(job), say)
        return report.end(asked.ignored)

    if method is not None and _needs_no_network(method):
        restorer: Restore | Network = _method(method, report)
    else:
        restorer = _network(_of_kind(method) if method else model, window, workspace, tracking_uri, report)
    _check_model(todo[0].files, report.model_name, restorer)
    with shown(todo) as (advance, tell):
        for outcome in restore_all(restorer, asked.jobs, overwrite=overwrite):
            report.tell(outcome, tell)
            advance(outcome)
    report.end(asked.ignored)


def _network(
    model: str | None, window: int | None, workspace: Path, tracking_uri: str | None, report: Report
) -> "Network":
    """The registered network, pooling over windows if asked to, where it computes best; `report` learns its name."""
    from gkm.registry import load
    from gkm.tracking import open_tracking
    from gkm.training.context import best_device

    loaded = load(open_tracking(workspace, tracking_uri), model)
    report.model_name, report.version = loaded.name, loaded.version
    network = loaded.model if window is None else loaded.model.with_window(window)
    return network.to(best_device())


def _method(key: str, report: Report) -> "Restore":
    """A method without a network; `report` learns its name."""
    from gkm.classical import METHODS
    from gkm.evaluation import two_stage_restorer

    report.model_name = METHODS[key].label
    return two_stage_restorer(key)


def _of_kind(kind: str) -> str:
    """The registered model of a kind, even where a folder has that name."""
    from gkm.registry import REGISTERED_NAME

    return f"models:/{REGISTERED_NAME}/{kind}"


def _needs_no_network(key: str) -> bool:
    from gkm.classical import METHODS

    return key in METHODS


def _check_method(key: str, model: str | None, window: int | None) -> None:
    """InputError where there is no such method or network, or what does not go with it is asked for, too."""
    from gkm.classical import METHODS
    from gkm.config import network_kinds, settings_class

    alone = key in METHODS
    if not alone and settings_class(key) is None:
        raise InputError(f"--with {key}: is no method; choose from {', '.join([*METHODS, *network_kinds()])}")
    if model is not None:
        reason = "needs no model" if alone else "is the registered model of that kind"
        raise InputError(f"--with {key}: {reason}; leave out --model, or --with")
    if window is not None and alone:
        raise InputError(f"--with {key}: --window is for networks; leave out one of them")


def _kept(job: "Job") -> "Outcome":
    from gkm.restoration.batch import Outcome

    return Outcome(job=job, status="kept")


def _asked(
    photos: list[Path], left: list[Path], right: list[Path], out: Path, form: str | None, compare: bool
) -> "Jobs":
    """What to restore; InputError where something is missing or would be lost."""
    if len(left) != len(right):
        raise InputError(
            f"--left, --right: {len(left)} left and {len(right)} right views were given; give each view its partner"
        )
    if photos and left:
        raise InputError("--left: cannot go with photographs; deblur views and photographs by commands of their own")
    if not (photos or left):
        raise InputError("there is nothing to deblur; give photographs, or dual-pixel views with --left and --right")

    from gkm.restoration.inputs import find_jobs
    from gkm.restoration.writing import FORMATS

    chosen = next((known for known in FORMATS if known == form), None)
    if form is not None and chosen is None:
        raise InputError(f"--format {form}: is no format that can be written; choose from {', '.join(FORMATS)}")
    views = list(zip(left, right, strict=True))
    return find_jobs(photos, views, out, form=chosen, comparison=compare)


def _check_named(jobs: Sequence["Job"]) -> None:
    """InputError where a photograph that was given by name cannot be used."""
    from gkm.restoration.batch import check

    with timed_progress() as bar:
        for job in bar.track(jobs, description="checking"):
            if (outcome := check(job)).status == "refused":
                views = "--left, --right: " if len(job.files) > 1 and "two views" in outcome.reason else ""
                raise InputError(f"{views}{outcome.reason}")


def _check_model(files: Sequence[Path], name: str | None, restorer: "Network | Restore") -> None:
    """InputError where what restores sees something else."""
    needed = len(getattr(restorer, "inputs", ("blurred",)))
    if needed == 2 and len(files) == 1:
        raise InputError(
            f"{files[0]}: {name} sees two dual-pixel views, not a photograph; give them with --left and "
            "--right, or choose another --model"
        )
    if needed == 1 and len(files) == 2:
        raise InputError(
            f"--left, --right: {name} sees a photograph, not its dual-pixel views; give the photograph, or "
            "choose another --model"
        )


if __name__ == "__main__":
    run(main)
