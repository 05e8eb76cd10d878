"""The attention that DSTT and FuseFormer share, and its head gate."""

import pytest
import torch

from videoinpaint.inpainters.published.cost import count_flops
from videoinpaint.inpainters.published.layers.attention import SelfAttention


@pytest.fixture
def attention() -> SelfAttention:
    torch.manual_seed(0)
    return SelfAttention(32, 4).requires_grad_(False)


def test_it_is_multi_head_attention(attention: SelfAttention) -> None:
    x = torch.randn(2, 11, 32)
    standard = torch.nn.MultiheadAttention(32, 4, batch_first=True)
    layers = (attention.query_embedding, attention.key_embedding, attention.value_embedding)
    with torch.no_grad():
        standard.in_proj_weight.copy_(torch.cat([layer.weight for layer in layers]))
        standard.in_proj_bias.copy_(torch.cat([layer.bias for layer in layers]))
    standard.out_proj = attention.output_linear
    torch.testing.assert_close(attention(x), standard(x, x, x, need_weights=False)[0])


def test_heads_add_up(attention: SelfAttention) -> None:
    x = torch.randn(2, 11, 32)
    whole = attention(x)
    attention.active = (0, 1, 2, 3)
    torch.testing.assert_close(attention(x), whole)
    attention.active = (3, 1)
    parts = attention(x)
    attention.active = (0, 2)
    torch.testing.assert_close(parts + attention(x) - attention.output_linear.bias, whole)


def test_idle_heads_cost_nothing(attention: SelfAttention) -> None:
    x, costs = torch.randn(1, 64, 32), []
    for active in ((2,), (0, 2), None):
        attention.active = active
        costs.append(count_flops(lambda: attention(x))[1])
    assert costs[0] * 4 == costs[1] * 2 == costs[2]
