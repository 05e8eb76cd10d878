"""What a picture goes through between its making and a forensic look: FOCAL's augmentations, on repaired frames.

As in the public training script: three quarters of the pictures are augmented; of these three quarters are resampled
(here down to a half and back, so that the hole stays where it is) and three quarters compressed with JPEG of quality
50 to 95, and a quarter gets one of blur, noise and a change of light.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

OFTEN, SELDOM = 0.75, 0.25
Picture = NDArray[np.uint8]


def augmented(frames: Tensor, rng: np.random.Generator) -> Tensor:
    """Frames ``(B, T, 3, H, W)`` in [0, 1], each picture by itself; the same shape, range and device."""
    pictures = frames.flatten(0, 1).permute(0, 2, 3, 1).mul(255).round().clamp(0, 255).byte().cpu().numpy()
    seen = np.stack([augmented_picture(picture, rng) for picture in pictures])
    return torch.from_numpy(seen).to(frames.device).permute(0, 3, 1, 2).float().div(255).view(frames.shape)


def augmented_picture(picture: Picture, rng: np.random.Generator) -> Picture:
    """One RGB picture ``(H, W, 3)``."""
    if rng.random() >= OFTEN:
        return picture
    if rng.random() < OFTEN:
        picture = resampled(picture, float(rng.uniform(0.5, 1)))
    if rng.random() < OFTEN:
        picture = compressed(picture, int(rng.integers(50, 96)))
    if rng.random() < SELDOM:
        picture = _OTHERS[int(rng.integers(len(_OTHERS)))](picture, rng)
    return picture


def resampled(picture: Picture, scale: float) -> Picture:
    """Made smaller and as large as before again."""
    height, width = picture.shape[:2]
    small = cv2.resize(
        picture, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=cv2.INTER_AREA
    )
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR))


def compressed(picture: Picture, quality: int) -> Picture:
    """An RGB picture through JPEG and back."""
    # OpenCV's codec takes and gives blue first; red and blue exchanged would be weighed and thinned out differently.
    _, stream = cv2.imencode(".jpg", np.ascontiguousarray(picture[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(np.asarray(cv2.imdecode(stream, cv2.IMREAD_COLOR))[..., ::-1])


def blurred(picture: Picture, rng: np.random.Generator) -> Picture:
    """By a Gaussian of half a pixel to one and a half."""
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.5, 1.5))))


def noisy(picture: Picture, rng: np.random.Generator) -> Picture:
    """With Gaussian noise of 2 to 10 levels."""
    noise = rng.normal(0, float(rng.uniform(2, 10)), picture.shape)
    return np.clip(np.rint(picture + noise), 0, 255).astype(np.uint8)


def relit(picture: Picture, rng: np.random.Generator) -> Picture:
    """With another gamma."""
    return np.rint(255 * (picture / 255) ** float(rng.uniform(0.8, 1.25))).astype(np.uint8)


_OTHERS: tuple[Callable[[Picture, np.random.Generator], Picture], ...] = (blurred, noisy, relit)
