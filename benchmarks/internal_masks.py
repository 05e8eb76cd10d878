"""A mask given on the first frame alone, carried through the clip by internal learning: J&F against the true masks.

    python -m videoinpaint.benchmarks.internal_masks --clips FOLDER --truth FOLDER

TRUTH holds, for each clip of the same name, one mask picture a frame. The given frame is not counted.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from videoinpaint.benchmarks import tables
from videoinpaint.benchmarks.protocol import envelope
from videoinpaint.clips import make_clips
from videoinpaint.clips.images import resize_masks
from videoinpaint.clips.mask_files import open_masks
from videoinpaint.clips.types import Clip
from videoinpaint.errors import InputError
from videoinpaint.flow import dis_flow, warp
from videoinpaint.inpainters.internal.masks import MaskLearner, MaskTraining, followed
from videoinpaint.metrics import contour_accuracy, region_similarity

METHODS = ("first mask held", "optical flow", "internal, published", "internal", "internal, followed")


@dataclass(frozen=True)
class InternalMasks:
    """Which clips, and how long to learn each object."""

    clips: Path
    """A folder of clips."""
    truth: Path
    """A folder with a folder of true masks for every clip to measure."""
    steps: int = 400
    """Training steps for each clip."""
    width: float = 0.25
    """Factor on the paper's channels."""
    num_frames: int = 24
    """Frames of each clip."""
    height: int = 120
    """Pixels."""
    width_pixels: int = 216
    """Pixels."""
    seed: int = 0
    """Of the training."""
    threads: int = 1
    """CPU threads."""
    output: Path | None = None
    """Write everything measured here, as JSON."""


def run(flags: InternalMasks) -> dict[str, Any]:
    """Measure every clip that has true masks; see the module's description.

    Raises:
        InputError: no clip has true masks, or a folder cannot be read.
    """
    source = make_clips(str(flags.clips))
    names = [name for name in source.names() if (flags.truth / name).is_dir()]
    if not names:
        raise InputError(f"no clip of {flags.clips} has a folder of masks in {flags.truth}")
    clips = {}
    bar, advance = tables.progress("propagating", len(names))
    with bar:
        for name in names:
            clip = source.load(name, flags.num_frames, flags.height, flags.width_pixels)
            masks = open_masks(flags.truth / name).read(clip.start, len(clip.frames))
            clips[name] = _measured(flags, clip, resize_masks(masks, flags.height, flags.width_pixels))
            advance()
    chosen = {name: value for name, value in asdict(flags).items() if name != "output"}
    return envelope("internal_masks", chosen, clips=clips)


def _measured(flags: InternalMasks, clip: Clip, truth: np.ndarray) -> dict[str, dict[str, float]]:
    frames = torch.from_numpy(clip.frames).permute(0, 3, 1, 2).float().div(255)
    true = torch.from_numpy(np.ascontiguousarray(truth)).float()[:, None]
    config = MaskTraining(flags.width, flags.steps, seed=flags.seed)
    began = time.process_time()
    found = _learnt(config, frames, true[0])
    spent = time.process_time() - began
    masks = {
        "first mask held": true[:1].expand_as(true),
        "optical flow": flowed(frames, true[0]),
        "internal, published": _learnt(replace(config, vary=False, both=False), frames, true[0]),
        "internal": found,
        "internal, followed": followed(found),
    }
    scores = {}
    for name in METHODS:
        j, f = (measure(masks[name][None, 1:], true[None, 1:]).mean() for measure in
                (region_similarity, contour_accuracy))  # fmt: skip
        scores[name] = {"j": float(j), "f": float(f), "j_and_f": float(j + f) / 2}
    return scores | {"cpu_seconds": {"internal": spent}}


def _learnt(config: MaskTraining, frames: Tensor, mask: Tensor) -> Tensor:
    learner = MaskLearner(config, frames, mask)
    for _ in learner.train():
        pass
    found = (learner.probabilities(frames) > 0.5).float()
    found[0] = mask
    return found


def flowed(frames: Tensor, mask: Tensor) -> Tensor:
    """The first mask carried from frame to frame by optical flow, ``(T, 1, H, W)`` in {0, 1}: a baseline."""
    back = dis_flow(frames[1:], frames[:-1])
    masks = [mask]
    for flow in back:
        masks.append((warp(masks[-1][None], flow[None])[0] > 0.5).float())
    return torch.stack(masks)


def report(results: Mapping[str, Any]) -> None:
    """Print J&F of every clip and method, and the means of J and F."""
    clips = results["clips"]
    rows = [[name, *(f"{clip[m]['j_and_f']:.3f}" for m in METHODS)] for name, clip in clips.items()]
    for key, title in (("j_and_f", "mean J&F"), ("j", "mean J"), ("f", "mean F")):
        rows.append([title, *(f"{np.mean([clip[m][key] for clip in clips.values()]):.3f}" for m in METHODS)])
    chosen = results["settings"]
    spent = np.mean([clip["cpu_seconds"]["internal"] for clip in clips.values()])
    tables.show(
        "J&F, the first frame's mask given and not counted", ["clip", *METHODS], rows,
        f"{chosen['num_frames']} frames of {chosen['width_pixels']}x{chosen['height']}; {chosen['steps']} steps, "
        f"{spent:.0f} CPU seconds a clip",
    )  # fmt: skip


if __name__ == "__main__":
    tables.main(InternalMasks, run, report, __doc__ or "")
