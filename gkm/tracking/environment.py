"""Where and with what a run was made: nothing in, tags out (commit, package versions, Python, cores, device).

Nothing here names the machine, its user or its folders.
"""

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("gkm", "torch", "ray", "mlflow", "optuna", "numpy")


def environment_tags() -> dict[str, str]:
    """Tags for a run: the commit (with "-dirty" where tracked files differ from it), versions, Python and hardware.

    The commit is left out where the package does not come from a git work tree of its own.
    """
    tags = {
        "gkm.python": platform.python_version(),
        "gkm.platform": f"{platform.system()} {platform.machine()}",
        "gkm.cores": str(_cores()),
        "gkm.device": _device(),
    }
    for name in PACKAGES:
        try:
            tags[f"gkm.version.{name}"] = version(name)
        except PackageNotFoundError:
            continue
    if commit := git_commit():
        tags["gkm.git_commit"] = commit
        tags["mlflow.source.git.commit"] = commit.removesuffix("-dirty")
    return tags


def git_commit() -> str | None:
    """The commit of this package's source, "-dirty" appended where it was changed since; None if unknown.

    Where the source is a copy without its repository (a container, a submitted job), `GKM_GIT_COMMIT` can tell it.
    """
    source = Path(__file__).parent
    # An installed package may lie inside someone else's repository: only a repository that tracks this file counts.
    if _git(source, "ls-files", "--error-unmatch", Path(__file__).name) is None:
        return os.environ.get("GKM_GIT_COMMIT") or None
    commit = _git(source, "rev-parse", "HEAD")
    changes = _git(source, "status", "--porcelain", "--untracked-files=no")
    return f"{commit}-dirty" if commit and changes else commit


def processor() -> str:
    """What computes here, such as "AMD EPYC (family 25, model 17)"."""
    info = Path("/proc/cpuinfo")
    facts = dict.fromkeys(("model name", "cpu family", "model"), "")
    for line in info.read_text().splitlines() if info.exists() else ():
        name, _, value = line.partition(":")
        if not facts.get(name.strip(), "known"):
            facts[name.strip()] = value.strip()
    family = f" (family {facts['cpu family']}, model {facts['model']})" if facts["cpu family"] else ""
    return (facts["model name"] or platform.processor() or platform.machine()) + family


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        answer = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _device() -> str:
    import torch

    if not torch.cuda.is_available():
        return "cpu"
    return f"{torch.cuda.get_device_name()} (CUDA {torch.version.cuda})"
