"""Exported networks give the network's own results at sizes that they were not exported with."""

import sys

import pytest
import torch
from torch.nn import functional

from gkm.config import ModelConfig
from gkm.errors import InputError
from gkm.networks.export import export_onnx, export_program, extend
from gkm.networks.gkmnet.gkmnet import GKMNet

SIZES = [(64, 64), (97, 131), (33, 200)]
ARMS = {
    "paper": {"max_kernel_size": 5, "num_kernels": 3},
    "as the release": {
        "max_kernel_size": 5,
        "num_kernels": 6,
        "bank": "official",
        "residual": False,
        "coefficients": "half_tanh",
        "omega": "shared_with_bias",
    },
}


def network(arm):
    torch.manual_seed(0)
    model = GKMNet(ModelConfig(width=2, **ARMS[arm]))
    for name, parameter in model.named_parameters():
        if "omega" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


def compare(model, run):
    for size in SIZES:
        blurred = torch.rand(1, 3, *size)
        with torch.no_grad():
            expected = model(blurred)[-1]
        restored = run(extend(blurred, model))[..., : size[0], : size[1]]
        torch.testing.assert_close(restored, expected, rtol=0, atol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("arm", ARMS)
def test_one_export_for_torch_and_onnx_and_three_sizes(arm, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    model = network(arm)
    compare(model, export_program(model).module())
    path = tmp_path / "gkmnet.onnx"
    export_onnx(model).save(path)
    session = onnxruntime.InferenceSession(path)
    assert [value.name for value in (*session.get_inputs(), *session.get_outputs())] == ["blurred", "restored"]
    compare(model, lambda blurred: torch.from_numpy(session.run(None, {"blurred": blurred.numpy()})[0]))


def test_extending_repeats_the_last_row_and_column():
    image = torch.rand(1, 3, 33, 20)
    extended = extend(image, network("paper"))
    assert extended.shape == (1, 3, 48, 32)
    assert torch.equal(extended, functional.pad(image, (0, 12, 0, 15), mode="replicate"))


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(InputError, match="gkm\\[export\\]"):
        export_onnx(network("paper"))


def test_windows_are_not_exported():
    with pytest.raises(InputError, match=r"by network\.with_window\(None\)"):
        export_program(network("paper").with_window(32))
