"""Features pooled over windows: those of a crop, wherever in the photograph it lies."""

import pytest
import torch

from gkm.networks.ops.attention import TripletAttention
from gkm.networks.ops.windows import Windows


@pytest.mark.parametrize(("length", "size"), [(40, 16), (41, 16), (17, 16), (9, 1), (30, 7), (100, 36)])
def test_windows_are_pooled_as_each_by_itself(length, size):
    x = torch.randn(2, length, 3, 4)
    windows = Windows(length, size)
    maxima, means = windows.pooled(lambda rows: x[:, rows], 1)
    assert windows.starts[0] == 0
    assert windows.starts[-1] == length - size
    assert max(b - a for a, b in zip(windows.starts, windows.starts[1:], strict=False)) <= max(1, size // 4)
    for index, start in enumerate(windows.starts):
        part = x[:, start : start + size]
        torch.testing.assert_close(maxima[:, index], part.amax(1))
        torch.testing.assert_close(means[:, index], part.mean(1))


def test_a_row_gets_the_mixture_of_the_windows_around_it():
    windows = Windows(21, 8)
    centres = torch.tensor([start + 3.5 for start in windows.starts])
    mixed = windows.mixed(centres[:, None], 0, slice(0, 21))[:, 0]
    torch.testing.assert_close(mixed, torch.arange(21.0).clamp(3.5, 16.5))


@pytest.mark.parametrize("size", [(24, 24), (24, 60)])
def test_a_window_as_large_as_the_photograph_changes_nothing(size):
    attention, x = TripletAttention().eval(), torch.randn(1, 3, *size)
    with torch.no_grad():
        assert torch.equal(attention(x, max(size)), attention(x))
        assert torch.equal(attention(x, 4096), attention(x))


def test_pixels_are_weighted_as_in_a_crop_around_them():
    """Away from the crop's own border, which the gates' convolutions see."""
    torch.manual_seed(0)
    attention, photograph = TripletAttention().eval(), torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        windowed, whole = attention(photograph, 32), attention(photograph)
        crop = attention(photograph[:, :, 16:48, 16:48])
    centre = (slice(None), slice(None), slice(31, 33), slice(31, 33))
    inside = (slice(None), slice(None), slice(15, 17), slice(15, 17))
    near = (windowed[centre] - crop[inside]).abs().max()
    assert near < 0.2 * (whole[centre] - crop[inside]).abs().max()


def test_gradients_pass_in_evaluation_mode():
    attention, x = TripletAttention().eval(), torch.randn(1, 3, 20, 30, requires_grad=True)
    attention(x, 8).sum().backward()
    assert x.grad.abs().sum() > 0
