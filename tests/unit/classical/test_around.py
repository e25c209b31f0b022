"""What the edges in and around a cell say together."""

import numpy as np

from gkm.classical.around import CELL_PIXELS, FEATURES, SIDES_CELLS, cell_features, middles
from gkm.classical.edges import Edges

SIZE = (200, 403)


def edges_at(rows: np.ndarray, columns: np.ndarray) -> Edges:
    return Edges(rows, columns, np.full(len(rows), 4, dtype=np.intp))


def squares(edges: Edges, sigmas_N: np.ndarray, errors_N: np.ndarray) -> np.ndarray:
    """[h,w,side,feature], the smallest side first."""
    found_hwF = cell_features(edges, sigmas_N.astype(np.float32), errors_N.astype(np.float32), SIZE)
    assert found_hwF.dtype == np.float32
    return found_hwF.reshape(*found_hwF.shape[:2], len(SIDES_CELLS), FEATURES)[:, :, ::-1]


def test_a_cell_sees_the_mean_of_its_own_edges_and_of_those_around() -> None:
    rows, columns = np.array([4, 5, 4]), np.array([4, 4, 4 + CELL_PIXELS])
    found_hw4f = squares(edges_at(rows, columns), np.array([1.0, 2.0, 4.0]), np.full(3, 0.3))
    own, near = found_hw4f[0, 0, 0], found_hw4f[0, 0, 1]
    np.testing.assert_allclose(own[:3], [1.5, 0.5, np.log(0.3)], atol=0.03)
    np.testing.assert_allclose(near[:2], [7 / 3, np.std([1, 2, 4])], atol=0.05)
    np.testing.assert_allclose(own[3], np.log(2), atol=0.01)
    np.testing.assert_allclose(near[3], np.log(3 / SIDES_CELLS[1] ** 2), atol=0.02)


def test_what_is_surer_counts_more() -> None:
    found_hw4f = squares(edges_at(np.array([4, 5]), np.array([4, 4])), np.array([1.0, 3.0]), np.array([0.1, 0.9]))
    np.testing.assert_allclose(found_hw4f[0, 0, 0, 0], (9 * 1 + 1 * 3) / 10, atol=0.02)


def test_a_square_without_an_edge_says_what_the_next_larger_one_does() -> None:
    found_hw4f = squares(edges_at(np.array([100, 100]), np.array([4, 5])), np.array([3.0, 3.0]), np.full(2, 0.3))
    assert found_hw4f.shape[:2] == (25, 51)
    np.testing.assert_allclose(found_hw4f[..., 0], 3, atol=1e-3)  # everywhere: nothing else is known
    assert found_hw4f[0, -1, 0, 3] < found_hw4f[12, 0, 0, 3]


def test_middles_lie_in_their_cells_up_to_the_last_one() -> None:
    rows_M, columns_M = middles((17, 30))
    assert len(rows_M) == 3 * 4
    assert (rows_M.max(), columns_M.max()) == (16, 28)
    np.testing.assert_array_equal(np.unique(rows_M // CELL_PIXELS), [0, 1, 2])
    np.testing.assert_array_equal(np.unique(columns_M // CELL_PIXELS), [0, 1, 2, 3])
