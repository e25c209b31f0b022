"""Photographs in, restored photographs out."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gkm.errors import InputError
from pipelines.terminal.command import progress, run, say
from pipelines.terminal.options import DEFAULT_WORKSPACE, TRACKING_URI, WORKSPACE

if TYPE_CHECKING:
    from gkm.registry import LoadedModel


def main(
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder for the restored photographs (PNG).")],
    photos: Annotated[
        list[Path] | None, typer.Argument(help="PNG, JPEG or TIFF files.", metavar="PHOTO", show_default=False)
    ] = None,
    left: Annotated[
        list[Path] | None,
        typer.Option(help="Left dual-pixel view, for models that see both; may be repeated.", show_default=False),
    ] = None,
    right: Annotated[
        list[Path] | None, typer.Option(help="The right view that goes with it.", show_default=False)
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Version, alias or directory of weights; left out: the champion, or else the challenger."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace restored photographs of before.")] = False,
    workspace: WORKSPACE = DEFAULT_WORKSPACE,
    tracking_uri: TRACKING_URI = None,
) -> None:
    """Deblur photographs with the registered model; each result is a PNG of the same name and size.

    All photographs are checked first: where one cannot be used, nothing is written. What is restored from two views is
    named after the left one.

    Examples:
      python pipelines/deblur.py photo.jpg --out restored
      python pipelines/deblur.py holiday/*.jpg --out restored --model challenger
      python pipelines/deblur.py photo.tif --out restored --model path/to/weights --overwrite
      python pipelines/deblur.py --left photo_L.png --right photo_R.png --out restored
    """
    seen = _seen(photos or [], left or [], right or [])
    targets = _targets(seen, out, overwrite)

    from gkm.data.photos import read_rgb, write_rgb

    with progress() as bar:
        for files in bar.track(seen, description="checking"):
            _check_sizes(files, [read_rgb(file).shape[:2] for file in files])

    from gkm.evaluation import restore_image
    from gkm.registry import load
    from gkm.tracking import open_tracking
    from gkm.training.context import best_device

    loaded = load(open_tracking(workspace, tracking_uri), model)
    _check_model(seen[0], loaded)
    network = loaded.model.to(best_device())
    out.mkdir(parents=True, exist_ok=True)
    with progress() as bar:
        for files, target in bar.track(list(zip(seen, targets, strict=True)), description="deblurring"):
            try:
                restored = restore_image(network, *map(read_rgb, files))
            except FloatingPointError:
                raise InputError(f"{files[0]}: {loaded.name} gives no picture of it; choose another --model") from None
            write_rgb(target, restored)
    for target in targets:
        say(str(target))
    say(f"deblurred with {loaded.name}")


def _seen(photos: list[Path], left: list[Path], right: list[Path]) -> list[tuple[Path, ...]]:
    """What the network sees for each result: a photograph, or two views; InputError where something is missing."""
    if len(left) != len(right):
        raise InputError(
            f"--left, --right: {len(left)} left and {len(right)} right views were given; give each view its partner"
        )
    if photos and left:
        raise InputError("--left: cannot go with photographs; deblur views and photographs by commands of their own")
    if not (photos or left):
        raise InputError("there is nothing to deblur; give photographs, or dual-pixel views with --left and --right")
    return [(photo,) for photo in photos] or list(zip(left, right, strict=True))


def _check_sizes(files: Sequence[Path], sizes: Sequence[tuple[int, ...]]) -> None:
    """InputError where two views are not of one photograph."""
    if len(set(sizes)) > 1:
        words = " and ".join(f"{file} is {size[1]}x{size[0]}" for file, size in zip(files, sizes, strict=True))
        raise InputError(f"--left, --right: {words} pixels; give two views of one photograph")


def _check_model(files: Sequence[Path], loaded: "LoadedModel") -> None:
    """InputError where the model sees something else."""
    needed = len(loaded.model.inputs)
    if needed == 2 and len(files) == 1:
        raise InputError(
            f"{files[0]}: {loaded.name} sees two dual-pixel views, not a photograph; give them with --left and "
            "--right, or choose another --model"
        )
    if needed == 1 and len(files) == 2:
        raise InputError(
            f"--left, --right: {loaded.name} sees a photograph, not its dual-pixel views; give the photograph, or "
            "choose another --model"
        )


def _targets(seen: Sequence[tuple[Path, ...]], out: Path, overwrite: bool) -> list[Path]:
    """Where each result goes; InputError where that would cost the user a file."""
    given = [file for files in seen for file in files]
    targets: dict[Path, Path] = {}
    for photo, *_ in seen:
        target = out / f"{photo.stem}.png"
        if target in targets:
            raise InputError(f"{photo}: its result would replace that of {targets[target]}; rename one of them")
        if any(target.resolve() == other.resolve() for other in given):
            raise InputError(f"{target}: is a photograph to deblur and would be replaced; choose another --out")
        if target.exists() and not overwrite:
            raise InputError(f"{target}: exists already; choose another --out, or replace it with --overwrite")
        targets[target] = photo
    return list(targets)


if __name__ == "__main__":
    run(main)
