"""What can be seen inside of a network is what it computes with, and looking changes nothing."""

import pytest
import torch

from gkm.config import ModelConfig
from gkm.losses import multi_scale_loss
from gkm.networks.gkmnet.gkmnet import GKMNet
from gkm.networks.gkmnet.inspection import kernels, trace
from gkm.networks.ops.pyramid import pyramid

SMALL = {"max_kernel_size": 5, "num_kernels": 3, "num_scales": 3, "width": 2}
OFFICIAL = {
    "num_kernels": 6,
    "bank": "official",
    "residual": False,
    "coefficients": "half_tanh",
    "omega": "shared_with_bias",
}
ARMS = {
    "paper": {},
    "as the release": OFFICIAL,
    "learned from Gaussians": {"gcm": "learned_gaussian"},
    "learned from random": {"gcm": "learned_random"},
    "shared iterations": {"iterations_per_scale": 2, "share_iterations": True},
    "separate iterations": {"iterations_per_scale": 2},
    "SRAM*": {"output": "sigmoid_image"},
}


def small(**settings):
    torch.manual_seed(0)
    return GKMNet(ModelConfig(**{**SMALL, **settings}))


def train_a_step(model):
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    multi_scale_loss(model(torch.rand(2, 3, 32, 32)), torch.rand(2, 3, 32, 32), "l2").backward()
    optimizer.step()
    return model


@pytest.mark.parametrize("arm", ARMS)
def test_steps_are_those_of_the_network(arm):
    model = small(**ARMS[arm]).eval()
    blurred = torch.rand(1, 3, 45, 67)
    steps = trace(model, blurred)
    iterations = model.config.iterations_per_scale
    assert [(step.scale, step.iteration) for step in steps] == [(s, i) for s in range(3) for i in range(iterations)]
    with torch.no_grad():
        results = model(blurred)
    for step, result in zip(steps[iterations - 1 :: iterations], results, strict=True):
        assert torch.equal(step.result_3HW, result[0])
    for step in steps:
        assert step.gamma_y_KHW.shape == (model.config.num_kernels, *step.result_3HW.shape[1:])
        assert step.gamma_x_KHW.shape == step.gamma_y_KHW.shape
        assert arm == "SRAM*" or float(step.gamma_y_KHW.abs().max()) <= 1


@pytest.mark.parametrize("arm", ["paper", "learned from Gaussians"])
def test_result_follows_from_maps_and_kernels(arm):
    """Equation (9) written out: what is shown explains the picture."""
    model = small(**ARMS[arm]).eval()
    blurred = torch.rand(1, 3, 32, 48)
    first = trace(model, blurred)[0]
    y = pyramid(blurred, 3)[0]
    bank = kernels(model).now_KMM
    z_3KHW = torch.nn.functional.conv2d(y[0][:, None], bank[:, None], padding=2)
    block = model.blocks[0]
    expected = y[0] + sum(
        torch.einsum("ock,khw,ckhw->ohw", omega[0], gamma, z_3KHW)
        for omega, gamma in ((block.omega_y, first.gamma_y_KHW), (block.omega_x, first.gamma_x_KHW))
    )
    torch.testing.assert_close(first.result_3HW, expected.detach(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("arm", ARMS)
def test_looking_changes_nothing(arm):
    model = small(**ARMS[arm]).train()
    model.blocks[0].eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    modes = [part.training for part in model.modules()]
    trace(model, torch.rand(1, 3, 32, 32))
    with pytest.raises(ValueError, match="15 x 32"):
        trace(model, torch.rand(1, 3, 15, 32))
    kernels(model)
    assert [part.training for part in model.modules()] == modes
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not any(part._forward_hooks for part in model.modules())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())


def test_learned_kernels_before_and_after():
    untrained = kernels(small(gcm="learned_gaussian"))
    assert float(untrained.moved_K.max()) == 0
    trained = kernels(train_a_step(small(gcm="learned_gaussian")))
    assert torch.equal(trained.before_KMM, untrained.now_KMM)
    assert float(trained.moved_K.min()) > 0
    assert trained.sigmas_K.tolist() == [0, 0.5, 1]


def test_seed_gives_random_kernels_back():
    untrained = small(gcm="learned_random").gcm.kernels.detach().clone()
    trained = kernels(train_a_step(small(gcm="learned_random")), seed=0)
    assert torch.equal(trained.before_KMM, untrained)
    assert float(trained.moved_K.min()) > 0


def test_fixed_kernels_stay():
    for arm, count in (("paper", 3), ("as the release", 6)):
        fixed = kernels(train_a_step(small(**ARMS[arm])))
        assert fixed.now_KMM.shape == (count, 5, 5)
        assert float(fixed.moved_K.max()) == 0
        torch.testing.assert_close(fixed.now_KMM.sum((1, 2)), torch.ones(count))


def test_where_there_is_nothing_to_compare():
    random = kernels(small(gcm="learned_random"))
    assert random.before_KMM is None
    assert random.moved_K is None
    assert kernels(small(output="sigmoid_image")) is None
