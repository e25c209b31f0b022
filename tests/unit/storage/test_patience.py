"""A server that is busy or garbles data is asked again; one that never answers well is given up with a sentence."""

import pytest

from gkm import storage
from gkm.errors import InputError

PLACE = "s3://photos/x"
BUSY = (503, {}, b"<Error><Code>SlowDown</Code><Message>later</Message></Error>")
DAMAGED = (400, {}, b"<Error><Code>BadDigest</Code><Message>not what was sent</Message></Error>")


def test_a_busy_server_is_asked_again(answers):
    log = answers(*[BUSY] * 4, (200, {}, b"content"))
    assert storage.read_bytes(PLACE) == b"content"
    assert log == ["GET"] * 5


@pytest.mark.slow
def test_an_upload_damaged_on_the_way_is_sent_again(answers):
    log = answers(DAMAGED, (200, {}, b""))
    assert storage.write_bytes(PLACE, b"content")
    assert log == ["PUT", "PUT"]


def test_a_download_that_misses_its_checksum_is_fetched_again(answers):
    wrong, right = {"x-amz-checksum-crc32": "AAAAAA=="}, {"x-amz-checksum-crc32": "emyG8Q=="}
    log = answers((200, wrong, b"one"), (200, right, b"one"))
    assert storage.read_bytes(PLACE) == b"one"
    assert log == ["GET", "GET"]


def test_a_download_that_is_cut_short_is_fetched_again(answers):
    log = answers((200, {"Content-Length": "7", "Connection": "close"}, b"cont"), (200, {}, b"content"))
    assert storage.read_bytes(PLACE) == b"content"
    assert len(log) == 2


def test_patience_ends_with_a_sentence(answers, monkeypatch):
    monkeypatch.setenv("GKM_S3_PATIENCE_SECONDS", "0.5")
    answers(BUSY)
    with pytest.raises(InputError, match=rf"{PLACE}: http://127.0.0.1:\d+ has not answered for \d+ s \(SlowDown"):
        storage.read_bytes(PLACE)


@pytest.mark.slow
def test_waiting_is_told_once(answers, caplog):
    answers(*[BUSY] * 9, (200, {}, b"content"))
    storage.read_bytes(PLACE)
    told = [record.message for record in caplog.records if record.name == "gkm.storage"]
    assert len(told) == 2
    assert "does not answer (SlowDown, status 503); waiting up to 20 s" in told[0]
    assert "answers again after" in told[1]
