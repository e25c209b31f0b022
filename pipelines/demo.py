"""A registered model in, a page on this machine to try it on photographs out."""

from typing import Annotated

import typer

from pipelines.terminal.command import run, say
from pipelines.terminal.options import DEFAULT_WORKSPACE, TRACKING_URI, WORKSPACE


def main(
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Of the page; 0 is one that is free.")] = 8765,
    model: Annotated[
        str | None,
        typer.Option(
            help="Version, alias or directory of weights; left out: champion and challenger, to choose from.",
            show_default=False,
        ),
    ] = None,
    max_megabytes: Annotated[float, typer.Option(min=0.001, help="Most that a photograph's file may have.")] = 50.0,
    max_megapixels: Annotated[float, typer.Option(min=0.001, max=100, help="Most that a photograph may have.")] = 24.0,
    workspace: WORKSPACE = DEFAULT_WORKSPACE,
    tracking_uri: TRACKING_URI = None,
) -> None:
    """Open a page on 127.0.0.1 to try the model: drop a photograph, compare before and after, download the result.

    The page works without network, and answers to this machine alone. One photograph is restored at a time, others
    wait. From another machine: ssh -L 8765:127.0.0.1:8765 HOST. Ctrl-C ends it.

    Examples:
      python pipelines/demo.py
      python pipelines/demo.py --port 0 --model challenger
      python pipelines/demo.py --model path/to/weights --max-megapixels 50
    """
    from gkm.demo.app import Demo
    from gkm.demo.choices import Choices
    from gkm.demo.server import HOST, listen, server
    from gkm.tracking import open_tracking

    choices = Choices(open_tracking(workspace, tracking_uri), model)
    demo = Demo(choices, most_bytes=int(max_megabytes * 1e6), most_pixels=int(max_megapixels * 1e6))
    with listen(port) as listener:
        say(f"http://{HOST}:{listener.getsockname()[1]} (Ctrl-C ends it)")
        server(demo.app()).run(sockets=[listener])


if __name__ == "__main__":
    run(main)
