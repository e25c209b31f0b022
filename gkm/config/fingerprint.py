"""All settings of a trial in; those that identify it, and their fingerprint, out.

A setting is left out while it has its default, so that settings added later change no fingerprint. The settings of the
first version are the exception: they were never left out, and what is known by their fingerprints stays valid.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from gkm.config.base import Settings
from gkm.config.networks import DEFAULT_KIND, kind_of

FIRST_SETTINGS: Mapping[str, frozenset[str]] = {
    "model": frozenset(
        {
            "max_kernel_size", "num_kernels", "num_scales", "iterations_per_scale", "gcm", "width", "recurrent",
            "output", "share_iterations", "residual", "bank", "coefficients", "omega",
        }
    ),
    "data": frozenset({"crop_pixels", "batch_size", "crops_per_photo", "flips", "noise_sigma_8bit"}),
    "loss": frozenset({"schedule"}),
    "optim": frozenset({"learning_rate", "decay_factor", "decay_after", "clip_norm"}),
    "training": frozenset({"epochs", "validate_every", "seed", "precision"}),
}  # fmt: skip
"""Section -> the settings of the first version, of GKMNet where it is "model". Never to be changed."""

PRACTICAL: Mapping[str, frozenset[str]] = {"training": frozenset({"checkpoint_minutes"})}
"""Section -> settings of how a trial is run, on which no result depends: they identify nothing."""


def fingerprint(settings: Settings) -> str:
    """Twelve hexadecimal digits of `settings`, whose fields are sections."""
    canonical = json.dumps(identifying(settings), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def identifying(settings: Settings) -> dict[str, dict[str, Any]]:
    """Section -> the settings that are not at their defaults, those of the first version, the kind of other networks.

    Sections without any are left out.
    """
    found = {}
    for section in type(settings).model_fields:
        content: Settings = getattr(settings, section)
        always = FIRST_SETTINGS.get(section, frozenset())
        if section == "model" and kind_of(content) != DEFAULT_KIND:
            always = frozenset({"kind"})
        never = PRACTICAL.get(section, frozenset())
        values, defaults = content.model_dump(mode="json"), type(content)().model_dump(mode="json")
        kept = {name: value for name, value in values.items() if name in always or value != defaults[name]}
        if kept := {name: value for name, value in kept.items() if name not in never}:
            found[section] = kept
    return found
