"""DMENet: its size, what trains, what it restores by its map, and what cannot be had of it."""

import numpy as np
import pytest
import torch

from gkm.classical import restore_by_map
from gkm.config import DMENetConfig, LossConfig
from gkm.errors import InputError
from gkm.networks import measure
from gkm.networks.dmenet import KIND, DMENet
from gkm.networks.dmenet.map_network import from_sigmas, to_sigmas
from gkm.networks.dmenet.strips import REACH_PIXELS, restore_by_strips
from gkm.networks.export import export_program
from gkm.networks.network import Progress
from gkm.networks.strips import restore


def small(**settings: object) -> DMENet:
    torch.manual_seed(0)
    return DMENet(DMENetConfig.model_validate({"width": 4, "refinements": 2, **settings}))


def test_size_and_work_of_the_published_network() -> None:
    with torch.device("meta"):
        network = DMENet(DMENetConfig.paper())
    found = measure(network, 1120, 1680)
    assert found.parameters == 26_939_819  # published: 26.94 M
    assert found.macs / 1e9 == pytest.approx(2312.0, abs=0.05)
    assert sum(one.numel() for one in network.maps.encoder.parameters()) == 20_024_384  # VGG19's sixteen convolutions


@pytest.mark.parametrize("settings", [{}, {"width": 2}, {"refinements": 0}], ids=["small", "narrow", "no blocks"])
def test_every_parameter_trains_on_odd_sizes(settings: dict[str, object]) -> None:
    network = small(**settings).train()
    blurred, sharp = torch.rand(2, 2, 3, 37, 51).unbind()
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    shown, wanted = network.training_pair(blurred, sharp, Progress(0, 1))
    found = network(shown)
    sizes = [(-(-37 // 2**s), -(-51 // 2**s)) for s in (4, 3, 2, 1, 0, 0)]
    assert [tuple(one.shape) for one in found] == [(2, 1, *size) for size in sizes]
    network.cost(found, shown, wanted, LossConfig(), Progress(0, 1)).backward()
    optimizer.step()
    # What a norm follows needs no bias; of a narrow network some units of the deep stages see nothing.
    idle = {name for name in before if name.endswith("conv.bias")}
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        if name not in idle and settings != {"width": 2}:
            assert not torch.equal(parameter, before[name]), name


def test_the_cost_is_squared_error_of_all_maps_whatever_the_schedule() -> None:
    network = small()
    maps = [torch.full((1, 1, side, side), 0.5) for side in (2, 4, 8, 16, 32, 32)]
    for schedule in ("paper", "ssim"):
        loss = LossConfig.model_validate({"schedule": schedule})
        cost = network.cost(maps, torch.zeros(1, 3, 32, 32), torch.full((1, 1, 32, 32), 0.2), loss, Progress(0, 1))
        assert cost is not None
        assert cost.item() == pytest.approx(6 * 0.3**2)


def test_maps_stand_for_sigmas_up_to_seven_pixels() -> None:
    sigmas = torch.tensor([0.0, 0.5, 3.0, 7.0])
    assert torch.allclose(to_sigmas(from_sigmas(sigmas)), sigmas, atol=1e-5)
    assert to_sigmas(torch.tensor([0.0, 1 / 15, 1.0])).tolist() == [0, 0, 7]


def test_it_restores_by_its_map() -> None:
    network = small().eval()
    image = torch.rand(2, 3, 45, 62)
    with torch.no_grad():
        sigmas, restored = network.sigmas(image), network(image)[-1]
    assert sigmas.shape == (2, 1, 45, 62)
    assert sigmas.min() >= 0
    assert sigmas.max() > 1
    for photo, own, result in zip(image, sigmas, restored, strict=True):
        expected = restore_by_map(photo.permute(1, 2, 0).numpy(), own[0].numpy())
        assert np.array_equal(result.permute(1, 2, 0).numpy(), expected)


def test_a_photograph_in_strips_has_the_same_map(monkeypatch: pytest.MonkeyPatch) -> None:
    network, found = small(width=2).eval(), []
    monkeypatch.setattr(DMENet, "deconvolved", lambda _, photographs, sigmas: found.append(sigmas) or photographs)
    image = torch.rand(1, 3, 1203, 40)
    network(image)
    restore_by_strips(network, image, strip_pixels=40 * 400)
    restore(network, image)  # smaller than one strip
    assert [one.shape for one in found] == [(1, 1, 1203, 40)] * 3
    assert (found[0] - found[1]).abs().max() < 1e-4
    assert (found[0] - found[2]).abs().max() < 1e-4


def test_how_far_a_pixel_can_change_the_map() -> None:
    network = small(width=2, refinements=7).eval()
    for norm in (one for one in network.modules() if isinstance(one, torch.nn.BatchNorm2d)):
        torch.nn.init.normal_(norm.bias)
    image = torch.rand(1, 3, 800, 16).requires_grad_()
    network.sigmas(image)[0, 0, 400].sum().backward()
    assert image.grad is not None
    rows = image.grad.abs().sum((0, 1, 3)).nonzero()
    assert max(400 - int(rows.min()), int(rows.max()) - 400) <= REACH_PIXELS


def test_a_map_of_no_blur_leaves_the_photograph_as_it_is() -> None:
    network = small().eval()
    with torch.no_grad():
        network.maps.last[-1].bias.fill_(-20.0)
    image = torch.rand(1, 3, 40, 40)
    assert (network(image)[-1] - image).abs().max() < 1e-5


def test_weights_that_are_no_numbers_show_in_the_result() -> None:
    network = small().eval()
    with torch.no_grad():
        network.maps.last[-1].bias.fill_(float("nan"))
    assert not torch.isfinite(network(torch.rand(1, 3, 40, 40))[-1]).all()


def test_the_copy_for_inference_is_smaller_and_may_find_its_map_in_16_bits() -> None:
    network = small().eval()
    frozen, rough = network.for_inference(), network.for_inference(torch.bfloat16)
    image = torch.rand(1, 3, 33, 47)
    with torch.no_grad():
        assert (network.sigmas(image) - frozen.sigmas(image)).abs().max() < 1e-4
        assert 0 < (network.sigmas(image) - rough.sigmas(image)).abs().max() < 0.5
    assert not any(parameter.requires_grad for parameter in frozen.parameters())
    assert len(list(frozen.parameters())) < len(list(network.parameters()))
    assert len(network.maps.auxiliary) == 5


def test_a_look_inside_shows_the_map() -> None:
    network = small().eval()
    image = torch.rand(1, 3, 32, 48)
    assert KIND.look_inside is not None
    view = KIND.look_inside(network, image)
    assert view.maps_KHW is not None
    assert view.maps_KHW.shape == (1, 32, 48)
    assert [result.shape for result in view.results_3HW] == [(3, 32, 48)]


def test_what_cannot_be_had_is_refused() -> None:
    for network in (small().eval(), small().train()):
        with pytest.raises(ValueError, match="15 x 40 pixels"):
            network(torch.rand(1, 3, 15, 40))
        with pytest.raises(ValueError, match="6 channels, but the network takes three of each: blurred"):
            network(torch.rand(1, 6, 32, 32))
    with pytest.raises(InputError, match="dmenet: deconvolves by its map, which cannot be exported"):
        export_program(small())
