"""Our deformable convolution is torchvision's, in value and gradient."""

import pytest
import torch
from torchvision.ops import deform_conv2d

from videoinpaint.deformable import deformable_conv


def arguments(size, reach, depthwise):
    torch.manual_seed(0)
    x, offsets, modulation = torch.randn(2, 8, *size), torch.randn(2, 4 * 18, *size), torch.rand(2, 4 * 9, *size)
    offsets = torch.where(torch.rand(offsets.shape) < 0.3, offsets.round(), offsets * reach)  # on pixels, too
    weight, bias = (torch.randn(8, 1, 3, 3), torch.randn(8)) if depthwise else (torch.randn(6, 8, 3, 3), torch.randn(6))
    return x, offsets, modulation, weight, bias


def reference(x, offsets, modulation, weight, bias):
    return deform_conv2d(x, offsets, weight, bias, padding=1, mask=modulation)


@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize("size", [(9, 12), (1, 5)])
@pytest.mark.parametrize("reach", [0.0, 1.0, 30.0])
def test_its_values(size, reach, depthwise):
    given = arguments(size, reach, depthwise)
    torch.testing.assert_close(deformable_conv(*given), reference(*given), atol=1e-4, rtol=1e-4)
    assert torch.equal(deformable_conv(*given), deformable_conv(*given))


@pytest.mark.parametrize("depthwise", [False, True])
def test_its_gradients(depthwise):
    given = arguments((9, 12), 1.0, depthwise)
    # Off the pixels, where the derivative by an offset jumps.
    given = (given[0], 0.2 + 0.6 * torch.rand_like(given[1]), *given[2:])
    found = []
    for convolve in (deformable_conv, reference):
        leaves = [part.clone().requires_grad_() for part in given]
        convolve(*leaves).square().mean().backward()
        found.append([leaf.grad for leaf in leaves])
    for ours, theirs in zip(*found, strict=True):
        assert ours.abs().max() > 0
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-3)
