"""Stock Stable-Baselines3 PPO on an environment of this package, and its actor as files.

    python -m videoinpaint.benchmarks.policies.stock_ppo --seed 0 --steps 1152 --folder runs/stock/seed0

"MultiInputPolicy" and its defaults, but for the length of rollouts and minibatches, which have to be small where a step
takes a third of a second. Two files are written: ``policy.pt`` takes ``frames`` and ``masks`` as the environment
observes them, uint8, and gives the mean action: a submission to the leaderboard, and no pickle. ``policy.safetensors``
is for `videoinpaint evaluate` and the benchmarks: the folder's name is the policy's, ``--trained runs/stock/seed*``.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import Tensor, nn

from videoinpaint.agents import save_policy
from videoinpaint.benchmarks.protocol import tables
from videoinpaint.benchmarks.protocol.envelope import envelope
from videoinpaint.benchmarks.protocol.flags import Computing
from videoinpaint.benchmarks.protocol.freezing import SOURCES
from videoinpaint.checks import real_number, seed_number, whole_number
from videoinpaint.envs import make_sb3_vec
from videoinpaint.errors import InputError
from videoinpaint.files import check_new, user_path, write_atomically
from videoinpaint.registration import DEFAULT_ID

TRAINING_SEEDS = 1_000_000_000
"""Episodes of training begin here, as those of `videoinpaint train` do; those that are measured are far below."""


@dataclass(frozen=True, kw_only=True)
class Stock(Computing):
    """What is trained."""

    env_id: str = DEFAULT_ID
    """A registered environment that is not one-shot."""
    clips: str = str(SOURCES["studio-mixed-v1"]["clips"])
    """Where clips come from."""
    masks: str = "mixed"
    """Holes."""
    num_frames: int | None = None
    """As the id registers it unless given, like what follows."""
    height: int | None = None
    """Pixels."""
    width: int | None = None
    """Pixels."""
    steps: int = 1152
    """Environment steps."""
    num_envs: int = 8
    """Environments in the batch."""
    n_steps: int = 24
    """Steps of each environment between two updates."""
    batch_size: int = 48
    """Steps of a minibatch."""
    gamma: float = 0.95
    """Discount."""
    seed: int = 0
    """Seed of everything random."""
    folder: Path = Path("runs/stock")
    """Gets policy.pt and policy.safetensors."""
    device: str = "cpu"
    """Of environment and network: cpu or cuda."""
    output: Path | None = None
    """Write what is known of the training here, as JSON."""


class Actor(nn.Module):
    """The mean action of a policy of Stable-Baselines3 over ``frames`` and ``masks``, clipped to its actions."""

    low: Tensor

    def __init__(self, policy: ActorCriticPolicy) -> None:
        super().__init__()
        self.features = policy.pi_features_extractor
        self.body, self.mean = policy.mlp_extractor, policy.action_net
        assert isinstance(policy.action_space, spaces.Box)
        self.register_buffer("low", torch.from_numpy(policy.action_space.low))

    def forward(self, frames: Tensor, masks: Tensor) -> Tensor:
        """Actions ``(B, 5)`` or ``(B, rows, columns, 5)`` for ``frames (B, 3T, H, W)``, ``masks (B, T, H, W)``."""
        seen = self.features({"frames": frames.float() / 255, "masks": masks.float() / 255})
        actions = self.mean(self.body.forward_actor(seen)).unflatten(1, self.low.shape)
        return torch.maximum(actions, self.low).clamp(max=1)


def run(flags: Stock) -> dict[str, Any]:
    """Train and write the files.

    Raises:
        InputError, UnknownNameError: bad flags, before any work starts.
    """
    seed_number(flags.seed, high=10**6)
    for name in ("steps", "num_envs", "n_steps"):
        whole_number(getattr(flags, name), name, 1, 10**9)
    whole_number(flags.batch_size, "batch_size", 2, 10**9)  # advantages are divided by their spread, which one has not
    if flags.num_envs * flags.n_steps == 1:
        raise InputError("a rollout of one step (num_envs x n_steps) cannot be trained on: raise one of them")
    real_number(flags.gamma, "gamma", 0, 1)
    check_new(user_path(flags.folder) / "policy.pt")
    sizes = {name: getattr(flags, name) for name in ("num_frames", "height", "width")}
    kwargs = {"clips": flags.clips, "masks": flags.masks} | {k: v for k, v in sizes.items() if v is not None}
    first = TRAINING_SEEDS + flags.seed * flags.num_envs
    env = make_sb3_vec(flags.num_envs, flags.env_id, seed=first, device=flags.device, **kwargs)
    began = time.monotonic()
    model = PPO(
        "MultiInputPolicy", env, n_steps=flags.n_steps, batch_size=flags.batch_size, gamma=flags.gamma, seed=flags.seed,
        device=flags.device,
    )  # fmt: skip
    model.set_logger(Logger(None, []))  # the library's own makes a folder among the temporary files, and leaves it
    model.learn(flags.steps)
    seconds, observation = time.monotonic() - began, env.reset()
    frames, masks = (torch.from_numpy(observation[key][:1]) for key in ("frames", "masks"))  # type: ignore[call-overload]  # of a dict
    path = export(model.policy.cpu(), frames, masks, flags.folder / "policy.pt")
    env.close()
    settings = flags.asked("folder")
    save_policy(path.with_suffix(".safetensors"), model.policy, {"env_id": flags.env_id, "env": kwargs, **settings})
    return envelope("stock_ppo", settings, env_id=flags.env_id, env_kwargs=kwargs, policy=str(path), seconds=seconds)


def export(policy: ActorCriticPolicy, frames: Tensor, masks: Tensor, path: Path) -> Path:
    """Write a policy's actor as TorchScript, whole or not at all.

    Args:
        policy: trained.
        frames: one observation's, uint8 ``(1, 3T, H, W)``; likewise `masks`. The file takes these sizes alone.
        masks: uint8 ``(1, T, H, W)``.
        path: ends in .pt.
    """
    with warnings.catch_warnings(), torch.no_grad():
        # Deprecated in favour of formats that need the code beside the file; a leaderboard wants the file alone.
        warnings.simplefilter("ignore", (FutureWarning, DeprecationWarning))
        actor = torch.jit.trace(Actor(policy).eval(), (frames, masks), check_trace=False)
        with write_atomically(user_path(path)) as part:
            torch.jit.freeze(actor.eval()).save(str(part))
    return path


def report(results: Mapping[str, Any]) -> None:
    """Say what was made."""
    print(f"{results['settings']['steps']} steps in {results['seconds']:.0f} s: {results['policy']}")


if __name__ == "__main__":
    tables.main(Stock, run, report, __doc__ or "")
