"""The name of a protocol in, every choice out that a score depends on beside the photographs and the model.

Published figures of one network differ by these choices alone. docs/evaluation.md says where each comes from and what
it changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from gkm.errors import InputError
from gkm.metrics import SSIM_WINDOW, SsimWindow

UNIFORM_WINDOW = SsimWindow("uniform", 7, sample_covariance=True)
"""scikit-image's default: the mean over 7 x 7 pixels, sample covariances."""


@dataclass(frozen=True)
class Form:
    """What a metric sees of a restored photograph."""

    clamped: bool
    """Whether values outside [0,1] are cut off first."""
    bits: int | None
    """To how many bits it is rounded, as a saved one would be; None: not at all."""


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How a restored photograph and its sharp partner become three figures."""

    name: str
    input_bits: int | None = None
    """Bits of what the network sees; None: those of the data set."""
    sharp_bits: int | None = None
    """Bits of the sharp photograph; None: those of the data set."""
    psnr: Form
    ssim: Form
    lpips: Form
    ssim_window: SsimWindow = SSIM_WINDOW
    """SSIM is the mean over R, G, B and over all windows that lie inside the photograph, in every protocol."""
    lpips_scaled: bool = True
    """Whether LPIPS is given [-1,1], as it expects, or [0,1]."""
    size_multiple: int = 1
    """Rows and columns beyond a multiple of this are cut off at the bottom and the right, before the network."""
    border_pixels: int = 0
    """Left out on every side when scoring."""

    def to_dict(self) -> dict[str, Any]:
        """All choices as plain values: what identifies the protocol of a score."""
        return asdict(self)


SAVED = Form(clamped=True, bits=8)
"""As a photograph saved with 8 bits."""
COMPUTED = Form(clamped=True, bits=None)
"""In float32, cut off at black and white."""

GKM = Protocol(name="gkm", psnr=SAVED, ssim=SAVED, lpips=SAVED)
"""The project's own: restored photographs as they would be saved, sharp ones with all their bits."""
PAPER = Protocol(name="paper", psnr=COMPUTED, ssim=COMPUTED, lpips=COMPUTED)
"""The text of GKMNet's paper: 16-bit photographs, the metrics as their own papers define them, no rounding."""
RELEASE = Protocol(
    name="release",
    input_bits=8,
    sharp_bits=8,
    psnr=SAVED,
    ssim=Form(clamped=False, bits=8),
    lpips=Form(clamped=False, bits=None),
    lpips_scaled=False,
)
"""What the code does that GKMNet's authors released."""
IFAN = Protocol(
    name="ifan",
    input_bits=8,
    sharp_bits=8,
    psnr=COMPUTED,
    ssim=COMPUTED,
    lpips=COMPUTED,
    ssim_window=UNIFORM_WINDOW,
    size_multiple=8,
)
"""What the code does that IFAN's authors released, which later work on DPD takes up."""
PROTOCOLS: Mapping[str, Protocol] = {protocol.name: protocol for protocol in (GKM, PAPER, RELEASE, IFAN)}


def find_protocol(name: str) -> Protocol:
    """The protocol called `name`; InputError where there is none."""
    if name not in PROTOCOLS:
        raise InputError(f"--protocol {name}: there is no such protocol; choose from {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]
