"""Following what holes hide through time, along estimated motion, to the frames that show it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from videoinpaint.motion.flow import complete_flows, consistency, smooth_fill
from videoinpaint.motion.neighbourhoods import window_max
from videoinpaint.protocols import State

Motion = Callable[[Tensor, Tensor], tuple[Tensor, ...]]
"""Smoothly filled frames and their holes to what moves forward and backward between neighbours: flows
``(B, T-1, 2, H, W)`` or homographies ``(B, T-1, 3, 3)``; one that is not sure gives two pairs of them."""

SECOND = "2"
"""What is added to a name where it belongs to the second pair of motions."""

LOSS = 0.97
"""What of the trust in carried content is left after each hop but the first."""


def trace(frames: Tensor, holes: Tensor, motion: Motion = complete_flows, pairs: int = 1) -> State:
    """What lies along the motion of every hole pixel; arguments as of :func:`propagate`.

    Args:
        motion: estimates what moves between neighbouring frames: :func:`videoinpaint.motion.flow.complete_flows`,
            :func:`videoinpaint.motion.camera.stabilised_flows` or :func:`videoinpaint.motion.camera.two_motions`.
        pairs: how many pairs `motion` gives, 1 or 2.

    Returns:
        ``filled`` as of :func:`propagate`, and ``ahead`` and ``behind`` ``(B, T, 5, H, W)``, all zero where nothing
        arrives: the colour of the first frame that shows the pixel in that direction of time, the trust in it, in
        [0, 1], and how many frames away it was found; of two pairs ``ahead2`` and ``behind2`` too.
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
            again. Frame by frame and pair by pair nothing depends on later frames, and on earlier ones only where a
            frame is lost entirely.

    Returns:
        by frame ``filled (B, T, 3, H, W)``, the smooth fill, zero where a frame is lost entirely; and from each frame
        to its successor ``forward``, and back ``backward``, both ``(B, T, H, W, 3)``: the flow and the error of both
        together, or ``(B, T, 3, 3)``, the homography, zero for the last frame; of two pairs ``forward2`` and
        ``backward2`` too.
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
    first = max(0, whole.shape[1] - count - 1)  # the last pair so far lacked its second frame
    # A lost frame shows no motion. Taken for a repetition of the one before, it lets what the frames on both sides of
    # it show arrive at the same place, without a double picture.
    repeated = _before(_lost(holes))[:, first:]
    moves = motion(_picked(whole, repeated), _picked(holes, repeated))
    found = {"filled": whole}
    for kind, there, back in zip(_kinds(pairs), moves[::2], moves[1::2], strict=True):
        for name, move, other in ((f"forward{kind}", there, back), (f"backward{kind}", back, there)):
            fresh = _with_error(move, other) if move.dim() == 5 else move
            early = fresh[:, :0] if seen is None else seen[name][:, :first]
            found[name] = torch.cat([early, fresh, fresh.new_zeros(len(fresh), 1, *fresh.shape[2:])], 1)
    return found


def _lost(holes: Tensor) -> NDArray[np.bool_]:
    """Which frames ``(B, T)`` of holes ``(B, T, 1, H, W)`` have no known pixel, so that nothing fills them."""
    return holes.flatten(2).amin(2).gt(0).cpu().numpy()


def _before(lost: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Which frame ``(B, T)`` each one repeats: a lost one the last before it that is not lost, or the first of all.

    It looks back alone, because a video goes on after what is known of it.
    """
    return np.maximum.accumulate(np.where(lost, 0, np.arange(lost.shape[1])), axis=1)


def _picked(values: Tensor, frames: NDArray[np.intp]) -> Tensor:
    """Values ``(B, n, ...)`` of the frames ``(B, n)`` of each clip of ``(B, T, ...)``."""
    clips = torch.arange(len(values), device=values.device)[:, None]
    return values[clips, torch.from_numpy(frames).to(values.device)]


def _lent(filled: Tensor, holes: Tensor, wanted: range) -> Tensor:
    """The smooth fill ``(B, T, 3, H, W)`` of the wanted frames, where lost frames take that of others.

    It is that of the last frame before that is not lost, as motion is estimated, so that it fits what is carried beside
    it; at the beginning of a clip that of the first frame after, and grey where all frames are lost.
    """
    lost, part = _lost(holes), slice(wanted.start, wanted.stop)
    if not lost[:, part].any():
        return filled[:, part]
    found = _picked(filled, np.maximum(_before(lost), lost.argmin(1)[:, None])[:, part])
    found[torch.from_numpy(lost.all(1)).to(found.device)] = 0.5
    return found


def _with_error(flow: Tensor, other: Tensor) -> Tensor:
    """Flows ``(B, T-1, 2, H, W)`` and their disagreement with those back, as a table ``(B, T-1, H, W, 3)``."""
    error = consistency(flow.flatten(0, 1), other.flatten(0, 1)).view(*flow.shape[:2], 1, *flow.shape[3:])
    return torch.cat([flow, error], 2).permute(0, 1, 3, 4, 2)


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
    found = {"filled": _lent(seen["filled"], holes, wanted)}
    found |= {name + kind: nothing for kind in kinds for name in ("ahead", "behind")}
    if frames.shape[1] == 1 or not holes[:, part].any():
        return found
    shown = torch.where(holes > 0, 0.0, frames).permute(0, 1, 3, 4, 2)
    pixels = torch.cat([shown, 1 - holes.permute(0, 1, 3, 4, 2)], 4)
    for kind in kinds:
        for name, motion, step in (("ahead", "forward", 1), ("behind", "backward", -1)):
            found[name + kind] = _trace(pixels, holes, _moves(seen[motion + kind][:, :-1]), step, wanted, calm)
    return found


@dataclass
class _Flow:
    """Motion that is known pixel by pixel, ``(B, T-1, H, W, 3)``: flow and error of every pair in one direction."""

    motion: Tensor

    def __call__(self, pair: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor | float]:
        """How far points of pairs move right and down, and the error there, ``(N,)`` each."""
        height, width = self.motion.shape[2:4]
        # One table, pixels as rows: bilinear look-ups at scattered points are then four row gathers.
        right, down, error = _bilinear(self.motion.reshape(-1, 3), *_corner(pair, x, y, height, width), width).unbind(1)
        return right, down, error

    def most(self, near: Tensor) -> Tensor:
        """How far ``(B, T-1)`` a pixel of ``near (B, T-1, H, W)`` moves at most."""
        return torch.where(near > 0, self.motion[..., :2].square().sum(-1), 0.0).flatten(2).amax(2).sqrt()


@dataclass
class _Camera:
    """Motion that is a homography, ``(B, T-1, 3, 3)``, of every pair in one direction; methods as of `_Flow`."""

    motion: Tensor

    def __call__(self, pair: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor | float]:
        """See the class."""
        a, b, c, d, e, f, g, h, i = self.motion.reshape(-1, 9).index_select(0, pair).unbind(1)
        far = g * x + h * y + i
        return (a * x + b * y + c) / far - x, (d * x + e * y + f) / far - y, 0.0

    def most(self, near: Tensor) -> Tensor:
        """See the class: of points all over the frame; what a pixel between them moves further is far below `SLACK`."""
        x, y = (torch.linspace(0, side - 1, 9).to(near) for side in near.shape[:1:-1])
        x, y = (each.flatten() for each in torch.meshgrid(x, y, indexing="xy"))
        pairs = self.motion.shape[0] * self.motion.shape[1]
        which = torch.arange(pairs, device=near.device).repeat_interleave(len(x))
        right, down, _ = self(which, x.repeat(pairs), y.repeat(pairs))
        return (right.square() + down.square()).sqrt().view(*self.motion.shape[:2], -1).amax(2)


def _moves(motion: Tensor) -> _Flow | _Camera:
    motion = motion.contiguous()  # else every hop would copy the whole table
    return _Flow(motion) if motion.dim() == 5 else _Camera(motion)


def _trace(pixels: Tensor, holes: Tensor, moves: _Flow | _Camera, step: int, wanted: range, calm: bool) -> Tensor:
    """Follow all hole pixels of the wanted frames at once in one direction of time; see :func:`trace`.

    Args:
        pixels: ``(B, T, H, W, 4)``, colours and whether they are known.
        holes: ``(B, T, 1, H, W)``.
        moves: what moves between the frames of every pair in this direction.
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
    distance, travel = _distance_to_known(holes), _travel(holes, moves, step)
    shown = F.max_pool2d(pixels[..., 3].flatten(0, 1), 2, stride=1).gt(0)  # any of four, by the first
    shown = F.pad(shown, (0, 1, 0, 1)).flatten()
    pixels = pixels.reshape(-1, 4)
    keep = _frame_ahead(now, step, length) & (distance[clip, ys, xs] <= travel[clip, time] + SLACK)
    for hop in range(1, length):
        if not keep.all():
            which, image, now, x, y, trouble, hops = (row[keep] for row in (which, image, now, x, y, trouble, hops))
        if not len(which):
            break
        pair = image - image // length + torch.minimum(now, now + step)
        (right, down, error), now = moves(pair, x, y), now + step
        x, y, trouble = x + right, y + down, trouble + error
        if hop > 1:  # the first is free
            hops = hops + ((right.square() + down.square()).sqrt().clamp(max=1) if calm else 1.0)
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


def _travel(holes: Tensor, moves: _Flow | _Camera, step: int) -> Tensor:
    """How far ``(B, T)`` a point that starts in a hole of each frame can get before it is out of holes or of frames.

    The sum of the largest motions that holes have on the way: points in a still hole of a still camera, which is most
    of a logo, get nowhere, and need not be followed.
    """
    before = slice(None, -1) if step > 0 else slice(1, None)
    near = window_max(holes[:, before], 1)[:, :, 0]
    most = moves.most(near)
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
