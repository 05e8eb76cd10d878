"""What a policy reaches: one plain record an episode, for others to average, test and plot."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray

from videoinpaint.agents.evaluation.cost import Stopwatch, timed
from videoinpaint.agents.policies.policy import make_policy
from videoinpaint.agents.policies.protocol import Observation, Policy, check_actions, reset_policy
from videoinpaint.controls import DEFAULT
from videoinpaint.envs.episodes import Episode
from videoinpaint.envs.ids import effective_kwargs, make_batch, with_precision
from videoinpaint.envs.infos import info_of
from videoinpaint.envs.loop import resolve_device
from videoinpaint.errors import InputError
from videoinpaint.metrics.measures import Reference
from videoinpaint.metrics.vfid import vfid_available, vfid_features
from videoinpaint.naming import stable_name
from videoinpaint.registration import DEFAULT_ID


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
        end: why the episode ended: "repaired", "max_iterations", "truncated"; "" where an environment does not tell.
        mask_iou: of a one-shot episode, how well the target was followed: mean intersection over union, 0..1.
        mask_j_and_f: as DAVIS defines it, 0..1. Both are None where masks are given.
        random_weights: the parts whose networks were untrained, commas between; "" for none.
        actions: one an iteration, as the environment took it: five numbers in [-1, 1].
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
    actions: list[list[float]] = field(default_factory=list)
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


def evaluate(
    policy: str | Path | Policy,
    env_kwargs: Mapping[str, Any] | None = None,
    seeds: Sequence[int] = tuple(range(20)),
    *,
    env_id: str = DEFAULT_ID,
    num_envs: int = 4,
    env: VectorEnv | None = None,
    name: str | None = None,
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
    precision: str = "auto",
) -> list[EpisodeRecord]:
    """Run one episode for every seed, `num_envs` of them as one batch.

    Args:
        policy: anything that `make_policy` takes.
        env_kwargs: keyword arguments of the environment.
        seeds: of the episodes. Two policies evaluated on the same seeds see the same clips and holes.
        env_id: a registered environment; it need not have a vector entry point.
        num_envs: episodes in a batch.
        env: a vector environment with next-step autoreset to use instead (``env_kwargs``, ``env_id``, ``num_envs``
            and ``precision`` are then not read); it is left open.
        name: what the records call the policy; by default what `policy` says.
        options: of every reset.
        seed: of a policy that draws at random.
        precision: in which the environment's networks multiply: "float32", "bfloat16", or "auto" as the environment
            decides.

    Returns:
        records in the order of `seeds`.

    Raises:
        UnknownNameError: nothing answers to the id, or to the policy's name.
        InputError: the policy returns something else than actions, or the environment cannot be used.
    """
    device = "cpu"
    if env is None:
        device = str(resolve_device(str(effective_kwargs(env_id, env_kwargs).get("device", "cpu"))))
    actor = make_policy(policy, seed=seed, device=device)
    title = name or (str(policy) if isinstance(policy, str | Path) else stable_name(policy))
    count = min(num_envs, max(len(seeds), 1))
    vector = make_evaluation_env(count, env_id, env_kwargs, precision) if env is None else env
    try:
        if vector.metadata.get("autoreset_mode") != AutoresetMode.NEXT_STEP:
            raise InputError("evaluate() needs a vector environment with autoreset_mode='NextStep'")
        records: list[EpisodeRecord] = []
        with timed(vector) as watch:
            for batch in _batches(seeds, vector.num_envs):
                reset_policy(actor)
                padded = [*batch, *[batch[-1]] * (vector.num_envs - len(batch))]  # a batch has a fixed size
                records += _episodes(actor, vector, padded, len(batch), title, dict(options or {}), watch)
    finally:
        if env is None:
            vector.close()
    return records


def make_evaluation_env(
    num_envs: int,
    env_id: str = DEFAULT_ID,
    env_kwargs: Mapping[str, Any] | None = None,
    precision: str = "auto",
) -> VectorEnv:
    """A vector environment as `evaluate` uses it; make one to evaluate several policies without loading anew.

    Raises:
        UnknownNameError: nothing answers to the id.
        InputError: a keyword argument that the environment does not take, or what it refuses.
    """
    return make_batch(env_id, num_envs, AutoresetMode.NEXT_STEP, with_precision(env_id, env_kwargs, precision))


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


def _batches(seeds: Sequence[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(seeds), size):
        yield [int(seed) for seed in seeds[start : start + size]]


def _episodes(
    policy: Policy,
    env: VectorEnv,
    seeds: list[int],
    wanted: int,
    title: str,
    options: dict[str, Any],
    watch: Stopwatch | None,
) -> list[EpisodeRecord]:
    """One episode in each environment; what autoreset begins after that is not looked at."""
    observation, infos = env.reset(seed=seeds, options=options)  # type: ignore[arg-type]
    truths = list(getattr(env.unwrapped, "episodes", []))
    starts = [info_of(infos, i) for i in range(len(seeds))]
    steps: list[list[dict[str, Any]]] = [[] for _ in seeds]
    rewards: list[list[float]] = [[] for _ in seeds]
    taken: list[list[list[float]]] = [[] for _ in seeds]
    seen = [[observation_hash(observation, i)] for i in range(len(seeds))]
    measures: list[dict[str, Any]] = [{} for _ in seeds]
    seconds = np.full(len(seeds), 0.0 if watch is None else watch.take("begin"))
    cut = np.zeros(len(seeds), dtype=bool)
    running = np.ones(len(seeds), dtype=bool)
    while running[:wanted].any():
        actions = check_actions(policy.act(observation), len(seeds), f"policy {title!r}")
        observation, reward, terminated, truncated, infos = env.step(actions)
        seconds[running] += 0.0 if watch is None else watch.take("refine")
        for i in np.flatnonzero(running).tolist():
            steps[i].append(info_of(infos, i))
            rewards[i].append(float(reward[i]))
            taken[i].append(actions[i].tolist())
            seen[i].append(observation_hash(observation, i))
            if truths and i < wanted and (terminated[i] or truncated[i]):
                repaired = observation["frames"][i]
                measures[i] = {"measures": measure_episode(truths[i], repaired)}
                measures[i]["features"] = episode_features(truths[i], repaired)
        cut |= running & truncated & ~terminated
        running &= ~(terminated | truncated)
    records = [
        episode_record(title, seeds[i], starts[i], steps[i], rewards[i], truncated=bool(cut[i])) for i in range(wanted)
    ]
    costs: list[dict[str, Any]] = [
        {} if watch is None else watch.costs(len(steps[i]), float(seconds[i])) for i in range(wanted)
    ]
    return [
        replace(record, actions=taken[i], observations=seen[i], **measures[i], **costs[i])
        for i, record in enumerate(records)
    ]


def observation_hash(observation: Observation, index: int) -> str:
    """The first 16 hex digits of the SHA-256 of one environment's frames and masks."""
    content = hashlib.sha256()
    for key in sorted(observation):
        content.update(np.ascontiguousarray(observation[key][index]).data)
    return content.hexdigest()[:16]


def measure_episode(truth: Episode, frames: NDArray[np.uint8]) -> dict[str, float]:
    """Every metric of the protocol for one repair.

    Args:
        truth: what the episode is about; hole metrics are over its holes (one-shot: over the target's true masks).
        frames: the repair as it is observed, uint8 ``(3T, H, W)``.

    Returns:
        by name; without what the clip has no room or no pixels for, such as ``ssim65`` below 65 pixels a side.
    """
    holes = torch.from_numpy(truth.holes).float()[None, :, None]
    found = Reference(_of_truth(truth), holes).measure(_as_video(frames))
    return {name: value for name, value in found.items() if not math.isnan(value)}


def episode_features(
    truth: Episode, frames: NDArray[np.uint8]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """What VFID compares of an episode; see :class:`EpisodeRecord`."""
    count, height, width = truth.holes.shape
    if not vfid_available() or (count <= 8 and max(height, width) <= 32):
        return None
    return vfid_features(_of_truth(truth)), vfid_features(_as_video(frames))


def _of_truth(truth: Episode) -> torch.Tensor:
    """``(1, T, 3, H, W)`` in [0, 1]."""
    return torch.from_numpy(truth.frames).permute(0, 3, 1, 2).float().div(255).unsqueeze(0).contiguous()


def _as_video(frames: NDArray[np.uint8]) -> torch.Tensor:
    """Observed frames ``(3T, H, W)`` as ``(1, T, 3, H, W)`` in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(frames)).unflatten(0, (-1, 3)).float().div(255).unsqueeze(0)


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
