"""Photographs in, restored photographs out."""

from pathlib import Path
from typing import Annotated

import typer

from gkm.errors import InputError
from pipelines.terminal.command import progress, run, say
from pipelines.terminal.options import DEFAULT_WORKSPACE, TRACKING_URI, WORKSPACE


def main(
    photos: Annotated[list[Path], typer.Argument(help="PNG, JPEG or TIFF files.", metavar="PHOTO...")],
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder for the restored photographs (PNG).")],
    model: Annotated[
        str | None,
        typer.Option(help="Version, alias or directory of weights; left out: the champion, or else the challenger."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace restored photographs of before.")] = False,
    workspace: WORKSPACE = DEFAULT_WORKSPACE,
    tracking_uri: TRACKING_URI = None,
) -> None:
    """Deblur photographs with the registered model; each result is a PNG of the same name and size.

    All photographs are checked first: where one cannot be used, nothing is written.

    Examples:
      python pipelines/deblur.py photo.jpg --out restored
      python pipelines/deblur.py holiday/*.jpg --out restored --model challenger
      python pipelines/deblur.py photo.tif --out restored --model path/to/weights --overwrite
    """
    targets = _targets(photos, out, overwrite)

    from gkm.data.photos import read_rgb, write_rgb

    with progress() as bar:
        for photo in bar.track(photos, description="checking"):
            read_rgb(photo)

    from gkm.evaluation import restore_image
    from gkm.registry import load
    from gkm.tracking import open_tracking
    from gkm.training.context import best_device

    loaded = load(open_tracking(workspace, tracking_uri), model)
    network = loaded.model.to(best_device())
    out.mkdir(parents=True, exist_ok=True)
    with progress() as bar:
        for photo, target in bar.track(list(zip(photos, targets, strict=True)), description="deblurring"):
            try:
                restored = restore_image(network, read_rgb(photo))
            except FloatingPointError:
                raise InputError(f"{photo}: {loaded.name} gives no picture of it; choose another --model") from None
            write_rgb(target, restored)
    for target in targets:
        say(str(target))
    say(f"deblurred with {loaded.name}")


def _targets(photos: list[Path], out: Path, overwrite: bool) -> list[Path]:
    """Where each photograph's result goes; InputError where that would cost the user a file."""
    targets: dict[Path, Path] = {}
    for photo in photos:
        target = out / f"{photo.stem}.png"
        if target in targets:
            raise InputError(f"{photo}: its result would replace that of {targets[target]}; rename one of them")
        if any(target.resolve() == other.resolve() for other in photos):
            raise InputError(f"{target}: is a photograph to deblur and would be replaced; choose another --out")
        if target.exists() and not overwrite:
            raise InputError(f"{target}: exists already; choose another --out, or replace it with --overwrite")
        targets[target] = photo
    return list(targets)


if __name__ == "__main__":
    run(main)
