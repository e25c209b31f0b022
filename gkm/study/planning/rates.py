"""A device's name in; how fast it trains, by `devices.json`, and where that figure comes from, out."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from gkm.errors import InputError

DEVICES = Path(__file__).with_name("devices.json")


@dataclass(frozen=True)
class DeviceRate:
    """How fast one slot (a GPU, or the cores of one trial) works."""

    name: str
    training: float
    """Multiply-adds a second of training steps, a step being three times its forward pass."""
    inference: float
    """Multiply-adds a second where photographs are restored."""
    scoring: float
    """Seconds for each megapixel of validation beside that: PSNR, SSIM, conversion."""
    step_seconds: float = 0.0
    """The least that an optimiser step takes, however small it is."""
    epoch_seconds: float = 0.0
    """For each validated epoch: checkpoint, best weights, report."""
    trial_seconds: float = 0.0
    """Between two trials of a slot: network, optimiser, photographs."""
    start_seconds: float = 0.0
    """Once for each slot: a process and its imports."""
    measured: bool = False
    """Whether training and inference were measured, and not assumed."""
    basis: str = ""
    """Where the figures come from, in words."""
    full_width: int | None = None
    """Narrower networks reach less of the rates, in proportion (memory bounds them); None: they are as measured."""

    def shared(self, trials: int) -> DeviceRate:
        """The rates of each of so many trials that take turns."""
        share = 1 / trials
        return replace(
            self,
            training=self.training * share,
            inference=self.inference * share,
            step_seconds=self.step_seconds * trials,
        )

    def at_width(self, width: int) -> DeviceRate:
        """The rates for networks with that many channels at full resolution."""
        if self.full_width is None or width >= self.full_width:
            return self
        share = width / self.full_width
        return replace(self, training=self.training * share, inference=self.inference * share)


def known_devices() -> tuple[str, ...]:
    """Names for `known_rate`."""
    return tuple(json.loads(DEVICES.read_text(encoding="utf-8")))


def known_rate(name: str) -> DeviceRate:
    """The rate of a device by name, such as "a10g"; InputError where it is not known."""
    known = json.loads(DEVICES.read_text(encoding="utf-8"))
    if name.lower() not in known:
        raise InputError(f"device {name}: its speed is not known; there are {', '.join(known)}")
    return DeviceRate(name=name.lower(), **known[name.lower()])
