"""SRN: parameters of each reading, sizes, what trains, what passes between scales, and the copy for inference."""

import pytest
import torch

from gkm.config import LossConfig
from gkm.config.srn import SRNConfig
from gkm.losses import multi_scale_loss
from gkm.networks import measure
from gkm.networks.export import export_program, extend
from gkm.networks.network import Progress
from gkm.networks.srn import SRN
from gkm.networks.strips import restore

ARMS = {
    "as published, small": {},
    "release, lstm": {"recurrent_kernel_size": 3, "up_kernel_size": 4},
    "release, color": {"recurrent": "none", "up_kernel_size": 4},
    "one scale": {"num_scales": 1},
    "two blocks, added to the input": {"blocks": 2, "residual": True},
}


def small(**settings):
    torch.manual_seed(0)
    return SRN(SRNConfig(**{"width": 4, "blocks": 1, **settings}))


@pytest.mark.parametrize(
    ("config", "parameters", "gigamacs", "paper"),
    [
        (SRNConfig.paper(), 10_250_723, 2926.0, 3115.6),  # published: 10.25 M, 3117.6 G
        (SRNConfig.lstm(), 8_061_411, 2579.5, 2700.9),
        (SRNConfig.color(), 6_881_251, 2397.4, 2518.8),
    ],
)
def test_size_and_work_of_each_reading(config, parameters, gigamacs, paper):
    with torch.device("meta"):
        found = measure(SRN(config), 1120, 1680)
    assert found.parameters == parameters
    assert found.macs / 1e9 == pytest.approx(gigamacs, abs=0.05)
    assert found.paper_gflops == pytest.approx(paper, abs=0.05)


@pytest.mark.parametrize("arm", ARMS)
def test_every_parameter_trains_on_odd_sizes(arm):
    network = small(**ARMS[arm])
    blurred, sharp = torch.rand(2, 2, 3, 37, 51).unbind()
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    results = network(blurred)
    scales = network.config.num_scales
    assert [tuple(x.shape[2:]) for x in results] == [(-(-37 // 2**s), -(-51 // 2**s)) for s in reversed(range(scales))]
    network.cost(results, blurred, sharp, LossConfig(schedule="paper"), Progress(0, 1)).backward()
    optimizer.step()
    for name, parameter in network.named_parameters():
        assert parameter.grad.abs().sum() > 0, name
        assert not torch.equal(parameter, before[name]), name


def test_the_published_cost_is_squared_error_at_all_scales_and_others_are_not_its_own():
    network = small()
    blurred, sharp = torch.rand(2, 1, 3, 32, 32).unbind()
    results = network(blurred)
    costs = [network.cost(results, blurred, sharp, LossConfig(schedule="paper"), Progress(e, 9)) for e in (0, 8)]
    assert costs == [multi_scale_loss(results, sharp, "l2")] * 2
    assert network.cost(results, blurred, sharp, LossConfig(schedule="ssim"), Progress(0, 9)) is None


@pytest.mark.parametrize(("recurrent", "passes"), [("conv_lstm", True), ("none", False)])
def test_gradients_reach_the_scale_before_by_the_state_alone(recurrent, passes):
    network, seen = small(recurrent=recurrent), []
    # Without a state there is nothing for the forget gate to forget, so this is large enough to be seen.
    torch.nn.init.xavier_uniform_(network.body.memory.conv.weight) if passes else None
    network.body.stem.register_forward_hook(lambda _, inputs, output: (output.retain_grad(), seen.append(output))[0])
    network(torch.rand(1, 3, 32, 32))[-1].square().mean().backward()
    assert len(seen) == 3
    assert seen[2].grad is not None
    assert [x.grad is not None and bool(x.grad.abs().sum() > 0) for x in seen[:2]] == [passes, passes]


def test_the_result_before_is_seen():
    network, image = small(num_scales=2).eval(), torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        expected = network(image)[-1]
        network.body.stem.weight[:, 3:] = 0
        assert not torch.allclose(network(image)[-1], expected)


def test_added_to_the_input_it_starts_there():
    image = torch.rand(1, 3, 45, 62)
    with torch.no_grad():
        assert (small(residual=True)(image)[-1] - image).abs().max() < 0.02
        assert (small()(image)[-1] - image).abs().max() > 0.1


@pytest.mark.parametrize("arm", ARMS)
def test_the_copy_for_inference_gives_the_same(arm):
    network = small(**ARMS[arm]).eval()
    frozen = network.for_inference()
    assert not any(parameter.requires_grad for parameter in frozen.parameters())
    for size in ((97, 131), (16, 17)):
        image = torch.rand(1, 3, *size)
        with torch.no_grad():
            expected, found, rough = (
                one(image)[-1] for one in (network, frozen, network.for_inference(torch.bfloat16))
            )
        assert expected.shape[2:] == size
        assert (expected - found).abs().max() < 1e-5
        assert rough.dtype == torch.float32
        assert 0 < (expected - rough).abs().max() < 0.05 * (expected.max() - expected.min())
        assert torch.equal(restore(network, image), found)  # whole: its results depend on too much for strips


def test_what_cannot_be_used_is_refused():
    with pytest.raises(ValueError, match="15 x 40 pixels"):
        small()(torch.rand(1, 3, 15, 40))
    with pytest.raises(ValueError, match="6 channels, but the network takes three of each: blurred"):
        small()(torch.rand(1, 6, 32, 32))


@pytest.mark.parametrize(("scales", "least"), [(1, 16), (3, 16), (4, 32)])
def test_smallest_crop(scales, least):
    assert SRNConfig(num_scales=scales).smallest_crop_pixels == least
    small(num_scales=scales)(torch.rand(1, 3, least, least))


@pytest.mark.slow
def test_the_exported_graph_gives_the_same_at_any_size():
    network = small().eval()
    program = export_program(network).module()
    for size in ((45, 62), (32, 128)):
        image = torch.rand(1, 3, *size)
        with torch.no_grad():
            expected = network(image)[-1]
            found = program(extend(image, network))[..., : size[0], : size[1]]
        assert (expected - found).abs().max() < 1e-5
