"""What is learned from features of known blur: sigma, and how far off it is to be expected."""

import numpy as np
import pytest

from gkm.classical import ebdb, jnb
from gkm.classical.learning import learn, mean_of
from gkm.classical.regression import LARGEST_SIGMA_PIXELS, SMALLEST_SCALE, load


def places(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A feature that tells sigma where the other is 0, and only half as well where it is 1; a third tells nothing."""
    generator = np.random.default_rng(seed)
    sigmas_N = generator.uniform(0, 4, 4000).astype(np.float32)
    hard_N = generator.integers(0, 2, 4000)
    seen_N = np.log1p(sigmas_N) + generator.laplace(0, 0.02 + 0.2 * hard_N)
    return np.stack([seen_N, hard_N, generator.random(4000)], axis=1).astype(np.float32), sigmas_N


def test_sigma_and_its_error_are_learned() -> None:
    features_NF, sigmas_N = places(1)
    found_N, errors_N = learn(*places(0), steps=300)(features_NF)
    easy_N = features_NF[:, 1] == 0
    wrong_N = np.abs(found_N - sigmas_N)
    assert wrong_N[easy_N].mean() < 0.15
    for of_N in (easy_N, ~easy_N):
        assert errors_N[of_N].mean() == pytest.approx(wrong_N[of_N].mean(), rel=0.4)


def test_what_is_learned_is_the_same_twice_and_for_many_places_as_for_few() -> None:
    regression, again = (learn(*places(0), steps=20) for _ in range(2))
    for name, array in regression.arrays().items():
        np.testing.assert_array_equal(array, again.arrays()[name])
    many_NF = np.tile(places(1)[0], (20, 1))
    found_N, _ = regression(many_NF)
    np.testing.assert_allclose(found_N[-4000:], regression(many_NF[:4000])[0], atol=1e-5)
    assert regression(many_NF[:0])[0].shape == (0,)


def test_an_ensemble_is_one_regression_that_gives_the_means_of_its_members() -> None:
    members = [learn(*places(0), steps=20, seed=seed) for seed in range(3)]
    features_NF = places(1)[0]
    found_N, errors_N = mean_of(members)(features_NF)
    figures_KN2 = np.array([one(features_NF) for one in members]).transpose(0, 2, 1)
    inside_N = (figures_KN2 > [0, SMALLEST_SCALE * 1.01]).all(axis=(0, 2))  # where none was clipped
    inside_N &= (figures_KN2[..., 0] < LARGEST_SIGMA_PIXELS).all(axis=0)
    assert inside_N.mean() > 0.8
    assert np.ptp(figures_KN2[:, inside_N, 0], axis=0).mean() > 0.05  # they do differ
    np.testing.assert_allclose(found_N[inside_N], figures_KN2[:, inside_N, 0].mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(errors_N[inside_N], np.exp(np.log(figures_KN2[:, inside_N, 1]).mean(axis=0)), rtol=1e-4)


@pytest.mark.parametrize(
    ("path", "prefix"),
    [(ebdb.LEARNED, "edges_"), (ebdb.LEARNED, "cells_"), (jnb.LEARNED, "")],
    ids=["ebdb, edges", "ebdb, cells", "jnb"],
)
def test_whatever_is_seen_sigma_is_one_that_there_can_be(path, prefix) -> None:
    regression = load(path, prefix)
    features_NF = np.random.default_rng(0).normal(0, 100, (500, len(regression.middle_F))).astype(np.float32)
    sigmas_N, errors_N = regression(features_NF)
    assert 0 <= sigmas_N.min() <= sigmas_N.max() <= LARGEST_SIGMA_PIXELS
    assert errors_N.min() > 0
