"""Windowed maxima and means are those of pooling."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from videoinpaint.motion.neighbourhoods import window_max, window_mean

SIDES = st.integers(1, 20)


def drawn(height: int, width: int) -> torch.Tensor:
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(height * 31 + width))


@settings(deadline=None, max_examples=60)
@given(SIDES, SIDES, st.integers(0, 12))
def test_maxima_are_those_of_pooling_to_the_bit(height: int, width: int, radius: int) -> None:
    x = drawn(height, width)
    # Pooling itself refuses windows that reach further beyond the border than half their size.
    wide = F.pad(x, (radius, radius, radius, radius), value=float("-inf"))
    assert torch.equal(window_max(x, radius), F.max_pool2d(wide, 2 * radius + 1, stride=1))
    assert torch.equal(window_max(x[0, 0], radius), window_max(x, radius)[0, 0])


@settings(deadline=None, max_examples=60)
@given(SIDES, SIDES, st.integers(1, 4))
def test_means_are_those_of_pooling(height: int, width: int, radius: int) -> None:
    x = drawn(height, width)
    sides = (radius, radius, radius, radius)
    known = F.avg_pool2d(F.pad(torch.ones_like(x), sides), 2 * radius + 1, stride=1)
    cut = F.avg_pool2d(F.pad(x, sides), 2 * radius + 1, stride=1) / known
    torch.testing.assert_close(window_mean(x, radius), cut)
    repeated = F.avg_pool2d(F.pad(x, sides, mode="replicate"), 2 * radius + 1, stride=1)
    torch.testing.assert_close(window_mean(x, radius, repeat_border=True), repeated)


def test_gradients_flow_through_both() -> None:
    for window in (window_max, window_mean):
        x = drawn(6, 7).requires_grad_()
        window(x, 1).sum().backward()
        assert x.grad is not None
        assert float(x.grad.sum()) > 0
