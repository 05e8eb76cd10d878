"""Whether a file was cut off or damaged, by what it says of itself: libav reads what is there and says nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, BinaryIO

import av

_PACKAGING = 25  # bytes that AVI has around a packet and in its index; Matroska has fewer
_UNKNOWN = {length: (1 << 7 * length) - 1 for length in range(1, 9)}  # sizes that EBML reserves for "until the end"


def is_cut_off(path: Path) -> bool:
    """Whether a Matroska, WebM, AVI or GIF file ends before it says it does; False for every other kind."""
    with path.open("rb") as file:
        head = file.read(6)
        if head.startswith(b"\x1a\x45\xdf\xa3"):
            return _matroska_end(file) > path.stat().st_size
        if head.startswith(b"RIFF"):
            file.seek(4)
            return int.from_bytes(file.read(4), "little") + 8 > path.stat().st_size
        return head in (b"GIF87a", b"GIF89a") and not _gif_ends(file)


def promised_seconds(container: Any, stream: Any) -> float:
    """When the last picture of a Matroska, WebM or AVI file should end; 0 for every other kind, and where none says."""
    if container.format.name == "avi":
        return float((stream.duration or 0) * stream.time_base)
    said = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", stream.metadata.get("DURATION", ""), re.ASCII)
    if said is None or not container.format.name.startswith("matroska"):
        return 0.0
    return 3600 * int(said[1]) + 60 * int(said[2]) + float(said[3])


def skipped_seconds(path: Path, stream: Any, end: float) -> float:
    """For how many seconds of its pictures a file holds bytes that were passed over, as they are no packet.

    A file that is short because its last picture lasts longer holds none.

    Args:
        path: the file.
        stream: of its pictures.
        end: seconds that its pictures last.
    """
    with av.open(f"file:{path}", metadata_errors="surrogateescape") as container:
        sizes = [(packet.stream_index, packet.size) for packet in container.demux() if packet.size]
    pictures = sum(size for index, size in sizes if index == stream.index)
    return end * (path.stat().st_size - sum(size + _PACKAGING for _, size in sizes)) / pictures


def _matroska_end(file: BinaryIO) -> int:
    """Where the segment, which holds everything, ends; 0 if the file does not say."""
    file.seek(4)
    header = _size(file)
    file.seek(header or 0, 1)
    if file.read(4) != b"\x18\x53\x80\x67":
        return 0
    length = _size(file)
    return 0 if length is None else file.tell() + length


def _size(file: BinaryIO) -> int | None:
    """An EBML size: the number of leading zeros of its first byte tells how long it is."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    length = 9 - first[0].bit_length()
    value = int.from_bytes(first + file.read(length - 1), "big") & _UNKNOWN[length]
    return None if value == _UNKNOWN[length] else value


def _gif_ends(file: BinaryIO) -> bool:
    """Walk the blocks of a GIF up to its trailer."""
    file.seek(10)
    _skip_colours(file)
    file.seek(2, 1)
    while kind := file.read(1):
        if kind == b";":
            return True
        if kind == b",":  # a frame: place and size, flags and colours, then the length of the codes
            file.seek(8, 1)
            _skip_colours(file)
            file.seek(1, 1)
        elif kind == b"!":
            file.seek(1, 1)
        elif kind != b"\0":  # a stray end of a block is harmless
            return False
        while kind != b"\0" and (length := file.read(1)) != b"\0":
            if not length or len(file.read(length[0])) < length[0]:
                return False
    return False


def _skip_colours(file: BinaryIO) -> None:
    flags = file.read(1)
    if flags and flags[0] & 0x80:
        file.seek(3 << (flags[0] & 7) + 1, 1)
