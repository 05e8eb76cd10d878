"""Checkpoints that continue a training run to the same result, bit for bit on the CPU, as if it had never stopped.

A checkpoint is a folder: ``policy.safetensors``, ``config.json`` and ``state.pt``, which holds tensors and plain values
only and is read with ``weights_only=True``. It is taken between rollouts and appears whole or not at all.
"""

from __future__ import annotations

import random
import shutil
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv

from videoinpaint.agents.policies.export import load_policy, save_policy
from videoinpaint.agents.ppo.algorithm import ClosedLoopPPO
from videoinpaint.agents.ppo.view import TrainingView
from videoinpaint.checkpoints import load_optimiser, write_state
from videoinpaint.checks import find_unusable, plain_content, whole_number
from videoinpaint.errors import CorruptWeightsError, InputError
from videoinpaint.files import write_atomically, write_json
from videoinpaint.naming import stable_name

VERSION = 2
STATE, CONFIG, POLICY = "state.pt", "config.json", "policy.safetensors"
KEPT = 2
"""Checkpoints of a run that are kept: where the last one is damaged, the one before it is left."""


def save_checkpoint(folder: Path, model: ClosedLoopPPO, config: Mapping[str, Any], extra: Mapping[str, Any]) -> Path:
    """Write ``folder/step-N`` and delete all but the ``KEPT`` latest.

    Args:
        folder: where a run keeps its checkpoints.
        model: between two rollouts.
        config: the run's, to be read by people and compared on resume.
        extra: plain values to come back with the checkpoint.
    """
    target = folder / f"step-{model.num_timesteps:09d}"
    with write_atomically(target, folder=True) as draft:
        save_policy(draft / POLICY, model.learner, {"steps": model.num_timesteps})
        write_record(draft / CONFIG, config)
        write_state(draft / STATE, pack(_model_state(model) | {"version": VERSION, "extra": dict(extra)}))
    for old in checkpoints(folder)[:-KEPT]:
        shutil.rmtree(old)
    return target


def checkpoints(folder: Path) -> list[Path]:
    """The complete checkpoints of a run, oldest first."""
    found = [path for path in folder.glob("step-*") if path.is_dir() and path.name[5:].isdecimal()]
    return sorted(found, key=lambda path: int(path.name[5:]))


def load_checkpoint(path: Path, model: ClosedLoopPPO) -> tuple[dict[str, Any], bool]:
    """Bring a fresh model, and its environments, to where a checkpoint was taken.

    Environments without ``get_state`` and ``set_state`` cannot go on in the middle of an episode: the model then resets
    them before the next rollout, and the caller should seed them anew.

    Returns:
        the checkpoint's `extra`, and whether the environments are where they were.

    Raises:
        CorruptWeightsError: the checkpoint is damaged, incomplete, or not one of this model.
    """
    policy = load_policy(path / POLICY, device=model.device)
    try:
        state = unpack(plain_content(path / STATE))
        if state["version"] != VERSION:
            raise ValueError(f"it is of version {state['version']}, this package writes {VERSION}")
        if wrong := find_unusable({key: value for key, value in state.items() if key != "extra"}):
            raise ValueError(wrong)
        _check(model, state)
        model.policy.load_state_dict(policy.network.state_dict())
        restored = _restore(model, state)
    except InputError:
        raise
    except Exception as error:  # a damaged file can fail in nearly any way
        remedy = "delete it to go on from the one before, or start again in another folder"
        raise CorruptWeightsError(f"{path} cannot be resumed from ({error}): {remedy}") from error
    return state["extra"], restored


def write_record(path: Path, content: Any) -> None:
    """JSON of what a run was given and found; parts go by their stable names."""
    write_json(path, content, default=stable_name, allow_nan=True)


def _model_state(model: ClosedLoopPPO) -> dict[str, Any]:
    assert isinstance(model.env, TrainingView)
    return {
        "optimizer": model.learner.optimizer.state_dict(),
        "behaviour": None if model.behaviour is None else model.behaviour.state_dict(),
        "rounds_since_sync": model.rounds_since_sync,
        "replay": None if model.replay is None else model.replay.get_state(),
        "num_timesteps": model.num_timesteps,
        "updates": model._n_updates,
        "last_obs": model._last_obs,
        "last_starts": model._last_episode_starts,
        "episodes": list(model.ep_info_buffer or ()),
        "view": model.env.get_state(),
        "episodes_begun": model.episodes_begun,
        "envs": environment_states(model.env),
        "random": _random_state(),
    }


_KEYS = (
    "optimizer", "behaviour", "rounds_since_sync", "replay", "num_timesteps", "updates", "last_obs", "last_starts",
    "episodes", "view", "episodes_begun", "envs", "random", "extra",
)  # fmt: skip


def _check(model: ClosedLoopPPO, state: dict[str, Any]) -> None:
    """Raise ValueError where a state holds something that training would stumble over much later."""
    if lacking := [key for key in _KEYS if key not in state]:
        raise ValueError(f"it lacks {', '.join(lacking)}")
    for key in ("num_timesteps", "updates", "rounds_since_sync"):
        whole_number(state[key], key, 0, 10**15)
    curve = state["extra"]["curve"]
    if not isinstance(curve, list) or not all(isinstance(row, dict) and "steps" in row for row in curve):
        raise ValueError("its learning curve is none")
    untrained = state["extra"].get("random_weights", [])
    if not isinstance(untrained, list) or not all(isinstance(name, str) for name in untrained):
        raise ValueError("its untrained parts are none")
    episodes = state["episodes"]
    if not all(isinstance(one, dict) and {"r", "l"} <= one.keys() and plain_numbers(one.values()) for one in episodes):
        raise ValueError("its last episodes are none")
    count, space = model.n_envs, model.observation_space
    assert isinstance(space, spaces.Dict)
    wanted: dict[str, tuple[Any, tuple[int, ...]]] = {
        "last_starts": (state["last_starts"], (count,)), "episodes_begun": (state["episodes_begun"], (count,)),
    }  # fmt: skip
    if state["last_obs"].keys() != space.spaces.keys():
        raise ValueError("its last observation has other parts")
    wanted |= {key: (state["last_obs"][key], (count, *(box.shape or ()))) for key, box in space.spaces.items()}
    for key, (array, shape) in wanted.items():
        if not isinstance(array, np.ndarray) or array.shape != shape or array.dtype.kind not in "biuf":
            raise ValueError(f"its {key} is not of shape {shape}")


def plain_numbers(values: Any) -> bool:
    """Whether all of them are numbers."""
    return all(isinstance(value, int | float) for value in values)


def _restore(model: ClosedLoopPPO, state: dict[str, Any]) -> bool:
    assert isinstance(model.env, TrainingView)
    load_optimiser(model.policy.optimizer, state["optimizer"])
    if model.behaviour is not None:
        model.behaviour.load_state_dict(state["behaviour"])
    if model.replay is not None:
        model.replay.set_state(state["replay"])
    model.rounds_since_sync = state["rounds_since_sync"]
    model.num_timesteps, model._n_updates = state["num_timesteps"], state["updates"]
    model._last_obs, model._last_episode_starts = state["last_obs"], state["last_starts"]
    model.ep_info_buffer = deque(state["episodes"], maxlen=model._stats_window_size)
    model.ep_success_buffer = deque(maxlen=model._stats_window_size)
    restored = state["envs"] is not None and has_states(model.env)
    if restored:
        set_environment_states(model.env, state["envs"])
        model.env.set_state(state["view"])
        model.episodes_begun = state["episodes_begun"]
    else:  # without a last observation the next `learn` begins with a reset
        model._last_obs = model._last_episode_starts = None
    _set_random_state(state["random"])  # last: whatever came before may have drawn
    return restored


def has_states(env: VecEnv) -> bool:
    """Whether the environments below the wrappers can be saved and restored."""
    return _has(env, ("get_state", "set_state"))


def _has(env: VecEnv, names: tuple[str, ...]) -> bool:
    """Whether all environments below the wrappers have these methods."""
    base = env.unwrapped
    if hasattr(base, "has_attr"):
        return all(base.has_attr(name) for name in names)
    try:  # an older Stable-Baselines3
        return all(map(callable, (attribute for name in names for attribute in base.get_attr(name))))
    except AttributeError:
        return False


def environment_states(env: VecEnv) -> list[dict[str, Any]] | None:
    """The state of each environment below the wrappers, in few bytes where they can; None where they have none."""
    if not has_states(env):
        return None
    return env.unwrapped.env_method("get_brief_state" if _has(env, ("get_brief_state",)) else "get_state")


def set_environment_states(env: VecEnv, states: list[dict[str, Any]]) -> None:
    """The inverse of :func:`environment_states`."""
    from videoinpaint.envs.sb3 import SB3VecEnv

    base = env.unwrapped
    if isinstance(base, SB3VecEnv):  # one batch: all at once
        batch: Any = base.env.unwrapped
        batch.set_state(states)
        return
    base.reset()  # Gymnasium's wrappers do not let anybody step what was never reset
    for i, state in enumerate(states):
        base.env_method("set_state", state, indices=i)


def _random_state() -> dict[str, Any]:
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    numpy = np.random.get_state(legacy=False)  # noqa: NPY002 - parts of others may draw from it
    return {"torch": torch.get_rng_state(), "cuda": cuda, "numpy": numpy, "python": random.getstate()}


def _set_random_state(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["torch"])
    if torch.cuda.is_available() and state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])
    np.random.set_state(state["numpy"])  # noqa: NPY002 - as above
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))


_ARRAY = "ndarray"


def pack(value: Any) -> Any:
    """A nested value with NumPy arrays as marked tensors and tuples as lists, which is what `weights_only` admits."""
    if isinstance(value, np.ndarray):
        signed = value.view(value.dtype.str.replace("u", "i")) if value.dtype.kind == "u" else value
        return {_ARRAY: torch.from_numpy(np.array(signed)), "dtype": value.dtype.str}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {key: pack(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [pack(inner) for inner in value]
    return value


def unpack(value: Any) -> Any:
    """The inverse of :func:`pack` (tuples stay lists)."""
    if isinstance(value, dict):
        if value.keys() == {_ARRAY, "dtype"}:
            return value[_ARRAY].numpy().view(value["dtype"])
        return {key: unpack(inner) for key, inner in value.items()}
    return [unpack(inner) for inner in value] if isinstance(value, list) else value
