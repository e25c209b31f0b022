"""Tensors by name, written as a whole file."""

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from gkm.networks.state_dict import write_state_dict


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_weights_are_for_all_to_read_whom_the_umask_allows(suffix: str, umask: int, tmp_path: Path) -> None:
    path = tmp_path / f"weights{suffix}"
    before = os.umask(umask)
    try:
        write_state_dict({"a": torch.ones(3)}, path)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask
    if suffix == ".safetensors":
        assert torch.equal(load_file(path)["a"], torch.ones(3))
