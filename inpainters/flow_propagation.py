"""Flow-guided pixel propagation: what a hole hides is carried in from frames where it is seen.

The baseline `propagation` does it with plain optical flow; the compact network starts from the same, but stabilised.
"""

from __future__ import annotations

import torch
from numpy.typing import NDArray
from torch import Tensor

from videoinpaint.inpainters.tracing import seen_motion, trace, traced
from videoinpaint.protocols import Refinement, State


def propagate(frames: Tensor, holes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Trace every hole pixel along the completed motion, both ways in time, to the first frame that shows it.

    Args:
        frames: ``(B, T, 3, H, W)`` in [0, 1]; what it holds inside the holes is not read.
        holes: ``(B, T, 1, H, W)`` in {0, 1}.

    Returns:
        propagated: ``(B, T, 3, H, W)``: known pixels, carried pixels, and the smooth fill where nothing arrives.
        confidence: ``(B, T, 1, H, W)`` in [0, 1]: 1 where known, 0 where nothing arrives.
        filled: ``(B, T, 3, H, W)``: the smooth fill alone, from each frame's own known pixels. A frame that has none
            takes the fill of the last one before that has some, else of the first one after, else it is grey.
    """
    found = trace(frames, holes)
    return *carry(found, holes), found["filled"]


def carry(found: State, holes: Tensor, reach: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Blend what :func:`trace` found, over the smooth fill.

    Args:
        found: from :func:`trace`.
        holes: ``(B, T, 1, H, W)`` in {0, 1}.
        reach: ``(B, 2, 1, 1, 1)`` or ``(B, 2, 1, H, W)``, how many frames ahead and behind each clip or pixel may look;
            None: any number.

    Returns:
        propagated and confidence, as of :func:`propagate`.
    """
    colours, weights = [], []
    for direction, name in enumerate(("ahead", "behind")):
        colour, weight, away = found[name].split((3, 1, 1), dim=2)
        if reach is not None:
            weight = weight * (away <= reach[:, direction, None].to(away))
        colours.append(colour * weight)
        weights.append(weight)
    total = weights[0] + weights[1]
    carried = (colours[0] + colours[1]) / total.clamp_min(1e-6)
    confidence = torch.maximum(*weights)
    inside = carried * confidence + found["filled"] * (1 - confidence)
    return torch.where(holes > 0, inside, found["filled"]), torch.where(holes > 0, confidence, 1.0)


class PropagationInpainter:
    """Flow propagation alone, as a baseline: no control changes it, every pass gives the same frames."""

    name = "propagation"
    controls: frozenset[str] = frozenset()
    min_size = (16, 16)

    def __init__(self, device: str | torch.device = "cpu") -> None:
        """Args: device to compute on."""
        self.device = torch.device(device)

    def begin(self, frames: Tensor, masks: Tensor) -> State:
        """Propagate once; see :class:`videoinpaint.protocols.Inpainter`."""
        return {"propagated": propagate(frames, masks)[0]}

    def begin_within(
        self, frames: Tensor, masks: Tensor, wanted: range, before: State | None = None
    ) -> tuple[State, State]:
        """See :class:`videoinpaint.protocols.Reaching`."""
        seen = seen_motion(frames, masks, before=before)
        found = traced(frames, masks, seen, wanted, calm=True)
        return {"propagated": carry(found, masks[:, wanted.start : wanted.stop])[0]}, seen

    def refine(self, state: State, repaired: Tensor, masks: Tensor, controls: NDArray) -> Refinement:
        """The propagated frames again; see :class:`videoinpaint.protocols.Inpainter`."""
        return Refinement(state["propagated"], torch.zeros(len(repaired), dtype=torch.float64))
