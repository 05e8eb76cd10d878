"""Flow-guided pixel propagation: what a hole hides is carried in from frames where it is seen.

The baseline `propagation` does it with plain optical flow; the compact network starts from the same, but stabilised.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from videoinpaint.motion.flow import complete_flows, consistency, smooth_fill
from videoinpaint.motion.neighbourhoods import window_max
from videoinpaint.protocols import Refinement, State

Motion = Callable[[Tensor, Tensor], tuple[Tensor, ...]]
"""Smoothly filled frames and their holes to forward and backward flows between neighbours, ``(B, T-1, 2, H, W)``; one
that is not sure gives two pairs of them."""

SECOND = "2"
"""What is added to a name where it belongs to the second pair of flows."""

LOSS = 0.97
"""What of the trust in carried content is left after each hop but the first."""


def propagate(frames: Tensor, holes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Trace every hole pixel along the completed motion, both ways in time, to the first frame that shows it.

    Args:
        frames: ``(B, T, 3, H, W)`` in [0, 1]; what it holds inside the holes is not read.
        holes: ``(B, T, 1, H, W)`` in {0, 1}.

    Returns:
        propagated: ``(B, T, 3, H, W)``: known pixels, carried pixels, and the smooth fill where nothing arrives.
        confidence: ``(B, T, 1, H, W)`` in [0, 1]: 1 where known, 0 where nothing arrives.
        filled: ``(B, T, 3, H, W)``: the smooth fill alone, from each frame's own known pixels.
    """
    found = trace(frames, holes)
    return *carry(found, holes), found["filled"]


def trace(frames: Tensor, holes: Tensor, motion: Motion = complete_flows, pairs: int = 1) -> State:
    """What lies along the motion of every hole pixel; arguments as of :func:`propagate`.

    Args:
        motion: estimates the flows between neighbouring frames: :func:`videoinpaint.motion.flow.complete_flows`, or
            :func:`videoinpaint.motion.camera.stabilised_flows`.
        pairs: how many pairs of flows `motion` gives, 1 or 2.

    Returns:
        ``filled`` as of :func:`propagate`, and ``ahead`` and ``behind`` ``(B, T, 5, H, W)``, all zero where nothing
        arrives: the colour of the first frame that shows the pixel in that direction of time, the trust in it, in
        [0, 1], and how many frames away it was found; of two pairs of flows ``ahead2`` and ``behind2`` too.
    """
    if not holes.any():  # no motion is needed where nothing is missing
        nothing = frames.new_zeros(*frames.shape[:2], 5, *frames.shape[3:])
        return {"filled": frames} | {name + kind: nothing for kind in _kinds(pairs) for name in ("ahead", "behind")}
    return traced(frames, holes, seen_motion(frames, holes, motion, pairs=pairs), range(frames.shape[1]))


def _kinds(pairs: int) -> tuple[str, ...]:
    return ("", SECOND)[:pairs]


def seen_motion(
    frames: Tensor, holes: Tensor, motion: Motion = complete_flows, before: State | None = None, *, pairs: int = 1
) -> State:
    """What :func:`traced` follows: all that is estimated from the frames, pair by pair.

    Args:
        frames, holes, motion, pairs: as of :func:`trace`.
        before: the same of the first frames of the clip, from an earlier call: a video that goes on is not estimated
            again. Frame by frame and pair by pair nothing depends on what else is in the clip.

    Returns:
        by frame ``filled (B, T, 3, H, W)``, the smooth fill; and from each frame to its successor ``forward``, and back
        ``backward``, ``(B, T, H, W, 3)``: the flow and the error of both together, zero for the last frame; of two
        pairs of flows ``forward2`` and ``backward2`` too.
    """
    length, known = frames.shape[1], 0 if before is None else before["filled"].shape[1]
    seen = before
    for start in range(known, length, _AT_ONCE):
        part = slice(start, min(start + _AT_ONCE, length))
        shown = torch.where(holes[:, part] > 0, 0.0, frames[:, part])
        filled = smooth_fill(shown.flatten(0, 1), 1 - holes[:, part].flatten(0, 1)).view_as(shown)
        seen = _appended(seen, filled, holes[:, : part.stop], motion, pairs)
    assert seen is not None
    return seen


_AT_ONCE = 24  # frames, because estimating their motion takes several times the memory that it is kept in


def _appended(seen: State | None, filled: Tensor, holes: Tensor, motion: Motion, pairs: int) -> State:
    """What is seen of a clip, and of the frames after it; `holes` are those of all frames."""
    count = filled.shape[1]
    whole = filled if seen is None else torch.cat([seen["filled"], filled], 1)
    names = [(f"forward{kind}", f"backward{kind}") for kind in _kinds(pairs)]
    rows = {name: filled.new_zeros(len(filled), count, *filled.shape[3:], 3) for both in names for name in both}
    if seen is not None:
        rows = {name: torch.cat([seen[name], fresh], 1) for name, fresh in rows.items()}
    first = max(0, whole.shape[1] - count - 1)  # the last pair so far lacked its second frame
    if whole.shape[1] - first > 1:
        flows = motion(whole[:, first:], holes[:, first:])
        for (ahead, behind), there, back in zip(names, flows[::2], flows[1::2], strict=True):
            for name, flow, other in ((ahead, there, back), (behind, back, there)):
                error = consistency(flow.flatten(0, 1), other.flatten(0, 1)).view(*flow.shape[:2], 1, *flow.shape[3:])
                rows[name][:, first:-1] = torch.cat([flow, error], 2).permute(0, 1, 3, 4, 2)
    return {"filled": whole, **rows}


def traced(frames: Tensor, holes: Tensor, seen: State, wanted: range, *, calm: bool = False) -> State:
    """As :func:`trace`, for some frames of the clip alone, along motion that is known.

    Args:
        frames, holes: as of :func:`trace`.
        seen: from :func:`seen_motion`.
        wanted: the frames whose holes are traced, through all frames of the clip.
        calm: a hop over less than a pixel loses less trust than others, and one that does not move none: what a
            subtitle hides for fifty frames of a still camera is better shown as it was before than as a blur. For
            videos longer than the clips that networks were trained on, and not for environments, whose episodes would
            change.
    """
    part = slice(wanted.start, wanted.stop)
    nothing = frames.new_zeros(len(frames), len(wanted), 5, *frames.shape[3:])
    kinds = _kinds(1 + ("forward" + SECOND in seen))
    found = {"filled": seen["filled"][:, part]}
    found |= {name + kind: nothing for kind in kinds for name in ("ahead", "behind")}
    if frames.shape[1] == 1 or not holes[:, part].any():
        return found
    shown = torch.where(holes > 0, 0.0, frames).permute(0, 1, 3, 4, 2)
    pixels = torch.cat([shown, 1 - holes.permute(0, 1, 3, 4, 2)], 4)
    for kind in kinds:
        found["ahead" + kind] = _trace(pixels, holes, seen["forward" + kind][:, :-1], 1, wanted, calm)
        found["behind" + kind] = _trace(pixels, holes, seen["backward" + kind][:, :-1], -1, wanted, calm)
    return found


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


def _trace(pixels: Tensor, holes: Tensor, motion: Tensor, step: int, wanted: range, calm: bool) -> Tensor:
    """Follow all hole pixels of the wanted frames at once in one direction of time; see :func:`trace`.

    Args:
        pixels: ``(B, T, H, W, 4)``, colours and whether they are known.
        holes: ``(B, T, 1, H, W)``.
        motion: ``(B, T-1, H, W, 3)``, flow and error of every pair in this direction.
        step: 1 or -1.
        wanted: the frames to start from.
        calm: see :func:`traced`.
    """
    length, height, width = holes.shape[1], *holes.shape[3:]
    clip, time, _, ys, xs = holes[:, wanted.start : wanted.stop].nonzero(as_tuple=True)
    row, time = time, time + wanted.start
    found = pixels.new_zeros(len(xs), 5)
    # The points still under way: which they are, their clip and frame, where they have got to.
    which = torch.arange(len(xs), device=xs.device)
    image, now = clip * length, time
    x, y = xs.to(pixels.dtype), ys.to(pixels.dtype)
    trouble, hops = torch.zeros_like(x), torch.zeros_like(x)
    distance, travel = _distance_to_known(holes), _travel(holes, motion, step)
    # One table per quantity, pixels as rows: bilinear look-ups at scattered points are then four row gathers.
    shown = F.max_pool2d(pixels[..., 3].flatten(0, 1), 2, stride=1).gt(0)  # any of four, by the first
    shown = F.pad(shown, (0, 1, 0, 1)).flatten()
    pixels, motion = pixels.reshape(-1, 4), motion.reshape(-1, 3)
    keep = _frame_ahead(now, step, length) & (distance[clip, ys, xs] <= travel[clip, time] + SLACK)
    for hop in range(1, length):
        if not keep.all():
            which, image, now, x, y, trouble, hops = (row[keep] for row in (which, image, now, x, y, trouble, hops))
        if not len(which):
            break
        pair = image - image // length + torch.minimum(now, now + step)
        moved, now = _bilinear(motion, *_corner(pair, x, y, height, width), width), now + step
        x, y, trouble = x + moved[:, 0], y + moved[:, 1], trouble + moved[:, 2]
        if hop > 1:  # the first is free
            hops = hops + (moved[:, :2].square().sum(1).sqrt().clamp(max=1) if calm else 1.0)
        inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1) & (trouble < 4)
        corner, fx, fy = _corner(image + now, x, y, height, width)
        near = (inside & shown[corner]).nonzero()[:, 0]
        seen = _bilinear(pixels, corner[near], fx[near], fy[near], width)
        landed = seen[:, 3] > 0.999
        there = near[landed]
        # Each hop through estimated motion loses some trust, each inconsistency more.
        trust = torch.exp(-0.5 * trouble[there]) * (LOSS ** hops[there] if calm else LOSS ** (hop - 1))
        away = torch.full_like(trust, hop)
        found[which[there]] = torch.cat([seen[landed, :3], trust[:, None], away[:, None]], dim=1)
        inside[there] = False
        keep = inside & _frame_ahead(now, step, length)
    dense = pixels.new_zeros(len(holes), len(wanted), height, width, 5)
    dense[clip, row, ys, xs] = found
    return dense.permute(0, 1, 4, 2, 3).contiguous()


SLACK = 2.0  # pixels: a look-up reads the four around a point, and distances are rounded


def _distance_to_known(holes: Tensor) -> Tensor:
    """How far ``(B, H, W)`` a pixel is from the nearest one that any frame shows; infinite where there is none."""
    never = holes.amin(1)[:, 0].gt(0).byte().cpu().numpy()
    far = [cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) for mask in never]
    far = [np.where(mask.all(), np.inf, distance) for mask, distance in zip(never, far)]
    return torch.from_numpy(np.stack(far).astype(np.float32)).to(holes.device)


def _travel(holes: Tensor, motion: Tensor, step: int) -> Tensor:
    """How far ``(B, T)`` a point that starts in a hole of each frame can get before it is out of holes or of frames.

    The sum of the largest motions that holes have on the way: points in a still hole of a still camera, which is most
    of a logo, get nowhere, and need not be followed.
    """
    before = slice(None, -1) if step > 0 else slice(1, None)
    near = window_max(holes[:, before], 1)[:, :, 0]
    most = torch.where(near > 0, motion[..., :2].square().sum(-1), 0.0).flatten(2).amax(2).sqrt()
    total = holes.new_zeros(len(holes), holes.shape[1])
    ordered = most.flip(1).cumsum(1).flip(1) if step > 0 else most.cumsum(1)
    total[:, before] = ordered
    return total


def _frame_ahead(now: Tensor, step: int, length: int) -> Tensor:
    return (now + step >= 0) & (now + step < length)


def _corner(image: Tensor, x: Tensor, y: Tensor, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Of points in the images with index ``image``: the row of the pixel left above in a table ``(images * H * W, C)``,
    and how far right and below of it the points lie, each ``(N, 1)``."""
    x0, y0 = x.floor().clamp(0, width - 2), y.floor().clamp(0, height - 2)
    corner = image * (height * width) + y0.long() * width + x0.long()
    return corner, (x - x0).unsqueeze(1), (y - y0).unsqueeze(1)


def _bilinear(table: Tensor, corner: Tensor, fx: Tensor, fy: Tensor, width: int) -> Tensor:
    """Rows of a table interpolated at points that `_corner` placed."""
    a, b, c, d = (table.index_select(0, corner + further) for further in (0, 1, width, width + 1))
    return (a * (1 - fx) + b * fx) * (1 - fy) + (c * (1 - fx) + d * fx) * fy


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
