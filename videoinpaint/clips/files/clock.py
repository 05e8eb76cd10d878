"""The clock of a recording that was joined from several, or interrupted: where it is set anew, and what makes it go on.

Streams of broadcasts (.ts, .mpg) may be joined end to end, and each part brings its own clock. Other files have one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

from av.format import Flags

from videoinpaint.errors import warn

_BACK = Fraction(1, 5)  # seconds; less is an encoder's disorder, not another clock
_FAR = 10  # seconds; what FFmpeg takes for a new clock, too


@dataclass(frozen=True)
class Packet:
    """What the index needs of a packet of the picture: the data themselves are let go at once.

    Stamps and duration are in units of the stream; `place` is the byte at which it lies, 0 where that is not known.
    """

    pts: int | None
    dts: int | None
    duration: int
    place: int
    key: bool
    discard: bool
    corrupt: bool


_Sound = list[tuple[int, Fraction]]  # place and seconds of every packet


@dataclass(frozen=True)
class _Run:
    """Pictures under one clock: their first byte, their first time stamp, and when the last one ends."""

    place: int
    first: int
    end: int


@dataclass(frozen=True)
class Clock:
    """The runs of a file's picture, each under a clock of its own; only one run in an ordinary file.

    Attributes:
        runs: in the file's order.
        base: seconds that a unit of their stamps lasts.
    """

    runs: tuple[_Run, ...] = ()
    base: Fraction = Fraction(1)

    @cached_property
    def offsets(self) -> list[int]:
        """What to add to the stamps of each run, so that it begins where the one before it ends; [0] for one run."""
        steps = [old.end - new.first for old, new in pairwise(self.runs)]
        return list(accumulate(steps, initial=0))

    def offset(self, place: int, stamp: Fraction) -> Fraction:
        """Seconds to add to the stamp of a packet of any stream, by the byte at which it lies.

        Where a broadcast sets its clock anew, packets of both clocks lie side by side: the stamp then tells which of
        the runs beside this place is meant.
        """
        if len(self.runs) < 2:
            return Fraction(0)
        here = max(0, bisect_right(self.runs, place, key=lambda run: run.place) - 1)
        beside = [run for run in (here, here - 1, here + 1) if 0 <= run < len(self.runs)]
        fitting = [run for run in beside if self._holds(self.runs[run], stamp)]
        return self.offsets[(fitting or [here])[0]] * self.base

    def tell(self, path: Path) -> None:
        """Warn of a clock that jumps, once for all its jumps."""
        if len(self.runs) > 1:
            seconds = float((self.runs[0].end - self.runs[0].first) * self.base)
            often = "" if len(self.runs) == 2 else f" and {len(self.runs) - 2} more times"
            warn(f"the clock of {path} jumps at {seconds:.2f} s{often}: what follows goes on from there without a gap")

    def _holds(self, run: _Run, stamp: Fraction) -> bool:
        return run.first * self.base - _FAR <= stamp <= run.end * self.base + _FAR


def read_packets(container: Any, stream: Any) -> tuple[list[Packet], Clock, list[int]]:
    """The packets of the picture in the file's order, their clock, and for each packet the number of its run."""
    broken = bool(container.format.flags & Flags.ts_discont.value)
    packets, sound = list[Packet](), _Sound()
    for packet in container.demux(stream, *(container.streams.audio if broken else ())):
        place = max(0, packet.pos or 0)
        if packet.size and packet.stream_index == stream.index:
            flags = packet.is_keyframe, packet.is_discard, packet.is_corrupt
            packets.append(Packet(packet.pts, packet.dts, packet.duration or 0, place, *flags))
        elif packet.size and packet.dts is not None:
            sound.append((place, packet.dts * packet.time_base))
    numbers = _numbers(packets, sound, stream.time_base) if broken else []
    if not any(numbers):
        return packets, Clock(), [0] * len(packets)
    runs = [[p for p, number in zip(packets, numbers) if number == run] for run in range(numbers[-1] + 1)]
    if any(packet.pts is None for packet in packets):
        return packets, Clock(), [0] * len(packets)
    return packets, Clock(tuple(_run(run) for run in runs), stream.time_base), numbers


def _numbers(packets: Sequence[Packet], sound: _Sound, base: Fraction) -> list[int]:
    """For each packet how often the clock was set anew before it."""
    numbers, before = [0], None
    for packet in packets:
        new = before is not None and packet.dts is not None and _jumps(before, packet, sound, base)
        numbers.append(numbers[-1] + new)
        before = packet if packet.dts is not None else before
    return numbers[1:]


def _jumps(old: Packet, new: Packet, sound: _Sound, base: Fraction) -> bool:
    """Whether two packets of the picture are under different clocks. A gap through which sound goes on is a pause."""
    assert old.dts is not None
    assert new.dts is not None
    begin, end = old.dts * base, new.dts * base
    if end - begin <= _FAR:
        return end - begin < -_BACK
    half = Fraction(_FAR, 2)
    return not any(old.place < place < new.place and begin + half < at < end - half for place, at in sound)


def _run(packets: Sequence[Packet]) -> _Run:
    stamps = [packet.pts for packet in packets if packet.pts is not None]
    first, last = min(stamps), max(stamps)
    lasts = next(packet.duration for packet in packets if packet.pts == last)
    return _Run(packets[0].place, first, last + (lasts or (last - first) // max(1, len(stamps) - 1)))
