"""Evaluating a policy: it plays episodes, and each is measured and becomes a record."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray

from videoinpaint.agents.evaluation.cost import Stopwatch, timed
from videoinpaint.agents.evaluation.record import EpisodeRecord, episode_record
from videoinpaint.agents.policies.policy import SHIPPED, make_policy, shipped_policy
from videoinpaint.agents.policies.protocol import Observation, Policy, choose, reset_policy
from videoinpaint.checks import seed_number, shown
from videoinpaint.device import resolve_device
from videoinpaint.envs.actions import check_action_space
from videoinpaint.envs.ids import effective_kwargs, make_batch, with_offered, with_precision
from videoinpaint.envs.infos import info_of
from videoinpaint.envs.states.episodes import Episode
from videoinpaint.errors import InputError
from videoinpaint.metrics.measures import Reference
from videoinpaint.metrics.vfid import vfid_available, vfid_features
from videoinpaint.naming import stable_name
from videoinpaint.registration import DEFAULT_ID


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
        policy: anything that `make_policy` takes, or "shipped" for the one that ships for `env_id`.
        env_kwargs: keyword arguments of the environment.
        seeds: of the episodes. Two policies evaluated on the same seeds see the same clips and holes.
        env_id: a registered environment; it need not have a vector entry point.
        num_envs: episodes in a batch.
        env: a vector environment with next-step autoreset to use instead (``env_kwargs``, ``env_id``, ``num_envs``
            and ``precision`` are then not read); it is left open.
        name: what the records call the policy; by default what `policy` says.
        options: passed to every reset.
        seed: of a policy that draws at random.
        precision: of the environment's matrix products and convolutions: "float32", "bfloat16", or "auto" as the
            environment decides.

    Returns:
        records in the order of `seeds`.

    Raises:
        UnknownNameError: nothing answers to the id, or to the policy's name.
        InputError: the policy returns something else than actions, a seed is invalid, or the environment cannot be
            used: it has other actions, or an `env` has another autoreset mode, flat infos or tensors as output.
    """
    seeds = _checked(seeds)
    policy = shipped_policy(env_id) if isinstance(policy, str) and policy == SHIPPED else policy
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
        check_action_space(vector.single_action_space, "evaluate()")
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
    # Records are made of whole infos and of arrays, whatever an agent is shown.
    kwargs = {name: value for name, value in (env_kwargs or {}).items() if name not in ("flat_info", "output")}
    kwargs = with_offered(env_id, kwargs, flat_info=False)
    return make_batch(env_id, num_envs, AutoresetMode.NEXT_STEP, with_precision(env_id, kwargs, precision))


def _checked(seeds: Any) -> list[int]:
    if isinstance(seeds, str | bytes | Mapping) or not isinstance(seeds, Iterable):
        raise InputError(f"seeds are numbers, one an episode, such as range(20), got {shown(seeds)}")
    return [seed_number(seed) for seed in seeds]


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
    observation, infos = env.reset(seed=seeds, options=options)  # type: ignore[arg-type]  # Gymnasium's type lacks lists
    _check_whole(observation, infos)
    truths = list(getattr(env.unwrapped, "episodes", []))
    starts = [info_of(infos, i) for i in range(len(seeds))]
    steps: list[list[dict[str, Any]]] = [[] for _ in seeds]
    rewards: list[list[float]] = [[] for _ in seeds]
    taken: list[list[Any]] = [[] for _ in seeds]
    seen = [[observation_hash(observation, i)] for i in range(len(seeds))]
    measures: list[dict[str, Any]] = [{} for _ in seeds]
    seconds = np.full(len(seeds), 0.0 if watch is None else watch.take("begin"))
    cut = np.zeros(len(seeds), dtype=bool)
    running = np.ones(len(seeds), dtype=bool)
    shape = tuple(env.single_action_space.shape or (5,))
    while running[:wanted].any():
        actions = choose(policy, observation, shape, f"policy {title!r}")
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


def _check_whole(observation: Observation, infos: Any) -> None:
    """Raise InputError where an environment that was given shows anything but arrays and whole infos."""
    if not isinstance(observation, Mapping):
        raise InputError("evaluate() needs observations with frames and masks: leave wrappers that join them out")
    if any(not isinstance(value, np.ndarray) for value in observation.values()):
        raise InputError("evaluate() needs observations as arrays: make the environment with output='numpy'")
    if not isinstance(infos, Mapping):
        raise InputError("evaluate() needs the infos of Gymnasium's vector environments: leave DictInfoToList out")
    if any(name.startswith("metrics/") for name in infos):
        raise InputError("evaluate() makes records of whole infos: make the environment with flat_info=False")


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
