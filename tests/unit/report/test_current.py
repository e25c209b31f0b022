"""Whether a page is current: only as long as nothing that it was made from has changed, and it is as it was written."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from gkm.report import current
from gkm.study.record.results import StudyResults
from gkm.tracking import Tracking, open_tracking

SAID = ["2 test photographs restored: 30.00 dB", "gain: +1.00 dB"]


@pytest.fixture
def tracking(tmp_path: Path) -> Tracking:
    (tmp_path / "mlflow.db").write_bytes(b"rows")
    return open_tracking(tmp_path, f"sqlite:///{tmp_path}/mlflow.db")


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "studies" / "report.html"
    path.parent.mkdir()
    path.write_text("<p>a page</p>")
    return path


def test_a_page_is_current_until_what_it_was_made_from_changes(
    study: StudyResults, tracking: Tracking, page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = current.made_from(study, "f00d", tracking, None)
    assert current.said_if_current(page, source) is None, "nobody has written it"
    current.remember(page, source, SAID)
    assert current.said_if_current(page, current.made_from(study, "f00d", tracking, None)) == SAID
    others = [
        current.made_from(replace(study, trials=study.trials[1:]), "f00d", tracking, None),
        current.made_from(study, "beef", tracking, None),
        current.made_from(study, "f00d", tracking, "alexnet.pth"),
    ]
    (tmp_path / "mlflow.db-wal").write_bytes(b"a run's metric")
    others.append(current.made_from(study, "f00d", tracking, None))
    (tmp_path / "mlflow.db-wal").unlink()
    code = tmp_path / "code"
    code.mkdir()
    (code / "page.css").write_text("other code")
    monkeypatch.setattr(current, "_CODE", code)
    others.append(current.made_from(study, "f00d", tracking, None))
    assert len({source, *others}) == 6
    assert [current.said_if_current(page, other) for other in others] == [None] * 5


@pytest.mark.parametrize("damage", ["page", "kept", "kept gone", "kept not an object", "table gone"])
def test_what_is_damaged_is_written_anew(study: StudyResults, tracking: Tracking, page: Path, damage: str) -> None:
    source = current.made_from(study, "f00d", tracking, None)
    table = page.with_suffix(".csv")
    table.write_text("trial,psnr\n")
    current.remember(page, source, SAID, [str(table)])
    kept = page.with_name("report.made-from.json")
    assert current.said_if_current(page, source) == SAID
    if damage == "page":
        page.write_text("<p>half a pa")
    elif damage == "kept":
        os.truncate(kept, 20)
    elif damage == "kept gone":
        kept.unlink()
    elif damage == "table gone":
        table.unlink()
    else:
        kept.write_text("[1]")
    assert current.said_if_current(page, source) is None


def test_what_a_server_holds_cannot_be_known_without_asking_it(study: StudyResults, page: Path, tmp_path: Path) -> None:
    server = open_tracking(tmp_path, "http://127.0.0.1:9")
    assert current.made_from(study, "f00d", server, None) == ""
    current.remember(page, "", SAID)
    assert not page.with_name("report.made-from.json").exists()
    assert current.said_if_current(page, "") is None
