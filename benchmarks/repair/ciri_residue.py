"""Whether CIRI's residue detector sees what a repair leaves of a target: average precision against the true residue.

    python -m videoinpaint.benchmarks.repair.ciri_residue --clips one_shot:FOLDER#MASKS

Every clip's masks are falsified (one kind of error after the other), grown by two pixels as an inpainter's holes are,
and repaired: with the true background (*truth*: only what lies outside the hole can be found), by propagation, and by
the compact network. Residue is what the holes leave of the target. Scores are compared within the search boxes, the
first frame excepted. A constant scores the share of residue. Clips whose masks leave nothing count as clean, as does a
second repair of every clip under the exact masks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.cluster import KMeans
from sklearn.metrics import average_precision_score
from torch import Tensor

from videoinpaint.benchmarks.protocol import tables
from videoinpaint.benchmarks.protocol.envelope import envelope
from videoinpaint.benchmarks.protocol.flags import AutoComputing, VideoSize
from videoinpaint.benchmarks.protocol.statistics import mean_interval
from videoinpaint.checks import MAX_COUNT, whole_number
from videoinpaint.clips import make_clips
from videoinpaint.clips.masks.inaccurate import MASK_ERRORS, inaccurate
from videoinpaint.controls import HIGH, LOW
from videoinpaint.device import resolve_device
from videoinpaint.errors import InputError
from videoinpaint.inpainters import make_inpainter
from videoinpaint.inpainters.ciri.crops import TEMPLATE, crop, laid_back, scaled, search_boxes, target_box
from videoinpaint.inpainters.ciri.residue import GREY, ResidueDetector, load_residue_detector, residue_maps, template_of
from videoinpaint.inpainters.ciri.residue_pretraining import tensors
from videoinpaint.motion.neighbourhoods import window_max
from videoinpaint.protocols import Inpainter

LEAST = 50
"""Pixels of residue below which a clip counts as clean."""
BASELINES = ("colour of the target", "palette of the target", "difference to the template")


@dataclass(frozen=True, kw_only=True)
class ResiduePrecision(VideoSize, AutoComputing):
    """What to find in what."""

    clips: str = "one_shot"
    """A source of one-shot clips."""
    inpainters: tuple[str, ...] = ("truth", "propagation", "compact")
    """Whose repairs to look at; truth is the background itself."""
    weights: Path | None = None
    """Weights of the detector; by default the shipped ones."""
    num_frames: int = 8
    """Frames of each clip."""
    limit: int = 28
    """Clips; the backgrounds are gone through again, with other targets, until there are as many."""
    seed: int = 0
    """Decides the errors of the masks."""


def run(flags: ResiduePrecision) -> dict[str, Any]:
    """Score detector and baselines; see the module's description.

    Returns:
        ``inpainters``: per name ``precision`` (per method the mean over clips, with its interval), ``response`` (the
        mean map of unclean and of exactly masked repairs, and how often the first is larger), ``clips``.
    """
    whole_number(flags.limit, "limit", 1, MAX_COUNT)
    device = resolve_device(flags.device)
    detector = load_residue_detector(device, str(flags.weights) if flags.weights else None)
    source = make_clips(flags.clips)
    names = clip_names(source.names(), flags.limit)
    makers = {name: None if name == "truth" else make_inpainter(name, device=device) for name in flags.inpainters}
    scores: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in makers}
    bar, advance = tables.progress("looking for residues", len(names))
    with bar:
        for index, name in enumerate(names):
            clip = source.load(name, flags.num_frames, flags.height, flags.width)
            observed, background, truth = (part.to(device) for part in tensors(clip))
            kind = MASK_ERRORS[index % len(MASK_ERRORS)]
            wrong = inaccurate(truth[:, 0].byte().cpu().numpy(), np.random.default_rng([flags.seed, index]), kind)
            predicted = torch.from_numpy(wrong).float()[:, None].to(device)
            scene = observed, background, truth
            for inpainter, maker in makers.items():
                scores[inpainter][name] = {"error": kind} | measured(detector, scene, predicted, maker)
            advance()
    settings = flags.asked()
    return envelope("ciri_residue", settings, inpainters={name: summary(s) for name, s in scores.items()})


def clip_names(names: list[str], count: int) -> list[str]:
    """``BACKGROUND@SEED``, through the backgrounds again and again with new seeds, all below 1000.

    Raises:
        InputError: a name is another's than a one-shot clip's.
    """
    backgrounds = [name.rpartition("@")[0] for name in names]
    if not all(backgrounds):
        raise InputError(f"clip {names[backgrounds.index('')]!r} has no target: name one-shot clips, such as one_shot")
    return [f"{backgrounds[i % len(backgrounds)]}@{i:06d}" for i in range(min(count, 1000))]


@torch.no_grad()
def measured(
    detector: ResidueDetector, scene: tuple[Tensor, Tensor, Tensor], predicted: Tensor, inpainter: Inpainter | None
) -> dict[str, float]:
    """Average precision of all methods on one repair, and the responses to it and to a clean one."""
    observed, background, truth = scene
    holes = window_max(predicted, 2)
    repaired = filled(observed, background, holes, inpainter)
    clean = filled(observed, background, window_max(truth, 2), inpainter)
    template = template_of(observed[0], truth[0])
    began = time.perf_counter()
    boxes = search_boxes(predicted, truth[0])
    maps = residue_maps(detector, template, repaired, boxes)
    seconds = (time.perf_counter() - began) / len(maps)
    clean_maps = residue_maps(detector, template, clean, search_boxes(truth, truth[0]))
    left = truth * (1 - holes)
    inside = laid_back(torch.ones(len(boxes), 1, 8, 8, device=boxes.device), boxes, *truth.shape[-2:])[1:] > 0
    label = (left[1:][inside] > 0.5).cpu().numpy()
    result = {"residue": float(label.sum()), "constant": float(label.mean()), "seconds_per_frame": seconds,
              "response": float(maps[1:][inside].mean()), "response_clean": float(clean_maps[1:].mean()),
              "response_unclean": float(maps[1:].mean())}  # fmt: skip
    if label.sum() >= LEAST:
        rivals = {"detector": maps} | {name: rival(observed, truth, repaired, boxes) for name, rival in RIVALS.items()}
        result |= {
            name: float(average_precision_score(label, map_[1:][inside].cpu().numpy())) for name, map_ in rivals.items()
        }
    return result


def filled(observed: Tensor, background: Tensor, holes: Tensor, inpainter: Inpainter | None) -> Tensor:
    """A repair ``(T, 3, H, W)`` of one pass at neutral controls; None fills in the background."""
    if inpainter is None:
        return torch.where(holes > 0, background, observed)
    corrupted = observed * (1 - holes) + GREY * holes
    state = inpainter.begin(corrupted[None], holes[None])
    neutral = ((np.asarray(LOW) + np.asarray(HIGH)) / 2).astype(np.float32)[None]
    proposal = inpainter.refine(state, corrupted[None], holes[None], neutral).frames[0]
    return torch.where(holes > 0, proposal, observed)


def _colour(observed: Tensor, truth: Tensor, repaired: Tensor, boxes: Tensor) -> Tensor:
    mean = observed[0][:, truth[0, 0] > 0].mean(1)
    return -(repaired - mean.view(3, 1, 1)).square().sum(1, keepdim=True)


def _palette(observed: Tensor, truth: Tensor, repaired: Tensor, boxes: Tensor) -> Tensor:
    pixels = observed[0][:, truth[0, 0] > 0].T.cpu().numpy()
    colours = KMeans(min(16, len(np.unique(pixels, axis=0))), n_init=1, random_state=0).fit(pixels).cluster_centers_
    near = [(repaired - torch.from_numpy(c).to(repaired).view(3, 1, 1)).square().sum(1, keepdim=True) for c in colours]
    return -torch.stack(near).amin(0)


def _difference(observed: Tensor, truth: Tensor, repaired: Tensor, boxes: Tensor) -> Tensor:
    """The first frame's target laid on the middle of the search box; far from it, and around it, nothing is like it."""
    box = target_box(truth[0])[None]
    both = crop(torch.cat([observed[:1], truth[:1]], 1), box, TEMPLATE).expand(len(boxes), -1, -1, -1)
    there = laid_back(both, scaled(boxes, 0.5), *truth.shape[-2:])
    distance = (repaired - there[:, :3]).square().sum(1, keepdim=True)
    return torch.where(there[:, 3:] > 0.5, -distance, torch.full_like(distance, -3.0))


Rival = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
RIVALS: dict[str, Rival] = dict(zip(BASELINES, (_colour, _palette, _difference)))


def summary(clips: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Means over the clips with residue, and how the response tells them from clean repairs."""
    unclean = [scores for scores in clips.values() if "detector" in scores]
    methods = ("detector", *BASELINES, "constant")
    larger = [float(s["response_unclean"] > s["response_clean"]) for s in unclean]
    kinds = {kind: [s["detector"] for s in unclean if s["error"] == kind] for kind in MASK_ERRORS}
    return {
        "precision": {name: mean_interval([s[name] for s in unclean]) for name in methods} if unclean else {},
        "by_error": {kind: float(np.mean(values)) for kind, values in kinds.items() if values},
        "response": {
            "unclean": float(np.mean([s["response_unclean"] for s in unclean])) if unclean else float("nan"),
            "clean": float(np.mean([s["response_clean"] for s in clips.values()])),
            "told_apart": float(np.mean(larger)) if larger else float("nan"),
        },
        "seconds_per_frame": float(np.mean([s["seconds_per_frame"] for s in clips.values()])),
        "with_residue": len(unclean),
        "clips": dict(clips),
    }


def report(results: Mapping[str, Any]) -> None:
    """Print the tables."""
    rows = [[name, *(tables.interval(entry["precision"].get(method), 2)
                     for method in ("detector", *BASELINES, "constant")), entry["with_residue"]]
            for name, entry in results["inpainters"].items()]  # fmt: skip
    tables.show("average precision of residue", ["repairs by", "detector", *BASELINES, "constant", "clips"], rows)
    rows = [[name, *(tables.number(entry["response"][k], 4) for k in ("unclean", "clean", "told_apart")),
             tables.number(entry["seconds_per_frame"]),
             ", ".join(f"{kind} {value:.2f}" for kind, value in entry["by_error"].items())]
            for name, entry in results["inpainters"].items()]  # fmt: skip
    tables.show("responses", ["repairs by", "unclean", "clean", "told apart", "s/frame", "AP by error"], rows)


if __name__ == "__main__":
    tables.main(ResiduePrecision, run, report, __doc__ or "")
