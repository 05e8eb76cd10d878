"""The vector environment as Stable-Baselines3's `VecEnv`: one batch on the device instead of a loop or processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs, VecEnvStepReturn

from videoinpaint.envs.vector import VideoInpaintVectorEnv
from videoinpaint.errors import InputError
from videoinpaint.registration import DEFAULT_ID


class SB3VecEnv(VecEnv):
    """Adapter from `VideoInpaintVectorEnv` with same-step autoreset to Stable-Baselines3.

    ```python
    from stable_baselines3 import PPO
    from videoinpaint.envs import make_sb3_vec

    model = PPO("MultiInputPolicy", make_sb3_vec(8, "VideoInpaint-v1"))
    ```

    Where an episode ends, ``infos[i]["terminal_observation"]`` is its last observation and
    ``infos[i]["TimeLimit.truncated"]`` says whether it was cut off rather than over.

    Args:
        env: the vector environment; its ``autoreset_mode`` must be "SameStep".

    Raises:
        InputError: another kind of environment or autoreset mode.
    """

    env: VideoInpaintVectorEnv

    def __init__(self, env: gymnasium.vector.VectorEnv) -> None:
        if not isinstance(env, VideoInpaintVectorEnv):
            raise InputError(f"SB3VecEnv adapts a VideoInpaintVectorEnv without wrappers, got {env}")
        if env.autoreset_mode != AutoresetMode.SAME_STEP:
            raise InputError(
                f"Stable-Baselines3 resets within the same step: make the environment with autoreset_mode='SameStep' "
                f"instead of {env.autoreset_mode.value!r}"
            )
        self.env = env
        self._actions: NDArray[np.float32] | None = None
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)
        self.metadata = dict(env.metadata) | {"render_modes": list(env.metadata["render_modes"])}

    def reset(self) -> VecEnvObs:
        """Begin an episode everywhere, with the seeds of `seed` and the options of `set_options`, used once."""
        everyone = range(self.num_envs)
        observation, infos = self.env.reset_each(everyone, self._seeds, self._options)
        self.reset_infos = infos
        self._reset_seeds()
        self._reset_options()
        return observation  # type: ignore[return-value]

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
        result, self._actions = self.env.step_each(self._actions), None
        infos = result.infos
        for i, (observation, info) in result.finals.items():
            self.reset_infos[i] = infos[i]
            infos[i] = info | {"terminal_observation": observation}
        for i, info in enumerate(infos):
            info["TimeLimit.truncated"] = bool(result.truncated[i] and not result.terminated[i])
        done = result.terminated | result.truncated
        return result.observation, result.rewards.astype(np.float32), done, infos  # type: ignore[return-value]

    def close(self) -> None:
        """Close the vector environment."""
        self.env.close()

    def get_images(self) -> Sequence[NDArray[np.uint8] | None]:
        """One picture an environment with ``render_mode="rgb_array"``, else Nones."""
        return self.env.render() or [None] * self.num_envs

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """An attribute of the batch, once an environment: they all share it."""
        return [getattr(self.env, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set an attribute of the batch.

        Raises:
            InputError: for some of the environments only, as they all share it.
        """
        if len(list(self._get_indices(indices))) != self.num_envs:
            raise InputError(f"the environments of a batch share {attr_name!r}: set it for all of them")
        setattr(self.env, attr_name, value)

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **method_kwargs: Any
    ) -> list:
        """Call a method for each environment; "get_state" and "render" give each its own result.

        Raises:
            InputError: for methods that would change single environments of the batch.
        """
        chosen = list(self._get_indices(indices))
        if method_name in ("reset", "step", "set_state", "close"):
            raise InputError(f"{method_name}() of single environments of a batch: use SB3VecEnv's own, or its .env")
        if method_name in ("get_state", "render"):
            results = getattr(self.env, method_name)(*method_args, **method_kwargs)
            return [results[i] if results is not None else None for i in chosen]
        return [getattr(self.env, method_name)(*method_args, **method_kwargs) for _ in chosen]

    def env_is_wrapped(self, wrapper_class: type[gymnasium.Wrapper], indices: VecEnvIndices = None) -> list[bool]:
        """False: there are no single environments to wrap. Use SB3's `VecMonitor` for episode statistics."""
        return [False for _ in self._get_indices(indices)]


def make_sb3_vec(num_envs: int, env_id: str = DEFAULT_ID, seed: int | None = None, **kwargs: Any) -> SB3VecEnv:
    """`gymnasium.make_vec` of a registered environment, adapted to Stable-Baselines3.

    Args:
        num_envs: environments in the batch.
        env_id: the registered id.
        seed: environment i begins with ``seed + i`` at the first reset.
        **kwargs: as for `VideoInpaintEnv`.
    """
    env = gymnasium.make_vec(
        env_id,
        num_envs=num_envs,
        vectorization_mode="vector_entry_point",
        autoreset_mode=AutoresetMode.SAME_STEP,
        **kwargs,
    )
    adapted = SB3VecEnv(env)
    if seed is not None:
        adapted.seed(seed)
    return adapted
