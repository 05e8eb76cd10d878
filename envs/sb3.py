"""The vector environment as Stable-Baselines3's `VecEnv`: one batch on the device instead of a loop or processes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs, VecEnvStepReturn

from videoinpaint.envs.calls import OWN
from videoinpaint.envs.ids import make_batch, takes_in_batch
from videoinpaint.envs.infos import info_of
from videoinpaint.envs.vector import BatchStep, VideoInpaintVectorEnv
from videoinpaint.errors import InputError
from videoinpaint.registration import DEFAULT_ID


class SB3VecEnv(VecEnv):
    """Adapter from a vector environment with same-step autoreset to Stable-Baselines3.

    ```python
    from stable_baselines3 import PPO
    from videoinpaint.envs import make_sb3_vec

    model = PPO("MultiInputPolicy", make_sb3_vec(8, "VideoInpaint-v1"))
    ```

    Where an episode ends, ``infos[i]["terminal_observation"]`` is its last observation,
    ``infos[i]["TimeLimit.truncated"]`` says whether it was cut off rather than over, and ``infos[i]["episode"]`` holds
    its return ``r``, its length ``l`` and ``t``, seconds since the adapter was made.

    Args:
        env: a vector environment whose ``metadata["autoreset_mode"]`` is "SameStep": a `VideoInpaintVectorEnv`, bare or
            under Gymnasium's vector wrappers, or Gymnasium's own `SyncVectorEnv`.

    Raises:
        InputError: not a vector environment, or another autoreset mode.
    """

    env: gymnasium.vector.VectorEnv

    def __init__(self, env: gymnasium.vector.VectorEnv) -> None:
        if not isinstance(env, gymnasium.vector.VectorEnv):
            raise InputError(f"SB3VecEnv adapts a gymnasium.vector.VectorEnv (see gymnasium.make_vec), got {env}")
        mode = env.metadata.get("autoreset_mode")
        if mode != AutoresetMode.SAME_STEP:
            raise InputError(
                f"Stable-Baselines3 resets within the same step: make the environment with autoreset_mode='SameStep' "
                f"instead of {getattr(mode, 'value', mode)!r}"
            )
        self.env = env
        self._actions: NDArray[np.float32] | None = None
        self._began = time.monotonic()
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)
        self._returns, self._lengths = np.zeros(self.num_envs), np.zeros(self.num_envs, dtype=np.int64)
        self.metadata = dict(env.metadata) | {"render_modes": list(env.metadata["render_modes"])}

    def reset(self) -> VecEnvObs:
        """Begin an episode everywhere, with the seeds of `seed` and the options of `set_options`, used once.

        Raises:
            InputError: options that differ between environments, where `env` is not a bare `VideoInpaintVectorEnv`.
        """
        if isinstance(self.env, VideoInpaintVectorEnv):
            observation, infos = self.env.reset_each(range(self.num_envs), self._seeds, self._options)
        else:
            if any(options != self._options[0] for options in self._options):
                raise InputError(f"the environments of {self.env} take the same options: pass one dict to set_options")
            observation, merged = self.env.reset(
                seed=list(self._seeds),  # type: ignore[arg-type]  # Gymnasium's type lacks lists with None
                options=self._options[0] or None,
            )
            infos = [info_of(merged, i) for i in range(self.num_envs)]
        self.reset_infos = infos
        self._returns[:], self._lengths[:] = 0, 0
        self._reset_seeds()
        self._reset_options()
        return observation

    def step_async(self, actions: NDArray[np.float32]) -> None:
        """Remember the actions; the work is done in `step_wait`."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Step every environment; those whose episode ended have begun the next one.

        Raises:
            ResetNeeded: without `step_async`, or before the first `reset`.
        """
        if self._actions is None:
            raise ResetNeeded("call step_async(actions) before step_wait()")
        result, self._actions = self._step(self._actions), None
        infos, rewards = result.infos, result.rewards.astype(np.float32)
        for i, (observation, info) in result.finals.items():
            self.reset_infos[i] = infos[i]
            infos[i] = info | {"terminal_observation": observation}
        for i, info in enumerate(infos):
            info["TimeLimit.truncated"] = bool(result.truncated[i] and not result.terminated[i])
        done = result.terminated | result.truncated
        self._count(rewards, done, infos)
        return result.observation, rewards, done, infos

    def _step(self, actions: NDArray[np.float32]) -> BatchStep:
        if isinstance(self.env, VideoInpaintVectorEnv):
            return self.env.step_each(actions)
        observation, rewards, terminated, truncated, merged = self.env.step(actions)
        infos = [info_of(merged, i) for i in range(self.num_envs)]
        ends = [(info.pop("final_obs", None), info.pop("final_info", None)) for info in infos]
        finals = {i: ends[i] for i in np.flatnonzero(terminated | truncated).tolist()}
        return BatchStep(observation, np.asarray(rewards), terminated, truncated, infos, finals)

    def _count(self, rewards: NDArray[np.float32], done: NDArray[np.bool_], infos: list[dict[str, Any]]) -> None:
        """Put the statistics of the episodes that end into their infos."""
        self._returns += rewards
        self._lengths += 1
        for i in np.flatnonzero(done).tolist():
            seconds = round(time.monotonic() - self._began, 6)
            infos[i]["episode"] = {"r": float(self._returns[i]), "l": int(self._lengths[i]), "t": seconds}
            self._returns[i], self._lengths[i] = 0, 0

    def close(self) -> None:
        """Close the vector environment."""
        self.env.close()

    def get_images(self) -> Sequence[NDArray[np.uint8] | None]:
        """One picture an environment with ``render_mode="rgb_array"``, else Nones."""
        return self.env.render() or [None] * self.num_envs  # type: ignore[return-value]  # a tuple of pictures

    def _batch(self) -> Any:
        """The environment itself: Gymnasium's type of it lacks the methods that every vector environment has."""
        return self.env.unwrapped

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """An attribute, once an environment; the environments of a batch share it."""
        values = self._batch().get_attr(attr_name)
        return [values[i] for i in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set an attribute of the batch.

        Raises:
            InputError: for some of the environments only, as they all share it.
        """
        if len(list(self._get_indices(indices))) != self.num_envs:
            raise InputError(f"the environments of a batch share {attr_name!r}: set it for all of them")
        self._batch().set_attr(attr_name, [value] * self.num_envs)

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **method_kwargs: Any
    ) -> list:
        """Call a method for each environment; "get_state" and "render" give each its own result.

        Raises:
            InputError: for methods that would change single environments of the batch.
        """
        if method_name in OWN:
            raise InputError(f"{method_name}() of single environments of a batch: use SB3VecEnv's own, or its .env")
        results = self._batch().call(method_name, *method_args, **method_kwargs)
        return [results[i] for i in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: type[gymnasium.Wrapper], indices: VecEnvIndices = None) -> list[bool]:
        """False: there are no single environments to wrap. Episode statistics are in the infos anyway."""
        return [False for _ in self._get_indices(indices)]


def make_sb3_vec(
    num_envs: int, env_id: str = DEFAULT_ID, seed: int | None = None, *, tensors: bool = False, **kwargs: Any
) -> SB3VecEnv:
    """Many environments of a registered id, adapted to Stable-Baselines3: one batch where the id has a vector form.

    Args:
        num_envs: environments in the batch.
        env_id: the registered id.
        seed: environment i begins with ``seed + i`` at the first reset.
        tensors: observations stay tensors on the device, where the environment offers that. Stable-Baselines3 itself
            wants arrays: this is for wrappers that make something smaller of them first.
        **kwargs: of the environment, as for `VideoInpaintEnv`.

    Raises:
        UnknownNameError, InputError: see :func:`videoinpaint.envs.ids.make_batch`.
    """
    if tensors and takes_in_batch(env_id, "output"):
        kwargs = {"output": "torch"} | kwargs
    adapted = SB3VecEnv(make_batch(env_id, num_envs, AutoresetMode.SAME_STEP, kwargs))
    if seed is not None:
        adapted.seed(seed)
    return adapted
