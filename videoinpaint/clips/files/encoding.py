"""Encoding frames into a file with PyAV: from RGB alone, or into the pictures of the file that they repair."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from videoinpaint.clips.files.colour import from_rgb
from videoinpaint.clips.files.companions import FORMATS
from videoinpaint.clips.files.decoding import size_note
from videoinpaint.clips.files.reading import VideoReader
from videoinpaint.clips.files.repainting import Repainting
from videoinpaint.errors import InputError

FPS = (0.01, 1000.0)
"""The frames a second that can be written: players and this package read nothing faster."""


@dataclass(frozen=True)
class Codec:
    """How FFmpeg encodes a format: its encoder, the constant rate factor by default and at most, options, suffixes.

    `narrowest`: the least width of frames. In narrower ones than 50 pixels x265 writes past the end of its memory
    (``MALLOC_CHECK_=3``), and the process dies.
    """

    encoder: str
    quality: int
    worst: int
    options: dict[str, str]
    suffixes: tuple[str, ...]
    narrowest: int = 1


CODECS = {
    "h264": Codec("libx264", 16, 51, {"preset": "medium"}, (".mp4", ".mov", ".m4v", ".mkv")),
    "hevc": Codec(
        "libx265", 18, 51, {"preset": "medium", "x265-params": "log-level=error"}, (".mp4", ".mov", ".mkv"), 50
    ),
    "av1": Codec("libsvtav1", 22, 63, {"preset": "6"}, (".mp4", ".mkv")),
    "ffv1": Codec("ffv1", 0, 51, {}, (".mkv",)),
}


def checked_codec(name: str, final: Path) -> Codec:
    """What a name of a codec stands for, able to write a file of this name.

    Raises:
        InputError: unknown, not in this build of FFmpeg, or not for this kind of file.
    """
    if name not in CODECS:
        raise InputError(f"unknown codec {name!r}: use one of {', '.join(CODECS)}")
    codec = CODECS[name]
    if codec.encoder not in av.codecs_available:
        raise InputError(f"this build of PyAV cannot write {name} ({codec.encoder}): use another codec")
    if final.suffix.lower() not in codec.suffixes:
        kind = "lossless video" if name == "ffv1" else "video" if name == "h264" else f"{name} video"
        raise InputError(f"cannot write {kind} to {final}: end the name in {' or '.join(codec.suffixes)}")
    return codec


class Encoder:
    """One output file; the stream is set up by the first frame.

    Args:
        temporary: the file that is written.
        final: the name that errors speak of.
        fps: frames a second; None for the time stamps of `source`.
        codec: a name of `CODECS`.
        quality: the encoder's constant rate factor; None for the codec's default.
        source: the video that the frames repair: what they do not change, and everything else in its file, is kept.
        audio: keep its sound too.

    Raises:
        InputError: an argument cannot be used.
    """

    def __init__(
        self, temporary: Path, final: Path, fps: float | None, codec: str, quality: int | None,
        source: VideoReader | None, audio: bool,
    ) -> None:  # fmt: skip
        self._codec = checked_codec(codec, final)
        if not final.parent.is_dir():
            raise InputError(f"cannot write {final}: make the folder {final.parent} first")
        self._rate = _frame_rate(fps, source)
        if quality is not None and not 0 <= quality <= self._codec.worst:
            raise InputError(f"quality must lie in 0..{self._codec.worst}, got {quality}")
        self.temporary, self.final = temporary, final
        self._quality = self._codec.quality if quality is None else quality
        self._repainting = None if source is None else Repainting(source, fps is None, audio)
        self.shape: tuple[int, ...] | None = None
        self._count = 0
        self._lasting: dict[int, int] = {}  # by their time stamps, how long pictures in the codec are shown
        self._early: int | None = None  # how long before it is shown the first packet is decoded
        self._container: Any = None
        self._stream: Any = None

    def begin(self) -> None:
        """Set the file up where the source tells all that is needed, so that what cannot be written shows at once.

        Raises:
            InputError: the codec does not take such a video.
        """
        if self._repainting is not None and self._container is None:
            source = self._repainting.source
            self.shape = (source.height, source.width, 3)
            self._open(source.height, source.width)

    def add(self, frame: NDArray[np.uint8]) -> None:
        """Encode one frame uint8 ``(H, W, 3)``.

        Raises:
            InputError: wrong dtype, shape or size, or more frames than the source has.
        """
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            raise InputError(f"frames to write must be uint8 (H, W, 3), got {frame.dtype} {frame.shape}")
        if self.shape is None:
            self._open(frame.shape[0], frame.shape[1])
            self.shape = frame.shape
        if frame.shape != self.shape:
            raise InputError(f"all frames of {self.final} must have shape {self.shape}, got {frame.shape}")
        if self._repainting is None:
            picture = _picture(frame, self._stream.pix_fmt)
            picture.pts, picture.time_base = self._count, 1 / self._rate
        else:
            picture = self._repainting.painted(frame, self._stream)
            self._lasting[picture.pts] = picture.duration
        self._count += 1
        self._mux(picture)

    def finish(self) -> None:
        """Write what the codec holds back, and the file's index.

        Raises:
            InputError: there was no frame.
        """
        if self._container is None:
            raise InputError(f"no frames to write to {self.final}: give at least one")
        self._mux(None)
        if self._repainting is not None:
            self._repainting.copy_until(math.inf)
        self._release()
        if self._repainting is not None:
            self._repainting.finish(self.temporary)

    def abandon(self) -> None:
        """Close the file as it is."""
        if self._container is not None:
            self._release()

    def _release(self) -> None:
        container, self._container = self._container, None
        try:
            container.close()
        finally:
            if self._repainting is not None:
                self._repainting.close()

    def _open(self, height: int, width: int) -> None:
        name = FORMATS[self.final.suffix.lower()]
        # Matroska would move every time stamp to make room for sound that begins before 0, as AAC does. Its checksums
        # would be wrong where something is written afterwards.
        kept = {"avoid_negative_ts": "disabled", "write_crc32": "0"} if name == "matroska" else {}
        self._container = av.open(
            f"file:{self.temporary}", "w", format=name, container_options=kept, metadata_errors="surrogateescape"
        )
        options = dict(self._codec.options)
        if self._codec.encoder != "ffv1":
            options["crf"] = str(self._quality)
        self._stream = self._container.add_stream(self._codec.encoder, rate=self._rate, options=options)
        if self._codec.encoder == "libx265" and name != "matroska":
            self._stream.codec_context.codec_tag = "hvc1"  # the tag without which Apple's players show nothing
        if self._repainting is not None:
            self._repainting.prepare(self._container, self._stream, self.final)
            self._start()
            return
        padded = (height, width)
        self._stream.pix_fmt = "bgr0"
        if self._codec.encoder != "ffv1":
            padded = (height + height % 2, width + width % 2)
            self._stream.pix_fmt = "yuv420p"
            context, like = self._stream.codec_context, from_rgb(np.zeros((2, 2, 3), np.uint8))
            for part in ("colorspace", "color_primaries", "color_trc", "color_range"):
                setattr(context, part, getattr(like, part))
        if padded != (height, width):
            self._container.metadata["comment"] = size_note(height, width)
        self._stream.height, self._stream.width = padded
        self._start()

    def _start(self) -> None:
        if self._stream.width < self._codec.narrowest:
            raise InputError(
                f"{self._codec.encoder} takes frames of {self._codec.narrowest} pixels and more in width, those of "
                f"{self.final} have {self._stream.width}: use another codec"
            )
        if self._codec.encoder == "libsvtav1":
            os.environ.setdefault("SVT_LOG", "1")  # it writes past libav to the terminal: errors only
        try:
            self._container.start_encoding()
        except (av.FFmpegError, ValueError) as error:
            if isinstance(error, OSError) and error.filename == f"file:{self.temporary}":  # the disk
                raise
            raise InputError(f"{self._codec.encoder} cannot write {self.final}: {error}; use another codec") from error

    def _mux(self, picture: Any) -> None:
        packets = self._stream.encode(picture)
        if packets and self._early is None and packets[0].dts is not None:
            self._early = packets[0].pts - packets[0].dts
        if picture is None:
            self._end_in_time(packets)
        for packet in packets:
            packet.duration = self._lasting.pop(packet.pts, packet.duration)  # SVT-AV1 forgets it
            if self._repainting is not None and packet.dts is not None:
                self._repainting.copy_until(float(packet.dts * packet.time_base))
            self._container.mux(packet)

    def _end_in_time(self, packets: list[Any]) -> None:
        """See that the last packets, of the pictures that the codec held back, are decoded when they have to be."""
        if self._count <= 2:  # nothing to reorder; x265 invents times for so few
            for packet in packets:
                packet.dts = packet.pts
        elif packets:
            # An .mp4 ends when its last packet has lasted from the time at which that is decoded, which therefore is as
            # long before it is shown as with the first one.
            packets[-1].dts = max(packets[-1].dts, packets[-1].pts - (self._early or 0))


def _picture(frame: NDArray[np.uint8], name: str) -> Any:
    if name == "bgr0":
        return av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24")
    height, width = frame.shape[:2]
    return from_rgb(np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge"))


def _frame_rate(fps: float | None, source: VideoReader | None) -> Fraction:
    if fps is None:
        if source is None:
            raise InputError("fps is needed where there is no source to take it from")
        return source.index.rate
    if not (math.isfinite(fps) and FPS[0] <= fps <= FPS[1]):
        raise InputError(f"fps must lie in {FPS[0]:g}..{FPS[1]:g}, got {fps:g}")
    return Fraction(fps).limit_denominator(1001)
