"""Decoding a video file from any frame on, by an index of its time stamps."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from videoinpaint.clips.files.clock import Clock, Packet, read_packets
from videoinpaint.clips.files.images import check_pixels
from videoinpaint.clips.files.planes import EXACT, copied
from videoinpaint.clips.files.truncation import is_cut_off, promised_seconds, skipped_seconds
from videoinpaint.errors import InputError, warn

REMEDY = "copy it again, or repair it with 'ffmpeg -i IN -c:v libx264 OUT.mp4'"
_SIZE_NOTE = re.compile(r"videoinpaint:size=(\d+)x(\d+)")

# VP8 stores invisible frames as packets of their own: packets must not be counted as frames.
_INVISIBLE_PACKETS = frozenset({"vp8"})
_FASTEST = 1000  # frames a second; more is a clock, not a rate (raw DV says 60000)
_SLACK = 0.2  # seconds that a file may be shorter than it says
_ONE_CLOCK = Clock()


@dataclass(frozen=True)
class Index:
    """Where the frames of a file are.

    Attributes:
        stamps: presentation time stamps in order of display, int64 ``(N,)``; plain counting where the file has none.
        keys: positions in `stamps` of key frames, ascending.
        rate: average frames a second.
        time_base: seconds that a unit of the stamps lasts.
        seekable: the stamps are the file's own, so that one can seek to them.
        size: ``(height, width)`` to cut padded frames to, or None.
        stored: ``(height, width)`` of pictures as they are decoded, not cut or turned.
        matrix: the display matrix, nine int32, or nothing.
        clock: the clocks of a file that was joined from several; `stamps` are as if it had one, and nothing is sought.
    """

    stamps: NDArray[np.int64]
    keys: NDArray[np.int64]
    rate: Fraction
    time_base: Fraction
    seekable: bool
    size: tuple[int, int] | None
    stored: tuple[int, int] = (0, 0)
    matrix: tuple[int, ...] = ()
    clock: Clock = _ONE_CLOCK

    def position(self, stamp: int | None) -> int:
        """Which frame has this time stamp; -1 if none has."""
        place = -1 if stamp is None else int(np.searchsorted(self.stamps, stamp))
        return place if 0 <= place < len(self.stamps) and self.stamps[place] == stamp else -1


@contextmanager
def opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """The container and its main video stream; every error of the library becomes an `InputError` naming the file.

    Names with colons are names, not protocols; text that is not UTF-8 passes through as it is.
    """
    try:
        with av.open(f"file:{path}", metadata_errors="surrogateescape") as container:
            stream: Any = container.streams.best("video")
            if stream is None:
                raise InputError(f"{path} holds no video stream: name a video file")
            if stream.codec_context is None:
                raise InputError(f"cannot read video {path}: this build of FFmpeg does not know its codec; {REMEDY}")
            check_pixels(path, stream.width * stream.height)
            yield container, stream
    except (av.FFmpegError, OSError, EOFError) as error:
        raise InputError(f"cannot read video {path}: {error}; {REMEDY}") from error


def index_of(path: Path) -> Index:
    """The index of a file, made from its packets without decoding, or by decoding where packets do not tell.

    Raises:
        InputError: unreadable, truncated, or without frames.
    """
    with opened(path) as (container, stream):
        packets, clock, runs = read_packets(container, stream)
        _check_complete(path, container, stream, packets)
        stamps = [
            packet.pts if packet.pts is None else packet.pts + clock.offsets[run]
            for packet, run in zip(packets, runs)
            if not packet.discard
        ]
        keys = [packet.key for packet in packets if not packet.discard]
        rate, time_base = _rate(stream, stamps), stream.time_base
        size, codec = _true_size(container, stream), stream.codec_context.name
    seekable = None not in stamps and len(set(stamps)) == len(stamps)
    if not seekable or codec in _INVISIBLE_PACKETS:
        stamps, keys, seekable = _index_by_decoding(path)
    if not stamps:
        raise InputError(f"video {path} holds no frames: {REMEDY}")
    order = np.argsort(np.array(stamps, np.int64), kind="stable")
    starts = np.flatnonzero(np.array(keys)[order])
    base = time_base if seekable else 1 / rate
    clock.tell(path)
    index = Index(np.array(stamps, np.int64)[order], starts, rate, base, seekable, size, clock=clock)
    return _from_first_picture(path, index)


def decode(path: Path, index: Index, wanted: range, *, quiet: bool = False) -> Iterator[tuple[int, Any]]:
    """``(position, picture)`` for every wanted position, ascending; pictures all have the size of the first.

    Where one cannot be decoded the picture before it stands for it (the one after it at the very start), and one of
    another size is scaled; a warning says so, unless `quiet`. Whoever writes into a picture calls its `make_writable`
    first.

    Raises:
        InputError: nothing can be decoded.
    """
    pictures = _sized(path, _pictures(path, index, wanted), index.stored, quiet)
    position, picture = next(pictures, (-1, None))
    if picture is None:
        raise InputError(f"frame {wanted[0]} of video {path} cannot be decoded: {REMEDY}")
    yield from _repeated(path, wanted[: _below(wanted, position)], picture, quiet)
    wanted = wanted[_below(wanted, position) :]
    while wanted:
        # One picture ahead, so that this one is copied before whoever gets it writes into it.
        end = (wanted[-1] + 1, None)
        following = end if position >= wanted[-1] else next(pictures, end)
        here = int(wanted[0] == position)
        lost = wanted[here : _below(wanted, following[0])]
        spare = copied(picture) if lost else picture
        if here:
            yield position, picture
        yield from _repeated(path, lost, spare, quiet)
        wanted = wanted[here + len(lost) :]
        position, picture = following


def _below(wanted: range, position: int) -> int:
    """How many of the wanted positions come before this one."""
    return min(len(wanted), len(range(wanted.start, position, wanted.step)))


def _repeated(path: Path, lost: range, picture: Any, quiet: bool) -> Iterator[tuple[int, Any]]:
    if lost and not quiet:
        what = f"frame {lost[0]}" if len(lost) == 1 else f"frames {lost[0]} to {lost[-1]}"
        warn(f"{what} of {path} cannot be decoded: the picture beside is shown instead")
    for position in lost:
        yield position, copied(picture)


def _sized(
    path: Path, pictures: Iterator[tuple[int, Any]], size: tuple[int, int], quiet: bool
) -> Iterator[tuple[int, Any]]:
    """The same pictures, scaled to one size where the file changes it."""
    told = quiet
    for position, picture in pictures:
        if (picture.height, picture.width) == size:
            yield position, picture
            continue
        if not told:
            now, first = f"{picture.width}x{picture.height}", f"{size[1]}x{size[0]}"
            warn(f"{path} changes its size to {now} at frame {position}: scaled to {first}, as it began")
        told = True
        yield position, picture.reformat(width=size[1], height=size[0], interpolation=EXACT, threads=1)


def _pictures(path: Path, index: Index, wanted: range) -> Iterator[tuple[int, Any]]:
    """Decoded pictures with their positions, ascending, from one at or before the first wanted one on."""
    earlier = index.keys[index.keys <= wanted[0]] if index.seekable and not index.clock.runs else index.keys[:0]
    key = int(earlier[-1]) if len(earlier) else 0
    if key:
        found = _decode_from(path, index, key)
        first = next(found, None)
        if first is not None and first[0] <= wanted[0]:  # otherwise the file seeks inexactly
            yield first
            yield from found
            return
    yield from _decode_from(path, index, 0)


def _decode_from(path: Path, index: Index, key: int) -> Iterator[tuple[int, Any]]:
    """What can be decoded, from a key frame on; packets that cannot are passed over."""
    last = -1
    with opened(path) as (container, stream):
        if key:
            container.seek(int(index.stamps[key]), stream=stream, backward=True)
        for count, picture in enumerate(_decodable(container, stream)):
            position = _position_after(last, picture.pts, index) if index.seekable else count
            if position > last:
                yield position, picture
                last = position


def _position_after(last: int, stamp: int | None, index: Index) -> int:
    """Which frame has this time stamp, under the first clock by which it comes after another frame; -1 if none has."""
    if stamp is None:
        return -1
    return next((place for add in index.clock.offsets if (place := index.position(stamp + add)) > last), -1)


def _decodable(container: Any, stream: Any) -> Iterator[Any]:
    for packet in container.demux(stream):
        try:
            pictures = packet.decode()
        except av.FFmpegError:
            continue
        yield from pictures


def _from_first_picture(path: Path, index: Index) -> Index:
    """The index completed by what the first picture tells; frames before it cannot be shown."""
    position, picture = next(_pictures(path, index, range(1)), (-1, None))
    if picture is None:
        raise InputError(f"no frame of video {path} can be decoded: {REMEDY}")
    if position:
        frames = "its first frame" if position == 1 else f"its first {position} frames"
        warn(f"{path} starts between key frames: {frames} cannot be decoded and are left out")
    keys = np.maximum(index.keys - position, 0)
    return replace(
        index, stamps=index.stamps[position:], keys=np.unique(keys), stored=(picture.height, picture.width),
        matrix=_display_matrix(picture),
    )  # fmt: skip


def side_data_of(picture: Any) -> dict[str, bytes]:
    """What a decoded picture carries beside its samples, by PyAV's name of the kind."""
    try:
        return {data.type.name: bytes(data) for data in picture.side_data}
    except ValueError:  # PyAV knows fewer kinds than its FFmpeg (EXIF, in the pictures of cameras): the angle is left
        angle = math.radians(picture.rotation)  # against the clock
        a, b = (round(65536 * part) for part in (math.cos(angle), -math.sin(angle)))
        return {"DISPLAYMATRIX": np.array([a, b, 0, -b, a, 0, 0, 0, 1 << 30], np.int32).tobytes()}


def _display_matrix(picture: Any) -> tuple[int, ...]:
    found = side_data_of(picture).get("DISPLAYMATRIX")
    return () if found is None else tuple(np.frombuffer(found, np.int32).tolist())


def _rate(stream: Any, stamps: list[int | None]) -> Fraction:
    """Frames a second: as the file says, unless its time stamps tell that it does not know."""
    said = [Fraction(rate) for rate in (stream.average_rate, stream.guessed_rate) if rate and 0 < rate <= _FASTEST]
    known = [stamp for stamp in stamps if stamp is not None]
    if len(known) < 2 or max(known) == min(known):
        return next(iter(said), Fraction(24))
    found = (len(known) - 1) / ((max(known) - min(known)) * stream.time_base)
    near = [rate for rate in said if abs(rate - found) <= found / 10]
    return near[0] if near else min(max(Fraction(found).limit_denominator(1001), Fraction(1, 100)), Fraction(_FASTEST))


def _index_by_decoding(path: Path) -> tuple[list[int | None], list[bool], bool]:
    with opened(path) as (container, stream):
        found = [(picture.pts, bool(picture.key_frame)) for picture in _decodable(container, stream)]
    stamps = [stamp for stamp, _ in found]
    keys = [key for _, key in found]
    if None in stamps or any(a >= b for a, b in pairwise(stamps)):
        return list(range(len(found))), keys, False
    return stamps, keys, True


def _check_complete(path: Path, container: Any, stream: Any, packets: list[Packet]) -> None:
    # AVI counts chunks without data, which mean that a frame lasts longer; how long the file is tells more there.
    promise = 0 if container.format.name == "avi" else stream.frames or 0
    short = len(packets) < promise or is_cut_off(path)
    if short or not packets:
        promised = f" of {promise}" if promise else ""
        raise InputError(f"video {path} is truncated: it holds {len(packets)}{promised} frames; {REMEDY}")
    if damaged := sum(packet.corrupt for packet in packets):
        warn(f"{path} lost packets: about {damaged} of its {len(packets)} frames are damaged")
    _tell_left_out(path, container, stream, packets)


def _tell_left_out(path: Path, container: Any, stream: Any, packets: list[Packet]) -> None:
    """Warn of damage behind which libav goes on, or stops, and says nothing of what it passed over."""
    stamps = [packet.dts if packet.pts is None else packet.pts for packet in packets]
    last = max((at + packet.duration for at, packet in zip(stamps, packets) if at is not None), default=0)
    end, promised = float(last * stream.time_base), promised_seconds(container, stream)
    if promised - end <= max(_SLACK, 2 * end / len(packets)):
        return
    if skipped_seconds(path, stream, end) > (promised - end) / 2:
        warn(f"{path} has pictures for {end:.2f} s, and says for {promised:.2f}: what cannot be read of it is left out")


def size_note(height: int, width: int) -> str:
    """The comment that a writer leaves which had to pad frames: their size before."""
    return f"videoinpaint:size={width}x{height}"


def _true_size(container: Any, stream: Any) -> tuple[int, int] | None:
    note = _SIZE_NOTE.search(next((v for k, v in container.metadata.items() if k.lower() == "comment"), ""))
    if note is None:
        return None
    width, height = int(note[1]), int(note[2])
    stored = (stream.codec_context.height, stream.codec_context.width)
    return (height, width) if stored == (height + height % 2, width + width % 2) else None
