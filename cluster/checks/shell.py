"""A shell script in; what its linter and this project's rules say of it out."""

from __future__ import annotations

import re
import subprocess

from cluster.checks.images import linter
from cluster.checks.project import secrets_in

PUBLIC = re.compile(r"(?:--host[= ]|--dashboard-host[= ]|--node-ip-address[= ])(?:0\.0\.0\.0|::)")


def shell_problems(text: str) -> list[str]:
    """Problems of a bash script; shellcheck's, too, where it is installed."""
    found = secrets_in(text)
    if not text.startswith("#!/usr/bin/env bash\n"):
        found.append("does not begin with #!/usr/bin/env bash")
    if not re.search(r"^set -euo pipefail$", text, re.MULTILINE):
        found.append("without set -euo pipefail; it would go on after a failure")
    if PUBLIC.search(text):
        found.append("a server listens on all addresses")
    modes = re.findall(r"RAY_AUTH_MODE=(\w+)", text)
    if (modes or re.search(r'ray"? start', text)) and set(modes) != {"token"}:
        found.append("Ray without RAY_AUTH_MODE=token; whoever reaches it runs code on it")
    if re.search(r"\bcurl\b.*\|\s*(ba)?sh\b", text):
        found.append("runs what it fetched")
    if re.search(r"\b(pkill|killall)\b", text):
        found.append("ends programs by their name, those of others too")
    syntax = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False, timeout=60)
    found += syntax.stderr.splitlines()[:1]
    if not found and (program := linter("shellcheck")):
        ended = subprocess.run(
            [program, "--format=gcc", "--shell=bash", "-"],
            input=text, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        found += [f"shellcheck: {line.removeprefix('-:')}" for line in ended.stdout.splitlines()]
    return found
