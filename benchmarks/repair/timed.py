"""Repairing a whole clip in the closed loop, window by window, with times that leave nothing out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from videoinpaint.controls import Controls
from videoinpaint.envs.loop import ClosedLoop
from videoinpaint.errors import InputError

WINDOW = 24
"""Frames repaired together: a whole clip of the protocol."""


@dataclass(frozen=True)
class Repaired:
    """A clip after one iteration.

    Attributes:
        frames: Yhat_n ``(1, T, 3, H, W)``.
        masks: M_n ``(1, T, 1, H, W)``.
        seconds: from the corrupted clip to here (all passes and detections so far), per frame.
        gflops: of all passes so far, per frame.
    """

    frames: Tensor
    masks: Tensor
    seconds: float
    gflops: float


def repair(
    loop: ClosedLoop,
    frames: Tensor,
    holes: Tensor,
    *,
    iterations: int = 3,
    controls: Controls | None = None,
    window: int = WINDOW,
) -> list[Repaired]:
    """The repair after each iteration, under the same controls throughout.

    Args:
        loop: inpainter and detector.
        frames: ``(1, T, 3, H, W)``; the holes' content is not read.
        holes: M0 ``(1, T, 1, H, W)``; frames without a hole are returned as they are.
        iterations: rounds.
        controls: the defaults of `Controls` if None.
        window: frames repaired together; see :func:`windows`.

    Raises:
        InputError: no iteration, or a window of fewer than two frames.
    """
    if iterations < 1:
        raise InputError(f"iterations must be 1 or more, got {iterations}")
    values = (controls or Controls()).to_array()[None]
    parts: list[list[Repaired]] = []
    for first, last in windows(frames.shape[1], window):
        parts.append(_window(loop, frames[:, first:last], holes[:, first:last], values, iterations))
    return [_joined([part[n] for part in parts], frames.shape[1]) for n in range(iterations)]


def windows(length: int, window: int) -> list[tuple[int, int]]:
    """Consecutive ``[first, last)`` that cover a clip, as equal as possible, none longer than ``window``.

    Raises:
        InputError: a window of fewer than two frames.
    """
    if window < 2:
        raise InputError(f"a window needs 2 frames or more, got {window}")
    edges = np.linspace(0, length, -(-length // window) + 1).round().astype(int).tolist()
    return list(pairwise(edges))


def _window(loop: ClosedLoop, frames: Tensor, holes: Tensor, controls: np.ndarray, iterations: int) -> list[Repaired]:
    """Times and GFLOPs here are totals of the window."""
    start = _now(frames.device)
    results, gflops = [], 0.0
    for state in loop.run(loop.begin(frames, holes), lambda _: controls, iterations, to_the_end=True):
        gflops += float(state["gflops"].sum())
        results.append(Repaired(state["repaired"], state["masks"], _now(frames.device) - start, gflops))
    return results


def _joined(parts: list[Repaired], length: int) -> Repaired:
    return Repaired(
        torch.cat([part.frames for part in parts], dim=1),
        torch.cat([part.masks for part in parts], dim=1),
        sum(part.seconds for part in parts) / length,
        sum(part.gflops for part in parts) / length,
    )


def _now(device: torch.device) -> float:
    # A timer that stops before the device has finished flatters.
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
