"""One mask of a video of high resolution: followed at the size of the coarsest level, enlarged frame by frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from videoinpaint.clips.files.images import resize_frames, resize_masks
from videoinpaint.clips.files.sequences import FrameSequence, window
from videoinpaint.protocols import MaskPropagator


class EnlargedMasks:
    """Masks of a small clip at the size of the large one, made when they are read.

    Args:
        small: bool ``(T, h, w)``.
        known: by frame, masks ``(H, W)`` of the large clip that were given: what they mark is marked, too.
        size: ``(H, W)``.
    """

    name = "followed masks"

    def __init__(self, small: NDArray[np.bool_], known: Mapping[int, NDArray[Any]], size: tuple[int, int]) -> None:
        self.small, self.known, self.size = small, known, size

    def __len__(self) -> int:
        """The number of frames."""
        return len(self.small)

    def read(self, start: int, count: int, stride: int = 1) -> NDArray[np.uint8]:
        """Masks uint8 ``(count, H, W)`` in {0, 1}; see :class:`videoinpaint.clips.files.sequences.FrameSequence`."""
        return np.stack([self._one(index) for index in window(self, start, count, stride)])

    def _one(self, index: int) -> NDArray[np.uint8]:
        soft = self.small[index].astype(np.uint8) * np.uint8(255)
        mask = np.asarray(cv2.resize(soft, self.size[::-1], interpolation=cv2.INTER_LINEAR) >= 128)
        if index in self.known:
            mask |= self.known[index] > 0
        return mask.astype(np.uint8)


def follow_small(
    frames: FrameSequence, known: Mapping[int, NDArray[Any]], propagator: str | MaskPropagator, device: str
) -> EnlargedMasks:
    """Carry the masks of some frames through a video of high resolution; what is found is widened.

    Frames are read one at a time; memory holds the clip at the coarsest level of
    :class:`videoinpaint.inpainters.internal.patches.Progressive`.

    Args:
        frames: larger than 960x540.
        known: masks ``(H, W)`` by frame, as :func:`videoinpaint.repair.one_mask.follow` takes them.
        propagator, device: see there.

    Raises:
        InputError: frames that need no levels, or see :func:`videoinpaint.repair.one_mask.check_known`.
    """
    from videoinpaint.inpainters.internal.patches import Progressive
    from videoinpaint.repair.one_mask import follow, holes_of

    height, width = frames.read(0, 1).shape[1:3]
    size = Progressive.of_size(height, width).sizes()[0]
    small = np.concatenate([resize_frames(frames.read(i, 1), *size) for i in range(len(frames))])
    targets = {number: resize_masks(np.asarray(mask, np.uint8)[None], *size)[0] for number, mask in known.items()}
    followed = follow(small, {number: mask > 0 for number, mask in targets.items()}, propagator, device)
    return EnlargedMasks(holes_of(followed.masks), known, (height, width))
