"""AttNet: parameters, sizes, what trains, what attention weighs, and the copy for inference."""

import pytest
import torch

from gkm.config import LossConfig
from gkm.config.attnet import AttNetConfig
from gkm.errors import InputError
from gkm.networks import measure
from gkm.networks.attnet import AttNet
from gkm.networks.attnet.attnet import AttentiveResidual
from gkm.networks.export import export_program, extend
from gkm.networks.network import Progress

ARMS = {
    "small": {},
    "one scale": {"num_scales": 1},
    "few channels to attend with": {"reduction": 64},
    "the result alone": {"residual": False},
}


def small(**settings):
    torch.manual_seed(0)
    return AttNet(AttNetConfig(**{"width": 4, "blocks": 1, **settings}))


def test_size_and_work():
    with torch.device("meta"):
        found = measure(AttNet(AttNetConfig.paper()), 1120, 1680)
    assert found.parameters == 6_914_407  # published: 6.91 M
    assert found.macs / 1e9 == pytest.approx(2398.4, abs=0.05)


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
        assert not torch.equal(parameter, before[name]), name


def test_attention_weighs_what_a_block_adds_by_channel_and_by_pixel():
    torch.manual_seed(0)
    block = AttentiveResidual(8, reduction=4).double()
    x = torch.randn(2, 8, 12, 14, dtype=torch.float64)
    with torch.no_grad():
        change, added = block.change(x), block(x) - x
        weights = added / change
        by_channel = block.channel(change)
        assert by_channel.shape == (2, 8, 1, 1)
        by_pixel = weights / by_channel
    assert torch.allclose(by_pixel, by_pixel[:, :1].expand_as(by_pixel), rtol=1e-6)
    assert by_pixel[0, 0].std() > 1e-3
    assert by_channel.std() > 1e-3
    assert weights.min() > 0
    assert weights.max() < 1


def test_it_starts_at_the_input():
    image = torch.rand(1, 3, 45, 62)
    with torch.no_grad():
        assert (small()(image)[-1] - image).abs().max() < 0.02
        assert (small(residual=False)(image)[-1] - image).abs().max() > 0.1


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


def test_what_cannot_be_used_is_refused():
    with pytest.raises(ValueError, match="15 x 40 pixels"):
        small()(torch.rand(1, 3, 15, 40))
    with pytest.raises(InputError, match="attnet: its attention has no windows"):
        small().with_window(64)


@pytest.mark.slow
def test_the_exported_graph_gives_the_same_at_any_size():
    network = small().eval()
    program = export_program(network).module()
    for size in ((45, 62), (32, 128)):
        image = torch.rand(1, 3, *size)
        with torch.no_grad():
            expected = network(image)[-1]
            found = program(extend(image, network))[..., : size[0], : size[1]]
        # Its averages see what the photograph is extended by, inside the network as well as outside.
        assert (expected - found).abs().max() < 1e-5
