"""What the same hole costs in a large video and in a small one, in time and in memory.

    python -m videoinpaint.benchmarks.repair.large_frames --threads 1 --output large_frames.json

The small video is a part of the large one, so that the hole has the same surroundings. Each is repaired from file to
file in a process of its own, as by `videoinpaint inpaint`, and, in another, only read and written, which no repair can
avoid. Told are the seconds that the processor computes and those that pass, which are fewer where it has several cores:
what is read and written is so beside the repair.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from videoinpaint.benchmarks.protocol import tables
from videoinpaint.benchmarks.protocol.apart import apart
from videoinpaint.benchmarks.protocol.envelope import envelope, set_threads
from videoinpaint.benchmarks.protocol.flags import Computing
from videoinpaint.clips.files.video import VideoReader, VideoWriter
from videoinpaint.errors import InputError
from videoinpaint.memory import peak_bytes
from videoinpaint.repair.given_masks import inpaint_stream
from videoinpaint.threads import ahead, behind

WORK = ("copied", "repaired")
MEASURED = ("seconds", "passed", "peak")


@dataclass(frozen=True, kw_only=True)
class LargeFrames(Computing):
    """What to repair."""

    large: tuple[int, int] = (1080, 1920)
    """Height and width of the large video, pixels."""
    small: tuple[int, int] = (240, 432)
    """Height and width of the small video, pixels."""
    hole: tuple[int, int] = (60, 200)
    """Height and width of the hole, pixels; it stands in the middle."""
    num_frames: int = 48
    """Frames of either."""
    step: float = 1.5
    """Pixels a frame by which the camera pans."""
    inpainter: str = "compact"
    """A name, or module:attribute of your own."""
    device: str = "cpu"
    """cpu or cuda; memory is that of the host."""
    threads: int = 2
    """CPU threads."""


def run(flags: LargeFrames) -> dict[str, Any]:
    """Repair both videos; see the module's description.

    Returns:
        ``seconds`` (that the processor computes), ``passed`` (seconds, too) and ``peak`` (bytes) of what is `WORK`, for
        ``large`` and ``small``; ``ratios`` of the two, of the whole and of what repairing adds to reading and writing.

    Raises:
        InputError: the hole does not fit into the small video, or that not into the large one.
    """
    if not all(0 < h < s <= g for h, s, g in zip(flags.hole, flags.small, flags.large)):
        raise InputError(
            f"a hole of {flags.hole} in {flags.small} in {flags.large} pixels: each must fit into the next"
        )
    found: dict[str, dict[str, dict[str, float]]] = {kind: {} for kind in MEASURED}
    with tempfile.TemporaryDirectory() as folder:
        for name, size in (("large", flags.large), ("small", flags.small)):
            path = Path(folder) / f"{name}.mp4"
            _write(path, _panned(flags, size))
            for work in WORK:
                for kind, value in zip(MEASURED, apart(_work, flags, path, size, work), strict=True):
                    found[kind].setdefault(name, {})[work] = value
    ratios = {kind: found[kind]["large"]["repaired"] / found[kind]["small"]["repaired"] for kind in MEASURED}
    added = {name: work["repaired"] - work["copied"] for name, work in found["seconds"].items()}
    ratios["seconds added"] = added["large"] / added["small"]
    settings = flags.asked()
    return envelope("large_frames", settings, **dict[str, Any](found), ratios=ratios)


def _panned(flags: LargeFrames, size: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
    """The middle of a scene that pans to the left."""
    rng = np.random.default_rng(0)
    height, width = flags.large[0], flags.large[1] + int(flags.step * flags.num_frames) + 2
    scene = np.zeros((height, width, 3), np.float32)
    for cell, share in ((96, 90), (24, 50), (6, 30)):
        coarse = rng.random((height // cell + 2, width // cell + 2, 3), np.float32)
        scene += share * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    top, left = ((whole - part) // 2 for whole, part in zip(flags.large, size))
    for number in range(flags.num_frames):
        shift = np.array([[1, 0, -left - flags.step * number], [0, 1, -top]])
        yield cv2.warpAffine(scene, shift, size[::-1], flags=cv2.INTER_LINEAR).clip(0, 255).astype(np.uint8)


def _write(path: Path, frames: Iterator[NDArray[np.uint8]], source: VideoReader | None = None) -> None:
    with VideoWriter(path, None if source else 24, source=source) as writer, behind(writer.write) as write:
        for frame in frames:
            write(frame)


def _work(flags: LargeFrames, path: Path, size: tuple[int, int], work: str) -> tuple[float, float, int]:
    set_threads(flags.threads)
    mask = np.zeros(size, np.uint8)
    top, left = ((whole - part) // 2 for whole, part in zip(size, flags.hole))
    mask[top : top + flags.hole[0], left : left + flags.hole[1]] = 1
    source = VideoReader(path)
    computed, began = time.process_time(), time.perf_counter()
    frames: Iterator[NDArray[np.uint8]] = ahead(source.frames())
    if work == "repaired":
        masks = (mask for _ in range(flags.num_frames))
        frames = inpaint_stream(frames, masks, inpainter=flags.inpainter, device=flags.device)
    _write(path.with_name(f"{path.stem}-{work}.mp4"), frames, source)
    return time.process_time() - computed, time.perf_counter() - began, peak_bytes()


def report(results: Mapping[str, Any]) -> None:
    """Print times, memory and ratios."""
    settings, rows = results["settings"], []
    for name in ("large", "small"):
        height, width = settings[name]
        for work in WORK:
            times = [results[kind][name][work] / settings["num_frames"] for kind in ("seconds", "passed")]
            cells = [*map(tables.number, times), tables.number(results["peak"][name][work] / 1e6, 0)]
            rows.append([f"{width}x{height}, {work}", *cells])
    told = ", ".join(f"{name} {ratio:.2f}" for name, ratio in results["ratios"].items())
    hole = f"a hole of {settings['hole'][1]}x{settings['hole'][0]}, {settings['num_frames']} frames, "
    tables.show(
        "large frames", ["", "CPU s/frame", "s/frame", "peak, MB"], rows,
        f"{hole}{settings['threads']} threads, {settings['device']}; large / small: {told}",
    )  # fmt: skip


if __name__ == "__main__":
    tables.main(LargeFrames, run, report, __doc__ or "")
