"""Preparation: whole or not at all, resumed where it stopped, the same however it came about."""

import hashlib
import json
import random
import shutil

import numpy as np
import pytest
from PIL import Image

from gkm.data.dataset.manifest import LEAKS, Manifest, read_manifest
from gkm.data.dataset.shard_reader import read_shard
from gkm.data.preparation import shard_jobs
from gkm.data.preparation.preparation import one_by_one, outlook, prepare
from gkm.data.preparation.sources import open_source
from gkm.data.preparation.unfinished import Unfinished
from gkm.errors import InputError

SMALL = 2 * 96 * 128 * 3
"""Bytes of one pair of the folder `dpd`: each becomes a shard."""


def _manifest_sha256(out):
    return hashlib.sha256((out / "manifest.json").read_bytes()).hexdigest()


def _stopping_after(count):
    """Makes that many shards, then is stopped."""

    def run(jobs):
        for number, done in enumerate(one_by_one(jobs)):
            yield done
            if number + 1 == count:
                raise KeyboardInterrupt

    return run


def test_pairs_come_back_and_the_folder_holds_nothing_else(dpd, tmp_path):
    done = prepare(open_source(dpd), tmp_path / "data", shard_bytes=SMALL)
    manifest = read_manifest(tmp_path / "data")
    assert manifest == done.manifest
    assert [manifest.count(split) for split in ("train", "validation", "test")] == [3, 1, 1]
    shards = [shard for info in manifest.splits.values() for shard in info.shards]
    assert {path.name for path in (tmp_path / "data").iterdir()} == {
        "manifest.json",
        "data_card.html",
        *(shard.name for shard in shards),
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "dpd"]
    for shard in shards:
        for pair in read_shard(tmp_path / "data", shard):
            for path in dpd.rglob(f"source/{pair.name}.png"):
                assert np.array_equal(pair.blurred_HW3, np.asarray(Image.open(path)))


def test_order_of_work_does_not_matter(dpd, tmp_path):
    def shuffled(jobs):
        jobs = list(jobs)
        random.Random(0).shuffle(jobs)
        return one_by_one(jobs)

    prepare(open_source(dpd), tmp_path / "one", shard_bytes=SMALL)
    prepare(open_source(dpd), tmp_path / "other", shard_bytes=SMALL, run=shuffled)
    assert _manifest_sha256(tmp_path / "one") == _manifest_sha256(tmp_path / "other")


def test_fingerprint_is_that_of_other_shard_sizes_and_copies(dpd, tmp_path):
    shutil.copytree(dpd, tmp_path / "copy")
    one = prepare(open_source(dpd), tmp_path / "one", shard_bytes=SMALL).manifest
    other = prepare(open_source(tmp_path / "copy"), tmp_path / "other").manifest
    assert one.fingerprint == other.fingerprint
    assert len(one.splits["train"].shards) > len(other.splits["train"].shards)


def test_stopped_run_goes_on_without_redoing_what_is_finished(dpd, tmp_path, monkeypatch):
    source = open_source(dpd)
    prepare(source, tmp_path / "whole", shard_bytes=SMALL)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            prepare(source, tmp_path / "data", shard_bytes=SMALL, run=_stopping_after(2))
        assert not (tmp_path / "data").exists()
    written = []
    write = shard_jobs.write_shard
    monkeypatch.setattr(shard_jobs, "write_shard", lambda place, pairs: written.append(place) or write(place, pairs))
    steps = []
    prepare(source, tmp_path / "data", shard_bytes=SMALL, progress=steps.append)
    assert len(written) == 1
    assert steps == [4, 1]
    assert _manifest_sha256(tmp_path / "data") == _manifest_sha256(tmp_path / "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "dpd", "whole"]


@pytest.mark.parametrize("spoil", ["cut", "emptied", "gone", "receipt", "old receipt"])
def test_finished_shard_that_was_spoilt_is_made_again(dpd, tmp_path, spoil):
    source = open_source(dpd)
    prepare(source, tmp_path / "whole", shard_bytes=SMALL)
    with pytest.raises(KeyboardInterrupt):
        prepare(source, tmp_path / "data", shard_bytes=SMALL, run=_stopping_after(3))
    place = tmp_path / ".data.unfinished"
    shard = sorted(place.glob("*.parquet"))[0]
    receipt = place / "unfinished" / f"{shard.name}.json"
    match spoil:
        case "cut":
            shard.write_bytes(shard.read_bytes()[:-9])
        case "emptied":
            shard.write_bytes(b"")
        case "gone":
            shard.unlink()
        case "receipt":
            receipt.write_bytes(receipt.read_bytes()[:100])
        case "old receipt":
            receipt.write_text(json.dumps({"shard": {}, "facts": [], "more": 1}))
    prepare(source, tmp_path / "data", shard_bytes=SMALL)
    assert _manifest_sha256(tmp_path / "data") == _manifest_sha256(tmp_path / "whole")


def test_changed_photograph_is_noticed_when_going_on(dpd, tmp_path, scene_photos):
    with pytest.raises(KeyboardInterrupt):
        prepare(open_source(dpd), tmp_path / "data", shard_bytes=SMALL, run=_stopping_after(3))
    Image.fromarray(scene_photos(9)[0]).save(dpd / "train_c/source/IMG_0.png")
    Image.fromarray(scene_photos(9)[1]).save(dpd / "train_c/target/IMG_0.png")
    done = prepare(open_source(dpd), tmp_path / "data", shard_bytes=SMALL).manifest
    assert done.fingerprint == prepare(open_source(dpd), tmp_path / "whole").manifest.fingerprint
    assert len(list((tmp_path / "data").glob("*.parquet"))) == 5, "the outdated shard is dropped"


def test_half_written_files_of_a_killed_process_are_removed(dpd, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        prepare(open_source(dpd), tmp_path / "data", shard_bytes=SMALL, run=_stopping_after(1))
    (tmp_path / ".data.unfinished" / ".train-00001-00000000.parquet.77.partial").write_bytes(b"half")
    prepare(open_source(dpd), tmp_path / "data", shard_bytes=SMALL)
    assert not [path for path in (tmp_path / "data").iterdir() if path.name.startswith(".")]


def test_only_one_process_at_a_time(dpd, tmp_path):
    with (
        Unfinished(tmp_path / "data").held(),
        pytest.raises(InputError, match="data: another process is preparing it; wait"),
    ):
        prepare(open_source(dpd), tmp_path / "data")
    prepare(open_source(dpd), tmp_path / "data")


def test_data_set_that_appeared_meanwhile_is_not_lost(dpd, tmp_path, scene_photos):
    def disturbed(jobs):
        yield from one_by_one(jobs)
        (tmp_path / "other").rename(tmp_path / "data")

    other = prepare(open_source(dpd), tmp_path / "other").manifest
    Image.fromarray(scene_photos(9)[1]).save(dpd / "train_c/target/IMG_0.png")
    with pytest.raises(InputError, match="data: another data set appeared there meanwhile"):
        prepare(open_source(dpd), tmp_path / "data", run=disturbed)
    assert read_manifest(tmp_path / "data") == other


def test_old_data_set_stays_until_the_new_one_is_whole(dpd, tmp_path, scene_photos):
    first = prepare(open_source(dpd), tmp_path / "data", shard_bytes=SMALL).manifest
    Image.fromarray(scene_photos(9)[1]).save(dpd / "train_c/target/IMG_0.png")
    with pytest.raises(InputError, match="holds another data set; give another folder, or --overwrite"):
        prepare(open_source(dpd), tmp_path / "data", shard_bytes=SMALL)
    with pytest.raises(KeyboardInterrupt):
        prepare(open_source(dpd), tmp_path / "data", overwrite=True, shard_bytes=SMALL, run=_stopping_after(4))
    assert read_manifest(tmp_path / "data") == first
    second = prepare(open_source(dpd), tmp_path / "data", overwrite=True, shard_bytes=SMALL).manifest
    assert second.fingerprint != first.fingerprint
    assert read_manifest(tmp_path / "data") == second
    assert len(list((tmp_path / "data").glob("*.parquet"))) == 5


def test_the_same_twice_is_nothing_to_do(dpd, tmp_path):
    source = open_source(dpd)
    assert outlook(source, tmp_path / "data") == (
        "would get 3 train, 1 validation, 1 test pairs; nothing written (--dry-run)"
    )
    first = prepare(source, tmp_path / "data")
    (tmp_path / "data" / "unfinished").mkdir()  # of a run that was killed at its last step
    (tmp_path / "data" / "unfinished" / "train-00000-00000000.parquet.json").write_text("{}")
    again = prepare(source, tmp_path / "data")
    assert (first.already_there, again.already_there) == (False, True)
    assert not (tmp_path / "data" / "unfinished").exists()
    assert outlook(source, tmp_path / "data").startswith("already there (3 train")


def test_scene_that_a_list_names_in_two_splits_is_refused_before_anything_is_read(dpd, tmp_path):
    (dpd / "pairs.csv").write_text(
        "split,scene,blurred,sharp\n"
        "train,hall,train_c/source/IMG_0.png,train_c/target/IMG_0.png\n"
        "test,hall,test_c/source/IMG_4.png,test_c/target/IMG_4.png\n"
    )
    reason = "scene hall: is in the splits train and test, so scores .*; keep .*, or pass --allow-duplicates scene$"
    source = open_source(dpd / "pairs.csv")
    with pytest.raises(InputError, match=reason):
        prepare(
            source, tmp_path / "data", False, ("exact", "near"), run=lambda jobs: pytest.fail("it read photographs")
        )
    with pytest.raises(InputError, match=reason):
        outlook(source, tmp_path / "data")
    prepare(source, tmp_path / "data", allow_duplicates=("scene",))
    assert read_manifest(tmp_path / "data").duplicates_allowed == ("scene",)


def test_two_splits_may_use_one_file_name_for_different_scenes(dpd, tmp_path):
    for side in ("source", "target"):
        (dpd / f"test_c/{side}/IMG_4.png").rename(dpd / f"test_c/{side}/IMG_0.png")
    manifest = prepare(open_source(dpd), tmp_path / "data").manifest
    assert (manifest.count("test"), manifest.duplicates_allowed) == (1, ())
    assert "IMG_0" in manifest.splits["train"].scenes
    assert manifest.splits["test"].scenes == ("IMG_0",)
    assert read_manifest(tmp_path / "data") == manifest


def _copy_to_test(dpd):
    """The same photographs under other names, as a careless merge leaves them."""
    for side in ("source", "target"):
        shutil.copyfile(dpd / f"train_c/{side}/IMG_1.png", dpd / f"test_c/{side}/copy.png")


def test_photograph_in_two_splits_is_refused_unless_told_otherwise(dpd, tmp_path):
    _copy_to_test(dpd)
    source = open_source(dpd)
    with pytest.raises(
        InputError,
        match=r"train IMG_1 and test copy are the same, .*seen in training; .*--allow-duplicates exact,near$",
    ):
        prepare(source, tmp_path / "data", allow_duplicates=("near",))
    assert not (tmp_path / "data").exists()
    done = prepare(source, tmp_path / "data", allow_duplicates=("exact",), run=lambda jobs: [] if not jobs else 1 / 0)
    assert done.warnings() == ["mind: 1 photographs occur twice; see data_card.html"]
    assert read_manifest(tmp_path / "data").duplicates_allowed == ("exact",)
    assert "train IMG_1 and test copy are the same" in (tmp_path / "data" / "data_card.html").read_text()


def test_one_kind_of_leak_is_allowed_without_the_other(dpd, tmp_path):
    _copy_to_test(dpd)
    for side in ("source", "target"):
        photo = Image.open(dpd / f"train_c/{side}/IMG_2.png")
        photo.save(dpd / f"test_c/{side}/again.jpg", quality=90)
    source = open_source(dpd)
    for allowed, kinds in (((), "exact,near"), (("exact",), "exact,near"), (("near",), "exact,near")):
        with pytest.raises(InputError, match=f"--allow-duplicates {kinds}$"):
            prepare(source, tmp_path / "data", allow_duplicates=allowed)
    assert prepare(source, tmp_path / "data", allow_duplicates=("exact", "near")).manifest.count("test") == 3


def test_same_photographs_under_the_same_names_in_two_splits_are_a_leak(dpd, tmp_path):
    shutil.copytree(dpd / "train_c", dpd / "test_c", dirs_exist_ok=True)
    with pytest.raises(InputError, match="train IMG_0 and test IMG_0 are the same, and 2 more, so scores"):
        prepare(open_source(dpd), tmp_path / "data")
    prepare(open_source(dpd), tmp_path / "data", allow_duplicates=LEAKS)
    assert read_manifest(tmp_path / "data").count("test") == 4


def test_manifests_that_allowed_all_leaks_or_none_are_still_read(dpd, tmp_path):
    prepare(open_source(dpd), tmp_path / "data")
    content = json.loads((tmp_path / "data" / "manifest.json").read_text())
    assert content["duplicates_allowed"] is False
    del content["checksum"], content["fingerprint"]
    assert Manifest.model_validate(content | {"duplicates_allowed": True}).duplicates_allowed == LEAKS
    assert Manifest.model_validate(content).duplicates_allowed == ()


def test_wrong_partners_are_flagged_on_the_card(dpd, tmp_path):
    target = dpd / "train_c/target"
    (target / "IMG_0.png").rename(target / "x.png")
    (target / "IMG_1.png").rename(target / "IMG_0.png")
    (target / "x.png").rename(target / "IMG_1.png")
    done = prepare(open_source(dpd), tmp_path / "data")
    assert (done.doubtful_pairs, done.warnings()) == (2, ["mind: 2 pairs do not seem to fit; see data_card.html"])
    page = (tmp_path / "data" / "data_card.html").read_text()
    assert page.count("they show different things") == 2
    assert "2 pairs to look at" in page


def test_labels_and_views_are_kept(dpd, tmp_path, scene_photos):
    shutil.rmtree(dpd / "val_c")
    (dpd / "indoor_labels.txt").write_text("IMG_0.png\n")
    plain = prepare(open_source(dpd), tmp_path / "plain").manifest
    assert (plain.left_out, plain.splits["train"].entries[0].label) == ((), "indoor")
    for split, numbers in {"train": (0, 1, 2), "test": (4,)}.items():
        for side in ("l", "r"):
            (dpd / f"{split}_{side}" / "source").mkdir(parents=True)
            for number in numbers:
                name = f"IMG_{number}_{side.upper()}.png"
                Image.fromarray(scene_photos(number + 50)[0]).save(dpd / f"{split}_{side}" / "source" / name)
    without = prepare(open_source(dpd), tmp_path / "without").manifest
    assert without.left_out == ("dual-pixel views (test_l, test_r, train_l, train_r)",)
    assert without.fingerprint == plain.fingerprint
    source = open_source(dpd, views=True)
    pair = source.items[0].load()
    assert np.array_equal(pair.left_HW3, scene_photos(50)[0])
    kept = prepare(source, tmp_path / "views").manifest
    assert kept.splits["train"].entries[0].right_sha256
    (dpd / "train_r/source/IMG_2_R.png").unlink()
    with pytest.raises(InputError, match=r"IMG_2\.png: has no dual-pixel view .*IMG_2_R; add it, or leave out --views"):
        open_source(dpd, views=True)


def test_shard_on_another_machine_is_missed(dpd, tmp_path):
    def elsewhere(jobs):
        for job, receipt in one_by_one(jobs):
            (tmp_path / ".data.unfinished" / receipt.shard.name).unlink()
            yield job, receipt

    with pytest.raises(InputError, match=r"was written on another machine; give a place in S3, or a folder that all"):
        prepare(open_source(dpd), tmp_path / "data", run=elsewhere)
