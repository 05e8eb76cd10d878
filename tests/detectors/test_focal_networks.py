"""FOCAL's extractors: their size, their attention, and the sizes they accept (their numbers: test_parity.py)."""

from __future__ import annotations

import pytest
import torch

from videoinpaint.detectors.focal.hrnet import HRNetExtractor
from videoinpaint.detectors.focal.vit import Block, RelativeAttention, ViTConfig, ViTExtractor
from videoinpaint.errors import InputError

TINY = ViTConfig(320, width=128, depth=4, heads=4, global_blocks=(1, 3), channels=64, complete=False)


@pytest.mark.parametrize(
    ("build", "parameters"),
    [(HRNetExtractor, 28_536_113), (ViTExtractor, 312_342_832), (lambda: ViTExtractor(TINY), 996_480)],
)
def test_they_have_the_published_size(build, parameters):
    with torch.device("meta"):
        network = build()
    assert sum(p.numel() for p in network.parameters()) == parameters


def test_hrnet_gives_a_quarter_of_any_multiple_of_32():
    network = HRNetExtractor().eval()
    assert network.accepted_size(37, 64) == (64, 64)
    with torch.no_grad():
        assert network(torch.rand(2, 3, 32, 96)).shape == (2, 32, 8, 24)


def test_vit_refuses_other_sizes():
    with pytest.raises(InputError, match=r"\(N, 3, 320, 320\)"):
        ViTExtractor(TINY)(torch.rand(1, 3, 64, 64))


def test_attention_in_few_heads_at_a_time_is_the_same(monkeypatch):
    torch.manual_seed(0)
    layer = RelativeAttention(32, 4, 6)
    torch.nn.init.normal_(layer.rel_pos_h)
    torch.nn.init.normal_(layer.rel_pos_w)
    x = torch.randn(2, 6, 6, 32)
    together = layer(x)
    monkeypatch.setattr("videoinpaint.detectors.focal.vit._BIAS_BYTES", 1)
    assert torch.allclose(layer(x), together, atol=1e-6)


def test_relative_positions_are_those_of_the_query_minus_the_key():
    torch.manual_seed(0)
    layer = RelativeAttention(8, 1, 3)
    torch.nn.init.normal_(layer.rel_pos_h)
    torch.nn.init.normal_(layer.rel_pos_w)
    x = torch.randn(1, 3, 3, 8)
    q, k, v = layer.qkv(x).view(9, 3, 8).unbind(1)
    logits = torch.empty(9, 9)
    for i in range(9):
        for j in range(9):
            rows, columns = i // 3 - j // 3, i % 3 - j % 3
            away = layer.rel_pos_h[rows + 2] + layer.rel_pos_w[columns + 2]
            logits[i, j] = q[i] @ k[j] / 8**0.5 + q[i] @ away
    expected = layer.proj(logits.softmax(1) @ v).view(x.shape)
    assert torch.allclose(layer(x), expected, atol=1e-5)


def test_windows_do_not_see_each_other():
    torch.manual_seed(0)
    block = Block(ViTConfig(image_size=20 * 16, width=16, heads=2), window=14).eval()
    x = torch.randn(1, 20, 20, 16)
    other = x.clone()
    other[:, 14:, 14:] += 1
    before, after = block(x), block(other)
    assert torch.equal(before[:, :14], after[:, :14])
    assert not torch.equal(before[:, 14:, 14:], after[:, 14:, 14:])
