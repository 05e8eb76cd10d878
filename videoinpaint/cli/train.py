"""Train a policy by PPO. The run folder gets policy.safetensors, checkpoints, curve.json and TensorBoard logs."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from videoinpaint.cli.environment import EnvironmentFlags

if TYPE_CHECKING:
    from videoinpaint.agents.ppo.training import TrainConfig


@dataclass(frozen=True)
class Train(EnvironmentFlags):
    """Stop at will (Ctrl-C); the same command with --resume goes on from the last checkpoint."""

    output: Path = Path("runs/train")
    """The run's folder."""
    steps: int = 20_000
    """Environment steps in all."""
    resume: bool = False
    """Go on from the folder's last checkpoint, if there is one."""
    num_envs: int = 8
    """Environments in the batch."""
    n_steps: int = 36
    """Steps of each environment between two updates."""
    batch_size: int = 96
    """Steps of a minibatch."""
    n_epochs: int = 4
    """Passes over the collected steps at each update."""
    learning_rate: float = 7e-4
    """Adam's."""
    anneal: bool = False
    """Let it fall linearly to 0 over all steps."""
    gamma: float = 0.95
    """Discount (not the control of that name)."""
    gae_lambda: float = 0.95
    """Of generalised advantage estimation."""
    clip_range: float = 0.2
    """Of PPO's clipped surrogate."""
    target_kl: float = 0.05
    """Stop a round of updates where the policy has moved 1.5 times as far (0: never)."""
    ent_coef: float = 0.001
    """Weight of the entropy bonus."""
    start_std: float = 0.5
    """Standard deviation of the actions at first."""
    teacher: str | None = None
    """A policy to imitate before training begins."""
    sync_every: int = 1
    """Updates after which the behaviour policy is copied from the learner (1: they are one)."""
    siblings: int = 1
    """So many neighbouring environments play the same clips and are compared with each other (1: none)."""
    replay: bool = False
    """Keep old trajectories and learn from them too, importance-weighted, as in the paper."""
    checkpoint_every: int = 2_000
    """Steps between checkpoints."""
    seed: int = 0
    """Seed of everything random."""

    def run(self) -> None:
        """Train, then say what was made."""
        from videoinpaint.agents.ppo.training import train

        result = train(self.config())
        last = result.curve[-1] if result.curve else {}
        mean = f", mean return of the last rollout {last['return']:.3f}" if "return" in last else ""
        print(f"{result.steps} steps in {result.seconds:.0f} s{mean}")
        print(f"policy:       {result.policy}")
        print(f"checkpoint:   {result.checkpoint}")
        print(f"TensorBoard:  tensorboard --logdir {result.folder}")
        print(f"compare it:   videoinpaint evaluate --policies {result.folder} random heads12 heuristic")

    def config(self) -> TrainConfig:
        """The flags as the configuration of a run."""
        from videoinpaint.agents.ppo.replay import ReplayConfig
        from videoinpaint.agents.ppo.training import TrainConfig

        own = {field.name for field in fields(self)} - {field.name for field in fields(EnvironmentFlags)}
        flags = {name: getattr(self, name) for name in own - {"replay"}}
        env = self.env_kwargs()
        device = env.pop("device", "auto")
        replay = ReplayConfig() if self.replay else None
        flags["target_kl"] = self.target_kl or None
        return TrainConfig(**flags, env=env, env_id=self.env_id, device=device, replay=replay)


COMMAND = Train
