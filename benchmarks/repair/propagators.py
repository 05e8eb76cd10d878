"""A mask given on the first frame alone, carried through the clip by every propagator: J&F against the true masks.

    python -m videoinpaint.benchmarks.repair.propagators --clips FOLDER --truth FOLDER
    python -m videoinpaint.benchmarks.repair.propagators --clips one_shot --every 25 --methods flow

TRUTH holds, for each clip of the same name, one mask picture a frame; one-shot clips know their own. The given frame is
not counted. The second table counts the frames that the warning about doubtful masks names. Beside the propagators by
name: ``warped`` (the first mask carried by optical flow and nothing else) and ``published`` (internal learning as it
was published, without variation of the pasted copies).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from videoinpaint.benchmarks.protocol import tables
from videoinpaint.benchmarks.protocol.envelope import envelope
from videoinpaint.benchmarks.protocol.flags import Computing
from videoinpaint.clips import make_clips
from videoinpaint.clips.files.images import resize_masks
from videoinpaint.clips.masks.sequences import open_masks
from videoinpaint.clips.types import Clip
from videoinpaint.errors import InputError
from videoinpaint.inpainters.internal.masks import MaskLearner, MaskTraining
from videoinpaint.inpainters.propagators import make_propagator
from videoinpaint.metrics import contour_accuracy, region_similarity
from videoinpaint.motion.flow import dis_flow, warp
from videoinpaint.repair.doubts import doubts

METHODS = ("held", "warped", "published", "internal", "flow", "appearance")


@dataclass(frozen=True, kw_only=True)
class Propagators(Computing):
    """Which clips, which propagators, and how long to learn each object."""

    clips: str
    """A folder of clips, or one_shot."""
    truth: Path | None = None
    """A folder with a folder of true masks for every clip to measure; none for one-shot clips."""
    every: int = 1
    """Every so many of the clips."""
    methods: tuple[str, ...] = METHODS
    """Propagators by name or module:attribute (cutie needs its package and weights), warped, published."""
    steps: int = 400
    """Training steps for each clip, of what learns internally."""
    width_factor: float = 0.25
    """Factor on the internal network's channels."""
    num_frames: int = 24
    """Frames of each clip."""
    height: int = 120
    """Pixels."""
    width: int = 216
    """Pixels."""
    seed: int = 0
    """Of the training."""


def run(flags: Propagators) -> dict[str, Any]:
    """Measure every clip that has true masks; see the module's description.

    Raises:
        InputError: no clip has true masks, or a folder cannot be read.
    """
    source = make_clips(flags.clips)
    truth = flags.truth
    names = [name for name in source.names() if truth is None or (truth / name).is_dir()][:: max(1, flags.every)]
    if not names:
        raise InputError(f"no clip of {flags.clips} has a folder of masks in {truth}")
    predictors = {name: _predictor(name, flags) for name in flags.methods}
    clips = {}
    bar, advance = tables.progress("propagating", len(names))
    with bar:
        for name in names:
            clip = source.load(name, flags.num_frames, flags.height, flags.width)
            clips[name] = _measured(predictors, *_shown(clip, truth, flags), flags.device)
            advance()
    chosen = flags.asked()
    return envelope("propagators", chosen, clips=clips)


def _shown(clip: Clip, truth: Path | None, flags: Propagators) -> tuple[np.ndarray, np.ndarray]:
    """What a propagator looks at, and the true masks."""
    if truth is not None:
        masks = open_masks(truth / clip.name).read(clip.start, len(clip.frames))
        return clip.frames, resize_masks(masks, flags.height, flags.width)
    if clip.observed is None or clip.objects is None:
        raise InputError(f"clip {clip.name!r} does not know its target: give --truth, or one-shot clips")
    return clip.observed, clip.objects


def _predictor(name: str, flags: Propagators) -> Callable[[Tensor, Tensor], Tensor]:
    training = MaskTraining(flags.width_factor, flags.steps, seed=flags.seed)
    if name == "warped":
        return flowed
    if name == "published":
        plain = MaskTraining(flags.width_factor, flags.steps, vary=False, both=False, seed=flags.seed)
        return lambda frames, first: _learnt(plain, frames, first)
    options: dict[str, Any] = {"training": training} if name == "internal" else {}
    propagator = make_propagator(name, device=flags.device, **options)
    return lambda frames, first: propagator.start(frames, first).masks()


def _measured(
    predictors: Mapping[str, Callable[[Tensor, Tensor], Tensor]], shown: np.ndarray, truth: np.ndarray, device: str
) -> dict[str, dict[str, float]]:
    frames = torch.from_numpy(shown).to(device).permute(0, 3, 1, 2).float().div(255)
    true = torch.from_numpy(np.ascontiguousarray(truth)).float()[:, None]
    scores = {}
    for name, predict in predictors.items():
        began = time.process_time()
        with torch.no_grad():
            found = predict(frames, true[0].to(device)).cpu()
        spent = time.process_time() - began
        j, f = (float(measure(found[None, 1:], true[None, 1:]).mean()) for measure in
                (region_similarity, contour_accuracy))  # fmt: skip
        scores[name] = {"j": j, "f": f, "j_and_f": (j + f) / 2, "cpu_seconds": spent}
        scores[name] |= _doubted(found[:, 0].float().numpy(), true[:, 0].numpy() > 0.5)
    return scores


def _doubted(found: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Frames ``wrong`` and ``named`` by the warning, and those ``named_wrong``: both.

    Wrong is a frame that misses a quarter of the target, or has a J below 0.65, where more than a sliver is at stake.
    """
    masks = found > 0.5
    areas, overlap = true.sum((1, 2)), (masks & true).sum((1, 2))
    missed = overlap < 0.75 * areas
    apart = overlap < 0.65 * (masks | true).sum((1, 2))
    sliver = np.maximum(areas, masks.sum((1, 2))) < max(30, 0.05 * areas[0])
    wrong, named = (missed | apart) & ~sliver, np.zeros(len(found), bool)
    named[[frame for frames in doubts(found).values() for frame in frames]] = True
    wrong[0] = named[0] = False
    return {"wrong": float(wrong.sum()), "named": float(named.sum()), "named_wrong": float((wrong & named).sum())}


def _learnt(config: MaskTraining, frames: Tensor, mask: Tensor) -> Tensor:
    learner = MaskLearner(config, frames[0], mask)
    learner.train()
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
    """Print J&F of every clip and method, the means of J and F, and the time."""
    clips, chosen = results["clips"], results["settings"]
    methods = list(chosen["methods"])
    rows = [[name, *(f"{clip[m]['j_and_f']:.3f}" for m in methods)] for name, clip in clips.items()]
    for key, title, digits in (
        ("j_and_f", "mean J&F", 3), ("j", "mean J", 3), ("f", "mean F", 3), ("cpu_seconds", "CPU s a clip", 1),
    ):  # fmt: skip
        rows.append([title, *(f"{np.mean([clip[m][key] for clip in clips.values()]):.{digits}f}" for m in methods)])
    tables.show(
        "J&F, the first frame's mask given and not counted", ["clip", *methods], rows,
        f"{chosen['num_frames']} frames of {chosen['width']}x{chosen['height']}; {chosen['steps']} steps of "
        "internal training",
    )  # fmt: skip
    told = []
    for m in methods:
        wrong, named, both = (sum(clip[m][key] for clip in clips.values()) for key in ("wrong", "named", "named_wrong"))
        bad = [clip[m] for clip in clips.values() if clip[m]["wrong"]]
        good = [clip[m] for clip in clips.values() if not clip[m]["wrong"]]
        share = [f"{sum(one['named'] > 0 for one in group)} of {len(group)}" for group in (bad, good)]
        told.append([m, *(f"{count:.0f}" for count in (wrong, both, named - both, wrong - both)), *share])
    columns = ["wrong", "named, wrong", "named, right", "wrong, not named", "bad clips named", "good clips named"]
    tables.show("frames that the warning names", ["", *columns], told)


if __name__ == "__main__":
    tables.main(Propagators, run, report, __doc__ or "")
