"""Encoding frames into a file with PyAV."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from videoinpaint.errors import InputError

_H264_SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv")
_BT709 = 1  # FFmpeg's number for BT.709 as colour space, primaries and transfer; players assume it for untagged HD too
_LIMITED_RANGE = 1


class Encoder:
    """One output file; the stream is set up by the first frame.

    Args:
        temporary: the file that is written.
        final: the name that errors speak of.
        fps: frames a second.
        lossless: FFV1 instead of H.264.
        quality: x264's constant rate factor.

    Raises:
        InputError: an argument cannot be used.
    """

    def __init__(self, temporary: Path, final: Path, fps: float, lossless: bool, quality: int) -> None:
        allowed = (".mkv",) if lossless else _H264_SUFFIXES
        if final.suffix.lower() not in allowed:
            kind = "lossless video" if lossless else "video"
            raise InputError(f"cannot write {kind} to {final}: end the name in {' or '.join(allowed)}")
        if not final.parent.is_dir():
            raise InputError(f"cannot write {final}: make the folder {final.parent} first")
        if not (math.isfinite(fps) and fps > 0):
            raise InputError(f"fps must be above 0, got {fps}")
        if not 0 <= quality <= 51:
            raise InputError(f"quality must lie in 0..51, got {quality}")
        self.temporary, self.final = temporary, final
        self.rate = Fraction(fps).limit_denominator(1001)
        self.lossless, self.quality = lossless, quality
        self.shape: tuple[int, ...] | None = None
        self._container: Any = None
        self._stream: Any = None

    def add(self, frame: NDArray[np.uint8]) -> None:
        """Encode one frame uint8 ``(H, W, 3)``.

        Raises:
            InputError: wrong dtype, shape or size.
        """
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            raise InputError(f"frames to write must be uint8 (H, W, 3), got {frame.dtype} {frame.shape}")
        if self.shape is None:
            self._open(frame.shape[0], frame.shape[1])
            self.shape = frame.shape
        if frame.shape != self.shape:
            raise InputError(f"all frames of {self.final} must have shape {self.shape}, got {frame.shape}")
        self._mux(self._picture(frame))

    def finish(self) -> None:
        """Write what the codec holds back, and the file's index.

        Raises:
            InputError: there was no frame.
        """
        if self._container is None:
            raise InputError(f"no frames to write to {self.final}: give at least one")
        self._mux(None)
        self._container.close()
        self._container = None

    def abandon(self) -> None:
        """Close the file as it is."""
        if self._container is not None:
            self._container.close()
            self._container = None

    def _open(self, height: int, width: int) -> None:
        self._container = av.open(str(self.temporary), "w")
        padded = (height + height % 2, width + width % 2)
        if self.lossless:
            padded = (height, width)
            self._stream = self._container.add_stream("ffv1", rate=self.rate)
            self._stream.pix_fmt = "bgr0"
        else:
            if padded != (height, width):
                self._container.metadata["comment"] = f"videoinpaint:size={width}x{height}"
            options = {"crf": str(self.quality), "preset": "medium"}
            self._stream = self._container.add_stream("libx264", rate=self.rate, options=options)
            self._stream.pix_fmt = "yuv420p"
            context = self._stream.codec_context
            context.colorspace = context.color_primaries = context.color_trc = _BT709
            context.color_range = _LIMITED_RANGE
        self._stream.height, self._stream.width = padded

    def _picture(self, frame: NDArray[np.uint8]) -> Any:
        if self.lossless:
            return av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24")
        height, width = frame.shape[:2]
        frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24")
        return picture.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")

    def _mux(self, picture: Any) -> None:
        for packet in self._stream.encode(picture):
            self._container.mux(packet)
