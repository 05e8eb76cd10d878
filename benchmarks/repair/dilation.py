"""How far masks of objects should grow: what is left of a target whose mask ends at its very edge.

    python -m videoinpaint.benchmarks.repair.dilation --limit 8

Studio scenes with a target pasted in, of which the true background is known, are coded as H.264 (crf 23), as the
video of a user is. The mask that a person draws is too small by a pixel or two (--shrunk); grown by some pixels, it is
repaired. The error is the mean absolute difference from the background, 0 to 255, to 12 pixels around the target.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videoinpaint.benchmarks.protocol import tables
from videoinpaint.benchmarks.protocol.envelope import envelope
from videoinpaint.benchmarks.protocol.flags import Computing, VideoSize
from videoinpaint.checks import MAX_COUNT, whole_number
from videoinpaint.clips.files.video import read_video, write_video
from videoinpaint.clips.masks.synthetic import dilated
from videoinpaint.clips.sources.pasted import OneShotClips
from videoinpaint.repair import inpaint

AROUND = 12


@dataclass(frozen=True, kw_only=True)
class Dilation(VideoSize, Computing):
    """What to repair."""

    shrunk: int = 1
    """Pixels by which the mask is smaller than the target."""
    dilate: tuple[int, ...] = (0, 1, 2, 3, 4, 6, 8)
    """Pixels by which masks grow."""
    inpainter: str = "compact"
    """A name, or module:attribute of your own."""
    num_frames: int = 16
    """Frames of each clip."""
    limit: int = 8
    """Clips."""


def run(flags: Dilation) -> dict[str, Any]:
    """Measure every growth on every clip.

    Returns:
        ``errors``: by growth, each clip's; ``untouched``: without any repair.

    Raises:
        InputError: a number is out of range.
    """
    whole_number(flags.limit, "limit", 1, MAX_COUNT)
    bar, advance = tables.progress("repairing", flags.limit * len(flags.dilate))
    source, errors, untouched = OneShotClips(), {str(n): list[float]() for n in flags.dilate}, []
    with bar, tempfile.TemporaryDirectory() as folder:
        for seed in range(flags.limit):
            clip = source.sample(np.random.default_rng(seed), flags.num_frames, flags.height, flags.width)
            assert clip.observed is not None
            assert clip.objects is not None
            drawn = 1 - dilated(1 - clip.objects, flags.shrunk)
            coded = Path(folder) / f"{seed}.mp4"
            write_video(coded, clip.observed, 25, quality=23)
            shown, around = read_video(coded)[0], dilated(clip.objects, AROUND) > 0
            untouched.append(_error(shown, clip.frames, around))
            for growth in flags.dilate:
                repaired = inpaint(shown, drawn, dilate=growth, inpainter=flags.inpainter, device=flags.device)
                errors[str(growth)].append(_error(repaired, clip.frames, around))
                advance()
    settings = flags.asked()
    return envelope("dilation", settings, errors=errors, untouched=untouched)


def _error(shown: NDArray[np.uint8], truth: NDArray[np.uint8], where: NDArray[np.bool_]) -> float:
    return float(np.abs(shown.astype(np.float32) - truth)[where].mean())


def report(results: Mapping[str, Any]) -> None:
    """Print one row a growth."""
    rows = [["no repair", tables.number(float(np.mean(results["untouched"])), 2), ""]]
    base = np.array(next(iter(results["errors"].values())))
    for growth, errors in results["errors"].items():
        better = int((np.array(errors) < base).sum())
        rows.append([growth, tables.number(float(np.mean(errors)), 2), f"{better} of {len(errors)}"])
    tables.show("error around the mask's edge", ["grown by", "error", "better than the first"], rows)


if __name__ == "__main__":
    tables.main(Dilation, run, report, __doc__ or "")
