"""Known pixels never change; where the mask is 1 the proposal is taken whole."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from videoinpaint.composition import compose, repair_region


def case(seed):
    generator = torch.Generator().manual_seed(seed)
    holes = (torch.rand(2, 3, 1, 20, 24, generator=generator) < 0.4).float()
    masks = torch.rand(2, 3, 1, 20, 24, generator=generator).mul(1.3).clamp(0, 1) * holes
    frames = [torch.rand(2, 3, 3, 20, 24, generator=generator) for _ in range(3)]
    return holes, masks, *frames


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_known_pixels_are_untouched_bit_for_bit(seed):
    holes, masks, proposal, previous, corrupted = case(seed)
    result = compose(proposal, previous, corrupted, masks, holes)
    assert torch.equal(torch.where(holes > 0, result, corrupted), result)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_region_is_one_where_the_mask_is_one_and_zero_outside_the_hole(seed):
    holes, masks, proposal, previous, corrupted = case(seed)
    region = repair_region(masks, holes)
    assert (region[masks == 1] == 1).all()
    assert (region[holes == 0] == 0).all()
    assert region.min() >= 0
    assert region.max() <= 1
    result = compose(proposal, previous, corrupted, masks, holes)
    sure = (masks == 1).expand_as(result)
    assert torch.equal(result[sure], proposal[sure])


def test_the_region_fades_over_two_pixels_on_either_side():
    masks, holes = torch.zeros(1, 1, 1, 11, 15), torch.ones(1, 1, 1, 11, 15)
    masks[..., 6:9] = 0.5
    row = repair_region(masks, holes)[0, 0, 0, 5]
    assert row[2:7].tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])
    assert row[[0, 1]].tolist() == [0, 0]


def test_an_empty_mask_keeps_the_repair():
    holes, masks, proposal, previous, corrupted = case(0)
    result = compose(proposal, previous, corrupted, torch.zeros_like(masks), holes)
    assert torch.equal(result, torch.where(holes > 0, previous, corrupted))
