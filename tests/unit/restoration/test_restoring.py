"""Photographs restored by a network: the pixels of `restore_image`, and all that the photograph had beside them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from gkm.config import DPDNetConfig, ModelConfig
from gkm.errors import InputError
from gkm.evaluation import restore_image, tensors
from gkm.networks import Network, build
from gkm.restoration import memory, restoring
from gkm.restoration.comparison import side_by_side
from gkm.restoration.photograph import Photograph
from gkm.restoration.restoring import restore


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(0)
    made = build(ModelConfig(max_kernel_size=5, num_kernels=3, num_scales=2, width=2))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(1.3)
    return made


def photograph(seed: int = 0, dtype: type = np.uint8, height: int = 41, width: int = 52) -> Photograph:
    generator = np.random.default_rng(seed)
    rgb_HW3 = generator.integers(0, np.iinfo(dtype).max + 1, (height, width, 3), dtype=dtype)
    alpha_HW = generator.integers(0, np.iinfo(dtype).max + 1, (height, width), dtype=dtype)
    return Photograph(rgb_HW3=rgb_HW3, alpha_HW=alpha_HW, exif=b"exif", icc=b"icc", kind="TIFF")


@pytest.mark.parametrize("strip_pixels", [52 * 7, 10**9])
def test_pixels_are_those_of_the_model_in_memory(network: Network, monkeypatch, strip_pixels: int) -> None:
    monkeypatch.setattr(tensors, "STRIP_PIXELS", strip_pixels)
    before = photograph()
    after = restore(network, before)
    assert np.array_equal(after.rgb_HW3, restore_image(network, before.rgb_HW3))
    assert (after.rgb_HW3 != before.rgb_HW3).any()
    assert (after.exif, after.icc, after.kind) == (b"exif", b"icc", "TIFF")
    assert np.array_equal(after.alpha_HW, before.alpha_HW)


def test_16_bits_stay_16_bits(network: Network) -> None:
    before = photograph(dtype=np.uint16)
    after = restore(network, before)
    assert after.bits == 16
    eight = restore_image(network, before.rgb_HW3).astype(int)
    assert np.abs(after.rgb_HW3 / 257 - eight).max() <= 0.51
    assert len(np.unique(after.rgb_HW3 % 257)) > 200, "more than 8 bits are used"


def test_views_are_seen_in_their_order_and_have_to_fit() -> None:
    torch.manual_seed(0)
    dual = build(DPDNetConfig(width=2, depth=3, views="dual"))
    left, right = photograph(1), photograph(2)
    after = restore(dual, left, right)
    assert np.array_equal(after.rgb_HW3, restore_image(dual, left.rgb_HW3, right.rgb_HW3))
    assert np.array_equal(after.alpha_HW, left.alpha_HW)
    with pytest.raises(InputError, match="the views are 52x41 and 52x40 pixels"):
        restore(dual, left, photograph(height=40))
    with pytest.raises(InputError, match="sees its left and right views, but was given 1 photographs"):
        restore(dual, left)


def test_a_network_that_gives_no_picture_is_said(network: Network) -> None:
    broken = build(network.config)
    with torch.no_grad():
        for parameter in broken.parameters():
            parameter.fill_(float("nan"))
    with pytest.raises(InputError, match="gives no picture of it; choose another model"):
        restore(broken, photograph())


def test_a_photograph_that_does_not_fit_into_memory_is_said(network: Network, monkeypatch) -> None:
    def fail(seen: torch.Tensor) -> torch.Tensor:
        return torch.empty(1 << 60)

    with monkeypatch.context() as patched:
        patched.setattr(restoring, "restorer", lambda network: fail)
        with pytest.raises(InputError, match="its 52x41 pixels do not fit into memory; scale it down, or choose"):
            restore(network, photograph())


LITTLE_MEMORY = """
import resource
import numpy as np
import torch
from gkm.config import ModelConfig
from gkm.errors import InputError
from gkm.networks import build
from gkm.restoration import memory
from gkm.restoration.photograph import Photograph
from gkm.restoration.restoring import restore

torch.set_num_threads(1)
network = build(ModelConfig(max_kernel_size=5, num_kernels=3, num_scales=2, width=2))
before = resource.getrlimit(resource.RLIMIT_DATA)
memory.available_bytes = lambda: 20_000_000
try:
    restore(network, Photograph(rgb_HW3=np.zeros((1500, 2000, 3), np.uint8), kind="TIFF"))
except InputError as error:
    print(error)
assert resource.getrlimit(resource.RLIMIT_DATA) == before
"""


def test_an_allocation_beyond_what_is_left_fails_and_is_said() -> None:
    """In a process of its own, for a limit holds for all that a process does."""
    done = subprocess.run([sys.executable, "-c", LITTLE_MEMORY], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "its 2000x1500 pixels do not fit into memory" in done.stdout


def test_what_is_left_is_that_of_the_container_if_that_is_less(monkeypatch, tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:    4000 kB\nSwapFree: 1000 kB\n")
    monkeypatch.setattr(memory, "_INFORMATION", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_GROUP", tmp_path)
    assert memory.available_bytes() == 5000 * 1024
    for name, content in (("max", "3000000\n"), ("current", "2500000\n"), ("stat", "anon 7\ninactive_file 500\n")):
        (tmp_path / f"memory.{name}").write_text(content)
    assert memory.available_bytes() == 500_500
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.available_bytes() == 5000 * 1024
    (tmp_path / "meminfo").unlink()
    assert memory.available_bytes() is None
    with memory.within_memory():  # nothing is known, nothing changes
        pass


def test_large_photographs_are_compared_at_a_smaller_size(monkeypatch) -> None:
    from gkm.restoration import comparison

    before, after = photograph(1, np.uint16), photograph(2, np.uint16)
    whole = side_by_side(before, after)
    assert (whole.size, whole.bits, whole.icc) == ((52 * 2 + 8, 41), 8, b"icc")
    monkeypatch.setattr(comparison, "_MOST_PIXELS", 600)
    assert side_by_side(before, after).size == (26 * 2 + 8, 21)
