"""A photograph that passes through the network in strips: the network's own result, in much less memory."""

import pytest
import torch

from gkm.config import ModelConfig
from gkm.metrics import psnr
from gkm.networks.gkmnet.gkmnet import GKMNet
from gkm.networks.gkmnet.strips import restore_by_strips

SMALL = {"max_kernel_size": 9, "num_kernels": 4, "num_scales": 3, "width": 4}
ARMS = {
    "paper": {},
    "one scale": {"num_scales": 1},
    "without Conv-LSTM": {"recurrent": "conv"},
    "SRAM*": {"output": "sigmoid_image"},
    "learned from random": {"gcm": "learned_random"},
    "separate iterations": {"iterations_per_scale": 2},
    "shared iterations": {"iterations_per_scale": 3, "share_iterations": True, "num_scales": 2},
    "as the release": {
        "num_kernels": 10,
        "bank": "official",
        "residual": False,
        "coefficients": "half_tanh",
        "omega": "shared_with_bias",
    },
}


def lively(**settings):
    """A network whose every part makes a difference: random norms, and sums far from the identity."""
    torch.manual_seed(0)
    model = GKMNet(ModelConfig(**{**SMALL, **settings}))
    for part in model.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_(std=0.3)
            part.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(part.weight, 0.5, 2)
            torch.nn.init.normal_(part.bias, std=0.5)
    for name, parameter in model.named_parameters():
        if "omega" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


@pytest.mark.parametrize("arm", ARMS)
def test_strips_give_the_same_picture(arm):
    model = lively(**ARMS[arm])
    blurred = torch.rand(1, 3, 197, 61)
    with torch.no_grad():
        whole = model(blurred)[-1]
    restored = restore_by_strips(model, blurred, strip_numbers=1)
    assert restored.shape == whole.shape
    scale = max(1.0, float(whole.abs().max()))
    assert float((restored - whole).abs().max()) < 1e-5 * scale
    assert float((whole - blurred).abs().mean()) > 0.01


@pytest.mark.parametrize("size", [(16, 16), (16, 301), (97, 131), (130, 40)])
@pytest.mark.parametrize("strip_numbers", [1, 20_000, 10**9])
def test_any_size_and_any_strips(size, strip_numbers):
    model = lively()
    blurred = torch.rand(1, 3, *size)
    with torch.no_grad():
        whole = model(blurred)[-1]
    torch.testing.assert_close(
        restore_by_strips(model, blurred, strip_numbers=strip_numbers), whole, rtol=1e-5, atol=1e-5
    )


def test_networks_of_16_bit_arithmetic_too():
    model = lively().for_inference(torch.bfloat16)
    blurred = torch.rand(1, 3, 97, 131)
    with torch.no_grad():
        whole = model(blurred)[-1]
    assert float(psnr(restore_by_strips(model, blurred, strip_numbers=1), whole)) > 40


def test_the_network_is_left_alone_even_in_training():
    model = lively().train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    restore_by_strips(model, torch.rand(1, 3, 32, 32))
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_batches_and_tiny_images_are_refused():
    with pytest.raises(ValueError, match="2 are given"):
        restore_by_strips(lively(), torch.rand(2, 3, 32, 32))
    with pytest.raises(ValueError, match="15 x 64 pixels"):
        restore_by_strips(lively(), torch.rand(1, 3, 15, 64))


@pytest.mark.parametrize("arm", ["paper", "one scale", "separate iterations", "SRAM*"])
@pytest.mark.parametrize("size", [(197, 61), (40, 130)])
def test_windows_of_attention_in_strips_too(arm, size):
    model = lively(**ARMS[arm], window_pixels=32)
    blurred = torch.rand(1, 3, *size)
    with torch.no_grad():
        windowed, whole = model(blurred)[-1], model.with_window(None)(blurred)[-1]
    scale = max(1.0, float(whole.abs().max()))
    assert float((windowed - whole).abs().mean()) > 1e-3
    assert float((restore_by_strips(model, blurred, strip_numbers=1) - windowed).abs().max()) < 1e-5 * scale
