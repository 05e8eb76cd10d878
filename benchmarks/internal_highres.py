"""Progressive high resolution, measured: PSNR in the hole level by level, and the peak memory.

    python -m videoinpaint.benchmarks.internal_highres --clip FOLDER       a real clip, enlarged
    python -m videoinpaint.benchmarks.internal_highres                     a synthetic panorama with detail at 4K

Frames are made when they are read, so that the memory reported is the method's.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from videoinpaint.benchmarks import tables
from videoinpaint.benchmarks.protocol import envelope
from videoinpaint.clips import make_clips
from videoinpaint.clips.images import read_image
from videoinpaint.clips.sequences import FrameSequence, ImageFolder
from videoinpaint.inpainters.internal.highres import Progressive, repair_progressively
from videoinpaint.inpainters.internal.trainer import Internal

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class InternalHighRes:
    """What to repair at which size."""

    clip: Path | None = None
    """A folder of frames to enlarge; by default a synthetic panorama."""
    num_frames: int = 3
    """Frames of the clip."""
    height: int = 540
    """Height of a patch, and of the coarsest level; every further level doubles it."""
    width: int = 960
    """Likewise."""
    steps: tuple[int, ...] = (40, 20, 20)
    """Training steps of every level: three levels from 960x540 reach 3840x2160."""
    network: Internal = field(default_factory=lambda: Internal(pool=2))
    """The network and its training."""
    seed: int = 0
    """Of the panorama and the training."""
    threads: int = 1
    """CPU threads."""
    output: Path | None = None
    """Write everything measured here, as JSON."""


class Enlarged:
    """A clip enlarged frame by frame.

    Args:
        source: the frames.
        count: how many of them.
        size: height and width.
    """

    def __init__(self, source: FrameSequence, count: int, size: tuple[int, int]) -> None:
        self.source, self.count, self.size, self.name = source, min(count, len(source)), size, source.name

    def __len__(self) -> int:
        """The number of frames."""
        return self.count

    def read(self, start: int, count: int, stride: int = 1) -> Pixels:
        """Frames uint8 ``(count, H, W, 3)``."""
        frames = self.source.read(start, count, stride)
        return np.stack([cv2.resize(f, self.size[::-1], interpolation=cv2.INTER_CUBIC) for f in frames]).astype(
            np.uint8
        )


class Panorama:
    """A camera that pans over one large picture: a studio frame, enlarged, with fine texture at full resolution.

    Args:
        count: frames.
        size: height and width of a frame.
        seed: of the picture.
    """

    name = "panorama"

    def __init__(self, count: int, size: tuple[int, int], seed: int = 0) -> None:
        self.count, self.size, self.step = count, size, max(2, size[1] // 60)
        width = size[1] + self.step * count
        base = make_clips("studio:easy").load(f"studio-easy-{seed:06d}", 2, 135, 240).frames[0]
        large = cv2.resize(base, (width, size[0]), interpolation=cv2.INTER_CUBIC)
        rng = np.random.default_rng(seed)
        grain = cv2.resize(rng.integers(-20, 21, (size[0] // 3, width // 3)).astype(np.int8).view(np.uint8),
                           (width, size[0]), interpolation=cv2.INTER_NEAREST).view(np.int8)  # fmt: skip
        for row in range(size[0]):  # row by row: the picture is large, and this is to cost no second copy of it
            large[row] = np.clip(large[row].astype(np.int16) + grain[row][:, None], 0, 255)
        self.picture = large

    def __len__(self) -> int:
        """The number of frames."""
        return self.count

    def read(self, start: int, count: int, stride: int = 1) -> Pixels:
        """Frames uint8 ``(count, H, W, 3)``."""
        lefts = [self.step * (start + i * stride) for i in range(count)]
        return np.stack([self.picture[:, left : left + self.size[1]] for left in lefts])


class MovingHole:
    """An ellipse, a sixth of the height and of the width, that crosses the frame against a pan.

    Args:
        count: frames.
        size: height and width.
    """

    name = "moving hole"

    def __init__(self, count: int, size: tuple[int, int]) -> None:
        self.count, self.size = count, size

    def __len__(self) -> int:
        """The number of frames."""
        return self.count

    def read(self, start: int, count: int, stride: int = 1) -> Pixels:
        """Masks uint8 ``(count, H, W)``."""
        height, width = self.size
        masks = np.zeros((count, height, width), np.uint8)
        for i, mask in enumerate(masks):
            column = round(width * (0.4 + 0.2 * (start + i * stride) / max(1, self.count - 1)))
            cv2.ellipse(mask, (column, height // 2), (width // 12, height // 12), 20, 0, 360, 1, -1)
        return masks


def run(flags: InternalHighRes) -> dict[str, Any]:
    """Repair and measure; see the module's description.

    Returns:
        ``levels``: PSNR in dB in the hole, each level enlarged to the last size; ``memory_mb``: the process's peak
        before and after, and one float32 copy of the clip for comparison; ``seconds``.

    Raises:
        InputError: the clip cannot be read.
    """
    settings = Progressive((flags.height, flags.width), flags.steps, replace(flags.network, seed=flags.seed))
    size = settings.sizes()[-1]
    if flags.clip is None:
        frames: FrameSequence = Panorama(flags.num_frames, size, flags.seed)
    else:
        frames = Enlarged(ImageFolder(flags.clip), flags.num_frames, size)
    holes = MovingHole(len(frames), size)
    before, began = peak_mb(), time.process_time()
    bar, advance = tables.progress("training", sum(flags.steps))
    with tempfile.TemporaryDirectory() as folder, bar:
        for index, _ in enumerate(repair_progressively(frames, holes, Path(folder), settings, lambda *_: advance())):
            del index
        after, seconds = peak_mb(), time.process_time() - began
        levels = [level_psnr(Path(folder) / f"level-{level}", frames, holes) for level in range(len(flags.steps))]
    whole = len(frames) * size[0] * size[1] * 12 / 2**20
    chosen = {name: value for name, value in asdict(flags).items() if name != "output"}
    memory = {"before": before, "peak": after, "clip_as_float32": whole}
    return envelope("internal_highres", chosen, size=list(size), levels=levels, memory_mb=memory, cpu_seconds=seconds)


def level_psnr(folder: Path, frames: FrameSequence, holes: FrameSequence) -> float:
    """PSNR in dB inside the holes of a level's frames, enlarged, against the true frames; one at a time."""
    total, count = 0.0, 0
    for index in range(len(frames)):
        truth, hole = frames.read(index, 1)[0], holes.read(index, 1)[0] > 0
        made = cv2.resize(read_image(folder / f"{index:05d}.png"), truth.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        total += float(np.square(made[hole].astype(np.float64) - truth[hole]).sum())
        count += 3 * int(hole.sum())
    return float(10 * np.log10(255**2 * count / max(total, 1e-9)))


def peak_mb() -> float:
    """The most memory this process has held, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def report(results: Mapping[str, Any]) -> None:
    """Print the levels and the memory."""
    chosen, memory = results["settings"], results["memory_mb"]
    rows = []
    for level, psnr in enumerate(results["levels"]):
        scale = 2**level
        size = f"{chosen['width'] * scale}x{chosen['height'] * scale}"
        rows.append([size, str(chosen["steps"][level]), f"{psnr:.2f}"])
    tables.show(
        f"{chosen['clip'] or 'synthetic panorama'}, {chosen['num_frames']} frames", ["level", "steps", "PSNR hole, dB"],
        rows, f"peak memory {memory['peak']:.0f} MiB ({memory['before']:.0f} before; the clip as float32 is "
        f"{memory['clip_as_float32']:.0f}); {results['cpu_seconds']:.0f} CPU seconds",
    )  # fmt: skip


if __name__ == "__main__":
    tables.main(InternalHighRes, run, report, __doc__ or "")
