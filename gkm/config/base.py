"""What all settings have in common: frozen, checked, unknown keys refused; and what those of all networks have."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

Input = Literal["blurred", "left", "right"]
"""A photograph that a network sees: the blurred one, or one of its two dual-pixel views."""


class Settings(BaseModel):
    """Frozen settings; derive others with `model_copy(update=...)` or `with_values`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class NetworkConfig(Settings):
    """Settings of a network. A subclass gives `kind` as a Literal with a default, and every other field a default."""

    kind: str
    """Which network it is: "gkmnet", and so on."""

    of_restoring: ClassVar[frozenset[str]] = frozenset()
    """Settings of how photographs are restored, on which no weight depends: other values take the same weights."""

    @property
    def inputs(self) -> tuple[Input, ...]:
        """What the network sees, in the order of its channels."""
        return ("blurred",)

    @property
    def smallest_crop_pixels(self) -> int:
        """Least side of a training crop, in pixels."""
        return 16

    @property
    def first_channels(self) -> int:
        """Channels at full resolution, by which the speed of a device is looked up before anything runs."""
        return int(getattr(self, "width", 64))

    def fourier_problem(self, schedule: str) -> str | None:
        """Why its cost with this `loss.schedule` takes no Fourier term, and what to do; None: it takes one."""
        return None

    def apart_from(self, weights_of: NetworkConfig) -> list[str]:
        """The settings in which a network with these weights would be another one; none: they fit."""
        here, there = (settings.model_dump(mode="json") for settings in (self, weights_of))
        names = [name for name in {**there, **here} if name not in self.of_restoring]
        return [name for name in names if here.get(name) != there.get(name)]
