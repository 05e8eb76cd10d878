"""Enlarging: torch's bilinear interpolation but for rounding, and the same bits on any number of threads."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from videoinpaint.resampling import enlarged

SIDES = st.integers(1, 40)


@settings(max_examples=40, deadline=None)
@given(height=SIDES, width=SIDES, more=st.tuples(SIDES, SIDES), seed=st.integers(0, 99))
def test_it_is_torchs_interpolation(height, width, more, seed):
    x = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(seed))
    size = (height + more[0] - 1, width + more[1] - 1)
    expected = F.interpolate(x, size=size, mode="bilinear", align_corners=False)
    found = enlarged(x.clone(), size)
    assert torch.allclose(found, expected, atol=1e-5)
    assert found.dtype == x.dtype


def test_a_size_that_is_there_already_changes_nothing():
    x = torch.rand(1, 3, 5, 7)
    assert enlarged(x, (5, 7)) is x


@pytest.mark.parametrize("shape", [(8, 3, 30, 54), (5, 4, 17, 31)])
def test_bits_do_not_depend_on_the_number_of_threads(shape):
    x, before, found = torch.rand(shape), torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(enlarged(x, (shape[-2] * 4, shape[-1] * 4)))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_gradients_flow():
    x = torch.rand(1, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda y: enlarged(y, (5, 7)), (x,))
