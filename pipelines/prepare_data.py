"""Photographs in, a data set of Parquet shards and a manifest out."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from gkm.errors import InputError
from pipelines.terminal.command import run, say
from pipelines.terminal.options import DEFAULT_WORKSPACE, WORKSPACE

if TYPE_CHECKING:
    from gkm.data.preparation.preparation import Runner


def main(
    source: Annotated[
        str,
        Option(
            help="A folder of photographs (DPD, RTF, any two folders of partners), a CSV file of pairs, "
            "or 'sample': the photographs that installed packages ship, defocused."
        ),
    ] = "sample",
    out: Annotated[
        str | None, Option(show_default="WORKSPACE/data/sample", help="Where to: a folder, or s3://BUCKET/PREFIX.")
    ] = None,
    layout: Annotated[str, Option(help="auto, csv, dpd, rtf or parallel; auto says what it recognised.")] = "auto",
    sharp: Annotated[Path | None, Option(help="Folder of sharp partners, if SOURCE holds blurred ones.")] = None,
    split: Annotated[str, Option(help="Shares of train, validation, test where the layout has none.")] = "70/15/15",
    views: Annotated[bool, Option("--views", help="Keep DPD's dual-pixel views, too.")] = False,
    sharp_only: Annotated[
        bool, Option("--sharp-only", help="SOURCE holds sharp photographs; blur them by a simulated lens.")
    ] = False,
    depth: Annotated[Path | None, Option(help="Folder of their depth maps; left out: smooth depths.")] = None,
    lens: Annotated[
        list[str] | None, Option("--set", metavar="KEY=VALUE", help="Setting of that lens; may be repeated.")
    ] = None,
    workers: Annotated[int, Option(min=1, help="Shards made at a time, each on one core.")] = 1,
    ray: Annotated[
        str, Option("--ray", envvar="RAY_ADDRESS", help='Ray cluster to use; "local" starts one if need be.')
    ] = "local",
    allow_duplicates: Annotated[
        str,
        Option(
            "--allow-duplicates",
            metavar="[scene,exact,near]",
            help="Let splits share named scenes, photographs equal in every pixel, or nearly equal ones; "
            "without a value, all of them.",
        ),
    ] = "",
    overwrite: Annotated[bool, Option("--overwrite", help="Replace another data set that is there.")] = False,
    verify: Annotated[str | None, Option(metavar="DATA", help="Check every byte of a data set instead.")] = None,
    dry_run: Annotated[bool, Option("--dry-run", help="Say what would be written, and write nothing.")] = False,
    workspace: WORKSPACE = DEFAULT_WORKSPACE,
) -> None:
    """Makes a data set of blurred / sharp pairs, split by scene, ready for training.

    It appears completely or not at all. Stopped and run again, it goes on; finished, there is nothing to do.

    Examples:
        python pipelines/prepare_data.py
        python pipelines/prepare_data.py --source ~/dd_dp_dataset_canon --out s3://lab/dpd --workers 8
        python pipelines/prepare_data.py --source ~/photos --sharp-only --set f_number=2.8 --out runs/data/mine
        python pipelines/prepare_data.py --source ~/photos --out runs/data/mine --allow-duplicates near
        python pipelines/prepare_data.py --verify runs/data/sample
    """
    from gkm.data.dataset.verification import verified
    from gkm.data.preparation.leaks import parse_leaks
    from gkm.data.preparation.preparation import outlook, prepare
    from gkm.data.preparation.sources import choose_source
    from pipelines.terminal.lines import counted

    if verify is not None:
        with counted("reading shards") as advance:
            found = verified(verify, advance)
        return say(found)
    if out is None and source != "sample":
        raise InputError(f"--source {source}: needs a place for the data set; give --out FOLDER")
    out = out or str(workspace / "data" / "sample")
    allowed = parse_leaks(allow_duplicates)
    chosen = choose_source(
        source, layout, sharp=sharp, split=split, views=views, sharp_only=sharp_only, depth=depth, lens=lens or ()
    )
    for line in chosen.notes():
        say(f"{source}: {line}")
    if dry_run:
        return say(f"{out}: {outlook(chosen, out, overwrite, allowed)}")

    with counted("preparing photographs", len(chosen.items)) as advance, _workers(workers, ray) as runner:
        done = prepare(chosen, out, overwrite, allowed, runner, advance)
    outcome = "already there, nothing to do:" if done.already_there else "prepared"
    for line in (*done.warnings(), f"{outcome} {chosen.counts()}, fingerprint {done.manifest.fingerprint}"):
        say(f"{out}: {line}")


@contextmanager
def _workers(count: int, ray: str) -> "Iterator[Runner]":
    """Who makes the shards: this process alone, or tasks of a Ray session."""
    if count == 1 and ray == "local":
        from gkm.data.preparation.preparation import one_by_one

        yield one_by_one
        return
    from gkm.data.preparation.distributed import on_ray
    from gkm.study.execution.session import start_ray

    with start_ray(ray, count):
        yield on_ray(count)


if __name__ == "__main__":
    run(main)
