"""NRKNet: the authors' results, sizes, what trains, and the copy for inference."""

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from gkm.config.nrknet import NRKNetConfig
from gkm.losses import squared_l2
from gkm.networks.nrknet import NRKNet
from gkm.networks.nrknet.kernels import Blur, RecursiveKernels
from gkm.networks.nrknet.loss import reblurring_cost, restoration_cost
from gkm.networks.nrknet.official import export_official, load_official
from tests.unit.networks.nrknet.plain import PlainNRKNet

SMALL = {"width": 4, "num_kernels": 3}
ARMS = {
    "as published, small": {},
    "bilinear pyramid": {"pyramid": "bilinear"},
    "two blocks a stage": {"blocks": 2},
    "one scale": {"num_scales": 1},
    "four scales": {"num_scales": 4},
}


def small(**settings):
    torch.manual_seed(0)
    return NRKNet(NRKNetConfig(**{**SMALL, **settings}))


@pytest.fixture(scope="module")
def parity(shared_data):
    return shared_data / "nrknet_parity"


@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize("with_gradients", [False, True])
def test_results_are_the_authors(parity, folded, with_gradients):
    network = load_official(parity / "weights_fp16.safetensors")
    if folded:
        network = network.for_inference()
    recorded = load_file(parity / "io.safetensors")
    with torch.set_grad_enabled(with_gradients):
        deblurred, reblurred = network.with_reblurred(recorded["blurred"], recorded["sharp"])
        restored = network(recorded["blurred"])[-1]
    found = {f"train_deblurred_{place}": result for place, result in enumerate(deblurred)}
    found |= {f"train_reblurred_{place}": result for place, result in enumerate(reblurred)}
    found["restored"] = restored
    assert found.keys() == recorded.keys() - {"blurred", "sharp"}
    for name, result in found.items():
        span = recorded[name].max() - recorded[name].min()
        assert (result - recorded[name]).abs().max() < 2e-5 * span, name


def test_the_plain_formulation_agrees(tmp_path):
    torch.manual_seed(0)
    network = NRKNet(NRKNetConfig.official()).eval()
    export_official(network, tmp_path / "weights.safetensors")
    plain = PlainNRKNet().eval()
    plain.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    image = torch.rand(2, 3, 48, 64)
    with torch.no_grad():
        expected, _ = plain(image)
        for restored, theirs in zip(network.for_inference()(image), expected, strict=True):
            assert (restored - theirs).abs().max() < 1e-5


def test_size_and_work_of_the_published_network():
    with torch.device("meta"):
        network = NRKNet(NRKNetConfig()).eval()
    assert sum(parameter.numel() for parameter in network.parameters()) == 6_094_107
    with torch.no_grad(), FlopCounterMode(display=False) as counted:
        network(torch.empty(1, 3, 1120, 1680, device="meta"))
    assert counted.get_total_flops() / 2e9 == pytest.approx(1770.2, abs=0.05)


@pytest.mark.parametrize("arm", ARMS)
def test_every_parameter_trains(arm):
    network = small(**ARMS[arm])
    scales = network.config.num_scales
    blurred, sharp = torch.rand(2, 2, 3, 97, 131).unbind()
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    deblurred, reblurred = network.with_reblurred(blurred, sharp)
    loss = restoration_cost(deblurred, sharp, squared_l2) + reblurring_cost(reblurred, blurred)
    loss.backward()
    optimizer.step()
    for name, parameter in network.named_parameters():
        assert parameter.grad.abs().sum() > 0, name
        assert not torch.equal(parameter, before[name]), name
    sides = [(-(-97 // 2**s), -(-131 // 2**s)) for s in reversed(range(scales))]
    assert [tuple(result.shape[2:]) for result in deblurred] == [*sides, (97, 131)]
    assert [tuple(result.shape[2:]) for result in reblurred] == sides


@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize("size", [(97, 131), (16, 17)])
def test_the_copy_for_inference_gives_the_same(arm, size):
    network = small(**ARMS[arm])
    for _ in range(3):
        network(torch.rand(2, 3, 32, 32))  # so that the norm has statistics to fold
    network.eval()
    frozen = network.for_inference()
    assert not any(parameter.requires_grad for parameter in frozen.parameters())
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in frozen.modules())
    image = torch.rand(1, 3, *size)
    with torch.no_grad():
        for expected, found in zip(network(image), frozen(image), strict=True):
            assert (expected - found).abs().max() < 1e-5
    assert network(image)[-1].shape[2:] == size
    assert network(image)[-1].requires_grad


def test_sixteen_bits_change_little():
    network = small(width=32).eval()
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        restored, rough = network(image)[-1], network.for_inference(torch.bfloat16)(image)[-1]
    assert rough.dtype == torch.float32
    assert 0 < (restored - rough).abs().max() < 0.02 * (restored.max() - restored.min())


def test_too_small_images_are_refused():
    with pytest.raises(ValueError, match="15 x 40 pixels"):
        small()(torch.rand(1, 3, 15, 40))


def test_pyramids_differ_as_named():
    image = torch.rand(1, 3, 64, 64)
    nearest, bilinear = (small(pyramid=name).pyramid(image) for name in ("nearest", "bilinear"))
    assert torch.equal(nearest[1], image[..., ::2, ::2])
    assert torch.equal(nearest[0], image[..., ::4, ::4])
    halved = functional.interpolate(image, scale_factor=0.5, mode="bilinear", antialias=True)
    assert torch.equal(bilinear[1], halved)


def test_iterations_follow_the_settings():
    assert NRKNetConfig().iterations == (3, 2, 1)
    assert NRKNetConfig(num_scales=2, finest_iterations=2, added_iterations=0).iterations == (2, 2)
    image = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        once, thrice = (small(num_scales=1, finest_iterations=count).eval()(image)[0] for count in (1, 3))
    assert not torch.allclose(once, thrice)


@pytest.mark.parametrize(("scales", "least"), [(1, 16), (3, 32), (4, 64)])
def test_smallest_crop(scales, least):
    assert NRKNetConfig(num_scales=scales).smallest_crop_pixels == least


def test_recursive_kernels_keep_brightness_and_widen():
    kernels = RecursiveKernels(5)
    flat = kernels(torch.full((1, 3, 9, 11), 0.3))
    assert torch.allclose(flat, torch.tensor(0.3))
    impulse = torch.zeros(1, 3, 21, 21)
    impulse[..., 10, 10] = 1
    versions = kernels(impulse)[0]
    for step, version in enumerate(versions):
        assert [(colour != 0).sum().item() for colour in version] == [(2 * step + 1) ** 2] * 3


def test_blur_is_the_same_with_and_without_gradients():
    blur = Blur(7)
    image, maps = torch.rand(2, 3, 13, 18), torch.randn(2, 8, 13, 18)
    expected = blur(image, maps)
    untouched = image.clone()
    with torch.no_grad():
        found = blur(image, maps)
    assert expected.requires_grad
    assert (expected - found).abs().max() < 1e-6
    assert torch.equal(image, untouched)
