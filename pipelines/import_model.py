"""A checkpoint released by a network's authors in, a version of the registered model out."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.terminal.command import run, say
from pipelines.terminal.options import DEFAULT_WORKSPACE, TRACKING_URI, WORKSPACE


def main(
    file: Annotated[Path, typer.Argument(help="The authors' checkpoint, .pth, .safetensors or .npz.", metavar="FILE")],
    network: Annotated[str, typer.Option(help="Whose it is: model.kind of that network.")] = "gkmnet",
    source: Annotated[
        str, typer.Option(help="Where the file comes from, such as its URL; left out: its path.", show_default=False)
    ] = "",
    licence: Annotated[
        str, typer.Option(help="Licence under which it was released, such as MIT.", show_default=False)
    ] = "",
    workspace: WORKSPACE = DEFAULT_WORKSPACE,
    tracking_uri: TRACKING_URI = None,
) -> None:
    """Register a released checkpoint as challenger, with its source, licence and SHA-256 as tags.

    The file is read without running code that it may hold, and every weight's name and shape is checked.

    Examples:
      python pipelines/import_model.py GKMNet.pth --licence MIT
      python pipelines/import_model.py weights.safetensors --network gkmnet --source https://example.org/weights
    """
    from gkm.registry import REGISTERED_NAME, import_model
    from gkm.tracking import open_tracking

    found = import_model(open_tracking(workspace, tracking_uri), file, network, source=source, licence=licence)
    say(f"{REGISTERED_NAME} version {found.version} (challenger): {network}, {found.parameters:,} parameters")
    say(f"deblur with it: gkm deblur PHOTO --out restored --model {found.version}")


if __name__ == "__main__":
    run(main)
