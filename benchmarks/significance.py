"""How often does a test call two equal settings different? Ours and the usual ones, in the same simulated studies.

    python benchmarks/significance.py                  500 studies for each row; under a minute on one core
    python benchmarks/significance.py --studies 100    quicker and rougher

Printed are the percentages of studies with a false claim at the 95 % level (5 is right), how often our interval holds
the true difference (95 is right), how often a true difference is found by runs paired by their seeds and by our test,
and how often the number of seeds that `seeds_needed` names shows 0.1 dB (80 is right). Two standard errors of 5 % from
500 studies are 2 %. The peers:

    photographs    t test over the photographs' differences, averaged over seeds
    bootstrap      percentiles, with seeds and photographs drawn again (crossed)
    seeds          Welch's t test of the runs' means
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from machine import describe
from scipy import special

from gkm.study.insight.statistics import paired_difference, seeds_needed

Array = npt.NDArray[np.float64]
RESAMPLES = 500


@dataclass(frozen=True)
class World:
    """What varies, as standard deviations in dB."""

    name: str
    seeds: float = 0.0
    """A run's mean; of the arm, and of the reference unless that has its own."""
    photographs: float = 0.0
    """The difference between two settings from one photograph to the next."""
    residual: float = 0.0
    """One run on one photograph."""
    reference_seeds: float | None = None
    heavy_tails: bool = False
    """Student's t with 4 degrees of freedom instead of the normal distribution."""

    def study(self, rng: np.random.Generator, seeds: tuple[int, int], photographs: int, effect: float) -> list[Array]:
        """Scores [seeds, photographs] of an arm, better by `effect`, and of its reference."""

        def draw(*shape: int) -> Array:
            return rng.standard_t(4, shape) / 2**0.5 if self.heavy_tails else rng.standard_normal(shape)

        reference_seeds = self.seeds if self.reference_seeds is None else self.reference_seeds
        base_P, arms = 28 + 3 * draw(photographs), []
        for count, spread in zip(seeds, (self.seeds, reference_seeds), strict=True):
            own_P = self.photographs / 2**0.5 * draw(photographs)
            arms.append(base_P + own_P + spread * draw(count, 1) + self.residual * draw(count, photographs))
        return [arms[0] + effect, arms[1]]

    def studies(
        self, rng: np.random.Generator, number: int, seeds: tuple[int, int], photographs: int, effect: float = 0.0
    ) -> Iterator[tuple[Array, Array]]:
        """So many of them."""
        for _ in range(number):
            arm, reference = self.study(rng, seeds, photographs, effect)
            yield arm, reference


WORLDS = (
    World("seeds, photographs, residual", seeds=0.1, photographs=0.3, residual=0.15),
    World("the same, large residual", seeds=0.1, photographs=0.3, residual=0.5),
    World("the same, heavy tails", seeds=0.1, photographs=0.3, residual=0.15, heavy_tails=True),
    World("seeds of the arm vary more", seeds=0.15, photographs=0.3, residual=0.15, reference_seeds=0.03),
    World("seeds alone", seeds=0.1),
    World("seeds, residual", seeds=0.1, residual=0.15),
    World("photographs alone", photographs=0.3),
    World("photographs, residual", photographs=0.3, residual=0.15),
)
SIZES = (((3, 3), 5), ((3, 3), 10), ((3, 3), 74))
MORE_SIZES = (((2, 2), 74), ((3, 6), 74), ((5, 5), 74), ((10, 10), 74))


def claims(mean: float, variance: float, degrees: float) -> bool:
    """Whether a t test claims a difference at the 95 % level; always where it sees no spread."""
    return bool(abs(mean) > special.stdtrit(degrees, 0.975) * max(variance, 1e-24) ** 0.5)


def over_photographs(arm: Array, reference: Array) -> bool:
    """The claim of a t test over the photographs' differences."""
    difference = arm.mean(0) - reference.mean(0)
    return claims(difference.mean(), difference.var(ddof=1) / len(difference), len(difference) - 1)


def over_seeds(arm: Array, reference: Array) -> bool:
    """The claim of Welch's t test of the runs' means."""
    parts = [scores.mean(1).var(ddof=1) / len(scores) for scores in (arm, reference)]
    spread = sum(part**2 / (len(scores) - 1) for part, scores in zip(parts, (arm, reference), strict=True))
    degrees = sum(parts) ** 2 / spread if spread > 1e-48 else 1e6
    return claims(arm.mean() - reference.mean(), sum(parts), degrees)


def shown(arm: Array, reference: Array) -> bool:
    """Whether our test claims a difference."""
    p_value = paired_difference(arm, reference).p_value
    return p_value is not None and p_value <= 0.05


def row_generator(*row: object) -> np.random.Generator:
    """Random numbers for one row of figures, the same in every run and unlike those of other rows."""
    return np.random.default_rng(list(repr(row).encode()))


class Bootstrap:
    """Means over drawn seeds and photographs; drawn once for all studies of a size."""

    def __init__(self, rng: np.random.Generator, seeds: tuple[int, int], photographs: int) -> None:
        self.arm, self.reference, self.photographs = (
            rng.multinomial(count, np.full(count, 1 / count), RESAMPLES) / count for count in (*seeds, photographs)
        )

    def claims(self, arm: Array, reference: Array) -> bool:
        """Whether the middle 95 % of the resampled differences leave out zero."""
        means = ((self.arm @ arm - self.reference @ reference) * self.photographs).sum(1)
        low, high = np.percentile(means, [2.5, 97.5])
        return bool(low > 0 or high < 0)


def print_false_claims(world: World, seeds: tuple[int, int], photographs: int, studies: int) -> None:
    """One row: percentages of false claims, and, in other studies, of intervals that hold a true difference."""
    rng = row_generator(world.name, *seeds, photographs)
    bootstrap = Bootstrap(rng, seeds, photographs)
    claimed, covered = [], []
    for arm, reference in world.studies(rng, studies, seeds, photographs):
        ours = shown(arm, reference)
        peers = over_photographs(arm, reference), bootstrap.claims(arm, reference), over_seeds(arm, reference)
        claimed.append((ours, *peers))
    for arm, reference in world.studies(rng, studies, seeds, photographs, effect=0.1):
        interval = paired_difference(arm, reference)
        covered.append(interval.low is not None and interval.high is not None and interval.low <= 0.1 <= interval.high)
    ours_share, *shares = 100 * np.mean(claimed, axis=0)
    figures = "".join(f"{share:12.1f}" for share in (ours_share, 100 * np.mean(covered), *shares))
    print(f"{world.name:32}{seeds[0]:3} /{seeds[1]:3} x{photographs:3}{figures}", flush=True)


def print_pairing(seeds: int, photographs: int, effect: float, studies: int) -> None:
    """One row: how often a true difference is found with runs paired by seed, and without."""
    rng = row_generator("pairing", seeds, photographs)
    found = [
        (shown(arm - reference, np.zeros_like(reference)), shown(arm, reference))
        for arm, reference in WORLDS[0].studies(rng, studies, (seeds, seeds), photographs, effect)
    ]
    paired_share, share = 100 * np.mean(found, axis=0)
    print(
        f"{effect:.1f} dB, {seeds} seeds x {photographs} photographs: found in {paired_share:.0f} % of studies "
        f"with runs paired by seed, in {share:.0f} % by ours ({share / paired_share:.2f} times as often)",
        flush=True,
    )


def print_power(world: World, pilot_seeds: int, photographs: int, studies: int) -> None:
    """One row: for each pilot, whether a study with the number of seeds that it asks for shows 0.1 dB."""
    rng = row_generator("power", world.name, pilot_seeds, photographs)
    needed, found = [], []
    for arm, reference in world.studies(rng, studies, (pilot_seeds, pilot_seeds), photographs):
        seeds = seeds_needed(paired_difference(arm, reference))
        if seeds is not None:
            needed.append(seeds)
            # More seeds than this leave nothing to chance but the photographs.
            found.append(shown(*world.study(rng, (min(seeds, 300),) * 2, photographs, effect=0.1)))
    asked = f"{np.median(needed):.0f} seeds (median)" if needed else "no number of seeds"
    observed = f"{100 * np.mean(found):.0f} % shown" if found else "nothing to show"
    print(
        f"{world.name:32}pilot{pilot_seeds:3} x{photographs:3}: {asked}, {observed} where 80 % were stated; "
        f"more photographs asked for in {100 * (1 - len(needed) / studies):.0f} %",
        flush=True,
    )


def main() -> None:
    """Parse, simulate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=500)
    studies = parser.parse_args().studies
    print(describe())
    print(f"{studies} studies for each row\n\nFalse claims, % of studies (and coverage of our interval, %)")
    print(f"{'what varies':32}{'seeds x photographs':>14}{'ours':>9}{'(coverage)':>12}", end="")
    print(f"{'photographs':>12}{'bootstrap':>12}{'seeds':>12}")
    for world in WORLDS:
        for seeds, photographs in SIZES:
            print_false_claims(world, seeds, photographs, studies)
    for world in (WORLDS[0], WORLDS[3]):
        for seeds, photographs in MORE_SIZES:
            print_false_claims(world, seeds, photographs, studies)
    print("\nRuns paired by their seeds")
    for size in ((3, 74), (5, 74)):
        print_pairing(*size, 0.3, studies)
    print("\nDo the seeds that a pilot asks for show a true difference of 0.1 dB?")
    like_each_other = World("the same, photographs alike", seeds=0.1, photographs=0.1, residual=0.15)
    for world, pilot_seeds, photographs in (
        (WORLDS[0], 3, 74),
        (like_each_other, 3, 10),
        (like_each_other, 3, 74),
        (like_each_other, 10, 74),
        (WORLDS[5], 3, 74),
    ):
        print_power(world, pilot_seeds, photographs, studies)


if __name__ == "__main__":
    main()
