"""Options that several commands have in common, each with its environment variable; and what follows from them."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gkm.errors import InputError

if TYPE_CHECKING:
    from gkm.data.reading.cache import NodeCache
    from gkm.study.execution.workers import WorkerGroup
    from gkm.study.record.record import RecordPlace

_COPY_OF_A_JOB = "/runtime_resources/working_dir_files/"
"""In the working directory of a job on a Ray cluster: a copy that is deleted after it."""


def _lasting(folder: Path) -> Path:
    if _COPY_OF_A_JOB in f"{folder.absolute()}/":
        raise InputError(
            f"{folder}: lies in Ray's own copy of the working directory, which is deleted after the job; "
            "give --workspace (or GKM_WORKSPACE) as an absolute path that stays"
        )
    return _on_this_machine(folder) or folder


def _on_this_machine(folder: Path | None) -> Path | None:
    if str(folder).startswith("s3:/"):
        raise typer.BadParameter(
            f"{folder} lies in S3; keep workspace and cache on this machine, and give --storage as well"
        )
    return folder


def _bytes(text: str) -> int:
    """A size such as 200GB, 1.5TB or 0."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", text.strip().lower())
    if found is None:
        raise typer.BadParameter(f"{text} is no size; give one such as 200GB, or 0")
    number, unit, binary = found.groups()
    return int(float(number) * (1024 if binary else 1000) ** " kmgt".index(unit or " "))


WORKERS = Annotated[
    str,
    typer.Option(
        metavar="N|MIN:MAX",
        help="Ray Train workers that train a network together; 1: a plain process. MIN:MAX goes on with fewer where "
        "nodes are taken away.",
    ),
]
PATIENCE = Annotated[
    float, typer.Option(min=0, metavar="MINUTES", help="How long several workers wait for nodes to start in.")
]
WORKSPACE = Annotated[
    Path,
    typer.Option(
        "--workspace",
        envvar="GKM_WORKSPACE",
        file_okay=False,
        callback=_lasting,
        help="Folder of runs, models, caches and sample data.",
    ),
]
TRACKING_URI = Annotated[
    str | None,
    typer.Option(
        "--tracking-uri",
        envvar="MLFLOW_TRACKING_URI",
        show_default=False,
        help="MLflow server or store; left out: mlflow.db in the workspace.",
    ),
]
STORAGE = Annotated[
    str | None,
    typer.Option(
        "--storage",
        envvar="GKM_STORAGE",
        show_default="WORKSPACE",
        help="Where checkpoints, models and pictures are kept: a folder, or s3://bucket/prefix.",
    ),
]
CACHE = Annotated[
    Path | None,
    typer.Option(
        "--cache",
        envvar="GKM_CACHE",
        file_okay=False,
        callback=_on_this_machine,
        show_default="WORKSPACE/cache; on a cluster each node's own /tmp",
        help="Folder of decoded photographs, on the disk of each node.",
    ),
]
CACHE_LIMIT = Annotated[
    int | None,
    typer.Option(
        "--cache-limit",
        envvar="GKM_CACHE_LIMIT",
        parser=_bytes,
        metavar="SIZE",
        show_default="what the disk has",
        help="Most that this folder may hold, such as 200GB; what does not fit is streamed. 0 streams everything.",
    ),
]
RECORD = Annotated[
    str | None,
    typer.Option(
        "--record",
        envvar="GKM_RECORD",
        show_default="WORKSPACE/studies",
        help="Where records of studies are kept: a folder, or a database such as postgresql://HOST/studies.",
    ),
]
_OF_WINDOW = "side of the windows that GKMNet's attention pools over, best that of its training crops"
WINDOW = Annotated[
    int | None,
    typer.Option(
        "--window", metavar="PIXELS", show_default="as the model's settings say", help=f"Another {_OF_WINDOW}."
    ),
]
WINDOWS = Annotated[
    list[int] | None,
    typer.Option(
        "--window",
        metavar="PIXELS",
        show_default=False,
        help=f"Score networks with another {_OF_WINDOW}, too; may be repeated.",
    ),
]
DEFAULT_WORKSPACE = Path("runs")


def there(command: str, workspace: Path) -> str:
    """`command`, to be copied, as it is called for another workspace than the usual one, too."""
    return f"{command} --workspace {shlex.quote(str(workspace))}"


def record_place(record: str | None, workspace: Path) -> "RecordPlace":
    """Where records of studies are kept: as given, or in the workspace."""
    from gkm.storage import absolute, is_remote
    from gkm.study.record.record import RecordPlace

    if record is not None and is_remote(record):
        raise InputError(f"{record}: a record cannot lie in S3; give --record as a folder here, or as a database's URL")
    if record is not None and "://" in record:
        return RecordPlace(record)
    return RecordPlace(absolute(record or workspace / "studies"))


def node_cache(cache: Path | None, limit_bytes: int | None, workspace: Path, ray: str = "local") -> "NodeCache":
    """Where decoded photographs are kept: in the workspace, or with a Ray cluster on each node's own disk."""
    from gkm.data.reading.cache import NodeCache
    from gkm.storage import absolute

    if cache is None and ray == "local":
        cache = workspace / "cache"
    return NodeCache(None if cache is None else absolute(cache), limit_bytes)


def worker_group(
    workers: str, cpus: float, gpus: float, patience: float, trials_per_gpu: int | None = None
) -> "WorkerGroup":
    """The group that --workers asks for; InputError where it is neither a number nor a range.

    So it is where --trials-per-gpu is given for trials that have no single GPU each.
    """
    from gkm.study.execution.workers import WorkerGroup

    found = re.fullmatch(r"(\d+)(?::(\d+))?", workers.strip())
    least, most = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 1 <= least <= most:
        raise InputError(f"--workers {workers}: give a number from 1 on, such as 4, or a range, such as 2:4")
    if trials_per_gpu is not None and most > 1:
        raise InputError(
            f"--trials-per-gpu {trials_per_gpu}: is for trials of one process, but --workers {workers} makes groups; "
            "leave one of the two out"
        )
    if trials_per_gpu is not None and gpus != 1:
        raise InputError(
            f"--trials-per-gpu {trials_per_gpu}: shares whole GPUs, but --gpus is {gpus:g}; give --gpus 1 with it"
        )
    return WorkerGroup(most, cpus, gpus, least if least < most else None, patience, trials_per_gpu or 1)


NOISE = {"paper": (0.0, 1.0, 3.0, 5.0), "rtf": (0.0, 1.0, 2.55)}
"""Presets of --noise: the levels of the paper's Tables 2 (on DPD) and 3 (on RTF)."""


def noise_levels(texts: Sequence[str]) -> list[float]:
    """The levels that --noise asks for by numbers and presets, each once; InputError where one of them is neither."""
    if not texts:
        return []
    from gkm.scoring.noise import check_sigmas

    sigmas: list[float] = []
    for text in texts:
        try:
            sigmas += NOISE.get(text) or [float(text)]
        except ValueError:
            raise InputError(f"--noise {text}: is no number and no preset; choose from {', '.join(NOISE)}") from None
    check_sigmas(sigmas, "--noise")
    return list(dict.fromkeys(sigmas))
