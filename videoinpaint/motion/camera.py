"""The camera's motion between frames, as a homography, and optical flow of frames that were stabilised by it.

Next to a hole dense flow errs twice: the hole's own filling stands still on the screen, and what a fast camera moved
behind the other frame's hole has no match. Taking the camera out first leaves a small residual motion, which completes
smoothly (the idea of Gao et al., Flow-edge Guided Video Completion, ECCV 2020, who align frames the same way).
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videoinpaint.motion.flow import LUMA, MIN_FLOW_SIZE, dis_flow, luma, nearest_fill, smooth_fill, warp
from videoinpaint.motion.neighbourhoods import window_max

CORNERS = 600
FEWEST = 12  # corners that must agree before a motion is believed
AGREEING = 0.25  # and the share of all tracked corners
SLACK = 1 / 216  # of the frame's width, by which a corner may miss the motion and still agree
CLEAR = 5  # pixels around holes where no corner is tracked
DISTRUST = 2  # and where no match is believed, as DIS compares patches


def camera_motion(a: Tensor, b: Tensor, known_a: Tensor, known_b: Tensor) -> NDArray[np.float64]:
    """Homographies that take points of each frame of ``a`` to where they are found in the same frame of ``b``.

    Corners outside the holes are tracked there and back (pyramidal Lucas-Kanade), and the motion most of them share is
    found by RANSAC. Where too few agree, the camera is taken to stand still.

    Args:
        a: float ``(N, 3, H, W)`` in [0, 1], any device.
        b: as ``a``.
        known_a: ``(N, 1, H, W)`` in {0, 1}, 0 in the holes of ``a``.
        known_b: as ``known_a``, for ``b``.

    Returns:
        ``(N, 3, 3)``.
    """
    found = [np.eye(3) if motion is None else motion for motion in _homographies(a, b, known_a, known_b)]
    return np.stack(found) if found else np.empty((0, 3, 3))


def followed(frames: Tensor, holes: Tensor) -> int:
    """Between how many neighbours among ``frames (T, 3, H, W)`` the camera's motion is found beside the holes.

    Args:
        frames: float in [0, 1], any device.
        holes: ``(T, 1, H, W)`` in {0, 1}.
    """
    known = 1 - window_max(holes, CLEAR)
    motions = _homographies(frames[:-1], frames[1:], known[:-1], known[1:])
    return sum(motion is not None for motion in motions)


def _homographies(a: Tensor, b: Tensor, known_a: Tensor, known_b: Tensor) -> list[NDArray[np.float64] | None]:
    """What :func:`camera_motion` gives, None where too few corners agree."""
    return [_homography(*pair) for pair in zip(luma(a), luma(b), _binary(known_a), _binary(known_b))]


def _binary(known: Tensor) -> NDArray[np.uint8]:
    return known[:, 0].gt(0.5).byte().mul(255).cpu().numpy()


def _homography(
    a: NDArray[np.uint8], b: NDArray[np.uint8], known_a: NDArray[np.uint8], known_b: NDArray[np.uint8]
) -> NDArray[np.float64] | None:
    height, width = a.shape
    if min(height, width) < MIN_FLOW_SIZE:
        return None
    corners = cv2.goodFeaturesToTrack(a, CORNERS, 0.01, 6, mask=known_a)
    if corners is None or len(corners) < FEWEST:
        return None
    moved, seen, _ = cv2.calcOpticalFlowPyrLK(a, b, corners, np.empty_like(corners), maxLevel=4)
    back, seen_back, _ = cv2.calcOpticalFlowPyrLK(b, a, moved, np.empty_like(moved), maxLevel=4)
    good = (seen[:, 0] > 0) & (seen_back[:, 0] > 0) & (np.abs(back - corners).max((1, 2)) < 1)
    x, y = np.round(moved[:, 0]).astype(int).T
    good &= (x >= 0) & (x < width) & (y >= 0) & (y < height)
    good[good] &= known_b[y[good], x[good]] > 0
    if good.sum() < FEWEST:
        return None
    motion, agree = cv2.findHomography(
        corners[good], moved[good], cv2.RANSAC, max(0.5, SLACK * width), maxIters=2000, confidence=0.999
    )
    if motion is None or agree.sum() < max(FEWEST, AGREEING * good.sum()) or not _sane(motion, height, width):
        return None
    return motion


def _sane(motion: NDArray[np.float64], height: int, width: int) -> bool:
    """Whether the frame's corners stay, there and back, in front and within half a frame of where they were."""
    if not np.isfinite(motion).all() or abs(np.linalg.det(motion)) < 1e-3:
        return False
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]], float).T
    for way in (motion, np.linalg.inv(motion)):
        there = way @ corners
        if (there[2] < 0.1).any() or np.abs(there[:2] / there[2] - corners[:2]).max() >= max(height, width) / 2:
            return False
    return True


def homography_flow(motions: NDArray[np.float64], height: int, width: int) -> Tensor:
    """The flow ``(N, 2, H, W)``, float32 on the CPU, of homographies ``(N, 3, 3)``."""
    x, y = np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64)[:, None]
    flow = np.empty((len(motions), 2, height, width), np.float32)
    for (right, down, far), out in zip(motions, flow):
        depth = far[0] * x + (far[1] * y + far[2])
        out[0] = (right[0] * x + (right[1] * y + right[2])) / depth - x
        out[1] = (down[0] * x + (down[1] * y + down[2])) / depth - y
    return torch.from_numpy(flow)


def stabilised_flows(frames: Tensor, holes: Tensor) -> tuple[Tensor, Tensor]:
    """Flows between neighbouring frames: the camera's motion, plus a residual that is completed inside the holes.

    Args:
        frames: ``(B, T, 3, H, W)`` with the holes already filled smoothly.
        holes: ``(B, T, 1, H, W)`` in {0, 1}.

    Returns:
        forward and backward flows, ``(B, T-1, 2, H, W)`` each.
    """
    _, camera, residual, known = _taken_apart(frames, holes)
    return _put_together(camera, smooth_fill(residual, known), len(frames))


def two_motions(frames: Tensor, holes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What may move inside a hole: what lies beside it, or nothing but the camera.

    Neither holds everywhere: a car that drives into a hole goes on in it, and the road next to the car does not.

    Args:
        frames, holes: as of :func:`stabilised_flows`.

    Returns:
        forward and backward flows ``(B, T-1, 2, H, W)`` in which the residual of the nearest known pixel goes on inside
        the holes; and the camera's homographies forward and backward, ``(B, T-1, 3, 3)``.
    """
    motions, camera, residual, known = _taken_apart(frames, holes)
    beside = _put_together(camera, nearest_fill(residual, known), len(frames))
    there, back = motions.unflatten(0, (2, len(frames), frames.shape[1] - 1))
    return *beside, there, back


def _taken_apart(frames: Tensor, holes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The camera's homographies ``(N, 3, 3)``, forward before backward, their flow ``(N, 2, H, W)``, the residual flow,
    and where that is believed; N is 2 B (T-1)."""
    first, second = frames[:, :-1].flatten(0, 1), frames[:, 1:].flatten(0, 1)
    a, b = torch.cat([first, second]), torch.cat([second, first])
    known = 1 - window_max(holes, CLEAR)
    there = camera_motion(first, second, known[:, :-1].flatten(0, 1), known[:, 1:].flatten(0, 1))
    motions = np.concatenate([there, np.linalg.inv(there)])
    camera = homography_flow(motions, *frames.shape[3:]).to(a)
    early, late = holes[:, :-1].flatten(0, 1), holes[:, 1:].flatten(0, 1)
    hole_a, hole_b = torch.cat([early, late]), torch.cat([late, early])
    # What either frame hides is filled alike in both, so that it attracts no match; flow looks at brightness alone.
    grey = a.new_tensor(LUMA).view(1, 3, 1, 1)
    bright_a, bright_b = (a * grey).sum(1, keepdim=True), (b * grey).sum(1, keepdim=True)
    unknown = torch.maximum(hole_a, warp(hole_b, camera).gt(0.01).to(hole_a))
    aligned = smooth_fill(torch.cat([bright_a, warp(bright_b, camera)]), 1 - unknown.repeat(2, 1, 1, 1))
    residual = dis_flow(*aligned.expand(-1, 3, -1, -1).chunk(2))
    return torch.from_numpy(motions).to(a), camera, residual, 1 - window_max(unknown, DISTRUST)


def _put_together(camera: Tensor, residual: Tensor, clips: int) -> tuple[Tensor, Tensor]:
    forward, backward = (residual + warp(camera, residual)).chunk(2)
    shape = (clips, len(forward) // clips, *forward.shape[1:])
    return forward.reshape(shape), backward.reshape(shape)
