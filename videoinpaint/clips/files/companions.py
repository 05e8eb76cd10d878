"""What a video file holds beside its picture, copied into another file: streams packet by packet, chapters, names."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from videoinpaint.clips.files.clock import Clock
from videoinpaint.errors import warn

FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
"""How the name of an output ends -> FFmpeg's name of the format."""

# What describes the old file or its old encoding, not its content.
_OF_THE_FILE = ("major_brand", "minor_version", "compatible_brands", "encoder", "duration", "vendor_id")
_STATISTICS = ("bps", "number_of_", "_statistics_")


def described(tags: dict[str, str]) -> dict[str, str]:
    """The tags that describe content: title, language, creation time and the like."""
    return {key: value for key, value in tags.items() if not key.lower().startswith((*_OF_THE_FILE, *_STATISTICS))}


_USUAL = {
    "title", "artist", "album_artist", "album", "composer", "comment", "date", "genre", "copyright", "description",
    "synopsis", "show", "episode_id", "network", "keywords", "lyrics", "grouping", "track", "disc", "creation_time",
    "location", "location-eng",
}  # fmt: skip
"""The tags that have a place of their own in .mp4 and .mov, where every player looks for them."""


_LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
"""By the number of channels, what most players take for their layout where a file says none, as Matroska and AVI do."""


class Companions:
    """The streams of a file other than its picture, on their way into an output.

    Args:
        path: the file.
        picture: the number of the stream that is repaired, and therefore not copied.
        output: the container to write to, open but not begun.
        final: the name that warnings speak of.
        audio: copy sound too.
        timed: the output keeps the file's time stamps; otherwise nothing that has times of its own is copied.
        begin: seconds that are taken off every time stamp.
        clock: the clocks of the file's picture, which the other streams follow.
    """

    def __init__(
        self, path: Path, picture: int, output: Any, final: Path, audio: bool, timed: bool, begin: Fraction,
        clock: Clock,
    ) -> None:  # fmt: skip
        self._input = av.open(f"file:{path}", metadata_errors="surrogateescape")
        self._output = output
        self._streams: dict[int, Any] = {}  # by their numbers in the input
        self._last: dict[int, int] = {}  # their last time stamps
        self._failed: set[int] = set()
        self._path, self._final, self._begin, self._clock = path, final, begin, clock
        left_out, untimely = [], []
        for stream in self._input.streams:
            if stream.index == picture or (stream.type == "audio" and not audio) or self._made_anew(stream):
                continue
            if not timed and stream.type != "attachment":
                untimely.append(f"{_name(stream)} ({_codec(stream)})")
            elif _fits(stream, output.format.name):
                self._streams[stream.index] = _added(stream, output)
            else:
                left_out.append(f"{_name(stream)} ({_codec(stream)})")
        if left_out:
            other = "; write .mkv to keep them" if output.format.name != "matroska" else ""
            warn(f"{final} cannot hold {', '.join(left_out)} of {path}: left out{other}")
        chapters = self._input.chapters()
        if not timed and (untimely or chapters):
            what = ", ".join([*untimely, *(["chapters"] if chapters else [])])
            warn(f"{final} has frames at other times than {path}: {what} left out")
        output.metadata.update(described(self._input.metadata))
        if output.format.name in ("mp4", "mov") and not {key.lower() for key in output.metadata} <= _USUAL:
            output.container_options["movflags"] = "use_metadata_tags"  # the list of tags that takes any name
        for chapter in chapters:
            moved = int(begin / chapter["time_base"])  # type: ignore[operator]  # those of a file have one
            chapter["start"] -= moved
            chapter["end"] -= moved
        output.set_chapters(chapters if timed else [])
        self._packets = self._ordered()
        self._next = next(self._packets, None)

    def copy_until(self, seconds: float) -> None:
        """Write every packet that begins before this time."""
        while self._next is not None and self._next[0] <= seconds:
            self._write(self._next[1])
            self._next = next(self._packets, None)

    def _write(self, packet: Any) -> None:
        number, kind = packet.stream_index, f"{_name(packet.stream)} ({_codec(packet.stream)})"
        try:
            self._output.mux(packet)
        except (av.error.InvalidDataError, av.error.ArgumentError):
            if number not in self._failed:
                warn(f"{self._final} cannot hold all of the {kind} of {self._path}: packets are damaged, and left out")
            self._failed.add(number)

    def close(self) -> None:
        """Let go of the file."""
        self._input.close()

    def _made_anew(self, stream: Any) -> bool:
        """Chapters and time codes are written from chapters and tags; in .mp4 they are streams as well."""
        if stream.type != "data" or "mp4" not in self._input.format.name:
            return False
        chapters = self._input.chapters()
        return "timecode" in stream.metadata or (bool(chapters) and stream.frames == len(chapters))

    def _ordered(self) -> Iterator[tuple[float, Any]]:
        """Packets with the seconds at which they begin, in the file's order."""
        chosen = [stream for stream in self._input.streams if stream.index in self._streams]
        places = dict[int, int]()  # the last byte positions, which not every packet tells
        for packet in _dated(self._input.demux(chosen)) if chosen else ():
            stamp = packet.dts if packet.dts is not None else packet.pts
            if stamp is None:  # the end, or nothing that could be placed
                continue
            number = packet.stream_index
            places[number] = place = packet.pos if packet.pos and packet.pos > 0 else places.get(number, 0)
            added = self._clock.offset(place, stamp * packet.time_base)
            shift = int(self._begin / packet.time_base) - round(added / packet.time_base)
            packet.dts = stamp - shift
            packet.pts = None if packet.pts is None else packet.pts - shift
            seconds = float(packet.dts * packet.time_base)
            last = self._last.get(number)
            if last is not None and packet.dts <= last:  # no format takes that; a unit of the output, at least, later
                packet.dts = last + max(1, math.ceil(self._streams[number].time_base / packet.time_base))
            self._last[number] = packet.dts
            if packet.pts is not None:
                packet.pts = max(packet.pts, packet.dts)
            packet.stream = self._streams[number]
            yield seconds, packet


def _dated(packets: Iterable[Any]) -> Iterator[Any]:
    """Packets, those of pictures with the time at which each is decoded: the first ones of Matroska have none."""
    waiting = dict[int, list[Any]]()
    for packet in packets:
        number = packet.stream_index
        if packet.dts is None and packet.pts is not None and packet.stream.type == "video":
            waiting.setdefault(number, []).append(packet)
            continue
        held = waiting.pop(number, [])
        until = packet.dts if packet.dts is not None else min((early.pts for early in held), default=0)
        for index, early in enumerate(held):
            early.dts = min(early.pts, until - (len(held) - index) * (early.duration or 1))
            yield early
        yield packet


_NAMES = {"audio": "sound", "subtitle": "subtitles", "video": "a further picture", "attachment": "an attachment"}


def _name(stream: Any) -> str:
    return _NAMES.get(stream.type, f"a stream of {stream.type}")


def _codec(stream: Any) -> str:
    return str(stream.codec_context.codec.canonical_name if stream.codec_context else stream.name or "unknown")


def _added(stream: Any, output: Any) -> Any:
    """A stream of the output that takes this stream's packets as they are."""
    added = output.add_stream_from_template(stream, opaque=True)
    added.metadata.update(described(stream.metadata))
    added.disposition = stream.disposition
    added.time_base = stream.time_base
    if stream.type == "audio" and str(stream.codec_context.layout.name).endswith("channels"):
        channels = stream.codec_context.layout.nb_channels
        added.codec_context.layout = _LAYOUTS.get(channels, stream.codec_context.layout)
    return added


def _fits(stream: Any, form: str) -> bool:
    """Whether a format can hold a stream, found by beginning a file with it."""
    try:
        with av.open(io.BytesIO(), "w", format=form) as trial:
            added = _added(stream, trial)
            trial.start_encoding()
            if stream.type == "audio" and _codec(stream).startswith("pcm"):  # .mp4 says only at its end what it lacks
                silence = av.Packet(bytes(64 * stream.codec_context.channels))
                silence.stream, silence.pts, silence.dts = added, 0, 0
                trial.mux(silence)
    except (av.FFmpegError, OSError, ValueError):
        return False
    return True
