"""Episodes as plain dicts of tensors and primitives, which ``torch.load(weights_only=True)`` reads back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.utils import seeding
from gymnasium.wrappers import TimeLimit

from videoinpaint.envs.core import Core
from videoinpaint.envs.episodes import Episode
from videoinpaint.errors import InputError
from videoinpaint.protocols import State

VERSION = 2


@dataclass(frozen=True)
class Restored:
    """What :func:`load` gives back: a state of one episode, and the generator with its seed."""

    state: State
    episode: Episode
    done: bool
    generator: tuple[np.random.Generator, int]


def save(
    core: Core, state: State, episode: Episode, done: bool, generator: np.random.Generator, seed: int | None
) -> dict[str, Any]:
    """A snapshot. It shares the state's tensors, which nobody writes to: taking one costs nothing."""
    return {
        "version": VERSION,
        "arguments": _arguments(core),
        "tensors": dict(state),
        "given": _given(episode),
        "episode": episode.labels(),
        "done": done,
        "generator": generator.bit_generator.state,
        "generator_seed": seed,
    }


def load(core: Core, snapshot: dict[str, Any]) -> Restored:
    """The inverse of :func:`save`, with tensors moved to the core's device.

    Raises:
        InputError: not a snapshot of this version, or of an environment with other arguments.
    """
    if not isinstance(snapshot, dict) or snapshot.get("version") != VERSION:
        raise InputError(f"not a state of version {VERSION}: pass what get_state() returned")
    ours, theirs = _arguments(core), snapshot["arguments"]
    if differing := [
        f"{name}={theirs.get(name)!r} (here {ours[name]!r})" for name in ours if theirs.get(name) != ours[name]
    ]:
        raise InputError(f"the state belongs to an environment with other arguments: {', '.join(differing)}")
    state = {name: _placed(name, tensor, core.device) for name, tensor in snapshot["tensors"].items()}
    frames = state["reference"][0].permute(0, 2, 3, 1).cpu().numpy()
    given: dict[str, Any] = {
        name: array if array is None else array.numpy() for name, array in snapshot["given"].items()
    }
    episode = Episode(frames, **given, **snapshot["episode"])
    generator, _ = seeding.np_random(0)
    generator.bit_generator.state = snapshot["generator"]
    return Restored(state, episode, snapshot["done"], (generator, snapshot["generator_seed"]))


def restore(env: gymnasium.Env, snapshot: dict[str, Any]) -> Any:
    """Continue from a state through wrappers, in an environment that need not have been reset before.

    Args:
        env: with `VideoInpaintEnv` in it; a `TimeLimit` around it goes on counting where the state stood.
        snapshot: what ``get_state()`` of the unwrapped environment returned.

    Returns:
        the observation of the unwrapped environment.

    Raises:
        InputError: see :func:`load`.
    """
    observation = env.unwrapped.set_state(snapshot)  # type: ignore[attr-defined]
    while isinstance(env, gymnasium.Wrapper):
        if isinstance(env, TimeLimit):
            env._elapsed_steps = int(  # type: ignore[assignment]
                snapshot["tensors"]["iteration"][0]
            )
        env = env.env
    return observation


def _given(episode: Episode) -> dict[str, torch.Tensor | None]:
    """What the state's tensors do not tell of an episode: one-shot, the loop's holes are predicted, not true."""
    observed = episode.observed
    return {
        "holes": torch.from_numpy(episode.holes),
        "observed": None if observed is None else torch.from_numpy(observed),
    }


def _arguments(core: Core) -> dict[str, Any]:
    """What must agree for a state to mean the same. Sources may differ: they only matter for later episodes."""
    settings = core.settings
    names = ("max_iterations", "backbone", "reward", "reward_weights", "psnr_scale", "compute_price")
    parts: dict[str, Any] = {"inpainter": core.loop.inpainter.name, "detector": core.loop.detector.name}
    parts |= {"propagator": None if core.propagator is None else core.propagator.name}
    return {"shape": list(core.shape)} | parts | {name: getattr(settings, name) for name in names}


def _placed(name: str, tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    # Bookkeeping lives on the CPU whatever the device.
    kept = name in ("iteration", "loop/gflops", "loop/full_gflops") or name.startswith("predicted/")
    return tensor if kept else tensor.to(device)
