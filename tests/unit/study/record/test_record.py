"""The record of a study: read again as it was written, by us and by Optuna; damaged, foreign and later ones refused."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from gkm.config import TrialConfig
from gkm.errors import InputError
from gkm.study.design.budget import Budget, Spent
from gkm.study.design.objective import PSNR, Objective
from gkm.study.record.lease import LeaseLostError
from gkm.study.record.record import (
    FORMAT,
    Record,
    RecordError,
    RecordPlace,
    check_name,
    create_record,
    open_record,
    repair,
)

SPEED = Objective("seconds_per_megapixel", "min", "s/MP")


def create(place: RecordPlace, base: TrialConfig, objectives: tuple[Objective, ...] = (PSNR,)) -> Record:
    facts = {"base": base.model_dump(mode="json"), "budget": Budget(7).to_json(), "folder": "/studies", "data": "abc"}
    return create_record(place, "s", objectives=objectives, facts=facts)


def again(place: RecordPlace) -> Record:
    """The record as another process finds it."""
    record = open_record(place, "s")
    assert record is not None
    return record


def ask(record: Record, rate: float, seed: int = 0) -> int:
    trial = record.ask()
    drawn = trial.suggest_float("optim.learning_rate", rate, rate)
    record.asked(trial.number, {"optim.learning_rate": drawn}, seed)
    return trial.number


def epoch(number: int, psnr: float, best: float, **more: float) -> dict[str, float]:
    return {"epoch": number, "val/psnr": psnr, "best/val/psnr": best, **more}


class RecordContract:
    """What records must do wherever they are kept."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> RecordPlace:
        raise NotImplementedError

    def with_optuna(self, place: RecordPlace) -> optuna.Study:
        """The record as Optuna opens it without us."""
        raise NotImplementedError

    def test_a_study_is_read_again_as_it_was_written(self, place: RecordPlace, base: TrialConfig) -> None:
        record = create(place, base)
        for rate, end in ((1e-4, TrialState.COMPLETE), (1e-3, TrialState.PRUNED), (1e-2, TrialState.FAIL)):
            number = ask(record, rate, seed=5)
            assert record.add_epoch(number, epoch(1, 25.0, 25.0, seconds=2.0))
            assert record.add_epoch(number, epoch(2, 24.0, 25.0, seconds=4.0))
            record.end(number, end, None if end is TrialState.COMPLETE else f"as {end.name}")
        ask(record, 1e-1)
        waiting = record.enqueue({"optim.learning_rate": 2e-3}, seed=9, group=1, phase="confirm")
        record.note(0, notes=["damaged checkpoint"], run_id="abc")
        record.set(state="running", hours=0.5)
        assert again(place).results().trials == record.results().trials
        assert again(place).results().spent == Spent(trials=4, epochs=6, hours=0.5) == record.spent
        for held in (record, again(place)):
            assert (held.running, held.waiting, held.next_number) == ({3}, {waiting}, waiting + 1)
        rows = record.results().trials
        assert [row.status for row in rows] == ["finished", "stopped", "failed", "interrupted", "waiting"]
        assert [row.seed for row in rows[:3]] == [5, 5, 5]
        assert rows[1].reason == "as PRUNED"
        assert rows[1].config == base.with_values({"optim.learning_rate": 1e-3, "training.seed": 5})
        assert rows[0].notes == ("damaged checkpoint",)
        assert (rows[waiting].group, rows[waiting].phase) == (1, "confirm")
        assert rows[2].place == "/studies/s/trials/00002"

    def test_optuna_opens_it_and_finds_the_value_of_the_kept_weights(
        self, place: RecordPlace, base: TrialConfig
    ) -> None:
        record = create(place, base)
        for end in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL):
            number = ask(record, 1e-3)
            for at, (psnr, best) in enumerate(((25.0, 25.0), (31.0, 31.0), (26.0, 31.0)), start=1):
                record.add_epoch(number, epoch(at, psnr, best))
            record.end(number, end)
        study = self.with_optuna(place)
        assert [trial.state.name for trial in study.trials] == ["COMPLETE", "PRUNED", "FAIL"]
        assert [trial.value for trial in study.trials[:2]] == [31.0, 31.0]
        assert study.trials[1].intermediate_values == {1: 25.0, 2: 31.0, 3: 31.0}
        assert study.best_trial.number == 0
        assert study.metric_names == ["val/psnr"]

    def test_several_objectives_are_kept(self, place: RecordPlace, base: TrialConfig) -> None:
        record = create(place, base, (PSNR, SPEED))
        number = ask(record, 1e-3)
        record.add_epoch(number, epoch(1, 25.0, 25.0, seconds_per_megapixel=0.3))
        record.end(number, TrialState.COMPLETE)
        assert again(place).objectives == (PSNR, SPEED)
        assert again(place).curve(number) == {1: (25.0, 0.3)}
        assert self.with_optuna(place).trials[0].values == [25.0, 0.3]

    def test_an_epoch_is_recorded_once(self, place: RecordPlace, base: TrialConfig) -> None:
        record = create(place, base)
        number = ask(record, 1e-3)
        assert record.add_epoch(number, epoch(3, 25.0, 25.0))
        assert not again(place).add_epoch(number, epoch(3, 20.0, 20.0))
        assert not record.add_epoch(number, epoch(2, 20.0, 20.0))
        assert [metrics["val/psnr"] for metrics in again(place).row(number).history] == [25.0]

    def test_a_study_whose_driver_left_no_word_is_interrupted(self, place: RecordPlace, base: TrialConfig) -> None:
        record = create(place, base)
        with record.held():
            ask(record, 1e-3)
            assert record.results().status == "running"
            assert record.results().trials[0].status == "running"
        results = again(place).results()
        assert (results.status, results.trials[0].status) == ("interrupted", "interrupted")
        assert results.reason == "its driver ended without a word"

    def test_a_record_that_was_half_made_is_made_whole_with_one_id(self, place: RecordPlace, base: TrialConfig) -> None:
        store = place.storage("s", create=True)
        half = optuna.create_study(study_name="s", storage=store, directions=["maximize"])
        assert open_record(place, "s") is None
        half.set_user_attr("gkm:format", FORMAT)
        half.set_user_attr("gkm:record", "first-id")
        assert open_record(place, "s") is None
        assert create(place, base).id == "first-id"
        assert create(place, base).id == again(place).id == "first-id"

    def test_a_record_of_a_later_version_is_refused(self, place: RecordPlace, base: TrialConfig) -> None:
        create(place, base).set(format=FORMAT + 1)
        with pytest.raises(InputError, match="later version of gkm; upgrade"):
            open_record(place, "s")

    def test_a_study_that_is_optunas_own_is_refused(self, place: RecordPlace) -> None:
        study = optuna.create_study(study_name="s", storage=place.storage("s", create=True))
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
        with pytest.raises(InputError, match="s is an Optuna study, but not one of gkm"):
            open_record(place, "s")

    def test_an_empty_study_of_other_goals_is_left_alone(self, place: RecordPlace, base: TrialConfig) -> None:
        optuna.create_study(study_name="s", storage=place.storage("s", create=True), directions=["minimize"])
        with pytest.raises(InputError, match="s is a study of other goals"):
            create(place, base)

    def test_what_is_not_there_is_not_made_by_looking(self, place: RecordPlace, base: TrialConfig) -> None:
        assert open_record(place, "s") is None
        assert place.names() == []
        create(place, base)
        assert place.names() == ["s"]
        assert open_record(place, "t") is None

    def test_nothing_is_written_once_the_lease_is_lost(
        self, place: RecordPlace, base: TrialConfig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        record = create(place, base)
        number = ask(record, 1e-3)
        with record.held() as lease:
            monkeypatch.setattr(lease, "_lost", True)
            writes: list[Callable[[], object]] = [
                record.ask,
                lambda: record.add_epoch(number, epoch(1, 25.0, 25.0)),
                lambda: record.end(number, TrialState.COMPLETE),
                lambda: record.enqueue({}),
                lambda: record.set(state="finished"),
                lambda: record.constrain(number, {"parameters": 1.0}),
            ]
            for write in writes:
                with pytest.raises(LeaseLostError):
                    write()
            monkeypatch.setattr(lease, "_lost", False)
        assert again(place).row(number).history == ()


class TestJournal(RecordContract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> RecordPlace:
        return RecordPlace(str(tmp_path / "records"))

    def with_optuna(self, place: RecordPlace) -> optuna.Study:
        return optuna.load_study(study_name="s", storage=JournalStorage(JournalFileBackend(str(place.journal("s")))))

    @pytest.mark.parametrize("cut", [1, 5, 40])
    def test_the_torn_last_line_of_a_killed_driver_is_cut_off(
        self, place: RecordPlace, base: TrialConfig, cut: int
    ) -> None:
        record = create(place, base)
        number = ask(record, 1e-3)
        record.add_epoch(number, epoch(1, 25.0, 25.0))
        before = place.journal("s").read_bytes()
        record.add_epoch(number, epoch(2, 26.0, 26.0))
        whole = place.journal("s").read_bytes()
        place.journal("s").write_bytes(whole[: len(before) + cut])
        repair(place, "s")
        assert place.journal("s").read_bytes() == before
        found = again(place)
        assert found.epochs(number) == 1
        assert found.add_epoch(number, epoch(2, 26.0, 26.0))
        assert again(place).epochs(number) == 2

    def test_repairing_leaves_a_sound_record_alone(self, place: RecordPlace, base: TrialConfig) -> None:
        repair(place, "s")
        create(place, base)
        before = place.journal("s").read_bytes()
        repair(place, "s")
        assert place.journal("s").read_bytes() == before

    def test_damage_in_the_middle_is_said(self, place: RecordPlace, base: TrialConfig) -> None:
        create(place, base)
        lines = place.journal("s").read_bytes().splitlines(keepends=True)
        place.journal("s").write_bytes(b"".join([*lines[:2], b"nonsense\n", *lines[3:]]))
        with pytest.raises((InputError, RecordError), match=r"s\.journal: the record"):
            open_record(place, "s")

    def test_a_full_disk_is_said_in_a_sentence(
        self, place: RecordPlace, base: TrialConfig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        record = create(place, base)

        def append_logs(logs: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        backend: Any = record.storage._backend  # type: ignore[attr-defined]
        monkeypatch.setattr(backend, "append_logs", append_logs)
        with pytest.raises(RecordError, match=r"s\.journal: the record cannot be written \(No space left on device\)"):
            record.ask()


class TestDatabase(RecordContract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> RecordPlace:
        return RecordPlace(f"sqlite:///{tmp_path / 'records.db'}")

    def with_optuna(self, place: RecordPlace) -> optuna.Study:
        return optuna.load_study(study_name="s", storage=place.url)

    def test_a_database_that_cannot_be_opened_is_said_without_its_password(self) -> None:
        place = RecordPlace("nosuchbase://user:secret@host/studies")
        with pytest.raises(InputError, match="the record's database cannot be opened") as refusal:
            open_record(place, "s")
        assert "secret" not in str(refusal.value)
        assert "secret" not in place.address("s")


@pytest.mark.parametrize("name", ["a/b", "../s", "", ".hidden", "a b", "x" * 121, "s\n"])
def test_what_would_be_no_file_name_is_no_name_for_a_study(name: str) -> None:
    with pytest.raises(InputError, match="is no name for a study"):
        check_name(name)


@pytest.mark.parametrize("name", ["quick", "2026-01-31", "a_b.c"])
def test_plain_names_are_taken(name: str) -> None:
    assert check_name(name) == name


del RecordContract  # its tests run in the classes above alone
