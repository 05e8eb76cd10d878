"""Deformable alignment: guided by its flows, bounded in its stray, laid out as the checkpoints are."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from videoinpaint.inpainters.published.layers.alignment import DeformableAlignment


@pytest.fixture
def alignment() -> DeformableAlignment:
    torch.manual_seed(0)
    return DeformableAlignment(8, 6, 5, max_residue=4.0, groups=4).requires_grad_(False)


def stir(alignment: DeformableAlignment) -> None:
    for parameter in alignment.parameters():
        torch.nn.init.normal_(parameter)


def shift(x: Tensor, dx: int, dy: int) -> Tensor:
    """``x`` sampled at (x + dx, y + dy) for 0 <= dx, dy, zeros beyond."""
    return F.pad(x, (0, dx, 0, dy))[..., dy:, dx:]


def test_untrained_it_convolves_what_the_flow_points_to(alignment: DeformableAlignment) -> None:
    x, condition = torch.randn(2, 8, 9, 12), torch.randn(2, 5, 9, 12)
    flow = torch.tensor([2.0, 1.0]).view(1, 2, 1, 1).expand(2, 2, 9, 12)
    expected = F.conv2d(0.5 * shift(x, 2, 1), alignment.weight, alignment.bias, padding=1)
    got = alignment(x, condition, (flow,))
    # Samples left of the shifted picture are real pixels, not zeros: leave the borders out.
    torch.testing.assert_close(got[..., 1:-2, 1:-3], expected[..., 1:-2, 1:-3])


def test_each_flow_guides_its_share_of_the_channels(alignment: DeformableAlignment) -> None:
    x, condition = torch.randn(1, 8, 9, 12), torch.randn(1, 5, 9, 12)
    still, moving = torch.zeros(1, 2, 9, 12), torch.zeros(1, 2, 9, 12)
    moving[:, 0] = 2.0
    moved = torch.cat([x[:, :4], shift(x[:, 4:], 2, 0)], dim=1)
    expected = F.conv2d(0.5 * moved, alignment.weight, alignment.bias, padding=1)
    got = alignment(x, condition, (still, moving))
    torch.testing.assert_close(got[..., 1:-1, 1:-3], expected[..., 1:-1, 1:-3])


@pytest.mark.parametrize("count", [0, 1, 2])
def test_points_stray_no_further_than_allowed(alignment: DeformableAlignment, count: int) -> None:
    stir(alignment)
    flows = [torch.randn(2, 2, 9, 12) * 20 for _ in range(count)]
    condition = torch.randn(2, 5, 9, 12) * 10
    offsets, modulation = alignment.predict(condition, flows)
    without, same = alignment.predict(condition)
    assert without.abs().max() <= 4.0
    assert without.abs().max() > 3.9
    torch.testing.assert_close(modulation, same)
    assert modulation.min() >= 0
    assert modulation.max() <= 1
    guided = (offsets - without).view(2, max(count, 1), -1, 2, 9, 12)
    for index, flow in enumerate(flows):
        expected = flow.flip(1).unsqueeze(1).expand_as(guided[:, index])
        torch.testing.assert_close(guided[:, index], expected, atol=1e-4, rtol=1e-4)


def test_its_layout_is_that_of_the_checkpoints() -> None:
    shapes = {k: tuple(v.shape) for k, v in DeformableAlignment(256, 128, 388, 10.0).state_dict().items()}
    assert shapes == {
        "weight": (128, 256, 3, 3),
        "bias": (128,),
        "conv_offset.0.weight": (128, 388, 3, 3),
        "conv_offset.0.bias": (128,),
        "conv_offset.2.weight": (128, 128, 3, 3),
        "conv_offset.2.bias": (128,),
        "conv_offset.4.weight": (128, 128, 3, 3),
        "conv_offset.4.bias": (128,),
        "conv_offset.6.weight": (432, 128, 3, 3),
        "conv_offset.6.bias": (432,),
    }


def test_it_can_be_trained(alignment: DeformableAlignment) -> None:
    alignment.requires_grad_(True)
    alignment(torch.randn(1, 8, 9, 12), torch.randn(1, 5, 9, 12), (torch.rand(1, 2, 9, 12),)).square().sum().backward()
    for parameter in (alignment.weight, alignment.conv_offset[-1].weight):
        assert parameter.grad is not None
        assert parameter.grad.abs().max() > 0
