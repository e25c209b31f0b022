"""A version's files and a photograph in; what MLflow alone, in a process of its own, makes of it, out.

Run as a program, it imports nothing of this project, so that the source that travels with the version is used.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

PATIENCE_SECONDS = 900.0


@dataclass(frozen=True)
class Clean:
    """What came of it."""

    problem: str | None
    """Why the version is not fit for use by others; None where it is."""
    peak_bytes: int = 0
    """The most memory that the process had; 0 where it came to nothing."""


def restore_elsewhere(model: Path, seen: Mapping[str, npt.NDArray[Any]], expected_HW3: npt.NDArray[np.uint8]) -> Clean:
    """Restore what is `seen` (by the network's inputs) with the MLflow model in the folder `model`, in a new process.

    `expected_HW3` is what this process makes of it.
    """
    with tempfile.TemporaryDirectory(prefix="gkm-") as temporary:
        given, made = Path(temporary) / "seen.npz", Path(temporary) / "restored.npy"
        arrays: dict[str, Any] = dict(seen)
        np.savez(given, **arrays)
        command = [sys.executable, "-E", "-P", "-W", "ignore", __file__, *map(str, (model, given, made))]
        try:
            answer = subprocess.run(
                command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False, cwd=temporary
            )
        except subprocess.TimeoutExpired:
            return Clean(f"not done after {PATIENCE_SECONDS:g} seconds")
        if answer.returncode != 0:
            return Clean(f"fails: {(answer.stderr.strip().splitlines() or ['without a word'])[-1][:300]}")
        restored_HW3 = np.load(made)
    peak = int(json.loads(answer.stdout.splitlines()[-1])["peak_bytes"])
    if restored_HW3.shape != expected_HW3.shape:
        return Clean(f"gives a picture of another size ({restored_HW3.shape[:2]}, not {expected_HW3.shape[:2]})", peak)
    if (count := int((restored_HW3 != expected_HW3).any(axis=-1).sum())) > 0:
        return Clean(f"gives other pixels ({count} of {expected_HW3[..., 0].size})", peak)
    return Clean(None, peak)


def main(model: str, given: str, made: str) -> None:
    """What the new process does."""
    warnings.simplefilter("ignore")
    import mlflow.pyfunc

    seen = dict(np.load(given))
    loaded = mlflow.pyfunc.load_model(model)
    np.save(made, loaded.predict(seen["blurred"] if set(seen) == {"blurred"} else seen))
    print(json.dumps({"peak_bytes": _peak_bytes()}))


def _peak_bytes() -> int:
    """The most memory that this process had, or its GPU if that is more.

    Not `getrusage`, which counts what the process had that started this one.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)
    torch = sys.modules.get("torch")
    return max(peak, torch.cuda.max_memory_allocated() if torch and torch.cuda.is_available() else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
