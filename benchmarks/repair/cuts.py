"""How surely cuts are found: neighbouring frames of real clips, frames three apart, and frames of different clips.

python -m videoinpaint.benchmarks.repair.cuts --clips FOLDER OTHER_FOLDER
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videoinpaint.benchmarks.protocol import tables
from videoinpaint.benchmarks.protocol.envelope import envelope
from videoinpaint.benchmarks.protocol.flags import Measuring, VideoSize
from videoinpaint.checks import MAX_COUNT, whole_number
from videoinpaint.clips import make_clips
from videoinpaint.errors import InputError
from videoinpaint.motion.cuts import is_cut

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Cuts(VideoSize, Measuring):
    """Which clips to look at."""

    clips: tuple[str, ...] = ("studio:easy", "studio:hard", "studio:fast")
    """Clip sources; clips must hold no cut."""
    num_frames: int = 16
    """Frames of each clip."""
    limit: int = 100
    """Clips of each source."""
    pairs: int = 1500
    """Pairs of frames of different clips, drawn at random."""
    seed: int = 0
    """Of the drawing."""


def run(flags: Cuts) -> dict[str, Any]:
    """Count the pairs that count as cuts.

    Raises:
        InputError: a source is unusable, or there are fewer than two clips.
    """
    whole_number(flags.pairs, "pairs", 1, 10**9)
    whole_number(flags.limit, "limit", 1, MAX_COUNT)
    sources = [make_clips(spec) for spec in flags.clips]
    size = (flags.num_frames, flags.height, flags.width)
    named = [(source, name) for source in sources for name in source.names()[: flags.limit]]
    if len(named) < 2:
        raise InputError(f"two clips or more are needed, {', '.join(flags.clips)} hold {len(named)}")
    clips = [source.load(name, *size).frames for source, name in named]
    rng = np.random.default_rng(flags.seed)
    others = [rng.choice(len(clips), 2, replace=False) for _ in range(flags.pairs)]
    kinds = {
        "neighbours": chain.from_iterable(pairwise(clip) for clip in clips),
        "three apart": chain.from_iterable(zip(clip[::3], clip[3::3], strict=False) for clip in clips),
        "different clips": ((clips[a][-1], clips[b][0]) for a, b in others),
    }
    counts = {kind: _counted(pairs) for kind, pairs in kinds.items()}
    settings = flags.asked()
    return envelope("cuts", settings, counts=counts)


def _counted(pairs: Any) -> dict[str, int]:
    found = [is_cut(a, b, np.zeros(a.shape[:2], bool), np.zeros(b.shape[:2], bool)) for a, b in pairs]
    return {"pairs": len(found), "cuts": sum(found)}


def report(results: Mapping[str, Any]) -> None:
    """Print one row a kind of pair."""
    rows = [[kind, str(count["cuts"]), str(count["pairs"])] for kind, count in results["counts"].items()]
    tables.show("pairs that count as cuts", ["frames", "cuts", "of"], rows)


if __name__ == "__main__":
    tables.main(Cuts, run, report, __doc__ or "")
