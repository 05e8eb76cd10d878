"""Progressive high resolution, measured: PSNR in the hole level by level, and the peak memory.

    python -m videoinpaint.benchmarks.repair.internal_highres --clip FOLDER       a real clip, enlarged
    python -m videoinpaint.benchmarks.repair.internal_highres                     a synthetic panorama with detail at 4K
    python -m videoinpaint.benchmarks.repair.internal_highres --picture FILE      a pan over a photograph of your own

Frames are made when they are read, so that the memory reported is the method's.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from videoinpaint.benchmarks.protocol import tables
from videoinpaint.benchmarks.protocol.envelope import envelope
from videoinpaint.benchmarks.protocol.flags import Computing
from videoinpaint.boxes import box_of
from videoinpaint.clips import make_clips
from videoinpaint.clips.files.images import read_image, resize_frames
from videoinpaint.clips.files.sequences import FrameSequence, ImageFolder
from videoinpaint.inpainters.internal.highres import repair_progressively
from videoinpaint.inpainters.internal.patches import Progressive
from videoinpaint.inpainters.internal.trainer import Internal
from videoinpaint.memory import peak_bytes
from videoinpaint.metrics import lpips_hole, psnr_hole, ssim_hole

Pixels = NDArray[np.uint8]
MARGIN = 16  # known pixels around a hole that metrics see


@dataclass(frozen=True, kw_only=True)
class InternalHighRes(Computing):
    """What to repair at which size."""

    clip: Path | None = None
    """A folder of frames to enlarge; by default a synthetic panorama."""
    picture: Path | None = None
    """A large photograph to pan over, instead of the synthetic picture."""
    num_frames: int = 3
    """Frames of the clip."""
    height: int = 540
    """Height of a patch, and of the coarsest level; every further level doubles it."""
    width: int = 960
    """Likewise."""
    steps: tuple[int, ...] = (40, 20, 20)
    """Training steps of every level: three levels from 960x540 reach 3840x2160."""
    detail: bool = True
    """Add to finer levels what other frames show there; the publication has the network alone."""
    network: Internal = field(default_factory=lambda: Internal(pool=2))
    """The network and its training."""
    seed: int = 0
    """Of the panorama and the training."""
    results: Path | None = None
    """Keep every level's frames here as PNG, and those of the truth and of Telea."""


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
        picture: a photograph instead, cut about its centre to the aspect and scaled.
    """

    name = "panorama"

    def __init__(self, count: int, size: tuple[int, int], seed: int = 0, picture: Path | None = None) -> None:
        self.count, self.size, self.step = count, size, max(2, size[1] // 60)
        width = size[1] + self.step * count
        if picture is not None:
            self.picture = resize_frames(read_image(picture)[None], size[0], width)[0]
            return
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
        ``levels``, ``telea``: metrics in the hole, each level enlarged to the last size (the first is what plain
        enlarging gives); ``memory_mb``: the process's peak before and after, and for comparison a frame as bytes and
        the clip as float32; ``cpu_seconds``.

    Raises:
        InputError: the clip cannot be read.
    """
    settings = Progressive(
        (flags.height, flags.width), flags.steps, replace(flags.network, seed=flags.seed), detail=flags.detail
    )
    size = settings.sizes()[-1]
    if flags.clip is None:
        frames: FrameSequence = Panorama(flags.num_frames, size, flags.seed, flags.picture)
    else:
        frames = Enlarged(ImageFolder(flags.clip), flags.num_frames, size)
    holes = MovingHole(len(frames), size)
    before, began = peak_mb(), time.process_time()
    bar, advance = tables.progress("training", sum(flags.steps))
    with tempfile.TemporaryDirectory() as temporary, bar:
        folder = flags.results or Path(temporary)
        for _ in repair_progressively(frames, holes, folder, settings, lambda *_: advance(), flags.device):
            pass
        after, seconds = peak_mb(), time.process_time() - began
        levels = [scores(level_frames(folder / f"level-{n}"), frames, holes) for n in range(len(flags.steps))]
        telea = scores(telea_frames(frames, holes, flags.results and folder / "telea"), frames, holes)
        if flags.results is not None:
            for index in range(len(frames)):
                write_picture(folder / "truth" / f"{index:05d}.png", frames.read(index, 1)[0])
    megabyte = size[0] * size[1] / 2**20
    chosen = flags.asked("results")
    memory = {"before": before, "peak": after, "frame": 3 * megabyte, "clip_as_float32": len(frames) * 12 * megabyte}
    return envelope("internal_highres", chosen, size=list(size), levels=levels, telea=telea, memory_mb=memory,
                    cpu_seconds=seconds)  # fmt: skip


def level_frames(folder: Path) -> Iterator[Pixels]:
    """A level's frames in order."""
    for path in sorted(folder.glob("*.png")):
        yield read_image(path)


def telea_frames(frames: FrameSequence, holes: FrameSequence, folder: Path | None) -> Iterator[Pixels]:
    """Telea's repair at full size, frame by frame, kept in the folder if there is one."""
    for index in range(len(frames)):
        made = cv2.inpaint(frames.read(index, 1)[0], holes.read(index, 1)[0], 5, cv2.INPAINT_TELEA)
        if folder is not None:
            write_picture(folder / f"{index:05d}.png", np.asarray(made, np.uint8))
        yield np.asarray(made, np.uint8)


def write_picture(path: Path, frame: Pixels) -> None:
    """Write a frame ``(H, W, 3)``, RGB."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))


@torch.no_grad()
def scores(made: Iterator[Pixels], frames: FrameSequence, holes: FrameSequence) -> dict[str, float]:
    """Frames of any level, enlarged, inside the holes against the true ones: means of PSNR in dB, SSIM and LPIPS.

    Only the hole's surroundings are compared, so that memory does not grow with the frame.
    """
    measures = {"psnr_hole": psnr_hole, "ssim_hole": ssim_hole, "lpips_hole": lpips_hole}
    found: dict[str, list[float]] = {name: [] for name in measures}
    for index, frame in enumerate(made):
        truth, hole = frames.read(index, 1)[0], holes.read(index, 1)[0]
        box = box_of(hole)
        if box is None:
            continue
        cut = slice(max(0, box[0] - MARGIN), box[2] + MARGIN), slice(max(0, box[1] - MARGIN), box[3] + MARGIN)
        large = np.asarray(cv2.resize(frame, truth.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.uint8)
        a, b = (torch.from_numpy(x[cut].copy()).permute(2, 0, 1)[None, None].float() / 255 for x in (large, truth))
        marked = torch.from_numpy(hole[cut].copy()).float()[None, None, None]
        written = torch.where(marked > 0, a, b)
        for name, measure in measures.items():
            found[name].append(float(measure(written, b, marked).nanmean()))
    return {name: float(np.mean(values)) for name, values in found.items()}


def peak_mb() -> float:
    """The most memory this process has held, in MiB."""
    return peak_bytes() / 2**20


def report(results: Mapping[str, Any]) -> None:
    """Print the levels and the memory."""
    chosen, memory = results["settings"], results["memory_mb"]
    rows = []
    for level, found in enumerate(results["levels"]):
        scale = 2**level
        name = f"{chosen['width'] * scale}x{chosen['height'] * scale}"
        rows.append([name + (", enlarged" if level == 0 else ""), str(chosen["steps"][level]), *_numbers(found)])
    rows.append(["Telea", "", *_numbers(results["telea"])])
    tables.show(
        f"{chosen['clip'] or chosen['picture'] or 'synthetic panorama'}, {chosen['num_frames']} frames",
        ["level", "steps", "PSNR hole, dB", "SSIM hole", "LPIPS hole"], rows,
        f"peak memory {memory['peak']:.0f} MiB ({memory['before']:.0f} before; a frame is {memory['frame']:.0f}, the "
        f"clip as float32 {memory['clip_as_float32']:.0f}); {results['cpu_seconds']:.0f} CPU seconds",
    )  # fmt: skip


def _numbers(found: Mapping[str, float]) -> list[str]:
    return [f"{found['psnr_hole']:.2f}", f"{found['ssim_hole']:.4f}", f"{found['lpips_hole']:.4f}"]


if __name__ == "__main__":
    tables.main(InternalHighRes, run, report, __doc__ or "")
