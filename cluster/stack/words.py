"""A running stack's folder and ports in; what its user is told out: addresses, and the commands of the whole road."""

import sys
from collections.abc import Mapping

from cluster.stack.folder import Folder
from cluster.stack.servers.programs import beside_python

ROAD = (
    "prepare --source sample --out s3://gkm/sample",
    "sweep --space search_spaces/quick.py --data s3://gkm/sample --study quick",
    "evaluate --model challenger --data s3://gkm/sample",
    "promote --data s3://gkm/sample",
    "report quick --data s3://gkm/sample --out {report}",
)
"""The commands of gkm, from photographs to the page, that are submitted as jobs."""


def addresses(folder: Folder, ports: Mapping[str, int]) -> str:
    """Where everything is, and who may come in."""
    return f"""\
  Ray         http://127.0.0.1:{ports["ray"]}   token: {folder.keys / "ray_token"}
  MLflow      http://127.0.0.1:{ports["mlflow"]}   user gkm, password: MLFLOW_TRACKING_PASSWORD in {folder.environment}
  S3          http://127.0.0.1:{ports["s3"]}   buckets gkm and mlflow, keys: {folder.keys}/s3-*
  PostgreSQL  127.0.0.1:{ports["postgres"]}   databases mlflow and studies, passwords: {folder.keys}/pgpass-*"""


def road(folder: Folder) -> list[str]:
    """The commands to give in another terminal, one a line, from the root of the checkout."""
    gkm = beside_python("gkm")
    report = folder.workspace / "report.html"
    return [f"source {folder.environment}", *(f"{gkm} submit -- {step.format(report=report)}" for step in ROAD)]


def commands(folder: Folder) -> str:
    """The whole road as jobs."""
    lines = "\n".join(f"  {line}" for line in road(folder))
    option = "" if folder.is_default else f" --folder {folder.root}"
    return f"""\
In another terminal, from the root of the checkout:
{lines}

Ctrl-C ends the servers; what they keep stays in {folder.root} for the next start, until
  {sys.executable} -m cluster.stack clean --yes{option}"""
