"""Combinations are scored as everywhere else, once, and what is damaged is scored again."""

from pathlib import Path

import numpy as np
import pytest
import torch

from gkm.data.dataset.dataset import open_dataset
from gkm.data.dataset.pair import Pair
from gkm.data.preparation.preparation import write_dataset
from gkm.data.reading.cache import open_split
from gkm.errors import InputError
from gkm.evaluation import PROTOCOLS, evaluate, restorer
from gkm.scoring import cells
from gkm.scoring.cells import Cell, Conditions, Place, check, score_cells, with_blurred
from gkm.scoring.rows import place_of
from gkm.scoring.subjects import BLURRED, Subject
from tests.unit.scoring.small import small_network, subject_of


def _forbid(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(cells, "_compute", refuse)


def test_scores_are_those_of_evaluate_and_are_computed_once(
    tiny: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, conditions, folder = small_network(), Conditions(seed=3), str(tmp_path / "kept")
    wanted = with_blurred([Cell(subject_of(network), tiny, 2.0)])
    assert [cell.subject.kind for cell in wanted] == ["blurred", "network"]
    blocks = score_cells(wanted, folder, conditions, cache=str(tmp_path / "cache"))
    pairs = open_split(tiny.dataset, "test", str(tmp_path / "cache"))
    for block, restore in zip(blocks, (None, restorer(network)), strict=True):
        assert [row.score for row in block.rows] == evaluate(restore, pairs, noise_sigma_8bit=2, seed=3)
    assert [row.seconds is None for row in blocks[0].rows + blocks[1].rows] == [True, True, False, False]
    _forbid(monkeypatch)
    assert score_cells(wanted, folder, conditions) == blocks


def test_another_seed_protocol_or_network_is_another_key_but_without_noise_the_seed_is_not(tiny: Place) -> None:
    silent, noisy = (Cell(subject_of(small_network()), tiny, sigma) for sigma in (0.0, 3.0))
    assert silent.key(Conditions(seed=1)) == silent.key(Conditions(seed=2))
    assert noisy.key(Conditions(seed=1)) != noisy.key(Conditions(seed=2))
    assert silent.key(Conditions()) != silent.key(Conditions(protocol=PROTOCOLS["release"]))
    assert silent.key(Conditions()) != Cell(subject_of(small_network(1)), tiny, 0.0).key(Conditions())


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: b"x" * 99])
def test_a_damaged_file_is_computed_again_and_replaced(damage, tiny: Place, tmp_path: Path) -> None:
    cell, conditions = Cell(BLURRED, tiny, 0.0), Conditions()
    (before,) = score_cells([cell], str(tmp_path), conditions)
    path = Path(place_of(str(tmp_path), cell.key(conditions)))
    path.write_bytes(damage(path.read_bytes()))
    assert cell.read(str(tmp_path), conditions) is None
    (after,) = score_cells([cell], str(tmp_path), conditions)
    assert after.rows == before.rows
    assert cell.read(str(tmp_path), conditions) == after


def test_a_flipped_bit_in_a_score_is_noticed(tiny: Place, tmp_path: Path) -> None:
    cell, conditions = Cell(BLURRED, tiny, 0.0), Conditions()
    (block,) = score_cells([cell], str(tmp_path), conditions)
    path = Path(place_of(str(tmp_path), cell.key(conditions)))
    data = bytearray(path.read_bytes())
    at = data.index(np.float64(block.rows[0].psnr).tobytes())
    data[at + 3] ^= 1
    path.write_bytes(data)
    assert cell.read(str(tmp_path), conditions) is None


def test_a_network_without_pictures_is_an_error_that_names_it_and_what_was_finished_stays(
    tiny: Place, tmp_path: Path
) -> None:
    network = small_network()
    with torch.no_grad():
        next(network.parameters()).fill_(float("nan"))
    broken = subject_of(network, "broken")
    with pytest.raises(InputError, match=r"^broken: test-0/0: .* not finite; choose another --model$"):
        score_cells([Cell(BLURRED, tiny, 0.0), Cell(broken, tiny, 0.0)], str(tmp_path), Conditions())
    assert len(list((tmp_path / "rows").iterdir())) == 1


@pytest.mark.parametrize("side", [1, 31])
def test_photographs_that_are_too_small_are_named_before_anything_is_computed(side: int, tmp_path: Path) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    write_dataset([("test", Pair("yard", "9", photo, photo))], tmp_path / "data", {"kind": "synthetic"})
    place = Place("small", open_dataset(tmp_path / "data"))
    with pytest.raises(InputError, match=rf"photograph yard/9 has {side} x {side} pixels, too few .* need 32"):
        check([Cell(BLURRED, place, 0.0)], Conditions())


def test_the_iteration_without_learning_needs_photographs_to_stop_by(tiny: Place, tmp_path: Path) -> None:
    method = Subject(label="fixed point", kind="fixed-point", identity="fixed-point")
    (blurred, restored) = score_cells(with_blurred([Cell(method, tiny, 0.0)]), str(tmp_path / "kept"), Conditions())
    assert restored.rows[0].psnr > blurred.rows[0].psnr  # it knows the sharp photograph
    pair = Pair("yard", "9", *[np.zeros((40, 40, 3), np.uint8)] * 2)
    write_dataset([("test", pair)], tmp_path / "data", {"kind": "synthetic"})
    with pytest.raises(InputError, match="has no validation photographs"):
        check([Cell(method, Place("x", open_dataset(tmp_path / "data")), 0.0)], Conditions())
