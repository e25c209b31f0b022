"""Features of a place in, the blur there and how far off that may be out: a perceptron, learned on simulated blur.

What a method sees at a place (how fast an edge fades, how sparse a patch is) tells sigma only with an error, and how
large that is depends on the place. So two figures are fitted by the likelihood of Laplace's distribution: its middle,
which is sigma, and its scale, which says how much the place counts.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
LARGEST_SIGMA_PIXELS = 5.0
SMALLEST_SCALE, LARGEST_SCALE = 0.05, 10.0
"""Of the error, in pixels."""
_AT_ONCE = 1 << 16


@dataclass(frozen=True, kw_only=True)
class Regression:
    """A perceptron with two hidden layers of rectified units, F features in, two figures out."""

    middle_F: Array  # noqa: N815
    spread_F: Array  # noqa: N815
    """Mean and deviation of the features where it was learned."""
    first_FU: Array  # noqa: N815
    first_U: Array  # noqa: N815
    second_UU: Array  # noqa: N815
    second_U: Array  # noqa: N815
    last_U2: Array  # noqa: N815
    last_2: Array

    def __call__(self, features_NF: Array) -> tuple[Array, Array]:
        """Sigma and the mean error expected of it, in pixels, each [N]."""
        found = [self._figures(features_NF[at : at + _AT_ONCE]) for at in range(0, max(len(features_NF), 1), _AT_ONCE)]
        figures_N2 = np.concatenate(found)
        sigmas_N = np.clip(figures_N2[:, 0], 0, LARGEST_SIGMA_PIXELS)
        scales_N = np.exp(np.clip(figures_N2[:, 1], np.log(SMALLEST_SCALE), np.log(LARGEST_SCALE)))
        return sigmas_N.astype(np.float32), scales_N.astype(np.float32)

    def _figures(self, features_NF: Array) -> Array:
        hidden_NU = np.maximum((features_NF - self.middle_F) / self.spread_F @ self.first_FU + self.first_U, 0)
        hidden_NU = np.maximum(hidden_NU @ self.second_UU + self.second_U, 0)
        return np.asarray(hidden_NU @ self.last_U2 + self.last_2, dtype=np.float32)

    def arrays(self, prefix: str = "") -> dict[str, Array]:
        """By their names after `prefix`, to be saved."""
        return {prefix + name: array for name, array in asdict(self).items()}


def load(path: Path, prefix: str = "") -> Regression:
    """The regression in an archive of its arrays, whose names begin with `prefix`; others in it are left."""
    with np.load(path, allow_pickle=False) as archive:
        return Regression(**{name: archive[prefix + name] for name in Regression.__dataclass_fields__})
