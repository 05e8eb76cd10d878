"""One plain record an episode, made of what its environment said, for others to average, test and plot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videoinpaint.controls import DEFAULT


@dataclass(frozen=True)
class EpisodeRecord:
    """One episode.

    Attributes:
        policy: its name.
        seed: ``reset(seed=seed)`` begins this episode.
        clip: the clip's name.
        mask: the mask source's name.
        length: iterations made.
        episode_return: undiscounted sum of rewards.
        metrics: raw terms after the last iteration: psnr, ssim, lpips, perceptual, wta, psnr_hole.
        gflops: of all iterations' inpainting passes: what `compute_price` is about.
        rewards: one an iteration.
        controls: one dict an iteration, natural units.
        metrics_by_iteration: one dict an iteration, as `metrics`.
        reward_terms: one dict an iteration: the terms whose sum is its reward.
        gflops_by_iteration: one an iteration.
        quality_by_iteration: the value of the repair under fixed weights (:func:`fixed_quality`), first that of the
            damaged clip, then one an iteration; None where an environment does not tell.
        quality: after the last iteration: what policies are ranked by.
        quality_gain: the last quality minus the damaged clip's; None where that is not known.
        end: why the episode ended: "repaired", "stopped", "max_iterations", "truncated"; "" where nobody tells.
        mask_iou: of a one-shot episode, how well the target was followed: mean intersection over union, 0..1.
        mask_j_and_f: as DAVIS defines it, 0..1. Both are None where masks are given.
        random_weights: the parts whose networks were untrained, commas between; "" for none.
        actions: one an iteration, as the environment took it: five numbers in [-1, 1], or rows of columns of them.
        observations: a hash of what the policy saw before each action, and of the last observation; see
            :func:`observation_hash`.
        measures: every metric of the protocol for the final repair as a file would hold it (the last observation),
            see :mod:`videoinpaint.metrics.measures`; empty where an environment does not tell the truth about its clip.
        gflops_begin: of what is done before the first pass; see :func:`videoinpaint.agents.evaluation.cost.fixed_cost`
            for what is counted. This and the next two are None where an environment is not this package's.
        gflops_detector: of the detections after all passes, likewise.
        seconds_per_frame: of `begin`, passes and detections, without metrics or policy, a frame of the clip; a batch's
            time is shared by its clips. It differs from run to run, so records are equal whatever it is.
        features: I3D's of the clip and of its repair, ``(1, 1024)`` each, from which VFID is computed over many clips;
            None where its weights are not on this machine, or the clip is too small. :meth:`as_dict` leaves them out.
    """

    policy: str
    seed: int
    clip: str
    mask: str
    length: int
    episode_return: float
    metrics: dict[str, float]
    gflops: float
    rewards: list[float] = field(default_factory=list)
    controls: list[dict[str, float]] = field(default_factory=list)
    metrics_by_iteration: list[dict[str, float]] = field(default_factory=list)
    reward_terms: list[dict[str, float]] = field(default_factory=list)
    gflops_by_iteration: list[float] = field(default_factory=list)
    quality_by_iteration: list[float | None] = field(default_factory=list)
    end: str = ""
    mask_iou: float | None = None
    mask_j_and_f: float | None = None
    random_weights: str = ""
    actions: list[Any] = field(default_factory=list)
    observations: list[str] = field(default_factory=list)
    measures: dict[str, float] = field(default_factory=dict)
    gflops_begin: float | None = None
    gflops_detector: float | None = None
    seconds_per_frame: float | None = field(default=None, compare=False)
    features: tuple[NDArray[np.float64], NDArray[np.float64]] | None = field(default=None, compare=False, repr=False)

    @property
    def gflops_total(self) -> float | None:
        """`gflops_begin`, `gflops` and `gflops_detector` together; None where one of them is not known."""
        if self.gflops_begin is None or self.gflops_detector is None:
            return None
        return self.gflops_begin + self.gflops + self.gflops_detector

    @property
    def quality(self) -> float | None:
        """See the class."""
        return self.quality_by_iteration[-1] if self.quality_by_iteration else None

    @property
    def quality_gain(self) -> float | None:
        """See the class."""
        first = self.quality_by_iteration[0] if self.quality_by_iteration else None
        return None if first is None or self.quality is None else self.quality - first

    def as_dict(self) -> dict[str, Any]:
        """The record as JSON would hold it."""
        derived = ("quality", "quality_gain", "gflops_total")
        told = asdict(replace(self, features=None)) | {name: getattr(self, name) for name in derived}
        del told["features"]
        return told


def fixed_quality(metrics: Mapping[str, float], psnr_scale: float = 50.0) -> float:
    """Eq. 6 of one repair with the weights of ``DEFAULT``, whatever an action said: higher is better.

    Args:
        metrics: raw terms: ssim, psnr, perceptual, lpips, wta.
        psnr_scale: dB that count as 1.
    """
    return (
        DEFAULT.alpha * (metrics["ssim"] + metrics["psnr"] / psnr_scale)
        - DEFAULT.beta * (metrics["perceptual"] + metrics["lpips"])
        - DEFAULT.gamma * metrics["wta"]
    )


def by_clip(
    records: Sequence[EpisodeRecord], score: Callable[[EpisodeRecord], float] | None = None
) -> dict[str, float]:
    """Clip -> mean score over its episodes, in order of first appearance; the score is the return by default.

    Clips, not episodes, are what an interval is over: episodes of one clip are not independent. A studio clip has one.
    """
    grouped: dict[str, list[float]] = {}
    for record in records:
        grouped.setdefault(record.clip, []).append(record.episode_return if score is None else score(record))
    return {clip: float(np.mean(values)) for clip, values in grouped.items()}


def episode_record(
    policy: str,
    seed: int,
    start: Mapping[str, Any],
    steps: Sequence[Mapping[str, Any]],
    rewards: Sequence[float],
    *,
    truncated: bool = False,
) -> EpisodeRecord:
    """An episode's record.

    Args:
        policy: its name.
        seed: of the episode.
        start: the info of the reset.
        steps: the info of every step, at least one.
        rewards: of every step.
        truncated: whether a limit outside of the environment cut the episode off.
    """
    last = {**start, **steps[-1]}
    return EpisodeRecord(
        policy=policy,
        seed=seed,
        clip=str(last.get("clip", "")),
        mask=str(last.get("mask", "")),
        length=len(steps),
        episode_return=float(sum(rewards)),
        metrics=_numbers(last["metrics"]),
        gflops=float(sum(step["gflops"] for step in steps)),
        rewards=[float(reward) for reward in rewards],
        controls=[_numbers(step["controls"]) for step in steps],
        metrics_by_iteration=[_numbers(step["metrics"]) for step in steps],
        reward_terms=[_numbers(step.get("reward_terms", {})) for step in steps],
        gflops_by_iteration=[float(step["gflops"]) for step in steps],
        quality_by_iteration=[_quality(info) for info in (start, *steps)],
        end=str(last.get("end") or ("truncated" if truncated else "")),
        mask_iou=_optional(last.get("mask_iou")),
        mask_j_and_f=_optional(last.get("mask_j_and_f")),
        random_weights=str(last.get("random_weights", "")),
    )


def _quality(info: Mapping[str, Any]) -> float | None:
    """What the environment says; else what its metrics say, where they are all there."""
    if "quality" in info:
        return float(info["quality"])
    metrics = info.get("metrics", {})
    return fixed_quality(_numbers(metrics)) if {"ssim", "psnr", "perceptual", "lpips", "wta"} <= set(metrics) else None


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in values.items()}


def _optional(value: Any) -> float | None:
    return None if value is None else float(value)
