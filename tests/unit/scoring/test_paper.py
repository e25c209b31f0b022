"""The paper's tables on a small data set: the same rows, and beside each what was measured, or that nothing was."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gkm.classical import METHODS
from gkm.errors import InputError
from gkm.scoring.cells import Cell, Conditions, Place, score_cells, with_blurred
from gkm.scoring.lines import ScoreTable
from gkm.scoring.paper import paper_cells, paper_tables, row_keys
from gkm.scoring.published import PHOTOGRAPHS
from gkm.scoring.rendering import to_markdown
from gkm.scoring.subjects import BLURRED, Subject, TrainingData
from gkm.scoring.summary import summarise
from gkm.scoring.training import Training
from gkm.tracking.environment import processor
from gkm.training.context import best_device
from tests.unit.scoring.small import small_network, subject_of


def test_each_model_is_scored_where_its_rows_are(tiny: Place) -> None:
    dpd = replace(tiny, label="dpd")
    sigmas = {
        key: sorted({cell.noise_sigma_8bit for cell in paper_cells([subject_of(small_network(), key)], [dpd])})
        for key in ("gkmnet", "sram", "nrknet", "dpdnet-s", "gkmnet+")
    }
    assert sigmas == {
        "gkmnet": [0, 1, 3, 5], "sram": [0], "nrknet": [0], "dpdnet-s": [0], "gkmnet+": [1, 3, 5]
    }  # fmt: skip


def test_names_that_no_row_has_are_refused(tiny: Place) -> None:
    with pytest.raises(InputError, match=r"--model mine: no row of the tables is called so; .* jnb, ebdb"):
        paper_cells([subject_of(small_network(), "mine")], [replace(tiny, label="dpd")])
    with pytest.raises(InputError, match="--data tiny: the tables are of two data sets"):
        paper_cells([], [tiny])


def test_a_method_is_measured_in_its_row_whatever_it_is_called_and_stands_in_no_other(
    tiny: Place, tmp_path: Path
) -> None:
    dpd = replace(tiny, label="dpd")
    method = METHODS["ebdb"]
    subject = Subject(label="mine", kind="two-stage", identity=method.identity, method=method.key)
    cells = with_blurred(paper_cells([subject], [dpd]))
    assert [(cell.subject.kind, cell.noise_sigma_8bit) for cell in cells] == [("blurred", 0), ("two-stage", 0)]
    summaries = summarise(cells, score_cells(cells, str(tmp_path), Conditions()), {})
    first = paper_tables(summaries, [dpd])[0]
    lines = [line for line in first.lines if line.model in ("EBDB", "mine")]
    assert [(line.model, line.origin) for line in lines] == [("EBDB", "published"), ("EBDB", "measured")]
    assert (lines[1].parameters, lines[1].macs, lines[1].model_bytes) == (None, None, None)
    assert lines[1].cpu_seconds is not None
    assert lines[1].cpu_seconds > 0
    if best_device().type == "cpu":
        assert [note for note in first.notes if note.startswith("Seconds")] == [
            f"Seconds: the median over the photographs, on {processor()}, {_threads()}."
        ]


def _threads() -> str:
    threads = torch.get_num_threads()
    return "1 thread" if threads == 1 else f"{threads} threads"


def _tables(tiny: Place, folder: Path) -> list[ScoreTable]:
    dpd = replace(tiny, label="dpd")
    subjects = [subject_of(small_network(), "gkmnet"), subject_of(small_network(1), "sram")]
    blank = [Cell(BLURRED, dpd, 0.0)]
    cells = with_blurred([*blank, *paper_cells(subjects, [dpd])])
    blocks = score_cells(cells, str(folder), Conditions())
    return paper_tables(summarise(cells, blocks, {}), [dpd])


def test_published_and_measured_rows_stand_side_by_side_and_twice_the_same(tiny: Place, tmp_path: Path) -> None:
    first, second = (_tables(tiny, tmp_path / name) for name in "ab")
    assert [table.title[:8] for table in first] == [f"Table {number}:" for number in range(1, 6)]
    origins = {(line.model, line.origin) for line in first[3].lines}
    assert ("SRAM*", "published") in origins
    assert ("SRAM*", "measured") in origins
    assert ("w/o Conv-LSTM", "not measured") in origins
    assert ("blurred input", "measured") in origins
    assert {line.origin for line in first[2].lines} == {"published", "not measured"}
    assert "Nothing was measured: no data set was given as rtf." in first[2].notes
    assert any("2 photographs" in note and PHOTOGRAPHS["dpd"] in note for note in first[0].notes)
    models = [line.model for line in first[0].lines]
    assert models.index("GKMNet") == len(models) - 1 - models[::-1].index("GKMNet") - 1  # published, then measured

    def without_times(tables: list[ScoreTable]) -> str:
        plain = [
            replace(t, lines=[replace(line, cpu_seconds=None, gpu_seconds=None) for line in t.lines]) for t in tables
        ]
        return to_markdown(plain)

    assert without_times(first) == without_times(second)


def test_each_measured_networks_training_is_told_once_below_its_tables(tiny: Place, tmp_path: Path) -> None:
    dpd = replace(tiny, label="dpd")
    known = TrainingData(tiny.dataset.fingerprint, tiny.dataset.place)
    short = Training(epoch=2, epochs=3, crops_per_photo=4, crop_pixels=32)
    trained = replace(subject_of(small_network(), "gkmnet"), trained_on=known, training=short)
    cells = with_blurred([Cell(BLURRED, dpd, 0.0), *paper_cells([trained, subject_of(small_network(1), "srn")], [dpd])])
    tables = paper_tables(summarise(cells, score_cells(cells, str(tmp_path), Conditions()), {}), [dpd])
    crops = 2 * 4 * len(tiny.dataset.entries("train"))
    of_gkmnet = f"GKMNet: weights of epoch 2 of 3, {crops} crops of 32 pixels: trained for a moment, "
    of_srn = "SRN: how long it was trained is not on record."
    for table in tables[:2]:
        assert sum(note.startswith(of_gkmnet) for note in table.notes) == table.notes.count(of_srn) == 1
    assert not any("trained" in note for note in tables[2].notes)  # nothing was measured there


def test_rows_can_be_named_on_a_command_line() -> None:
    assert {"gkmnet", "gkmnet-1", "no-lstm", "gcm-random", "gcm-gkm", "s3r2", "dpdnet-d", "nrknet"} <= set(row_keys())
    assert not [key for key in row_keys() if "=" in key or " " in key]
