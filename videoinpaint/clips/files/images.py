"""Single pictures: listing, reading, cropping and scaling."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from videoinpaint.errors import InputError

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp"})


def natural_key(path: Path) -> tuple[tuple[int, str], ...]:
    """Sorts numbers inside names by value: frame2 stands before frame10."""
    parts = re.split(r"(\d+)", path.name)
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in parts)


def list_images(folder: Path) -> list[Path]:
    """The pictures directly in a folder, in natural order; hidden files are passed over."""
    found = [p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".")]
    return sorted(found, key=natural_key)


def read_image(path: Path) -> NDArray[np.uint8]:
    """A picture as uint8 ``(H, W, 3)`` RGB.

    Raises:
        InputError: the file is missing, truncated or no picture.
    """
    return np.asarray(_open(path).convert("RGB"))


def read_mask(path: Path) -> NDArray[np.uint8]:
    """A mask picture as uint8 ``(H, W)`` in {0, 1}, 1 = missing.

    In lossless formats everything that is not black (or palette index 0) is missing; in lossy ones what is brighter
    than half.

    Raises:
        InputError: the file is missing, truncated or no picture.
    """
    image = _open(path)
    if image.mode in ("P", "1"):
        return (np.asarray(image) > 0).astype(np.uint8)
    values = np.asarray(image.convert("RGB")).max(axis=2)
    threshold = 0 if path.suffix.lower() in (".png", ".bmp") else 127
    return (values > threshold).astype(np.uint8)


def _open(path: Path) -> Image.Image:
    try:
        image = Image.open(path)
        image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"cannot read picture {path}: {error}; save it again as PNG or JPEG") from error
    return image


def resize_frames(frames: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Frames ``(T, H, W, C)`` or ``(T, H, W)`` cropped about the centre to the aspect, then scaled by area averaging.

    Enlarging interpolates linearly. Frames that have the asked size come back as they are.
    """
    if frames.shape[1:3] == (height, width):
        return frames
    frames = _centre_crop(frames, height, width)
    enlarges = frames.shape[1] < height or frames.shape[2] < width
    method = cv2.INTER_LINEAR if enlarges else cv2.INTER_AREA
    resized = [cv2.resize(np.ascontiguousarray(frame), (width, height), interpolation=method) for frame in frames]
    return np.stack(resized).reshape(len(frames), height, width, *frames.shape[3:]).astype(np.uint8, copy=False)


def resize_masks(masks: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Masks ``(T, H, W)`` in {0, 1} treated as `resize_frames` treats frames; a pixel is missing if half of it is.

    Where that would erase a thin mask, every touched pixel is missing instead.
    """
    if masks.shape[1:] == (height, width):
        return masks
    soft = resize_frames(masks * np.uint8(255), height, width)
    hard = soft >= 128
    lost = ~hard.any(axis=(1, 2), keepdims=True)
    return np.where(lost, soft > 0, hard).astype(np.uint8)


def _centre_crop(frames: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    rows, columns = frames.shape[1:3]
    keep_columns = min(columns, max(1, round(rows * width / height)))
    keep_rows = min(rows, max(1, round(columns * height / width)))
    top, left = (rows - keep_rows) // 2, (columns - keep_columns) // 2
    return frames[:, top : top + keep_rows, left : left + keep_columns]
