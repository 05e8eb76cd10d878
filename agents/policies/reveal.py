"""What other frames show of a hole: how much of it within so many frames, and how well what they show fits.

Heads of the compact inpainter are a reach in time, so this is what they are worth, as far as an observation tells. The
camera's motion is taken for a translation, found by phase correlation of known pixels (Kuglin and Hines, 1975).
"""

from __future__ import annotations

import torch
from torch import Tensor

from videoinpaint.motion.neighbourhoods import window_max, window_mean

REACHES = (1, 2, 4, 7, 12)
"""Frames apart."""

LOOKED_AT = 6  # frames whose holes are looked at, evenly spread over the clip
RING = 2  # pixels beside a hole


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
    at = evenly(grey.shape[1], LOOKED_AT)
    frames, hole = grey[:, at].flatten(0, 1), holes[:, at].flatten(0, 1)
    ring = window_max(hole, RING) - hole
    detail = (frames - window_mean(frames.unsqueeze(1), RING).squeeze(1)).abs()
    found = {"beside": _by_clip(_mean(ring, detail), grey)}
    seen = torch.zeros_like(hole)
    for reach in REACHES:
        new, misfit = seen, []
        for step in (-reach, reach):
            visible, difference = _other(grey, holes, at, step)
            new = torch.maximum(new, hole * visible)
            misfit.append((ring * visible, difference))
        weight = sum(_by_clip(where.sum((1, 2)), grey) for where, _ in misfit)
        total = sum(_by_clip((where * values).sum((1, 2)), grey) for where, values in misfit)
        fit = total / weight.clamp_min(1e-6)  # type: ignore[union-attr]
        share = _by_clip(_mean(hole, new - seen), grey)
        found[f"shown_{reach}"] = _by_clip((new - seen).mean((1, 2)), grey)
        found[f"misfit_{reach}"] = fit
        found[f"worth_{reach}"] = share * (found["beside"] - fit)
        seen = new
    return found


def _other(grey: Tensor, holes: Tensor, at: list[int], step: int) -> tuple[Tensor, Tensor]:
    """Of the frames ``step`` after those at ``at``, brought over these: where they are known, and their difference."""
    there = [index + step for index in at]
    inside = torch.tensor([0 <= index < grey.shape[1] for index in there], device=grey.device)
    there = [min(max(index, 0), grey.shape[1] - 1) for index in there]
    a, b = grey[:, at].flatten(0, 1), grey[:, there].flatten(0, 1)
    known_a, known_b = 1 - holes[:, at].flatten(0, 1), 1 - holes[:, there].flatten(0, 1)
    shift = translation(a, b, known_a, known_b)
    still = torch.zeros_like(shift)
    moving = _mismatch(a, b, known_a, known_b, shift) < _mismatch(a, b, known_a, known_b, still)
    shift = torch.where(moving.unsqueeze(1), shift, still)  # a false peak explains less than no motion at all
    visible = shifted(known_b, shift) * inside.repeat(len(grey)).view(-1, 1, 1)
    return visible, (a - shifted(b, shift)).abs()


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


def _mismatch(a: Tensor, b: Tensor, known_a: Tensor, known_b: Tensor, shift: Tensor) -> Tensor:
    return _mean(known_a * shifted(known_b, shift), (a - shifted(b, shift)).abs())


def _mean(where: Tensor, values: Tensor) -> Tensor:
    return (where * values).sum((1, 2)) / where.sum((1, 2)).clamp_min(1)


def _by_clip(values: Tensor, like: Tensor) -> Tensor:
    """Means ``(B,)`` over the frames looked at, of values ``(B * n,)``."""
    return values.view(len(like), -1).mean(1)


def _centred(x: Tensor, known: Tensor) -> Tensor:
    return (x - _mean(known, x).view(-1, 1, 1)) * known
