"""Photographs in, a data set of Parquet shards and a manifest out."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.command import DEFAULT_WORKSPACE, WORKSPACE, progress, run, say


def main(
    source: Annotated[
        str,
        typer.Option(
            help="A folder of photographs (DPD, RTF, any two folders of partners), a CSV file of pairs, "
            "or 'sample': the photographs that installed packages ship, defocused."
        ),
    ] = "sample",
    layout: Annotated[
        str, typer.Option(help="auto, csv, dpd, rtf or parallel; auto says what it recognised.")
    ] = "auto",
    sharp: Annotated[
        Path | None, typer.Option(show_default=False, help="Folder of sharp partners, if SOURCE holds blurred ones.")
    ] = None,
    split: Annotated[
        str, typer.Option(help="Parts of train, validation and test where the layout has none, or one of the three.")
    ] = "70/15/15",
    out: Annotated[
        Path | None, typer.Option(show_default="WORKSPACE/data/sample", help="Folder of the data set.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace another data set that is there.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be written, and write nothing.")] = False,
    workspace: WORKSPACE = DEFAULT_WORKSPACE,
) -> None:
    """Makes a data set of blurred / sharp pairs, split by scene, ready for training.

    It appears completely or not at all. Run again with the same photographs, there is nothing to do.

    Examples:
        python pipelines/prepare_data.py
        python pipelines/prepare_data.py --source ~/dd_dp_dataset_canon --out runs/data/dpd
    """
    from gkm.data.photos import SPLITS
    from gkm.data.preparation import find_prepared, prepare
    from gkm.data.shards import refuse_to_replace
    from gkm.data.sources import open_source
    from gkm.data.splitting import Shares
    from gkm.errors import InputError

    if out is None and source != "sample":
        raise InputError(f"--source {source}: needs a place for the data set; give --out FOLDER")
    out = out or workspace / "data" / "sample"
    origin = open_source(source, layout, sharp=sharp, shares=Shares.parse(split))
    for line in origin.notes():
        say(f"{source}: {line}")
    counts = ", ".join(f"{origin.count(split)} {split}" for split in SPLITS) + " pairs"

    if dry_run:
        if overwrite:
            refuse_to_replace(out, overwrite=True)
        elif there := find_prepared(origin, out):
            say(f"{out}: already there ({counts}, fingerprint {there.fingerprint}), nothing to do")
            return
        say(f"{out}: would get {counts}; nothing written (--dry-run)")
        return

    with progress() as display:
        task = display.add_task("preparing photographs", total=len(origin.items))
        done = prepare(origin, out, overwrite=overwrite, progress=lambda: display.advance(task))
    outcome = "already there, nothing to do:" if done.already_there else "prepared"
    say(f"{out}: {outcome} {counts}, fingerprint {done.manifest.fingerprint}")


if __name__ == "__main__":
    run(main)
