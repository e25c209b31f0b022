"""What the shared options make of what a user writes."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from gkm.data.reading.node_cache import default_cache
from pipelines.terminal.command import build, say
from pipelines.terminal.options import CACHE, CACHE_LIMIT, DEFAULT_WORKSPACE, WORKSPACE, node_cache


def show(workspace: WORKSPACE = DEFAULT_WORKSPACE, cache: CACHE = None, cache_limit: CACHE_LIMIT = None) -> None:
    """Show."""
    say(f"{workspace} {cache} {cache_limit}")


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("1000", 1000), ("2k", 2000), ("1.5 GB", 1_500_000_000), ("3GiB", 3 * 2**30), ("200gb", 200 * 10**9)],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert CliRunner().invoke(build(show), ["--cache-limit", text]).stdout == f"runs None {size}\n"
    assert CliRunner().invoke(build(show), [], env={"GKM_CACHE_LIMIT": text}).stdout == f"runs None {size}\n"


@pytest.mark.parametrize("text", ["", "GB", "-1", "many", "1 GB of it"])
def test_what_is_no_size_is_refused(text: str) -> None:
    result = CliRunner().invoke(build(show), ["--cache-limit", text])
    assert result.exit_code == 2
    assert "is no size; give one such as 200GB, or 0" in " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.parametrize("option", ["--workspace", "--cache"])
def test_workspace_and_cache_lie_on_this_machine(option: str) -> None:
    result = CliRunner().invoke(build(show), [option, "s3://lab/gkm"])
    assert result.exit_code == 2
    assert "lies in S3; keep workspace and cache on this machine" in " ".join(result.stderr.replace("│", " ").split())


def test_cache_is_in_the_workspace_or_on_the_disk_of_each_node() -> None:
    assert node_cache(None, None, Path("work")).folder == Path.cwd() / "work" / "cache"
    assert node_cache(None, 10, Path("work"), ray="http://head:8265").folder == default_cache()
    assert node_cache(Path("/nvme"), 10, Path("work"), ray="auto") == node_cache(Path("/nvme"), 10, Path("elsewhere"))
    assert node_cache(Path("/nvme"), 10, Path("work")).limit_bytes == 10
