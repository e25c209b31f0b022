"""The calls of storage on a real S3 server: whole objects, one winner, patience, and sentences for refusals."""

import importlib.util
import os
import pickle
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from gkm import storage
from gkm.errors import InputError
from gkm.storage import s3

CONTRACT = Path(__file__).parents[2] / "unit" / "storage" / "backend_contract.py"
_SPEC = importlib.util.spec_from_file_location("backend_contract", CONTRACT)
assert _SPEC
assert _SPEC.loader
contract = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(contract)

pytestmark = [pytest.mark.s3, pytest.mark.slow]

SEVERAL_PARTS = 2 * s3.MULTIPART_BYTES + 12345


class TestS3(contract.BackendContract):
    @pytest.fixture
    def place(self, use: Callable[..., None], request: pytest.FixtureRequest) -> str:
        use()
        return f"s3://photos/{re.sub(r'[^a-z_]', '-', request.node.name)}"

    def test_what_is_walked_is_read_not_written(self, place: str) -> None:
        with pytest.raises(OSError, match="is read here, not written"):
            (storage.path(place) / "new").open("w")


def _noise(size: int) -> bytes:
    return np.random.default_rng(0).bytes(size)


@pytest.mark.slow
def test_more_files_than_fit_on_a_page_are_listed_and_deleted(place: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda index: storage.write_bytes(f"{place}/{index:04d}", b""), range(1010)))
    assert len(storage.list_files(place)) == 1010
    storage.delete(place)
    assert not storage.exists(place)


def test_large_files_travel_in_parts_with_checksums(place: str, tmp_path: Path) -> None:
    content = _noise(SEVERAL_PARTS)
    (tmp_path / "shard").write_bytes(content)
    storage.upload(tmp_path / "shard", f"{place}/shard")
    storage.download(f"{place}/shard", tmp_path / "new" / "copy")
    assert (tmp_path / "new" / "copy").read_bytes() == content
    assert os.listdir(tmp_path / "new") == ["copy"]
    bucket, key = s3.split(f"{place}/shard")
    head = s3.client().head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    assert head["ETag"].endswith('-3"')
    assert any(name.startswith("Checksum") for name in head)


def test_pyarrow_copies_folders_and_abandons_half_files(place: str, tmp_path: Path) -> None:
    import pyarrow.fs

    filesystem, path = storage.arrow_filesystem(place)
    storage.write_bytes(tmp_path / "from" / "a" / "b", _noise(3_000_000))
    storage.write_bytes(tmp_path / "from" / "empty", b"")
    pyarrow.fs.copy_files(str(tmp_path / "from"), path, destination_filesystem=filesystem)
    assert storage.list_files(place) == ["a/b", "empty"]
    pyarrow.fs.copy_files(path, str(tmp_path / "to"), source_filesystem=filesystem)
    assert (tmp_path / "to" / "a" / "b").read_bytes() == _noise(3_000_000)
    there = filesystem.get_file_info(pyarrow.fs.FileSelector(path))
    assert [(info.base_name, info.is_file) for info in there] == [("a", False), ("empty", True)]
    stream = filesystem.open_output_stream(f"{path}/half")
    stream.write(b"half")
    del stream
    assert not storage.exists(f"{place}/half")
    filesystem.delete_dir(f"{path}/a")
    assert storage.list_files(place) == ["empty"]


def test_the_file_system_travels_without_keys(place: str) -> None:
    filesystem, _ = storage.arrow_filesystem(place)
    content = pickle.dumps(filesystem)
    assert b"secret" not in content
    assert pickle.loads(content) == filesystem


@pytest.mark.slow
def test_a_server_that_is_away_delays_and_loses_nothing(server, place: str, tmp_path: Path) -> None:
    content = _noise(SEVERAL_PARTS)
    (tmp_path / "shard").write_bytes(content)
    storage.write_bytes(f"{place}/before", b"before")
    began = time.monotonic()
    server.away(5)
    with ThreadPoolExecutor(4) as pool:
        calls = [
            pool.submit(storage.read_bytes, f"{place}/before"),
            pool.submit(storage.upload, tmp_path / "shard", f"{place}/shard"),
            pool.submit(storage.write_bytes, f"{place}/manifest.json", b"x", if_absent=True),
            pool.submit(storage.list_files, f"{place}/nothing"),
        ]
    assert [call.result() for call in calls] == [b"before", None, True, []]
    assert time.monotonic() - began > 5
    server.frozen(3)
    assert storage.read_bytes(f"{place}/shard") == content


@pytest.mark.slow
def test_a_server_that_goes_away_during_transfers_costs_time_alone(server, place: str, tmp_path: Path) -> None:
    content = _noise(SEVERAL_PARTS)
    (tmp_path / "shard").write_bytes(content)
    storage.upload(tmp_path / "shard", f"{place}/shard")
    with ThreadPoolExecutor(2) as pool:
        up = pool.submit(storage.upload, tmp_path / "shard", f"{place}/copy")
        down = pool.submit(storage.download, f"{place}/shard", tmp_path / "copy")
        time.sleep(0.15)
        server.away(1)
        up.result()
        down.result()
    assert (tmp_path / "copy").read_bytes() == content
    assert storage.read_bytes(f"{place}/copy") == content


@pytest.mark.parametrize(
    ("changes", "location", "sentence"),
    [
        ({"AWS_ACCESS_KEY_ID": "nobody"}, "s3://photos/x", "does not know the access key; correct AWS_ACCESS_KEY_ID"),
        ({"AWS_SECRET_ACCESS_KEY": "hidden-and-wrong"}, "s3://photos/x", "correct AWS_SECRET_ACCESS_KEY"),
        ({"AWS_SESSION_TOKEN": "hidden-and-stale"}, "s3://photos/x", "correct AWS_ACCESS_KEY_ID"),
        ({"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}, "s3://photos/x", "no credentials for S3 were"),
        ({"AWS_SECRET_ACCESS_KEY": None}, "s3://photos/x", "the credentials for S3 lack a part"),
        ({"AWS_PROFILE": "work"}, "s3://photos/x", "correct AWS_PROFILE"),
        ({"AWS_ACCESS_KEY_ID": "reader-access-key", "AWS_SECRET_ACCESS_KEY": "reader-secret-key"}, "s3://photos/x",
         "access is denied; these credentials need the right s3:"),
        ({}, "s3://absent/x", "there is no bucket absent at http://127.0.0.1"),
        ({}, "s3://photos", "is a whole bucket"),
        ({}, "s3:///x", "names no bucket"),
        ({}, "s3://bad bucket/x", "is no valid name in S3"),
        ({"AWS_ENDPOINT_URL": "127.0.0.1:8333"}, "s3://photos/x", "write AWS_ENDPOINT_URL as http://host:port"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "GKM_S3_PATIENCE_SECONDS": "1"}, "s3://photos/x",
         " s (no connection); see that the server runs"),
        ({"GKM_S3_PATIENCE_SECONDS": "long"}, "s3://photos/x", "GKM_S3_PATIENCE_SECONDS = long"),
    ],
)  # fmt: skip
def test_refusals_are_one_sentence_without_secrets(use, changes, location: str, sentence: str) -> None:
    use(**changes)
    calls = (
        lambda: storage.read_bytes(location),
        lambda: storage.write_bytes(location, b"x"),
        lambda: storage.upload(Path(__file__), location),
        lambda: storage.delete(location),
        lambda: storage.exists(f"{location}/y"),
        lambda: storage.list_files(f"{location}/y"),
    )
    whole_bucket = location == "s3://photos"
    for call in calls[:4] if whole_bucket else calls:
        with pytest.raises(InputError) as raised:
            call()
        text = str(raised.value)
        assert sentence in text
        assert "\n" not in text
        assert "hidden" not in text
        assert "secret-key" not in text


def test_a_reader_may_read_but_not_write(use, place: str) -> None:
    storage.write_bytes("s3://readable/x", b"x")
    use(AWS_ACCESS_KEY_ID="reader-access-key", AWS_SECRET_ACCESS_KEY="reader-secret-key")
    assert storage.read_bytes("s3://readable/x") == b"x"
    with pytest.raises(
        InputError, match="s3://readable/x: access is denied; these credentials need the right s3:PutObj"
    ):
        storage.write_bytes("s3://readable/x", b"y")


def test_a_refused_folder_is_not_taken_for_a_missing_one(use) -> None:
    use(AWS_ACCESS_KEY_ID="nobody")
    with pytest.raises(InputError, match="correct AWS_ACCESS_KEY_ID"):
        storage.path("s3://photos/dpd").is_dir()
