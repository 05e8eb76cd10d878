"""Flags that benchmarks share: where they compute, where the numbers go, which clips they take.

A benchmark that needs another default, or means something else by a flag, says so itself.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from videoinpaint.benchmarks.protocol.suite import Suite, make_suite


@dataclass(frozen=True, kw_only=True)
class Measuring:
    """Flags of every benchmark."""

    threads: int = 1
    """CPU threads."""
    output: Path | None = None
    """Write everything measured here, as JSON."""

    def asked(self, *places: str) -> dict[str, Any]:
        """What was asked for, as a record of the benchmark tells it: without `output` and other places of files."""
        return {name: value for name, value in asdict(self).items() if name not in ("output", *places)}


@dataclass(frozen=True, kw_only=True)
class Computing(Measuring):
    """Flags of every benchmark that computes with networks."""

    device: str = "cpu"
    """cpu or cuda."""


@dataclass(frozen=True, kw_only=True)
class AutoComputing(Measuring):
    """As :class:`Computing`, on the GPU where there is one."""

    device: str = "auto"
    """Where networks compute: auto (the GPU where there is one), cpu, cuda, ..."""


@dataclass(frozen=True, kw_only=True)
class SmallClips(Computing):
    """Flags of benchmarks that play clips of the environments' size."""

    num_frames: int = 8
    """Frames of each clip."""
    height: int = 120
    """Pixels."""
    width: int = 216
    """Pixels."""

    def env_kwargs(self) -> dict[str, Any]:
        """Of environments of that size."""
        return {name: getattr(self, name) for name in ("num_frames", "height", "width", "device")}


@dataclass(frozen=True, kw_only=True)
class VideoSize:
    """The size of clips in the literature's tables."""

    num_frames: int = 24
    """Frames of each clip."""
    height: int = 240
    """Pixels."""
    width: int = 432
    """Pixels."""


@dataclass(frozen=True, kw_only=True)
class ClipFlags(VideoSize, Computing):
    """Flags of benchmarks that repair the clips of one source under holes of several kinds."""

    clips: str = "studio"
    """A clip source: a folder of clips, studio, studio:hard, ..."""
    masks: tuple[str, ...] = ("stationary", "object")
    """Mask sources, a table each; object:FOLDER lays recorded object shapes over the clips."""
    limit: int = 0
    """Clips to take from the front; 0 for all."""
    seed: int = 0
    """With a clip's index, decides its hole."""

    def suite(self, masks: str) -> Suite:
        """The clips under holes of a kind."""
        size = {name: getattr(self, name) for name in ("num_frames", "height", "width", "limit", "seed")}
        return make_suite(self.clips, masks, **size)


@dataclass(frozen=True, kw_only=True)
class GradedSuites:
    """The suites that benchmarks of policies play."""

    suites: tuple[str, ...] = ("studio:easy", "studio:hard", "studio:fast", "studio:large")
    """Clip sources. A graded studio suite brings its own holes; others take --masks."""
