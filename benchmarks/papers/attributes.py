"""What the papers sort clips by, measured on the clips: still or moving background, fixed or moving hole."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videoinpaint.motion.camera import camera_motion
from videoinpaint.motion.flow import dis_flow

CALM = 1.4
"""Percent of the frame's width a frame: where camera and background together move less, a clip counts as easy, else as
hard. Of six clips each, all of `studio:easy` lie below (0.4 to 1.3) and one of `studio:hard` (1.0; the rest 1.9 to
2.6)."""


def attributes(frames: NDArray[np.uint8], holes: NDArray[np.uint8]) -> dict[str, float]:
    """Of a clip and its hole.

    Args:
        frames: the reference, ``(T, H, W, 3)``.
        holes: ``(T, H, W)`` in {0, 1}.

    Returns:
        ``camera``: how far the camera's motion takes the middle and the corners of a frame, on average, in percent of
        the width; ``background``: how far what is not in the hole moves otherwise than the camera, mean length
        of dense flow after the camera was taken out, likewise; ``area``: the hole's mean share of a frame, in percent;
        ``hole_moves``: how much of it changes from frame to frame, 0 for a fixed hole, 1 for one that is elsewhere.
    """
    clip = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
    known = 1 - torch.from_numpy(holes).float()[:, None]
    motion = camera_motion(clip[:-1], clip[1:], known[:-1], known[1:])
    width = frames.shape[2]
    changed = np.abs(np.diff(holes.astype(np.int8), axis=0)).sum()
    either = np.maximum(holes[1:], holes[:-1]).sum()
    return {
        "camera": 100 / width * float(np.mean([_displacement(m, *frames.shape[1:3]) for m in motion])),
        "background": 100 / width * _residue(clip[:-1], clip[1:], motion, known[:-1]),
        "area": 100 * float(holes.mean()),
        "hole_moves": float(changed / either) if either else 0.0,
    }


def is_calm(found: Mapping[str, float]) -> bool:
    """Whether camera and background together hardly move: the papers' "easy", "simple", "static background"."""
    return found["camera"] + found["background"] < CALM


def is_fixed(found: Mapping[str, float]) -> bool:
    """Whether the hole is the same in every frame."""
    return found["hole_moves"] == 0


def _displacement(matrix: NDArray[np.float64], height: int, width: int) -> float:
    """Mean distance by which a homography moves the corners and the middle of a frame, pixels."""
    points = np.array([[0, 0], [width, 0], [0, height], [width, height], [width / 2, height / 2]], np.float64)
    moved = cv2.perspectiveTransform(points[None], matrix)[0]
    return float(np.linalg.norm(moved - points, axis=1).mean())


def _residue(a: Tensor, b: Tensor, motion: NDArray[np.float64], known: Tensor) -> float:
    """Mean length of the flow from frames that were stabilised by the camera's motion to the next ones, pixels.

    Only where the earlier frame knows what the camera shows.
    """
    height, width = a.shape[-2:]
    stable, inside = [], []
    for frame, matrix, mask in zip(a.permute(0, 2, 3, 1).numpy(), motion, known[:, 0].numpy()):
        stable.append(cv2.warpPerspective(frame, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE))
        inside.append(cv2.warpPerspective(mask, matrix, (width, height), flags=cv2.INTER_NEAREST))
    lengths = dis_flow(torch.from_numpy(np.stack(stable)).permute(0, 3, 1, 2), b).norm(dim=1).numpy()
    seen = lengths[np.stack(inside) > 0]
    return float(seen.mean()) if seen.size else 0.0
