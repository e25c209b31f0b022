"""The command that scores models: tables for people, files, resumption, and refusals that change nothing."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from pyarrow import parquet

from gkm.data.dataset.pair import Pair
from gkm.data.preparation.preparation import write_dataset
from gkm.scoring import cells
from gkm.training.checkpoint import load_weights, save_weights
from pipelines.evaluate import main


def _files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def _lines(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "tables.csv").read_text(encoding="utf-8").splitlines()))


def test_models_are_scored_beside_the_blurred_input_and_a_second_call_computes_nothing(
    invoke, workspace: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["--model", "challenger", "--model", f"mine={weights}", "--noise", "0", "--noise", "3", "--seed", "5"]
    planned = invoke(main, *arguments, "--dry-run")
    assert planned.exit_code == 0, planned.stderr
    assert "6 of 6 to compute" in planned.stdout
    assert not (workspace / "evaluations").exists()
    result = invoke(main, *arguments, "--published", "dpd")
    assert result.exit_code == 0, result.stderr
    assert "gkmnet version 1 (challenger)" in result.stdout
    assert "GKMNet †" in result.stdout
    assert "scores also at 1 MLflow runs" in result.stdout
    folder = workspace / "evaluations" / "scores"
    table = parquet.read_table(folder / "scores.parquet").to_pylist()
    assert len(table) == 3 * 2 * 2
    assert {row["model"] for row in table} == {"blurred input", "gkmnet version 1 (challenger)", "mine"}
    scores = {name: [row["psnr"] for row in table if row["model"] == name] for name in {row["model"] for row in table}}
    assert scores["mine"] == scores["gkmnet version 1 (challenger)"]
    lines = _lines(folder)
    assert {line["origin"] for line in lines} == {"measured", "published"}
    assert (folder / "tables.md").read_text().count("| mine | measured |") == 2
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert all(words in page for words in ("Measured here: sample, 2 photographs", "GKMNet †", "mine: "))
    files = ("tables.csv", "report.html")
    before = [(folder / name).read_bytes() for name in files]

    def refuse(*given: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(cells, "_compute", refuse)
    assert invoke(main, *arguments, "--published", "dpd").exit_code == 0
    assert [(folder / name).read_bytes() for name in files] == before
    assert "0 of 6 to compute" in invoke(main, *arguments, "--dry-run").stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--noise", "loud"], "--noise loud: is no number and no preset"),
        (["--noise", "nan"], "--noise nan: noise is given in 8-bit grey levels"),
        (["--noise", "3", "--tables"], "--noise: the paper's tables have their own noise levels"),
        (["--model", "winner"], "winner: is no version or alias"),
        (["--model", "a="], "a=: has an equals sign"),
        (["--data", "/nowhere"], "/nowhere: holds no data set"),
        (["--split", "best"], "--split best: there is no such split"),
        (["--protocol", "mine"], "--protocol mine: there is no such protocol"),
        (["--published", "cuhk"], "--published cuhk: no figures are known of it"),
        (["--name", "../x"], "--name ../x: is no name of a folder"),
        (["--tables", "--model", "odd=1"], "--model odd: no row of the tables is called so"),
    ],
)
def test_bad_input_is_one_sentence_and_changes_nothing(
    invoke, workspace: Path, arguments: list[str], sentence: str
) -> None:
    before = _files(workspace)
    result = invoke(main, *arguments)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""
    assert _files(workspace) == before


def test_folders_without_weights_broken_networks_and_tiny_photographs_are_refused(
    invoke, workspace: Path, weights: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    empty = invoke(main, "--model", tmp_path / "empty")
    assert (empty.exit_code, "holds no weights that can be read" in empty.stderr) == (2, True)
    network = load_weights(weights)
    with torch.no_grad():
        next(network.parameters()).fill_(float("nan"))
    broken = invoke(main, "--model", save_weights(network, tmp_path / "broken"))
    assert (broken.exit_code, "values that are not finite; choose another --model" in broken.stderr) == (2, True)
    assert not (workspace / "evaluations" / "scores" / "tables.md").exists()
    dot = np.zeros((1, 1, 3), np.uint8)
    write_dataset([("test", Pair("yard", "9", dot, dot))], tmp_path / "data", {"kind": "synthetic"})
    tiny = invoke(main, "--model", "blurred", "--data", tmp_path / "data")
    assert (tiny.exit_code, "yard/9 has 1 x 1 pixels" in tiny.stderr) == (2, True)
