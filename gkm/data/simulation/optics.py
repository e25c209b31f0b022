"""Text such as "f_number=2.8" in, checked settings of a simulated lens and its sensor out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from gkm.config import parse_assignments
from gkm.data.simulation.defocus import Lens, PointSpread
from gkm.errors import InputError

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Optics(BaseModel):
    """How sharp photographs are taken again. Each focus gives one shot of every photograph."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    f_number: Positive = 2.0
    """Focal length over the aperture's diameter; half of it doubles the blur."""
    focus_metres: tuple[Positive, ...] = ()
    """Distances in focus; left out: the nearest, the farthest and one between (even in inverse depth)."""
    focal_length_mm: Positive = 50.0
    sensor_width_mm: Positive = 36.0
    point_spread: PointSpread = "disk"
    noise_sigma_8bit: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] = 0.0
    """Gaussian noise of the blurred photograph, in 8-bit units."""
    near_metres: Positive = 1.0
    far_metres: Positive = 8.0
    """Range of the smooth depth that photographs without a depth map get."""
    seed: int = 0
    """Of smooth depths and of the noise."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.near_metres >= self.far_metres:
            raise ValueError(f"near_metres = {self.near_metres:g} must be below far_metres = {self.far_metres:g}")
        for focus in self.focuses:
            if focus * 1000 <= self.focal_length_mm:
                raise ValueError(
                    f"a focus of {focus:g} m must lie beyond the focal length, {self.focal_length_mm:g} mm"
                )
        return self

    @property
    def focuses(self) -> tuple[float, ...]:
        """Distances in focus, in metres."""
        middle = 2 / (1 / self.near_metres + 1 / self.far_metres)
        return self.focus_metres or (self.near_metres, round(middle, 3), self.far_metres)

    def lens(self, shot: int) -> Lens:
        """The lens of one shot."""
        return Lens(
            focal_length_mm=self.focal_length_mm,
            f_number=self.f_number,
            focus_metres=self.focuses[shot],
            sensor_width_mm=self.sensor_width_mm,
        )

    @classmethod
    def from_assignments(cls, assignments: Sequence[str]) -> Self:
        """Settings from "key=value" texts (values are JSON, lists too); InputError names the one that is wrong."""
        values = parse_assignments(assignments, example="f_number=2.8")
        if isinstance(values.get("focus_metres"), int | float):
            values["focus_metres"] = [values["focus_metres"]]
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            if problem["type"] == "extra_forbidden":
                raise InputError(
                    f"--set {problem['loc'][0]}: is no setting of the lens; known are {', '.join(cls.model_fields)}"
                ) from None
            where = ".".join(map(str, problem["loc"]))
            reason = problem["msg"].removeprefix("Value error, ")
            raise InputError(f"--set {where or 'focus_metres'}: {reason}; correct it or leave it out") from None
