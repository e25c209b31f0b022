"""Prometheus' settings, or a dashboard for Grafana, in; what they would not find, or not show, out."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from itertools import combinations
from pathlib import Path
from typing import Any

import yaml

from cluster.checks.project import secrets_in

UNITS = {"short", "percent", "percentunit", "currencyUSD"}
BUILT_IN = {"__range", "__range_s", "__rate_interval", "__interval"}
"""Variables that Grafana has of its own."""
SOURCES = {
    "dashboard/modules/metrics/dashboards/default_dashboard_panels.py": (r"\b((?:ray|autoscaler)_\w+)", ""),
    "dashboard/modules/reporter/reporter_agent.py": (r"Gauge\(\s*\"(\w+)\"", "ray_"),
    "autoscaler/_private/prom_metrics.py": (r"(?:Gauge|Counter)\(\s*\"(\w+)\"", "autoscaler_"),
}
"""Files of the installed Ray -> how its figures are named there, and what Prometheus puts in front."""
LEVELS: dict[str, set[str]] = {
    "": {"global", "scrape_configs"},
    "global": {"scrape_interval", "evaluation_interval", "scrape_timeout"},
    "scrape_configs": {"job_name", "file_sd_configs", "scrape_interval"},
}


@cache
def names_of_ray() -> frozenset[str]:
    """What the nodes of the installed Ray offer Prometheus."""
    spec = find_spec("ray")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("ray")
    found = set()
    for file, (pattern, front) in SOURCES.items():
        text = (Path(spec.origin).parent / file).read_text(encoding="utf-8")
        found |= {front + name for name in re.findall(pattern, text)}
    return frozenset(found)


def dashboard_problems(text: str) -> list[str]:
    """Problems of a dashboard: panels on top of each other, figures that Ray does not have, variables that are none."""
    board = json.loads(text)
    if missing := {"title", "uid", "schemaVersion", "templating", "panels"} - set(board):
        return [f"without {', '.join(sorted(missing))}"]
    variables = {variable["name"] for variable in board["templating"].get("list", [])} | BUILT_IN
    panels, found = board["panels"], secrets_in(text)
    if len({panel.get("id") for panel in panels}) < len(panels):
        found.append("panels: an id is there twice")
    for one, other in combinations(panels, 2):
        if _overlap(one.get("gridPos", {}), other.get("gridPos", {})):
            found.append(f"panels: {one.get('title')} lies on {other.get('title')}")
    for panel in panels:
        found += [f"{panel.get('title', 'a panel')}: {problem}" for problem in _panel_problems(panel, variables)]
    return found


def _overlap(one: Mapping[str, int], other: Mapping[str, int]) -> bool:
    if not all({"x", "y", "w", "h"} <= set(place) for place in (one, other)):
        return False
    across = one["x"] < other["x"] + other["w"] and other["x"] < one["x"] + one["w"]
    return across and one["y"] < other["y"] + other["h"] and other["y"] < one["y"] + one["h"]


def _panel_problems(panel: Mapping[str, Any], variables: set[str]) -> list[str]:
    found = []
    place = panel.get("gridPos", {})
    if not {"x", "y", "w", "h"} <= set(place) or place["x"] + place["w"] > 24:
        found.append("gridPos: must have x, y, w and h, within 24 columns")
    if panel.get("type") != "timeseries":
        found.append(f"type: {panel.get('type')} is none that is used here")
    if (unit := panel.get("fieldConfig", {}).get("defaults", {}).get("unit")) not in UNITS:
        found.append(f"unit: {unit} is none of {', '.join(sorted(UNITS))}")
    if not panel.get("targets"):
        found.append("targets: shows nothing")
    for target in panel.get("targets", []):
        expression = str(target.get("expr"))
        names = re.findall(r"\b(?:ray|autoscaler)_\w+", expression)
        if not names:
            found.append(f"expr: asks Ray for nothing: {expression}")
        found += [f"expr: Ray has no {name}" for name in names if name not in names_of_ray()]
        if any(expression.count(left) != expression.count(right) for left, right in ("()", "{}", "[]")):
            found.append(f"expr: brackets that do not match: {expression}")
    used = sorted(set(re.findall(r"\$\{?(\w+)", json.dumps(panel))))
    return found + [f"there is no variable {name}" for name in used if name not in variables]


def prometheus_problems(text: str) -> list[str]:
    """Problems of Prometheus' settings."""
    settings = yaml.safe_load(text)
    if not isinstance(settings, dict):
        return ["holds no settings"]
    found = secrets_in(text) + [f"{key}: is not known here" for key in sorted(set(settings) - LEVELS[""])]
    overall, jobs = settings.get("global") or {}, settings.get("scrape_configs")
    found += [f"global.{key}: is not known here" for key in sorted(set(overall) - LEVELS["global"])]
    found += [
        f"global.{key}: {value} is no time such as 15s"
        for key, value in overall.items()
        if not re.fullmatch(r"\d+(ms|s|m|h)", str(value))
    ]
    if not isinstance(jobs, list) or not jobs:
        return [*found, "scrape_configs: must list a job"]
    for job in jobs:
        found += [f"scrape_configs: {key}: is not known here" for key in sorted(set(job) - LEVELS["scrape_configs"])]
        if not isinstance(job.get("job_name"), str):
            found.append("scrape_configs: job_name: is missing")
        files = [file for entry in job.get("file_sd_configs", []) for file in entry.get("files", [])]
        if not files or not all(re.fullmatch(r"/\S+/prom_metrics_service_discovery\.json", file) for file in files):
            found.append("scrape_configs: file_sd_configs: must read the list that Ray keeps of its nodes")
    if len({job.get("job_name") for job in jobs}) < len(jobs):
        found.append("scrape_configs: a job_name is there twice")
    return found
