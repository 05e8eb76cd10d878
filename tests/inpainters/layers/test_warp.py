"""Flow warping: where it samples, what lies beyond the border, which flows agree."""

import torch
from torch import Tensor

from videoinpaint.inpainters.published.layers.warp import chain_flows, consistent, flow_warp


def constant(dx: float, dy: float, height: int = 8, width: int = 10) -> Tensor:
    return torch.tensor([dx, dy], dtype=torch.float32).view(1, 2, 1, 1).expand(1, 2, height, width).contiguous()


def test_it_samples_where_the_flow_points_and_zeros_beyond() -> None:
    x = torch.rand(1, 3, 8, 10)
    warped = flow_warp(x, constant(2, -1))
    torch.testing.assert_close(warped[:, :, 1:, :-2], x[:, :, :-1, 2:])
    assert warped[:, :, 0].abs().max() < 1e-5
    assert warped[:, :, :, -2:].abs().max() < 1e-5


def test_halves_are_mixed_or_rounded() -> None:
    x = torch.rand(1, 1, 8, 10)
    mixed = flow_warp(x, constant(0.25, 0))
    torch.testing.assert_close(mixed[..., :-1], 0.75 * x[..., :-1] + 0.25 * x[..., 1:])
    torch.testing.assert_close(flow_warp(x, constant(0.25, 0.4), "nearest"), x)


def test_chained_flow_leads_where_both_lead() -> None:
    first = torch.randint(-1, 2, (1, 2, 8, 10)).float()
    second = torch.randint(-1, 2, (1, 2, 8, 10)).float()
    x = torch.rand(1, 1, 8, 10)
    at_once = flow_warp(x, chain_flows(first, second))
    one_by_one = flow_warp(flow_warp(x, second), first)
    torch.testing.assert_close(at_once[..., 2:-2, 2:-2], one_by_one[..., 2:-2, 2:-2])


def test_only_flows_that_return_agree() -> None:
    there, back = constant(2, 1), constant(-2, -1)
    assert consistent(there, back)[..., :-1, :-2].all()
    assert not consistent(there, constant(0, 0)).any()
    # Beyond the border the reverse flow counts as zero, and what does not return is not believed.
    assert not consistent(there, back)[..., -1, :].any()


def test_the_threshold_is_strict() -> None:
    # |f + g'|^2 = 0.5 exactly where the motion adds nothing.
    off = constant(0.5, 0.5)
    assert not consistent(off, constant(0, 0), relative=0).any()
    assert consistent(off, constant(0, 0), relative=0, absolute=0.5001).all()
