"""What the settings of the video tool are worth: windows, reach, passes and cutouts, on the same videos in one run.

    python -m videoinpaint.benchmarks.repair.videos --clips FOLDER --masks stationary object:MASKS subtitle:12

`subtitle:N` hides two lines of text in the middle N frames, `logo` 50x30 pixels at the upper left in all of them. With
--plays 3 a clip is played forth, back and forth, so that it is longer than a window. The seam column divides how much
the error inside holes changes between the two frames where a window ends by how much it changes elsewhere.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from videoinpaint.agents.policies import make_policy
from videoinpaint.benchmarks.protocol import tables
from videoinpaint.benchmarks.protocol.envelope import envelope
from videoinpaint.benchmarks.protocol.flags import ClipFlags
from videoinpaint.benchmarks.protocol.suite import Pair, pairing
from videoinpaint.detectors import make_detector
from videoinpaint.envs.loop import ClosedLoop
from videoinpaint.errors import InputError
from videoinpaint.inpainters import make_inpainter
from videoinpaint.metrics.measures import Reference
from videoinpaint.repair.cutouts import MARGINS
from videoinpaint.repair.defaults import INPAINTER
from videoinpaint.repair.looped import LoopRepairer
from videoinpaint.repair.streaming import OVERLAP, REACH, WINDOW, Stream, Windows

SHOWN = ("psnr_hole", "lpips_hole", "seam", "seconds_per_frame")
EVERYTHING = (1 << 20,)  # a margin around holes that no frame has

SETTINGS = {
    "0.1.0": (Windows(10, 3), 3, EVERYTHING),
    "one pass": (Windows(10, 3), 1, EVERYTHING),
    "window": (Windows(WINDOW, OVERLAP), 1, EVERYTHING),
    "reach": (Windows(WINDOW, OVERLAP, REACH), 1, EVERYTHING),
    "cutout 32": (Windows(WINDOW, OVERLAP, REACH), 1, (32,)),
    "cutout 64": (Windows(WINDOW, OVERLAP, REACH), 1, MARGINS[:1]),
    "cutout 128": (Windows(WINDOW, OVERLAP, REACH), 1, (128,)),
    "default": (Windows(WINDOW, OVERLAP, REACH), 1, MARGINS),
}
"""Windows, passes and margins around holes."""


@dataclass(frozen=True, kw_only=True)
class Videos(ClipFlags):
    """What to repair, and with which settings."""

    masks: tuple[str, ...] = ("stationary", "object", "subtitle:12")
    """Mask sources, a table each; subtitle:N is two lines of text shown in the middle N frames, logo a small
    still box."""
    settings: tuple[str, ...] = tuple(SETTINGS)
    """Which of the settings."""
    inpainter: str = INPAINTER
    """A name, or module:attribute of your own."""
    plays: int = 1
    """How often each clip is played, every second time backwards."""


def run(flags: Videos) -> dict[str, Any]:
    """Measure all settings.

    Returns:
        ``suites``: per mask source its pairing, and per setting the means and every clip's metrics.

    Raises:
        InputError, UnknownNameError, MissingWeightsError: before any work starts.
    """
    for name in flags.settings:
        if name not in SETTINGS:
            raise InputError(f"unknown setting {name!r}: choose from {', '.join(SETTINGS)}")
    inpainter, policy = make_inpainter(flags.inpainter, device=flags.device), make_policy("default")
    suites = {masks: list(_pairs(flags, masks)) for masks in flags.masks}
    bar, advance = tables.progress("repairing", sum(map(len, suites.values())) * len(flags.settings))
    results: dict[str, Any] = {}
    with bar:
        for masks, pairs in suites.items():
            methods: dict[str, dict[str, dict[str, float]]] = {name: {} for name in flags.settings}
            for pair in pairs:
                reference = Reference(*pair.tensors())
                for name in flags.settings:
                    windows, passes, margins = SETTINGS[name]
                    detector = make_detector("compact" if passes > 1 else "none", device=flags.device)
                    loop = ClosedLoop(inpainter, detector, flags.device)
                    stream = Stream(LoopRepairer(loop, policy, passes, margins), windows)
                    methods[name][pair.name] = _scores(reference, pair, stream, windows)
                    advance()
            results[masks] = {
                "pairing": pairing([(pair.name, pair.digest) for pair in pairs]),
                "methods": {name: {"mean": _means(clips), "clips": clips} for name, clips in methods.items()},
            }
    settings = flags.asked()
    return envelope("videos", settings, suites=results)


def _pairs(flags: Videos, masks: str) -> Iterator[Pair]:
    """Clips with their holes, as long as they are to be played."""
    subtitle, _, shown = masks.partition(":")
    spec = "stationary" if subtitle == "subtitle" or masks == "logo" else masks
    for pair in flags.suite(spec):
        frames, holes = (_played(array, flags.plays) for array in (pair.frames, pair.holes))
        if subtitle == "subtitle":
            holes = subtitled(len(frames), flags.height, flags.width, int(shown or 12))
        elif masks == "logo":
            holes = with_logo(len(frames), flags.height, flags.width)
        yield Pair(pair.name, frames, holes, pair.digest)


def _played(array: NDArray[np.uint8], plays: int) -> NDArray[np.uint8]:
    turns = [array if turn % 2 == 0 else array[::-1] for turn in range(plays)]
    return np.concatenate([turns[0], *(turn[1:] for turn in turns[1:])])


def with_logo(length: int, height: int, width: int) -> NDArray[np.uint8]:
    """Masks ``(length, height, width)`` of a logo at the upper left: rows 8 to 38, columns 8 to 58 of 240x432."""
    masks = np.zeros((length, height, width), np.uint8)
    masks[:, height * 8 // 240 : height * 38 // 240, width * 8 // 432 : width * 58 // 432] = 1
    return masks


def subtitled(length: int, height: int, width: int, shown: int) -> NDArray[np.uint8]:
    """Masks ``(length, height, width)`` of two lines of words in the middle `shown` frames."""
    mask = np.zeros((height, width), np.uint8)
    for line, share in enumerate((0.6, 0.45)):
        top, left = round(height * (0.78 + 0.1 * line)), round(width * (1 - share) / 2)
        mask[top : top + round(height * 0.07), left : left + round(width * share)] = 1
    masks = np.zeros((length, height, width), np.uint8)
    start = max(0, (length - shown) // 2)
    masks[start : start + shown] = mask
    return masks


def _scores(reference: Reference, pair: Pair, stream: Stream, windows: Windows) -> dict[str, float]:
    began = time.process_time()
    repaired = np.stack(list(stream.run(zip(pair.frames, pair.holes > 0))))
    seconds = (time.process_time() - began) / len(repaired)
    measured = reference.measure(torch.from_numpy(repaired).permute(0, 3, 1, 2).float().div(255)[None])
    return measured | {"seam": _seam(repaired, pair, windows), "seconds_per_frame": seconds}


def _seam(repaired: NDArray[np.uint8], pair: Pair, windows: Windows) -> float:
    """The change of the error where windows end, over that elsewhere; NaN where there is one window."""
    error = repaired.astype(np.float32) - pair.frames
    both = (pair.holes[1:] > 0) & (pair.holes[:-1] > 0)
    changes = np.array([np.abs(b - a)[m].mean() if m.any() else np.nan for a, b, m in zip(error, error[1:], both)])
    hop = windows.length - windows.overlap
    ends = range(windows.length, len(repaired), hop)
    at_end = {frame - back for frame in ends for back in range(1, windows.overlap + 2)} & set(range(len(changes)))
    if not at_end:
        return float("nan")
    kinds = (changes[sorted(at_end)], np.delete(changes, sorted(at_end)))
    ends_at, elsewhere = (kind[np.isfinite(kind)] for kind in kinds)
    return float(ends_at.mean() / elsewhere.mean()) if len(ends_at) and len(elsewhere) else float("nan")


def _means(clips: dict[str, dict[str, float]]) -> dict[str, float]:
    names = next(iter(clips.values()))
    known = {name: [scores[name] for scores in clips.values() if np.isfinite(scores[name])] for name in names}
    return {name: float(np.mean(values)) if values else float("nan") for name, values in known.items()}


def report(results: Mapping[str, Any]) -> None:
    """Print a table per mask source."""
    for spec, suite in results["suites"].items():
        rows = [tables.metric_row(name, entry["mean"], SHOWN) for name, entry in suite["methods"].items()]
        caption = f"mean over {len(suite['pairing']['pairs'])} clips; pairing {suite['pairing']['digest']}"
        columns = [tables.TITLES.get(name, name) for name in SHOWN]
        tables.show(f"{results['settings']['clips']} under {spec} masks", ["setting", *columns], rows, caption)


if __name__ == "__main__":
    tables.main(Videos, run, report, __doc__ or "")
