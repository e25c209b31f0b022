"""What a trial's store promises, wherever it is: to be inherited by tests that give it a place."""

import errno
from pathlib import Path
from typing import Any

import pytest

from gkm import storage
from gkm.errors import InputError
from gkm.training.best import BEST_NAMES, PhotographScore, parse_scores
from gkm.training.checkpoint import CHECKPOINT_NAMES, STATE_NAME, seal
from gkm.training.store import (
    fetch_best,
    fetch_picture,
    list_pictures,
    open_store,
    read_history,
    read_profile,
    read_validation,
)

SCORES = [PhotographScore("a", "0", 30.5, 0.9), PhotographScore("b", "1", float("inf"), 1.0)]


def checkpoint(text: str, state: str = '{"training": {"history": []}}') -> Any:
    """Writes a checkpoint whose weights are `text`."""

    def write(directory: Path) -> None:
        directory.mkdir(parents=True)
        for name in CHECKPOINT_NAMES:
            (directory / name).write_text(state if name == STATE_NAME else text)
        seal(directory, CHECKPOINT_NAMES)

    return write


def best(text: str) -> Any:
    """Writes best weights that are `text`, with `SCORES`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def write(directory: Path) -> None:
        directory.mkdir(parents=True)
        for name in BEST_NAMES:
            (directory / name).write_text(text)
        pq.write_table(pa.Table.from_pylist([vars(score) for score in SCORES]), directory / BEST_NAMES[2])
        seal(directory, BEST_NAMES)

    return write


def full_disk(directory: Path) -> None:
    directory.mkdir(parents=True)
    (directory / "model.safetensors").write_text("half")
    raise OSError(errno.ENOSPC, "No space left on device", str(directory))


class StoreContract:
    """Subclasses give the fixture `place`, an empty location."""

    def newest(self, place: str) -> tuple[str | None, str | None]:
        with open_store(place).latest_checkpoint() as found:
            text = (found.directory / "model.safetensors").read_text() if found.directory else None
            return text, found.note

    def damage(self, place: str, name: str) -> None:
        location = storage.join(place, name)
        storage.write_bytes(location, storage.read_bytes(location)[:-1] + b"?")

    def test_an_empty_place_has_nothing(self, place: str) -> None:
        assert self.newest(place) == (None, None)
        assert list_pictures(place) == []
        assert read_history(place) == []

    def test_the_newest_checkpoint_is_found_again(self, place: str) -> None:
        store = open_store(place)
        for epoch in (9, 10):
            store.save_checkpoint((epoch, 0), checkpoint(f"weights {epoch}"))
        assert self.newest(place) == ("weights 10", None)

    def test_the_same_epoch_again_takes_the_place_of_the_first(self, place: str) -> None:
        store = open_store(place)
        store.save_checkpoint((3, 0), checkpoint("first"))
        store.save_checkpoint((3, 0), checkpoint("second"))
        assert self.newest(place) == ("second", None)

    def test_a_damaged_checkpoint_is_passed_over_and_said(self, place: str) -> None:
        store = open_store(place)
        for epoch in (6, 7):
            store.save_checkpoint((epoch, 0), checkpoint(f"weights {epoch}"))
        self.damage(place, "checkpoints/epoch-0000007/optimizer.safetensors")
        assert self.newest(place) == ("weights 6", "checkpoint of epoch 7 is damaged; training goes on from epoch 6")
        self.damage(place, "checkpoints/epoch-0000006/model.json")
        found, note = self.newest(place)
        assert found is None
        assert note == "checkpoints of epochs 7 and 6 are damaged: no checkpoint is whole; training starts anew"

    def test_checkpoints_within_epochs_are_newer_than_the_epoch_before(self, place: str) -> None:
        store = open_store(place)
        for at in ((6, 0), (6, 120), (6, 20)):
            store.save_checkpoint(at, checkpoint(f"weights {at}"))
        assert self.newest(place) == ("weights (6, 120)", None)
        store.save_checkpoint((7, 0), checkpoint("weights 7"))
        assert self.newest(place) == ("weights 7", None)
        self.damage(place, "checkpoints/epoch-0000007/model.json")
        note = "checkpoint of epoch 7 is damaged; training goes on from epoch 7, batch 120"
        assert self.newest(place) == ("weights (6, 120)", note)
        self.damage(place, "checkpoints/epoch-0000006-batch-0000120/model.json")
        note = "checkpoints of epoch 7 and epoch 7, batch 120 are damaged; training goes on from epoch 7, batch 20"
        assert self.newest(place) == ("weights (6, 20)", note)

    def test_a_checkpoint_that_lost_a_file_is_damaged(self, place: str) -> None:
        store = open_store(place)
        for epoch in (6, 7):
            store.save_checkpoint((epoch, 0), checkpoint(f"weights {epoch}"))
        storage.delete(storage.join(place, "checkpoints/epoch-0000007/model.safetensors"))
        assert self.newest(place) == ("weights 6", "checkpoint of epoch 7 is damaged; training goes on from epoch 6")

    def test_one_that_was_never_finished_counts_for_nothing(self, place: str) -> None:
        store = open_store(place)
        for epoch in (6, 7):
            store.save_checkpoint((epoch, 0), checkpoint(f"weights {epoch}"))
        storage.delete(storage.join(place, "checkpoints/epoch-0000007/SHA256SUMS"))
        assert self.newest(place) == ("weights 6", None)

    def test_a_full_disk_leaves_earlier_checkpoints_whole_and_keeps_its_number(self, place: str) -> None:
        store = open_store(place)
        store.save_checkpoint((6, 0), checkpoint("weights 6"))
        for epoch in (6, 7):
            with pytest.raises(OSError, match="No space left") as caught:
                store.save_checkpoint((epoch, 0), full_disk)
            assert caught.value.errno == errno.ENOSPC
        assert self.newest(place) == ("weights 6", None)
        assert {name.split("/")[1] for name in storage.list_files(place)} == {"epoch-0000006"}

    def test_a_profile_is_kept_in_the_place_of_an_older_one(self, place: str) -> None:
        assert read_profile(place) is None
        store = open_store(place)
        for number in range(2):
            store.save_profile(b"trace %d" % number, f"summary {number}")
        assert read_profile(place) == (b"trace 1", "summary 1")

    def test_pruning_keeps_what_it_is_told_to(self, place: str) -> None:
        store = open_store(place)
        for epoch in (4, 5, 6, 9):
            store.save_best(epoch, best(f"weights {epoch}"))
            store.save_checkpoint((epoch, 0), checkpoint(f"weights {epoch}"))
        for at in ((6, 10), (6, 20)):
            store.save_checkpoint(at, checkpoint("weights"))
        store.save_picture(4, b"png")
        store.prune({(5, 0), (6, 20)}, {4})
        folders = {name.rpartition("/")[0] for name in storage.list_files(place)}
        assert folders == {
            "checkpoints/epoch-0000005",
            "checkpoints/epoch-0000006-batch-0000020",
            "best/epoch-0000004",
            "pictures",
        }

    def test_the_best_weights_come_with_their_scores(self, place: str, tmp_path: Path) -> None:
        open_store(place).save_best(4, best("weights"))
        assert (fetch_best(place, 4, tmp_path / "best") / "model.safetensors").read_text() == "weights"
        assert read_validation(place, 4) == SCORES

    @pytest.mark.parametrize("name", ["model.safetensors", "validation.parquet", "SHA256SUMS"])
    def test_best_weights_that_are_damaged_or_missing_are_named(self, place: str, tmp_path: Path, name: str) -> None:
        store = open_store(place)
        store.save_best(4, best("weights"))
        self.damage(place, f"best/epoch-0000004/{name}")
        damaged = "SHA256SUMS" if name == "SHA256SUMS" else name
        with pytest.raises(InputError, match=r"best/epoch-0000004/"):
            fetch_best(place, 4, tmp_path / "best")
        if name == "validation.parquet":
            with pytest.raises(InputError, match=damaged):
                read_validation(place, 4)
        with pytest.raises(InputError, match="epoch-0000005"):
            fetch_best(place, 5, tmp_path / "none")

    def test_pictures_come_back_in_order(self, place: str) -> None:
        store = open_store(place)
        for epoch in (10, 2):
            store.save_picture(epoch, b"png %d" % epoch)
        assert list_pictures(place) == [2, 10]
        assert fetch_picture(place, 10) == b"png 10"
        with pytest.raises(InputError, match="validation-0000003"):
            fetch_picture(place, 3)

    def test_the_history_is_that_of_the_newest_whole_checkpoint(self, place: str) -> None:
        store = open_store(place)
        for epoch in (1, 2):
            state = f'{{"training": {{"history": [{{"epoch": {epoch}}}]}}}}'
            store.save_checkpoint((epoch, 0), checkpoint("weights", state))
        assert read_history(place) == [{"epoch": 2}]
        self.damage(place, "checkpoints/epoch-0000002/state.json")
        assert read_history(place) == [{"epoch": 1}]

    def test_nothing_is_left_lying_about(self, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        temporary = tmp_path / "temporary"
        temporary.mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(temporary))
        store = open_store(place)
        store.save_checkpoint((1, 0), checkpoint("weights"))
        self.newest(place)
        store.save_best(1, best("weights"))
        fetch_best(place, 1, tmp_path / "best")
        assert list(temporary.iterdir()) == []
        assert all(parse_scores(storage.read_bytes(storage.join(place, "best/epoch-0000001/validation.parquet"))))
