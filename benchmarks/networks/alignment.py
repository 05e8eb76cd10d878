"""How far features are from the next frame's, as they stand, warped by flow, and aligned by the trained module T.

    python -m videoinpaint.benchmarks.networks.alignment --suites studio FOLDER --output alignment.json

The mean absolute difference from E(Y_{t+1}) (CLIP-RL, Eq. 4) on reference frames without holes; lower is better.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from videoinpaint.benchmarks.protocol import tables
from videoinpaint.benchmarks.protocol.envelope import envelope
from videoinpaint.benchmarks.protocol.flags import SmallClips
from videoinpaint.benchmarks.protocol.statistics import mean_interval
from videoinpaint.benchmarks.protocol.suite import make_suite, pairing
from videoinpaint.device import resolve_device
from videoinpaint.errors import InputError
from videoinpaint.metrics.alignment import Aligner, load_aligner
from videoinpaint.metrics.alignment_pretraining import pairs
from videoinpaint.metrics.backbone import get_backbone

GUESSES = ("still", "warped", "aligned", "flagged")
"""Of the next frame's features: this frame's, these warped by flow, T with D = 0, and T with D = 1 everywhere."""


@dataclass(frozen=True, kw_only=True)
class Alignment(SmallClips):
    """What to align."""

    suites: tuple[str, ...] = ("studio", "studio:hard", "studio:fast")
    """Clip sources, a row each."""
    backbone: str = "alex"
    """Whose features are aligned: alex or vgg16."""
    weights: str | None = None
    """A safetensors file of T; the shipped weights by default."""
    limit: int = 0
    """Clips to take from the front; 0 for all (of studio the first 16)."""


def run(flags: Alignment) -> dict[str, Any]:
    """Measure all guesses on every clip.

    Returns:
        ``suites``: per source its pairing and ``errors``, of each clip by guess.

    Raises:
        InputError, UnknownNameError, MissingWeightsError, CorruptWeightsError: before any work starts.
    """
    if not flags.suites:
        raise InputError("suites names no source of clips: give one or more")
    device = resolve_device(flags.device)
    aligner = load_aligner(flags.backbone, flags.weights).to(device)
    size = {name: getattr(flags, name) for name in ("num_frames", "height", "width", "limit")}
    # Holes belong to a suite; frames are all that is used of it.
    suites = {spec: make_suite(spec, "stationary", **size) for spec in flags.suites}
    bar, advance = tables.progress("aligning", sum(map(len, suites.values())))
    results = {}
    with bar:
        for spec, suite in suites.items():
            digests, errors = [], {}
            for pair in suite:
                digests.append((pair.name, pair.digest))
                errors[pair.name] = alignment_errors(aligner, pair.tensors()[0].to(device))
                advance()
            results[spec] = {"pairing": pairing(digests), "errors": errors}
    return envelope("alignment", flags.asked(), suites=results)


@torch.no_grad()
def alignment_errors(aligner: Aligner, clip: Tensor) -> dict[str, float]:
    """Mean absolute difference of every guess from the next frame's features, over all frames but the first.

    Args:
        aligner: T.
        clip: ``(1, T, 3, H, W)`` in [0, 1], T >= 2.
    """
    source, target, flow = pairs(clip, get_backbone(aligner.net, str(clip.device)), aligner.encoder)
    none = clip.new_zeros(len(source), 3, *clip.shape[-2:])
    guesses = (
        source,
        load_aligner(aligner.net, "warp").to(clip.device)(source, flow, none),
        aligner(source, flow, none),
        aligner(source, flow, none + 1),
    )
    return {name: float((guess - target).abs().mean()) for name, guess in zip(GUESSES, guesses, strict=True)}


def report(results: Mapping[str, Any]) -> None:
    """Print a table with a row for each source."""
    rows, fewest = [], min(len(suite["errors"]) for suite in results["suites"].values())
    for spec, suite in results["suites"].items():
        clips = list(suite["errors"].values())
        means = {name: sum(clip[name] for clip in clips) / len(clips) for name in GUESSES}
        gains = mean_interval([100 * (clip["aligned"] / clip["warped"] - 1) for clip in clips])
        changes = [100 * abs(clip["flagged"] / clip["aligned"] - 1) for clip in clips]
        shown = [tables.number(means[name], 4) for name in ("still", "warped", "aligned")]
        rows.append([spec, len(clips), *shown, tables.interval(gains, 1, signed=True), sum(changes) / len(changes)])
    settings = results["settings"]
    tables.show(
        f"alignment of {settings['backbone']}'s features, {settings['num_frames']} frames of "
        f"{settings['width']}x{settings['height']}",
        ["clips of", "clips", "no warp", "warp by flow", "aligned by T", "T against warp, %", "changed by D, %"],
        rows,
        "mean absolute difference from the next frame's features, lower is better; "
        + tables.intervals(fewest, over="over clips"),
    )


if __name__ == "__main__":
    tables.main(Alignment, run, report, __doc__ or "")
