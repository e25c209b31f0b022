"""Weights that a training begins with: which ones, kept in its own place, recognised when it goes on."""

from pathlib import Path
from typing import Any

import pytest
import torch

from gkm.config import TrialConfig
from gkm.errors import InputError
from gkm.networks import build
from gkm.study.single.initial import Initial, initial_place, read_initial
from gkm.training.course.beginning import begin, weights_digest

CONFIG = TrialConfig().with_values(
    {"model.max_kernel_size": 5, "model.num_kernels": 3, "model.num_scales": 1, "model.width": 2}
)


@pytest.fixture
def initial() -> Initial:
    torch.manual_seed(7)
    return Initial(build(CONFIG.model), "gkmnet version 3")


def test_they_are_kept_once_and_training_begins_with_them(tmp_path: Path, initial: Initial) -> None:
    place = initial.keep(str(tmp_path))
    assert place == initial_place(str(tmp_path))
    written = (tmp_path / "init" / "model.safetensors").stat().st_mtime_ns
    assert initial.keep(str(tmp_path)) == place
    assert (tmp_path / "init" / "model.safetensors").stat().st_mtime_ns == written
    model = begin(CONFIG, place)
    for name, tensor in initial.network.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], tensor, rtol=0, atol=0)
    assert weights_digest(model) == initial.digest != weights_digest(begin(CONFIG))
    assert initial.tags == {"gkm.init": "gkmnet version 3", "gkm.init_digest": initial.digest}
    again = read_initial(str(tmp_path), "gkmnet version 3")
    assert (again.digest, again.source) == (initial.digest, initial.source)


def test_weights_of_another_network_are_refused_by_the_setting(tmp_path: Path, initial: Initial) -> None:
    other = CONFIG.with_values({"model.width": 4})
    with pytest.raises(InputError) as refused:
        initial.check(other.model)
    assert str(refused.value) == (
        "gkmnet version 3: has model.width = 2, but the settings say 4; "
        "leave the settings of the network out, or begin with other weights"
    )
    initial.check(CONFIG.model)
    with pytest.raises(InputError, match="of a network with other settings"):
        begin(other, initial.keep(str(tmp_path)))


def test_settings_that_no_weight_depends_on_may_differ(tmp_path: Path, initial: Initial) -> None:
    other = CONFIG.with_values({"model.window_pixels": 32})
    initial.check(other.model)
    model = begin(other, initial.keep(str(tmp_path)))
    assert model.config.window_pixels == 32
    assert weights_digest(model) == initial.digest


@pytest.mark.parametrize("read", [lambda place: begin(CONFIG, place), lambda place: read_initial(place[:-5], "x")])
def test_a_damaged_copy_is_named(tmp_path: Path, initial: Initial, read: Any) -> None:
    place = initial.keep(str(tmp_path))
    weights = tmp_path / "init" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))
    with pytest.raises(InputError, match=r"model\.safetensors: is missing or damaged"):
        read(place)
