"""Counted operations are those of the mathematics, whichever kernel torch runs."""

import pytest
import torch
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torchvision.ops import deform_conv2d

from videoinpaint.inpainters.published.cost import Meter, count_flops


@pytest.mark.parametrize("backend", [name for name in SDPBackend.__members__ if name not in {"ERROR", "OVERRIDEABLE"}])
@pytest.mark.parametrize("gradient", [False, True])
def test_attention_costs_the_same_under_every_kernel(backend: str, gradient: bool) -> None:
    query, key = torch.randn(2, 4, 33, 16, requires_grad=gradient), torch.randn(2, 4, 65, 16)
    try:
        with sdpa_kernel(SDPBackend.__members__[backend]):
            F.scaled_dot_product_attention(query, key, key)
    except RuntimeError:
        pytest.skip("not on this processor")
    with sdpa_kernel(SDPBackend.__members__[backend]):
        _, cost = count_flops(lambda: F.scaled_dot_product_attention(query, key, key))
    assert cost == 2 * 2 * (2 * 4) * 33 * 65 * 16


def test_attention_costs_the_same_under_the_kernel_torch_picks() -> None:
    for shape in [(1, 1, 1, 8), (2, 4, 33, 16), (2, 12, 700, 8), (1, 4, 64, 10)]:
        x = torch.randn(shape)
        _, cost = count_flops(lambda x=x: F.scaled_dot_product_attention(x, x, x))
        assert cost == 4 * shape[0] * shape[1] * shape[2] ** 2 * shape[3]


def test_convolutions_cost_their_products() -> None:
    x, weight, offset = torch.randn(2, 3, 9, 11), torch.randn(5, 3, 3, 3), torch.zeros(2, 18, 9, 11)
    expected = 2 * 2 * 9 * 11 * 5 * 3 * 3 * 3
    assert count_flops(lambda: F.conv2d(x, weight, padding=1))[1] == expected
    assert count_flops(lambda: deform_conv2d(x, offset, weight, padding=1))[1] == expected


def test_a_meter_tells_what_one_of_equal_parts_costs() -> None:
    meter, x, weight = Meter(), torch.randn(4, 3, 9, 11), torch.randn(5, 3, 3, 3)
    for items in (4, 2):  # counted, then known
        result, cost = meter.run("kind", items, lambda items=items: F.conv2d(x[:items], weight, padding=1))
        assert len(result) == items
        assert cost == pytest.approx(2 * 9 * 11 * 5 * 3 * 3 * 3 / 1e9)
