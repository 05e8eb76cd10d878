"""What a policy reaches: one plain record an episode, for others to average, test and plot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode

import videoinpaint  # noqa: F401 - registers the environments
from videoinpaint.agents.policies.policy import Policy, check_actions, make_policy, reset_policy
from videoinpaint.envs import VideoInpaintVectorEnv
from videoinpaint.errors import InputError
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
        gflops: of all iterations' inpainting passes.
        rewards: one an iteration.
        controls: one dict an iteration, natural units.
        metrics_by_iteration: one dict an iteration, as `metrics`.
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

    def as_dict(self) -> dict[str, Any]:
        """The record as JSON would hold it."""
        return asdict(self)


def evaluate(
    policy: str | Path | Policy,
    env_kwargs: Mapping[str, Any] | None = None,
    seeds: Sequence[int] = tuple(range(20)),
    *,
    env_id: str = DEFAULT_ID,
    num_envs: int = 4,
    env: VideoInpaintVectorEnv | None = None,
    name: str | None = None,
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> list[EpisodeRecord]:
    """Run one episode for every seed, `num_envs` of them as one batch.

    Args:
        policy: anything that `make_policy` takes.
        env_kwargs: keyword arguments of the environment.
        seeds: of the episodes. Two policies evaluated on the same seeds see the same clips and holes.
        env_id: a registered environment.
        num_envs: episodes in a batch.
        env: a vector environment with next-step autoreset to use instead (``env_kwargs``, ``env_id`` and ``num_envs``
            are then not read); it is left open.
        name: what the records call the policy; by default what `policy` says.
        options: of every reset.
        seed: of a policy that draws at random.

    Returns:
        records in the order of `seeds`.

    Raises:
        InputError: the policy returns something else than actions, or the environment cannot be used.
    """
    device = str((env_kwargs or {}).get("device", "cpu"))
    actor = make_policy(policy, seed=seed, device="cpu" if device == "auto" else device)
    title = name or (str(policy) if isinstance(policy, str | Path) else type(policy).__name__)
    vector = env if env is not None else make_evaluation_env(min(num_envs, max(len(seeds), 1)), env_id, env_kwargs)
    if vector.autoreset_mode != AutoresetMode.NEXT_STEP:
        raise InputError("evaluate() needs a vector environment with autoreset_mode='NextStep'")
    reset_policy(actor)
    records: list[EpisodeRecord] = []
    try:
        for batch in _batches(seeds, vector.num_envs):
            wanted = len(batch)
            padded = [*batch, *[batch[-1]] * (vector.num_envs - wanted)]  # a batch has a fixed size
            records += _episodes(actor, vector, padded, wanted, title, dict(options or {}))
    finally:
        if env is None:
            vector.close()
    return records


def make_evaluation_env(
    num_envs: int, env_id: str = DEFAULT_ID, env_kwargs: Mapping[str, Any] | None = None
) -> VideoInpaintVectorEnv:
    """A vector environment as `evaluate` uses it; make one to evaluate several policies without loading anew."""
    made = gymnasium.make_vec(
        env_id, num_envs=num_envs, vectorization_mode="vector_entry_point", **dict(env_kwargs or {})
    )
    assert isinstance(made.unwrapped, VideoInpaintVectorEnv)
    return made.unwrapped


def _batches(seeds: Sequence[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(seeds), size):
        yield [int(seed) for seed in seeds[start : start + size]]


def _episodes(
    policy: Policy, env: VideoInpaintVectorEnv, seeds: list[int], wanted: int, title: str, options: dict[str, Any]
) -> list[EpisodeRecord]:
    """One episode in each environment; what autoreset begins after that is not looked at."""
    observation, _ = env.reset(seed=seeds, options=options)
    steps: list[list[dict[str, Any]]] = [[] for _ in seeds]
    rewards: list[list[float]] = [[] for _ in seeds]
    running = np.ones(len(seeds), dtype=bool)
    while running[:wanted].any():
        actions = check_actions(policy.act(observation), len(seeds), f"policy {title!r}")
        result = env.step_each(actions)
        for i in np.flatnonzero(running).tolist():
            steps[i].append(result.infos[i])
            rewards[i].append(float(result.rewards[i]))
        running &= ~(result.terminated | result.truncated)
        observation = result.observation
    return [_record(title, seeds[i], steps[i], rewards[i]) for i in range(wanted)]


def _record(title: str, seed: int, steps: list[dict[str, Any]], rewards: list[float]) -> EpisodeRecord:
    last = steps[-1]
    return EpisodeRecord(
        policy=title,
        seed=seed,
        clip=last["clip"],
        mask=last["mask"],
        length=len(steps),
        episode_return=float(sum(rewards)),
        metrics=dict(last["metrics"]),
        gflops=float(sum(step["gflops"] for step in steps)),
        rewards=rewards,
        controls=[dict(step["controls"]) for step in steps],
        metrics_by_iteration=[dict(step["metrics"]) for step in steps],
    )
