"""What steps compute in: where it is refused, and that gradients in float16 which overflow do no harm."""

import pytest
import torch
from torch import nn

from gkm.config import TrialConfig
from gkm.errors import InputError
from gkm.training.course.arithmetic import LEAST_SCALE, Arithmetic, refuse_precision

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def _config(precision: str) -> TrialConfig:
    return TrialConfig().with_values({"training.precision": precision})


@pytest.mark.parametrize("precision", ["tf32", "float16"])
def test_processors_refuse_what_they_have_not_by_name(precision: str) -> None:
    with pytest.raises(InputError, match=rf"^training\.precision = {precision} needs a GPU; set float32 or bfloat16"):
        refuse_precision(_config(precision), CPU)
    for usual in ("float32", "bfloat16"):
        refuse_precision(_config(usual), CPU)


def test_gpus_without_tf32_refuse_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    with pytest.raises(InputError, match=r"training\.precision = tf32: this GPU has none; set float32 or float16"):
        refuse_precision(_config("tf32"), CUDA)
    refuse_precision(_config("float16"), CUDA)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    refuse_precision(_config("tf32"), CUDA)


@pytest.mark.parametrize(("precision", "allowed"), [("tf32", True), ("float32", False), ("bfloat16", False)])
def test_products_of_float32_are_what_is_asked_for_and_only_meanwhile(precision: str, allowed: bool) -> None:
    def flags() -> tuple[bool, bool]:
        return torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32

    before = flags()
    with Arithmetic(precision, CUDA).products():
        assert flags() == (allowed, allowed)
    assert flags() == before
    with Arithmetic(precision, CPU).products():
        assert flags() == before


def _step(arithmetic: Arithmetic, model: nn.Linear, optimizer: torch.optim.Optimizer, factor: float) -> float:
    """One step whose gradients are `factor`; how far the weights went."""
    before = model.weight.detach().clone()
    optimizer.zero_grad()
    arithmetic.backward((model(torch.ones(1, 2)) * factor).sum())
    arithmetic.step(optimizer, model, None)
    return float((model.weight.detach() - before).abs().max())


@pytest.mark.parametrize("clip_norm", [None, 0.5])
def test_a_step_whose_gradients_overflow_is_left_out_and_the_scale_halved(clip_norm: float | None) -> None:
    torch.manual_seed(0)
    model = nn.Linear(2, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1, fused=True)
    arithmetic = Arithmetic("float16", CPU)
    assert _step(arithmetic, model, optimizer, 1.0) > 0.05
    scale = arithmetic.state()["scale"]
    assert _step(arithmetic, model, optimizer, 1e38) == 0
    assert arithmetic.state()["scale"] == scale / 2
    assert arithmetic.problem() is None
    again = Arithmetic("float16", CPU)
    again.restore(arithmetic.state())
    assert again.state() == arithmetic.state()
    arithmetic.restore({**arithmetic.state(), "scale": LEAST_SCALE})
    assert _step(arithmetic, model, optimizer, float("inf")) == 0
    problem = arithmetic.problem()
    assert problem is not None
    assert problem.startswith("gradients overflow in float16 even where losses count 3e-05 times")


def test_without_float16_nothing_is_scaled_or_kept() -> None:
    arithmetic = Arithmetic("float32", CPU)
    assert arithmetic.state() == {}
    assert arithmetic.problem() is None
    loss = torch.ones(1, requires_grad=True)
    arithmetic.backward(loss)
    assert loss.grad is not None
    assert float(loss.grad) == 1
