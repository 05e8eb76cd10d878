"""Decoding a video file from any frame on, by an index of its time stamps."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from videoinpaint.clips.files.images import check_pixels
from videoinpaint.errors import InputError

REMEDY = "copy it again, or repair it with 'ffmpeg -i IN -c:v libx264 OUT.mp4'"
SIZE_NOTE = re.compile(r"videoinpaint:size=(\d+)x(\d+)")
"""The comment that `VideoWriter` leaves when it had to pad: width x height before padding."""

# VP8 stores invisible frames as packets of their own: packets must not be counted as frames.
_INVISIBLE_PACKETS = frozenset({"vp8"})


@dataclass(frozen=True)
class Index:
    """Where the frames of a file are.

    Attributes:
        stamps: presentation time stamps in order of display, int64 ``(N,)``; plain counting where the file has none.
        keys: positions in `stamps` of key frames, ascending.
        fps: average frames a second.
        seekable: the stamps are the file's own, so that one can seek to them.
        size: ``(height, width)`` to cut padded frames to, or None.
    """

    stamps: NDArray[np.int64]
    keys: NDArray[np.int64]
    fps: float
    seekable: bool
    size: tuple[int, int] | None

    def position(self, stamp: int | None) -> int:
        """Which frame has this time stamp; -1 if none has."""
        place = -1 if stamp is None else int(np.searchsorted(self.stamps, stamp))
        return place if 0 <= place < len(self.stamps) and self.stamps[place] == stamp else -1


@dataclass(frozen=True)
class _Packet:
    """What the index needs of a packet: the data themselves are let go at once."""

    pts: int | None
    key: bool
    discard: bool
    corrupt: bool


@contextmanager
def opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """The container and its first video stream; every error of the library becomes an `InputError` naming the file."""
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise InputError(f"{path} holds no video stream: name a video file")
            check_pixels(path, container.streams.video[0].width * container.streams.video[0].height)
            yield container, container.streams.video[0]
    except (av.FFmpegError, OSError, EOFError) as error:
        raise InputError(f"cannot read video {path}: {error}; {REMEDY}") from error


def index_of(path: Path) -> Index:
    """The index of a file, made from its packets without decoding, or by decoding where packets do not tell.

    Raises:
        InputError: unreadable, truncated, or without frames.
    """
    with opened(path) as (container, stream):
        packets = [
            _Packet(packet.pts, packet.is_keyframe, packet.is_discard, packet.is_corrupt)
            for packet in container.demux(stream)
            if packet.size
        ]
        _check_complete(path, container, stream, packets)
        shown = [packet for packet in packets if not packet.discard]
        stamps: list[int | None] = [packet.pts for packet in shown]
        keys = [packet.key for packet in shown]
        fps = float(stream.average_rate or stream.guessed_rate or 24)
        size, codec = _true_size(container, stream), stream.codec_context.name
    seekable = None not in stamps and len(set(stamps)) == len(stamps)
    if not seekable or codec in _INVISIBLE_PACKETS:
        stamps, keys, seekable = _index_by_decoding(path)
    if not stamps:
        raise InputError(f"video {path} holds no frames: {REMEDY}")
    order = np.argsort(np.array(stamps, np.int64), kind="stable")
    starts = np.flatnonzero(np.array(keys)[order])
    return Index(np.array(stamps, np.int64)[order], starts, fps, seekable, size)


def decode(path: Path, index: Index, wanted: range) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """``(position, frame)`` for every wanted position, ascending.

    Raises:
        InputError: a wanted frame cannot be decoded.
    """
    if not wanted:
        return
    missing = wanted
    first_try = True
    while missing:
        before = missing
        for position, frame in _decode_from(path, index, missing, seek=first_try and index.seekable):
            if position != missing[0]:
                break  # a frame was skipped: the file seeks inexactly
            yield position, frame
            missing = missing[1:]
            if not missing:
                return
        if not first_try and missing == before:
            raise InputError(f"frame {missing[0]} of video {path} cannot be decoded: {REMEDY}")
        first_try = False


def _decode_from(path: Path, index: Index, wanted: range, seek: bool) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Decoded frames among the wanted positions, from the key frame before the first, or from the file's start."""
    with opened(path) as (container, stream):
        earlier = index.keys[index.keys <= wanted[0]]
        if seek and len(earlier) and earlier[-1] > 0:
            container.seek(int(index.stamps[earlier[-1]]), stream=stream, backward=True)
        for count, frame in enumerate(container.decode(stream)):
            position = index.position(frame.pts) if index.seekable else count
            if position in wanted:
                yield position, _to_rgb(path, frame, index.size)
            if position >= wanted[-1]:
                return


def _index_by_decoding(path: Path) -> tuple[list[int | None], list[bool], bool]:
    with opened(path) as (container, stream):
        found = [(frame.pts, bool(frame.key_frame)) for frame in container.decode(stream)]
    stamps = [stamp for stamp, _ in found]
    keys = [key for _, key in found]
    if None in stamps or any(a >= b for a, b in pairwise(stamps)):
        return list(range(len(found))), keys, False
    return stamps, keys, True


def _check_complete(path: Path, container: Any, stream: Any, packets: list[_Packet]) -> None:
    broken = any(packet.corrupt for packet in packets) or len(packets) < (stream.frames or 0)
    if not broken and packets and not stream.frames:
        broken = _ends_early(container, stream, packets)
    if broken or not packets:
        promised = f" of {stream.frames}" if stream.frames else ""
        raise InputError(f"video {path} is truncated: it holds {len(packets)}{promised} frames; {REMEDY}")


def _ends_early(container: Any, stream: Any, packets: list[_Packet]) -> bool:
    """Matroska and WebM count no frames, but they say how long the stream is."""
    stated = _seconds(stream.metadata.get("DURATION", ""))
    if stated is None and len(container.streams) == 1 and container.duration:
        stated = container.duration / av.time_base
    stamps = [packet.pts for packet in packets if packet.pts is not None]
    if stated is None or not stamps or not stream.average_rate:
        return False
    frame = 1 / float(stream.average_rate)
    # Tolerate what rounding and a missing last duration explain, no more.
    return float(max(stamps) * stream.time_base) + 2.5 * frame < stated


def _seconds(text: str) -> float | None:
    match = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", text)
    return None if match is None else int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3])


def _true_size(container: Any, stream: Any) -> tuple[int, int] | None:
    note = SIZE_NOTE.search(next((v for k, v in container.metadata.items() if k.lower() == "comment"), ""))
    if note is None:
        return None
    width, height = int(note[1]), int(note[2])
    stored = (stream.codec_context.height, stream.codec_context.width)
    return (height, width) if stored == (height + height % 2, width + width % 2) else None


def _to_rgb(path: Path, frame: Any, size: tuple[int, int] | None) -> NDArray[np.uint8]:
    array = frame.to_ndarray(format="rgb24")
    turns = round(getattr(frame, "rotation", 0) / 90)
    if size is not None:
        array = array[: size[0], : size[1]]
    return np.ascontiguousarray(np.rot90(array, turns))
