"""Train a policy by PPO. The run folder gets policy.safetensors, checkpoints, curve.json and TensorBoard logs."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from videoinpaint.agents.ppo.config import ReplayConfig, TrainConfig
from videoinpaint.checks import real_number
from videoinpaint.cli.environment import EnvironmentFlags
from videoinpaint.envs.ids import argument_of
from videoinpaint.errors import InputError
from videoinpaint.registration import DEFAULT_ID

PAPER: dict[str, Any] = {"policy": "paper", "sync_every": 4, "ent_coef": 0.01, "final_ent_coef": 0.001}
"""Section 4.1 of CLIP-RL with the replay; it states no numbers but the replay's 50,000 trajectories."""
PAPER_ID = "VideoInpaint-v0"


@dataclass(frozen=True)
class Train(EnvironmentFlags):
    """Stop at will (Ctrl-C); the same command goes on from the last checkpoint."""

    output: Path = Path("runs/train")
    """The run's folder."""
    preset: Literal["default", "paper"] = "default"
    """Settings that are not given: ours, or Section 4.1 of CLIP-RL (docs/agents.md): VideoInpaint-v0, --policy paper,
    --replay, --sync-every 4, --ent-coef 0.01 --final-ent-coef 0.001."""
    policy: Literal["features", "paper", "described"] | None = None
    """What the network sees: thumbnails and hand-made features; frames and masks at full resolution; or features alone,
    with measures of fine detail."""
    steps: int = TrainConfig.steps
    """Environment steps in all."""
    resume: bool = False
    """Continue the folder's run to other --steps; the same command resumes without this flag."""
    num_envs: int = TrainConfig.num_envs
    """Environments in the batch."""
    n_steps: int = TrainConfig.n_steps
    """Steps of each environment between two updates."""
    batch_size: int = TrainConfig.batch_size
    """Steps of a minibatch."""
    n_epochs: int = TrainConfig.n_epochs
    """Passes over the collected steps at each update."""
    learning_rate: float = TrainConfig.learning_rate
    """Learning rate of Adam."""
    anneal: bool = TrainConfig.anneal
    """Let the learning rate fall linearly to 0 over all steps."""
    gamma: float = TrainConfig.gamma
    """Discount factor (not the control of that name)."""
    gae_lambda: float = TrainConfig.gae_lambda
    """Lambda of generalised advantage estimation."""
    clip_range: float = TrainConfig.clip_range
    """Clip range of PPO's surrogate."""
    target_kl: float = TrainConfig.target_kl or 0.0
    """Stop a round of updates early when the KL divergence exceeds 1.5 times this (0: never)."""
    ent_coef: float | None = None
    """Weight of the entropy bonus; by default 0.001."""
    final_ent_coef: float | None = None
    """Final weight of the entropy bonus, reached linearly over all steps; by default the weight is constant."""
    start_std: float = TrainConfig.start_std
    """Initial standard deviation of the actions."""
    clone: str | None = TrainConfig.clone
    """A policy whose behaviour is cloned before training begins: anything that --policies of evaluate takes."""
    cell_credit: bool | None = None
    """With --action-grid: each cell learns from the reward that arose in it (the default), or all from the whole."""
    sync_every: int | None = None
    """Rounds of updates after which the behaviour policy is copied from the learner; by default 1: the learner acts."""
    group_size: int = TrainConfig.group_size
    """How many neighbouring environments play the same clips and are each other's baseline (1: none)."""
    replay: bool | None = None
    """Keep old trajectories and learn from them too, importance-weighted, as in the paper."""
    replay_trajectories: int | None = None
    """With --replay: the most trajectories to keep, by default 50,000 as in the paper."""
    replay_gib: float | None = None
    """With --replay: the most memory for trajectories, GiB; by default 1, with --preset paper 8. The command says
    before training how many fit."""
    checkpoint_every: int = TrainConfig.checkpoint_every
    """Steps between checkpoints."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the environment's matrix products and convolutions; auto: bfloat16 on a CPU that has it natively."""
    seed: int = TrainConfig.seed
    """Seed of everything random."""
    bank: Path | None = None
    """A folder of prepared episodes, see `videoinpaint bank`: episodes are drawn from it, and resets only read. A bank
    that does not exist yet is built first."""
    bank_episodes: int | None = None
    """With --bank: how many episodes a new bank gets, 2000 by default."""
    prefetch: int | None = None
    """Threads that prepare the next episodes while the current ones are played: for machines with cores to spare."""

    def run(self) -> None:
        """Train, then say what was made."""
        from videoinpaint.agents.ppo.run_folder import going_on
        from videoinpaint.agents.ppo.training import replay_told, train

        config, told = going_on(self.config())
        if told:
            print(told)
        if self.bank is not None:
            self.build_bank(self.bank)
        if told := replay_told(config):
            print(told)
        result = train(config)
        last = result.curve[-1] if result.curve else {}
        mean = f", mean return of the last rollout {last['return']:.3f}" if "return" in last else ""
        print(f"{result.steps} steps in {result.seconds:.0f} s{mean}")
        print(f"policy:       {result.policy}")
        print(f"checkpoint:   {result.checkpoint}")
        print(f"TensorBoard:  tensorboard --logdir {result.folder}")
        print(f"compare it:   {self.comparison(result.folder)}")
        print("              (by seeds that training never draws; clips of files are then the same: name others)")

    def config(self) -> TrainConfig:
        """The flags as the configuration of a run."""
        names = {field.name for field in fields(TrainConfig)} - {"env", "env_id", "device", "replay"}
        given = {name: getattr(self, name) for name in names if getattr(self, name, None) is not None}
        flags = (PAPER if self.preset == "paper" else {}) | given
        env = self.env_kwargs()
        env_id = PAPER_ID if self.preset == "paper" and self.env_id == DEFAULT_ID else self.env_id
        self._refuse_without_effect(argument_of(env_id, env, "action_grid") is not None)
        env |= {} if self.bank is None else {"bank": str(self.bank)}
        env |= {} if self.prefetch is None else {"prefetch": self.prefetch}
        device = env.pop("device", TrainConfig.device)
        flags["target_kl"] = self.target_kl or None
        return TrainConfig(**flags, env=env, env_id=env_id, device=device, replay=self._replay())

    def comparison(self, folder: Path) -> str:
        """The command that plays the policy in the environment that it was trained in, beside others."""
        words = ["videoinpaint", "evaluate"]
        given = {field.name: getattr(self, field.name) for field in fields(EnvironmentFlags)}
        given |= {"env_id": self.config().env_id, "precision": self.precision}
        usual = {"env_id": DEFAULT_ID, "precision": "auto"}
        for name, value in given.items():
            if value is not None and value != usual.get(name):
                values = value if isinstance(value, tuple) else (value,)
                words += ["--" + name.replace("_", "-"), *map(str, values)]
        return shlex.join([*words, "--policies", str(folder), "random", "heads12", "heuristic"])

    @property
    def _replays(self) -> bool:
        return self.preset == "paper" if self.replay is None else self.replay

    def _refuse_without_effect(self, by_cell: bool) -> None:
        """Raise InputError for flags that say more of what was not asked for, such as actions by cell."""
        needed = (
            ("bank_episodes", "--bank", self.bank is not None),
            ("replay_trajectories", "--replay", self._replays),
            ("replay_gib", "--replay", self._replays),
            ("cell_credit", "--action-grid", by_cell),
        )
        for name, other, there in needed:
            if getattr(self, name) is not None and not there:
                flag = name.replace("_", "-")
                raise InputError(f"--{flag} has no effect without {other}: give both, or leave it out")

    def _replay(self) -> ReplayConfig | None:
        if not self._replays:
            return None
        paper = self.preset == "paper"
        size = real_number(self.replay_gib, "replay_gib", 0, 1e6) if self.replay_gib is not None else 8 if paper else 1
        kept = ReplayConfig.trajectories if self.replay_trajectories is None else self.replay_trajectories
        return ReplayConfig(kept, max(1, int(size * 2**30)))

    def build_bank(self, folder: Path) -> None:
        """Fill a folder that holds no bank yet; one that does is used as it is, though it may still grow."""
        from videoinpaint.cli.bank import Build
        from videoinpaint.files import user_path

        count = Build.episodes if self.bank_episodes is None else self.bank_episodes
        if not (user_path(folder) / "bank.json").is_file():
            flags = {field.name: getattr(self, field.name) for field in fields(EnvironmentFlags)}
            Build(**flags, folder=folder, episodes=count).run()


COMMAND = Train
