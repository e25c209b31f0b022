"""Checkpoints in the layout of the authors' release, and of a conversion of them, give the map that they gave."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from gkm.errors import InputError
from gkm.networks import load_official
from gkm.networks.dmenet import official
from gkm.networks.dmenet.dmenet import DMENet

STAGES = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
"""Channels and convolutions of the release's encoder."""
DECODER = {
    "u4_aux": [(512, 256), (256, 1)],
    "u3": [(1024, 256), (256, 256), (256, 256)],
    "u3_aux": [(256, 128), (128, 1)],
    "u2": [(512, 128), (128, 128), (128, 128)],
    "u2_aux": [(128, 64), (64, 1)],
    "u1": [(256, 64), (64, 64), (64, 64)],
    "u1_aux": [(64, 32), (32, 1)],
    "u0_aux": [(64, 32), (32, 1)],
    "uf": [(64, 64), (64, 32), (32, 1)],
}
"""Layers c1, c2, ... of each part: channels in and out."""


def release() -> dict[str, np.ndarray]:
    """Weights as the release's training would save them: [H, W, I, O], with those that only training needs."""
    generator, found = np.random.default_rng(0), {}

    def add(layer: str, seen: int, out: int, size: int = 3, norm: str | None = None) -> None:
        weight = generator.normal(0, (2 / (size * size * seen)) ** 0.5, (size, size, seen, out))
        found[f"main_net/defocus_net/{layer}/kernel:0"] = weight.astype(np.float32)
        found[f"main_net/defocus_net/{layer}/bias:0"] = generator.normal(0, 0.1, out).astype(np.float32)
        if norm:
            for name, low, high in (("beta", -0.2, 0.2), ("moving_mean", -0.3, 0.3), ("moving_variance", 0.5, 2)):
                found[f"main_net/defocus_net/{norm}/{name}:0"] = generator.uniform(low, high, out).astype(np.float32)

    seen = 3
    for stage, (channels, count) in enumerate(STAGES):
        for place in range(count):
            add(f"encoder/conv{stage + 1}_{place + 1}", seen, channels)
            seen = channels
    found["main_net/defocus_net/encoder/conv1_1/kernel:0"] /= 64  # of a VGG, which sees 0 to 255
    for part, layers in DECODER.items():
        for place, (inner, out) in enumerate(layers, 1):
            norm = None if (part, place) == ("uf", 3) else f"decoder/{part}/b{place}"
            add(f"decoder/{part}/c{place}", inner, out, norm=norm)
    add("decoder/u0/c_init", 128, 64, norm="decoder/u0/b_init")
    for block in range(7):
        add(f"decoder/u0/c_res{block}", 64, 64, 1, norm=f"decoder/u0/b_res{block}")
        for place in (1, 2):
            add(f"decoder/u0/c{block}_{place}", 64, 64, norm=f"decoder/u0/b{block}_{place}")
    add("encoder/conv6_1", 512, 64)
    found["main_net/binary_net/l1/c1/kernel:0"] = np.zeros((1, 1, 1, 64), np.float32)
    found["discriminator/feature/h0/c1/kernel:0"] = np.zeros((4, 4, 64, 64), np.float32)
    return found


def by_hand(weights: dict[str, np.ndarray], rgb_13HW: Tensor) -> Tensor:
    """The release's map, written out from its layers: colours reversed, of 0 to 255, without VGG's mean."""

    def tensor(name: str) -> Tensor:
        return torch.from_numpy(weights[f"main_net/defocus_net/{name}:0"])

    def conv(x: Tensor, layer: str) -> Tensor:
        kernel = tensor(f"{layer}/kernel").permute(3, 2, 0, 1)
        margin = kernel.shape[-1] // 2
        padded = functional.pad(x, (margin,) * 4, mode="replicate") if margin else x
        return functional.conv2d(padded, kernel, tensor(f"{layer}/bias"))

    def normed(x: Tensor, part: str, place: str) -> Tensor:
        mean, variance, beta = (tensor(f"{part}/b{place}/{n}") for n in ("moving_mean", "moving_variance", "beta"))
        x = functional.batch_norm(conv(x, f"{part}/c{place}"), mean, variance, None, beta, eps=1e-5)
        return functional.leaky_relu(x, 0.2)

    x = rgb_13HW.flip(1) * 255 - torch.tensor([103.939, 116.779, 123.68])[:, None, None]
    seen = []
    for stage, (_, count) in enumerate(STAGES):
        x = functional.max_pool2d(x, 2) if stage else x
        for place in range(count):
            x = torch.relu(conv(x, f"encoder/conv{stage + 1}_{place + 1}"))
        seen.append(x)
    for part, beside in zip(("u3", "u2", "u1"), reversed(seen[1:4]), strict=True):
        x = torch.cat((x.repeat_interleave(2, 2).repeat_interleave(2, 3), beside), 1)
        for place in "123":
            x = normed(x, f"decoder/{part}", place)
    x = torch.cat((x.repeat_interleave(2, 2).repeat_interleave(2, 3), seen[0]), 1)
    x = normed(x, "decoder/u0", "_init")
    for block in range(7):
        beside = normed(x, "decoder/u0", f"_res{block}")
        x = normed(normed(x, "decoder/u0", f"{block}_1"), "decoder/u0", f"{block}_2") + beside
    for place in "12":
        x = normed(x, "decoder/uf", place)
    return torch.sigmoid(conv(x, "decoder/uf/c3"))


def converted(weights: dict[str, np.ndarray]) -> dict[str, Tensor]:
    """The same as the conversion's state dict."""
    kinds = {"kernel": "weight", "bias": "bias", "beta": "bias"}
    kinds |= {"moving_mean": "running_mean", "moving_variance": "running_var"}
    found = {}
    for name, array in weights.items():
        if not name.startswith("main_net/defocus_net/") or "conv6" in name:
            continue
        layer, kind = name.removeprefix("main_net/defocus_net/").removesuffix(":0").rsplit("/", 1)
        part, *rest = layer.split("/")
        if part == "encoder":
            place = f"encoder.{rest[0]}.conv"
        else:
            stage, inner = rest
            is_norm, at = inner[0] == "b", inner[1:]
            conv = "bn" if is_norm else "conv.conv"
            match stage, at:
                case "u0", "_init":
                    place = f"decoder.u0_init.{conv}"
                case "u0", _ if at.startswith("_res"):
                    place = f"decoder.refine.{at.removeprefix('_res')}.res.{conv}"
                case "u0", _:
                    place = f"decoder.refine.{at[0]}.c{at[-1]}.{conv}"
                case "uf", _:
                    place = f"decoder.uf{at}." + ("conv" if at == "3" else conv)
                case _:
                    place = f"decoder.{stage}_{at}.{conv}"
            if is_norm:
                found[f"{place}.weight"] = torch.ones(len(array))
                found[f"{place}.num_batches_tracked"] = torch.tensor(0)
        tensor = torch.from_numpy(array)
        found[f"{place}.{kinds[kind]}"] = tensor.permute(3, 2, 0, 1) if tensor.ndim == 4 else tensor
    return found


@pytest.mark.slow
def test_both_layouts_give_the_releases_map(tmp_path: Path) -> None:
    weights = release()
    np.savez(tmp_path / "DMENet_BDCS.npz", **weights)
    torch.save(converted(weights), tmp_path / "converted.pth")
    image = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(1))
    expected = by_hand(weights, image)
    assert expected.std() > 0.01
    for name in ("DMENet_BDCS.npz", "converted.pth"):
        network = load_official(tmp_path / name, "dmenet")
        assert isinstance(network, DMENet)
        assert not network.training
        with torch.no_grad():
            found = network.maps(image)[-1]
        assert (found - expected).abs().max() < 1e-4


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """A release of a network that is quick to make, and its weights."""
    settings = official.DMENetConfig(width=2, refinements=1)
    monkeypatch.setattr(official.DMENetConfig, "paper", classmethod(lambda _: settings))
    layers = dict(official._layers(1))
    state = {
        official._official_name(name, layers): tensor
        for name, tensor in DMENet(settings).state_dict().items()
        if "num_batches" not in name
    }
    return {name: (t.permute(2, 3, 1, 0) if t.ndim == 4 else t).numpy() for name, t in state.items()}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"main_net/defocus_net/decoder/uf/c3/bias:0": None}, "c3/bias:0 is missing"),
        ({"main_net/defocus_net/decoder/uf/c4/bias:0": np.zeros(1, np.float32)}, "c4/bias:0 is no weight"),
        ({"main_net/defocus_net/decoder/uf/c3/bias:0": np.zeros(3, np.float32)}, r"has the shape \[3\]"),
        ({"main_net/defocus_net/decoder/uf/c3/bias:0": np.array([{}])}, "without running code"),
    ],
    ids=["missing", "unknown", "shape", "code"],
)
def test_what_is_wrong_with_a_checkpoint_is_said(
    narrow: dict[str, np.ndarray], change: dict[str, np.ndarray | None], sentence: str, tmp_path: Path
) -> None:
    np.savez(tmp_path / "whole.npz", **narrow)
    assert load_official(tmp_path / "whole.npz", "dmenet").config.width == 2
    wrong = {name: array for name, array in (narrow | change).items() if array is not None}
    np.savez(tmp_path / "wrong.npz", **wrong)
    with pytest.raises(InputError, match=sentence):
        load_official(tmp_path / "wrong.npz", "dmenet")


def test_files_that_are_no_checkpoints_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("no archive")
    np.save(tmp_path / "one.npy", np.zeros(3))
    (tmp_path / "one.npy").rename(tmp_path / "one.npz")
    for name in ("text.npz", "one.npz"):
        with pytest.raises(InputError, match=f"{name}: is no state dict"):
            load_official(tmp_path / name, "dmenet")
    with pytest.raises(InputError, match="cannot be read"):
        load_official(tmp_path / "absent.npz", "dmenet")
    torch.save({"decoder.u3_1.bn.weight": torch.full((4,), 2.0)}, tmp_path / "scaled.pth")
    with pytest.raises(InputError, match=r"u3_1\.bn\.weight scales"):
        load_official(tmp_path / "scaled.pth", "dmenet")
    torch.save({"some.other.weight": torch.zeros(4)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match=r"other\.weight is no weight"):
        load_official(tmp_path / "other.pth", "dmenet")
