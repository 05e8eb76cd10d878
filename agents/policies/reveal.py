"""What other frames show of a hole: how much of it within so many frames, and how well what they show fits.

Heads of the compact inpainter are a reach in time, so this is what they are worth, as far as an observation tells. The
camera's motion is taken for a translation, found by phase correlation of known pixels (Kuglin and Hines, 1975).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from videoinpaint.motion.neighbourhoods import window_max, window_mean

REACHES = (1, 2, 4, 7, 12)
"""Frames apart."""

LOOKED_AT = 6  # frames whose holes are looked at, evenly spread over the clip
RING = 2  # pixels beside a hole


@dataclass(frozen=True)
class Look:
    """The holes of the frames that are looked at, ``(B n, h, w)`` each.

    Attributes:
        hole: in {0, 1}.
        ring: pixels beside it.
        detail: what a smooth fill would miss.
    """

    hole: Tensor
    ring: Tensor
    detail: Tensor


@dataclass(frozen=True)
class Shown:
    """What frames so many frames ahead and behind show of those that are looked at, ``(B n, h, w)`` each.

    Attributes:
        reach: frames apart.
        new: the hole where it is seen there, and in no nearer frame that was looked at.
        rims: pixels beside the hole that are seen there, ahead and behind.
        apart: how much the frame there differs, the motion taken out, likewise.
    """

    reach: int
    new: Tensor
    rims: tuple[Tensor, Tensor]
    apart: tuple[Tensor, Tensor]


def look(grey: Tensor, holes: Tensor) -> Look:
    """The holes of at most ``LOOKED_AT`` frames; arguments as of :func:`revealed`."""
    at = evenly(grey.shape[1], LOOKED_AT)
    frames, hole = grey[:, at].flatten(0, 1), holes[:, at].flatten(0, 1)
    detail = (frames - window_mean(frames.unsqueeze(1), RING).squeeze(1)).abs()
    return Look(hole, window_max(hole, RING) - hole, detail)


def by_reach(grey: Tensor, holes: Tensor, seen_from: Look) -> Iterator[Shown]:
    """What each of ``REACHES`` shows, the nearest first; arguments as of :func:`revealed`."""
    at, seen = evenly(grey.shape[1], LOOKED_AT), torch.zeros_like(seen_from.hole)
    for reach in REACHES:
        shown, rims, apart = seen, [], []
        for step in (-reach, reach):
            visible, difference = _other(grey, holes, at, step)
            shown = torch.maximum(shown, seen_from.hole * visible)
            rims.append(seen_from.ring * visible)
            apart.append(difference)
        yield Shown(reach, shown - seen, (rims[0], rims[1]), (apart[0], apart[1]))
        seen = shown


def revealed(grey: Tensor, holes: Tensor) -> dict[str, Tensor]:
    """What frames at each reach r, ahead and behind, show of the hole; each ``(B,)``.

    ``shown_r``: share of all pixels that are missing here and seen there, and in no nearer frame that was looked at;
    ``misfit_r``: how much the frame there differs right beside the hole, the motion taken out; ``worth_r``: the share
    of the hole that is shown there first, times the detail that a smooth fill would miss (``beside``, the detail right
    beside the hole) minus the misfit. A reach beyond the clip shows nothing.

    Args:
        grey: brightness ``(B, T, h, w)`` in [0, 1].
        holes: ``(B, T, h, w)`` in {0, 1}.
    """
    here = look(grey, holes)
    found = {"beside": _by_clip(_mean(here.ring, here.detail), grey)}
    for shown in by_reach(grey, holes, here):
        weight = torch.as_tensor(sum(_by_clip(where.sum((1, 2)), grey) for where in shown.rims))
        total = sum(_by_clip((where * v).sum((1, 2)), grey) for where, v in zip(shown.rims, shown.apart))
        fit = total / weight.clamp_min(1e-6)
        share = _by_clip(_mean(here.hole, shown.new), grey)
        found[f"shown_{shown.reach}"] = _by_clip(shown.new.mean((1, 2)), grey)
        found[f"misfit_{shown.reach}"] = fit
        found[f"worth_{shown.reach}"] = share * (found["beside"] - fit)
    return found


def _other(grey: Tensor, holes: Tensor, at: list[int], step: int) -> tuple[Tensor, Tensor]:
    """Of the frames ``step`` after those at ``at``, brought over these: where they are known, and their difference."""
    there = [index + step for index in at]
    within = [0 <= index < grey.shape[1] for index in there]
    a, known_a = grey[:, at].flatten(0, 1), 1 - holes[:, at].flatten(0, 1)
    if not any(within):  # beyond the clip from everywhere: looking there would show nothing, at the price of the others
        return torch.zeros_like(a), torch.zeros_like(a)
    inside = torch.tensor(within, device=grey.device)
    there = [min(max(index, 0), grey.shape[1] - 1) for index in there]
    b, known_b = grey[:, there].flatten(0, 1), 1 - holes[:, there].flatten(0, 1)
    shift = translation(a, b, known_a, known_b)
    over, known_over = shifted(b, shift), shifted(known_b, shift)
    still, moved = (a - b).abs(), (a - over).abs()
    # A false peak explains less than no motion at all.
    moving = (_mean(known_a * known_over, moved) < _mean(known_a * known_b, still)).view(-1, 1, 1)
    visible = torch.where(moving, known_over, known_b) * inside.repeat(len(grey)).view(-1, 1, 1)
    return visible, torch.where(moving, moved, still)


def translation(a: Tensor, b: Tensor, known_a: Tensor, known_b: Tensor) -> Tensor:
    """Whole pixels (down, right) by which ``b`` shows what ``a`` shows, ``(N, 2)`` int64.

    Args:
        a: ``(N, h, w)``.
        b: as ``a``.
        known_a: ``(N, h, w)`` in {0, 1}, where ``a`` is to be looked at.
        known_b: as ``known_a``, for ``b``.
    """
    height, width = a.shape[1:]
    window = torch.hann_window(height, periodic=False, device=a.device).unsqueeze(1)
    window = window * torch.hann_window(width, periodic=False, device=a.device)
    first, second = (torch.fft.rfft2(_centred(x, known) * window) for x, known in ((a, known_a), (b, known_b)))
    cross = second * first.conj()
    size = cross.abs()
    cross = cross / (size + 1e-3 * size.amax((1, 2), keepdim=True) + 1e-12)
    peak = torch.fft.irfft2(cross, s=(height, width)).flatten(1).argmax(1)
    down, right = peak // width, peak % width
    signs = [torch.where(x > side // 2, x - side, x) for x, side in ((down, height), (right, width))]
    return torch.stack(signs, dim=1)


def shifted(x: Tensor, shift: Tensor) -> Tensor:
    """``x (N, h, w)`` read ``shift (N, 2)`` pixels further; 0 beyond the border."""
    height, width = x.shape[1:]
    rows = torch.arange(height, device=x.device).view(1, -1, 1) + shift[:, 0].view(-1, 1, 1)
    columns = torch.arange(width, device=x.device).view(1, 1, -1) + shift[:, 1].view(-1, 1, 1)
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    index = rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)
    return torch.gather(x.flatten(1), 1, index.flatten(1)).view_as(x) * inside


def evenly(length: int, most: int) -> list[int]:
    """Indices of at most ``most`` of ``length`` frames, evenly spread from the first to the last."""
    return torch.linspace(0, length - 1, min(length, most)).round().long().tolist()


def _mean(where: Tensor, values: Tensor) -> Tensor:
    return (where * values).sum((1, 2)) / where.sum((1, 2)).clamp_min(1)


def _by_clip(values: Tensor, like: Tensor) -> Tensor:
    """Means ``(B,)`` over the frames looked at, of values ``(B * n,)``."""
    return values.view(len(like), -1).mean(1)


def _centred(x: Tensor, known: Tensor) -> Tensor:
    return (x - _mean(known, x).view(-1, 1, 1)) * known
