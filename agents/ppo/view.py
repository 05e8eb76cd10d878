"""The environments as training sees them: thumbnails instead of full observations, and episode statistics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn
from torch import Tensor

from videoinpaint.agents.policies.closed_loop import ClosedLoopPolicy
from videoinpaint.agents.policies.inputs import Seen
from videoinpaint.agents.policies.kinds import trained_kind
from videoinpaint.agents.policies.protocol import Observation
from videoinpaint.envs.actions import check_action_space
from videoinpaint.errors import DivergedError, InputError


@dataclass(frozen=True)
class Arose:
    """Where rewards arose in a rollout, and which of its episodes would have gone on.

    Attributes:
        maps: reward maps ``(num_envs, rows * columns)``, step by step.
        cut: of every episode that was truncated its last step, its environment, and what was seen then.
    """

    maps: list[NDArray[np.float64]] = field(default_factory=list)
    cut: list[tuple[int, int, Seen]] = field(default_factory=list)


class TrainingView(VecEnvWrapper):
    """Turns observations into thumbnails, so that rollouts, replay and checkpoints are a sixteenth of the size.

    Their features are measured here, once, and not again in each of the many passes over a rollout.

    At the end of an episode ``info["episode"]`` holds its return ``r`` and length ``l``: counted here, and not by the
    environments below, so that checkpoints hold the counts whatever these are. What the first environment's
    latest complete episode looked like at first and at last is kept as :attr:`pictures`.

    Args:
        venv: environments with the observations of `VideoInpaint`, as arrays or as tensors on any device.
        policy: the kind that is trained, which says how it looks at observations.

    Where actions are by cell of a grid, observations become the features of its cells and nothing else.

    Raises:
        InputError: other observations or actions, or a policy that is not for these actions
            (:func:`videoinpaint.agents.policies.kinds.trained_kind`).
    """

    def __init__(self, venv: VecEnv, policy: type[ClosedLoopPolicy] = ClosedLoopPolicy) -> None:
        space = venv.observation_space
        if not isinstance(space, spaces.Dict) or not {"frames", "masks"} <= set(space.spaces):
            raise InputError(f"training needs observations with frames (3T, H, W) and masks (T, H, W), got {space}")
        shape = space["masks"].shape or (0, 0, 0)
        check_action_space(venv.action_space, "training")
        actions = venv.action_space.shape or ()
        seen = trained_kind(policy, actions).input_for(actions)
        self.show = seen.show
        """A batch of observations as training sees them."""
        super().__init__(venv, observation_space=seen.space(*shape))
        self._returns = np.zeros(self.num_envs)
        self._lengths = np.zeros(self.num_envs, dtype=np.int64)
        self._before: NDArray[np.uint8] | None = None
        self.arose: Arose | None = None
        """What arises by cell, where infos have reward maps; kept for whoever puts an empty one here."""
        self.pictures: tuple[NDArray[np.uint8], NDArray[np.uint8]] | None = None
        """Middle frame ``(H, W, 3)`` before the first and after the last iteration; None before an episode ended."""

    def reset(self) -> Seen:
        """Begin an episode everywhere."""
        observation: Observation = self.venv.reset()  # type: ignore[assignment]  # of a Dict space
        self._returns[:], self._lengths[:] = 0, 0
        self._before = _middle({key: value[0] for key, value in observation.items()})
        return self.show(observation)

    def step_wait(self) -> VecEnvStepReturn:
        """One step everywhere; environments whose episode ended have begun the next one."""
        observation, rewards, dones, infos = self.venv.step_wait()
        assert isinstance(observation, dict)
        if not np.isfinite(rewards).all():
            raise DivergedError(f"an environment gives a reward that is no number: {np.asarray(rewards).tolist()}")
        self._returns += rewards
        self._lengths += 1
        if self.arose is not None and all("reward_map" in info for info in infos):
            self.arose.maps.append(np.stack([np.ravel(info["reward_map"]) for info in infos]))
        for i in np.flatnonzero(dones).tolist():
            infos[i]["episode"] = {"r": float(self._returns[i]), "l": int(self._lengths[i])}
            self._returns[i], self._lengths[i] = 0, 0
            last = infos[i].get("terminal_observation")
            if last is not None:
                self._keep_pictures(i, last, observation)
                seen = {k: v[0] for k, v in self.show(_batch_of_one(last)).items()}
                infos[i]["terminal_observation"] = seen
                if self.arose is not None and infos[i].get("TimeLimit.truncated", False):
                    self.arose.cut.append((len(self.arose.maps) - 1, i, seen))
        return self.show(observation), rewards, dones, infos

    def get_state(self) -> dict[str, Any]:
        """Statistics of the running episodes."""
        return {"returns": self._returns.copy(), "lengths": self._lengths.copy()}

    def set_state(self, state: dict[str, Any]) -> None:
        """The inverse of :meth:`get_state`. Pictures start again with the next episode."""
        self._returns[:], self._lengths[:] = state["returns"], state["lengths"]

    def _keep_pictures(self, index: int, last: Observation, following: Observation) -> None:
        if index == 0:
            self.pictures = None if self._before is None else (self._before, _middle(last))
            self._before = _middle({key: value[0] for key, value in following.items()})


def on_host(observation: Mapping[str, Any]) -> Observation:
    """Arrays, as policies take them, of arrays or of tensors on any device."""
    return {key: np.asarray(value.cpu() if isinstance(value, Tensor) else value) for key, value in observation.items()}


def _batch_of_one(observation: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value[None] for key, value in observation.items()}


def _middle(observation: Mapping[str, Any]) -> NDArray[np.uint8]:
    frames = observation["frames"]
    middle = 3 * (len(frames) // 6)
    return on_host({"middle": frames[middle : middle + 3]})["middle"].transpose(1, 2, 0).copy()
