"""Flow warping in the conventions of the published networks.

A flow ``f (N, 2, H, W)`` holds ``(dx, dy)`` in pixels of the map it is used on. ``W(x, f)`` samples ``x`` at
``(i + dx, j + dy)`` with corner-aligned coordinates, and sees zeros beyond the border (unlike
:func:`videoinpaint.motion.flow.warp`, whose default repeats the border; SPyNet uses that one).
"""

from __future__ import annotations

from torch import Tensor

from videoinpaint.motion.flow import warp


def flow_warp(x: Tensor, flow: Tensor, interpolation: str = "bilinear") -> Tensor:
    """``W(x, f)``: ``x (N, C, H, W)`` sampled where ``flow (N, 2, H, W)`` points; zeros beyond the border.

    Args:
        x: a feature map, an image, a mask or another flow.
        flow: ``(dx, dy)`` in pixels of ``x``.
        interpolation: ``"bilinear"`` or ``"nearest"``.
    """
    return warp(x, flow, interpolation=interpolation, padding="zeros")


def chain_flows(first: Tensor, second: Tensor) -> Tensor:
    """The flow of two steps, ``f_{t->t+2} = f_{t->t+1} + W(f_{t+1->t+2}, f_{t->t+1})`` (BasicVSR++, Section 3.2).

    Args:
        first: ``(N, 2, H, W)``, the step that leaves the present frame.
        second: ``(N, 2, H, W)``, the step after it.
    """
    return first + flow_warp(second, first)


def consistent(flow: Tensor, reverse: Tensor, relative: float = 0.01, absolute: float = 0.5) -> Tensor:
    """Where a flow and its reverse agree (ProPainter, Eq. 3; Sundaram et al., ECCV 2010).

    With ``g' = W(g, f)`` a pixel is valid when ``|f + g'|^2 < relative * (|f|^2 + |g'|^2) + absolute``, strictly.

    Args:
        flow: f ``(N, 2, H, W)``, from here to the neighbour.
        reverse: g ``(N, 2, H, W)``, from the neighbour to here.
        relative: the part of the threshold that grows with the motion.
        absolute: the part in squared pixels that does not.

    Returns:
        ``(N, 1, H, W)`` in {0, 1}, of the flow's dtype.
    """
    returned = flow_warp(reverse, flow)
    residual = (flow + returned).square().sum(1, keepdim=True)
    motion = (flow.square() + returned.square()).sum(1, keepdim=True)
    return (residual < relative * motion + absolute).to(flow.dtype)
