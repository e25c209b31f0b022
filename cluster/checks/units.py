"""A unit file of systemd in; what it does not say, or lets a server do that it need not, out."""

from __future__ import annotations

import re

from cluster.checks.project import secrets_in

KNOWN = {
    "Unit": {"Description", "After", "Wants", "Requires"},
    "Service": {
        "User", "Group", "EnvironmentFile", "Environment", "ExecStart", "WorkingDirectory", "StateDirectory", "Restart",
        "RestartSec", "MemoryMax", "NoNewPrivileges", "CapabilityBoundingSet", "PrivateDevices", "PrivateTmp",
        "ProtectHome", "ProtectSystem", "ProtectKernelModules", "ProtectKernelTunables", "ProtectControlGroups",
        "RestrictAddressFamilies", "RestrictNamespaces", "RestrictSUIDSGID", "LockPersonality",
        "SystemCallArchitectures", "UMask",
    },
    "Install": {"WantedBy"},
}  # fmt: skip
"""Section -> directives used; systemd.unit(5), systemd.service(5), systemd.exec(5) and systemd.resource-control(5)."""
WANTED = {
    "NoNewPrivileges": "true", "CapabilityBoundingSet": "", "PrivateDevices": "true", "PrivateTmp": "true",
    "ProtectHome": "true", "ProtectSystem": "strict", "RestrictSUIDSGID": "true", "UMask": "0077",
}  # fmt: skip


def unit_problems(text: str) -> list[str]:
    """Problems of the unit of MLflow's server."""
    found, section = secrets_in(text), ""
    sections: dict[str, dict[str, str]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if header := re.fullmatch(r"\[(\w+)\]", line):
            section = header[1]
            if section not in KNOWN:
                found.append(f"line {number}: systemd has no section {section} for a service")
            sections.setdefault(section, {})
            continue
        key, equals, value = line.partition("=")
        if not equals or key not in KNOWN.get(section, set()):
            found.append(f"line {number}: {key} is not known in {section or 'no section'}")
        sections.setdefault(section, {})[key] = value
    service = sections.get("Service", {})
    found += [
        f"Service.{key}: must be {value or 'empty'}" for key, value in WANTED.items() if service.get(key) != value
    ]
    if service.get("User") in (None, "", "root"):
        found.append("Service.User: must be an account of its own, not root")
    if "EnvironmentFile" not in service:
        found.append("Service.EnvironmentFile: is missing; secrets in the unit can be read by all")
    if re.search(r"PASSWORD|SECRET|STORE_URI", service.get("Environment", "")):
        found.append("Service.Environment: a secret in the unit can be read by all")
    if "MemoryMax" not in service:
        found.append("Service.MemoryMax: is missing")
    if sections.get("Install", {}).get("WantedBy") != "multi-user.target":
        found.append("Install.WantedBy: must be multi-user.target, or it does not start with the machine")
    return found + server_problems(service.get("ExecStart", ""))


def server_problems(command: str) -> list[str]:
    """Problems of the command line of MLflow's server behind a web server."""
    found = []
    if not re.match(r"/\S+/mlflow server ", command):
        found.append("Service.ExecStart: must be the server of MLflow, by its whole path")
    if "--app-name=basic-auth" not in command:
        found.append("Service.ExecStart: without --app-name=basic-auth everybody may read and delete")
    if "--host=127.0.0.1" not in command:
        found.append("Service.ExecStart: must listen on 127.0.0.1; passwords travel encrypted from there on only")
    if not re.search(r"--allowed-hosts=[^*\s]", command):
        found.append("Service.ExecStart: --allowed-hosts must name the hosts")
    return found
