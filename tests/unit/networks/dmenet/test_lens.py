"""The lenses of DMENet's training: their maps are true; a crop's lens depends on the crop and the epoch alone."""

import numpy as np
import pytest
import torch
from skimage.data import astronaut
from torch import Tensor

from gkm.data.simulation.defocus import composite
from gkm.light import from_linear, to_linear
from gkm.networks.dmenet import lens
from gkm.networks.dmenet.lens import Scene, taken


def crops(pixels: int = 96) -> Tensor:
    photo = torch.from_numpy(astronaut() / 255).float().permute(2, 0, 1)
    return torch.stack([photo[:, top : top + pixels, 60 : 60 + pixels] for top in (0, 120, 240)])


def test_maps_lie_within_the_range_asked_for_and_pixels_are_those_of_eight_bits() -> None:
    blurred, sigmas = taken(crops(), 4.0, epoch=0)
    assert blurred.shape == (3, 3, 96, 96)
    assert sigmas.shape == (3, 1, 96, 96)
    assert 0 <= sigmas.min() < sigmas.max() <= 4
    codes = blurred * 255
    assert torch.allclose(codes, codes.round(), atol=1e-3)
    assert 0 <= blurred.min() <= blurred.max() <= 1


def test_a_crops_lens_depends_on_the_crop_and_the_epoch_alone() -> None:
    sharp = crops()
    whole, maps = taken(sharp, 4.0, epoch=3)
    torch.manual_seed(5)  # whatever was drawn before
    for index in range(3):
        one, its_map = taken(sharp[index : index + 1], 4.0, epoch=3)
        assert torch.equal(its_map[0], maps[index])
        assert (one[0] - whole[index]).abs().max() < 1.01 / 255
    other_epoch, other_crop = taken(sharp, 4.0, epoch=4)[1], taken(sharp.flip(3), 4.0, epoch=3)[1]
    assert (other_epoch - maps).abs().mean() > 0.1
    assert (other_crop.flip(3) - maps).abs().mean() > 0.1


@pytest.mark.parametrize("is_disk", [True, False])
def test_an_even_scene_is_blurred_as_the_simulated_lens_of_data_sets_does(
    monkeypatch: pytest.MonkeyPatch, is_disk: bool
) -> None:
    sigma = 2.5
    flat = torch.full((96, 96), sigma)
    scene = Scene(flat, flat, torch.zeros(96, 96), is_disk)
    monkeypatch.setattr(lens, "_draw", lambda *_: scene)
    sharp = crops()
    found, sigmas = taken(sharp, 4.0, epoch=0)
    assert (sigmas == sigma).all()
    light = to_linear(sharp[0].permute(1, 2, 0).double().numpy())
    expected = from_linear(composite(light, np.full((96, 96), 2 * sigma), "disk" if is_disk else "gaussian"))
    inner = slice(16, -16)  # crops are mirrored about their last pixel, photographs about their border
    difference = np.abs(found[0].permute(1, 2, 0).numpy() - expected)[inner, inner]
    assert difference.max() < 1.5 / 255


def test_an_object_spills_over_its_background_and_the_background_not_over_the_object(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mask = torch.zeros(64, 64)
    mask[:, 32:] = 1
    dark_ground, bright_object = torch.zeros(1, 3, 64, 64), torch.ones(1, 3, 64, 64)
    sharp = torch.where(mask > 0, bright_object, dark_ground)
    blurred, focused = torch.full((64, 64), 3.0), torch.zeros(64, 64)
    for ground, thing in ((focused, blurred), (blurred, focused)):
        scene = Scene(ground, thing, mask, disk=False)
        monkeypatch.setattr(lens, "_draw", lambda *_, scene=scene: scene)
        row = taken(sharp, 4.0, epoch=0)[0][0, 0, 32]
        spills = float(row[29])
        assert spills > 0.2 if thing is blurred else spills < 0.01
        assert row[34] > 0.5 if thing is blurred else row[34] == 1
