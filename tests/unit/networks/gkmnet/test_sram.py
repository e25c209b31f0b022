"""The replacement of the Conv-LSTM."""

import torch

from gkm.networks.gkmnet.sram import PlainConv


def test_replacement_is_one_convolution_without_memory():
    plain = PlainConv(3, 4)
    x = torch.randn(1, 3, 8, 8)
    result, state = plain(x, None)
    assert state is None
    assert torch.equal(result, plain.conv(x))
    assert sum(p.numel() for p in plain.parameters()) == 4 * 3 * 25 + 4
