"""Training a policy by PPO: one call, one configuration, a folder that explains itself."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import gymnasium
import stable_baselines3
import torch
from stable_baselines3.common.logger import configure
from stable_baselines3.common.vec_env import VecEnv

from videoinpaint.agents.policies.export import save_policy
from videoinpaint.agents.policies.networks import START_STD
from videoinpaint.agents.policies.policy import make_policy
from videoinpaint.agents.ppo.algorithm import ClosedLoopPPO
from videoinpaint.agents.ppo.callbacks import Checkpointer, ProgressReport, Recorder, progress_bar
from videoinpaint.agents.ppo.checkpoint import checkpoints, load_checkpoint, save_checkpoint, write_json
from videoinpaint.agents.ppo.imitation import imitate
from videoinpaint.agents.ppo.replay import ReplayConfig
from videoinpaint.agents.ppo.view import TrainingView
from videoinpaint.envs.loop import resolve_device
from videoinpaint.errors import InputError
from videoinpaint.registration import DEFAULT_ID
from videoinpaint.version import __version__

TRAINING_SEEDS = 1_000_000_000
"""Training draws its first episodes from here on, so that small seeds are free for evaluation."""

# What may differ between a run and its continuation.
_FREE = {"steps", "output", "checkpoint_every", "progress", "device", "resume"}


@dataclass(frozen=True)
class TrainConfig:
    """How a policy is trained. The defaults are meant for some 20,000 steps on a CPU.

    Attributes:
        output: the run's folder.
        env: keyword arguments of the environment (`clips`, `masks`, `num_frames`, ...).
        env_id: a registered environment.
        steps: environment steps in all, rounded up to whole rollouts of ``num_envs * n_steps``.
        num_envs: environments in the batch.
        n_steps: steps of each in a rollout; with a multiple of the episode length few episodes are cut.
        batch_size: steps of a minibatch.
        n_epochs: passes over a rollout.
        learning_rate: Adam's.
        anneal: let it fall linearly to 0 over `steps`, which a continuation then cannot change.
        gamma: discount.
        gae_lambda: of generalised advantage estimation.
        clip_range: of the surrogate.
        ent_coef: weight of the entropy bonus.
        vf_coef: weight of the value loss (in units of the returns' deviation).
        max_grad_norm: gradient norm bound.
        target_kl: stop a round of updates early beyond 1.5 times this; None never to.
        seed: of everything random.
        device: of environment and network; "auto" is the GPU where there is one.
        checkpoint_every: steps between checkpoints; 0 for one at the end only.
        resume: go on from the folder's last checkpoint, if there is one.
        replay: keep old trajectories and learn from them too (CLIP-RL, Section 4.1); None not to.
        sync_every: rounds of updates after which the behaviour policy is copied from the learner; 1 keeps them one.
        siblings: so many neighbouring environments play the same clips, and are compared with each other; 1 for none.
        start_std: standard deviation of the actions at first. Noise in later iterations hides what an earlier one is
            worth: where iterations share the work, begin with little.
        teacher: a policy to imitate before training begins, see :mod:`.imitation`; None for none.
        progress: show a live bar.
    """

    output: Path
    env: dict[str, Any] = field(default_factory=dict)
    env_id: str = DEFAULT_ID
    steps: int = 20_000
    num_envs: int = 8
    n_steps: int = 36
    batch_size: int = 96
    n_epochs: int = 4
    learning_rate: float = 7e-4
    anneal: bool = False
    gamma: float = 0.95
    gae_lambda: float = 0.95
    clip_range: float = 0.2
    ent_coef: float = 0.001
    vf_coef: float = 0.5
    max_grad_norm: float = 0.5
    target_kl: float | None = 0.05
    seed: int = 0
    device: str = "auto"
    checkpoint_every: int = 2_000
    resume: bool = False
    replay: ReplayConfig | None = None
    sync_every: int = 1
    siblings: int = 1
    start_std: float = START_STD
    teacher: str | None = None
    progress: bool = True

    def __post_init__(self) -> None:
        for name in ("steps", "num_envs", "n_steps", "batch_size", "n_epochs", "sync_every", "siblings"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("gamma", "gae_lambda", "clip_range"):
            if not 0 < getattr(self, name) <= 1:
                raise InputError(f"{name} must be above 0 and at most 1, got {getattr(self, name)}")
        if self.num_envs % self.siblings:
            raise InputError(f"num_envs={self.num_envs} cannot be split into groups of siblings={self.siblings}")
        if self.num_envs * self.n_steps < 2:
            raise InputError("a rollout needs at least 2 steps: raise num_envs or n_steps")

    def as_dict(self) -> dict[str, Any]:
        """The configuration as JSON would hold it."""
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        plain["replay"] = None if self.replay is None else vars(self.replay)
        return json.loads(json.dumps(plain, default=str))


@dataclass(frozen=True)
class TrainResult:
    """What a training run left.

    Attributes:
        folder: the run's.
        policy: the trained policy, for `make_policy` and ``--policy``.
        checkpoint: the last one.
        steps: environment steps made.
        curve: one row a rollout: ``steps``, ``episodes``, ``return``, ``metrics/...``, ``controls/...``, ``gflops``.
        seconds: of this call.
    """

    folder: Path
    policy: Path
    checkpoint: Path
    steps: int
    curve: list[dict[str, float]]
    seconds: float


def train(
    config: TrainConfig,
    *,
    make_env: Callable[[TrainConfig], VecEnv] | None = None,
    on_progress: Callable[[int, dict[str, float]], None] | None = None,
) -> TrainResult:
    """Train a `ClosedLoopPolicy` and leave it in ``config.output``.

    The folder then holds ``policy.safetensors``, ``run.json`` (configuration, command, versions), ``curve.json``,
    ``checkpoints/`` and ``tensorboard/``. Training that was stopped goes on with ``resume=True``, to the same result.

    Args:
        config: see :class:`TrainConfig`.
        make_env: builds the environments; by default the batch of `config.env_id`.
        on_progress: called after every rollout with the steps so far and the latest row of the curve.

    Raises:
        InputError: the folder holds another run, or the environment's arguments are not usable.
        CorruptWeightsError: the checkpoint to resume from is damaged.
    """
    began = time.monotonic()
    folder = Path(config.output)
    saved = checkpoints(folder / "checkpoints")
    _check_folder(folder, config, saved)
    model = _build(config, make_env or make_training_envs)
    curve = load_checkpoint(saved[-1], model)["curve"] if saved else []
    folder.mkdir(parents=True, exist_ok=True)
    _describe(folder, config)
    if config.teacher is not None and not saved:
        _learn_from(config.teacher, model, config)
    recorder = Recorder(curve)

    def save() -> Path:
        write_json(folder / "curve.json", recorder.curve)
        # Checkpoints are pruned; the policies alone are small, and a learning curve needs them all.
        save_policy(folder / "policies" / f"step-{model.num_timesteps:09d}.safetensors", model.policy, {})
        return save_checkpoint(folder / "checkpoints", model, config.as_dict(), {"curve": recorder.curve})

    if model.num_timesteps < config.steps:
        model.set_logger(configure(str(folder / "tensorboard"), ["tensorboard"]))
        with progress_bar(config.progress) as bar:
            report = ProgressReport(bar, config.steps, recorder, on_progress)
            callbacks = [Checkpointer(save, config.checkpoint_every), recorder, report]
            remaining = config.steps - model.num_timesteps
            model.learn(remaining, callback=callbacks, reset_num_timesteps=not saved)  # type: ignore[arg-type]
        model.logger.close()
    policy = save_policy(folder / "policy.safetensors", model.policy, _origin(config, model, recorder.curve))
    steps = model.num_timesteps
    assert model.env is not None
    model.env.close()
    last = checkpoints(folder / "checkpoints")[-1]
    return TrainResult(folder, policy, last, steps, recorder.curve, time.monotonic() - began)


def make_training_envs(config: TrainConfig) -> VecEnv:
    """The batch of environments that a configuration asks for."""
    from videoinpaint.envs.sb3 import make_sb3_vec

    return make_sb3_vec(config.num_envs, config.env_id, **({"device": config.device} | config.env))


def _build(config: TrainConfig, make_env: Callable[[TrainConfig], VecEnv]) -> ClosedLoopPPO:
    device = resolve_device(config.device)
    rollout = config.num_envs * config.n_steps
    names = ("n_epochs", "learning_rate", "gamma", "gae_lambda", "clip_range", "ent_coef", "vf_coef", "max_grad_norm",
             "target_kl", "n_steps", "seed", "replay", "sync_every")  # fmt: skip
    kwargs = {name: getattr(config, name) for name in names}
    if config.anneal:
        # The last rollout may end beyond `steps`.
        kwargs["learning_rate"] = lambda remaining: config.learning_rate * max(remaining, 0.0)
    kwargs["batch_size"] = next(size for size in range(min(config.batch_size, rollout), 0, -1) if rollout % size == 0)
    env = TrainingView(make_env(config))
    kwargs["policy_kwargs"] = {"start_std": config.start_std}
    model = ClosedLoopPPO(env, device=device, siblings=config.siblings > 1, **kwargs)
    if config.teacher is not None:
        make_policy(config.teacher)  # fails before anything is written
    _seed_envs(env, config)  # after the model, which seeds it by small numbers
    return model


def _seed_envs(env: VecEnv, config: TrainConfig) -> None:
    """What the next reset begins with."""
    env.seed(TRAINING_SEEDS + config.seed * config.num_envs)
    if config.siblings > 1:  # the same seed gives siblings the same clips, episode by episode
        base = env.unwrapped
        base._seeds = [base._seeds[i - i % config.siblings] for i in range(config.num_envs)]


def _learn_from(teacher: str, model: ClosedLoopPPO, config: TrainConfig) -> None:
    """Imitate on one rollout without siblings; training then begins on its own episodes as it would have."""
    assert isinstance(model.env, TrainingView)
    env = model.env.venv
    env.seed(TRAINING_SEEDS + config.seed * config.num_envs)
    imitate(model.policy, make_policy(teacher, seed=config.seed), env, config.n_steps)
    if model.behaviour is not None:  # the first rollouts are its own
        model.behaviour.load_state_dict(model.policy.state_dict())
    _seed_envs(env, config)


def _check_folder(folder: Path, config: TrainConfig, saved: list[Path]) -> None:
    """Refuse to mix runs."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file: name a folder for the run")
    if saved and not config.resume:
        raise InputError(f"{folder} already holds a training run: resume it, or name another folder")
    if not saved:
        return
    try:
        before = json.loads((saved[-1] / "config.json").read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{saved[-1]} has no readable config.json ({error}): start again in another folder") from error
    now = config.as_dict()
    free = _FREE - {"steps"} if config.anneal else _FREE
    if changed := [f"{k}={now[k]!r} (was {before.get(k)!r})" for k in now if k not in free and now[k] != before.get(k)]:
        raise InputError(f"{folder} was trained with other settings: {', '.join(changed)}; name another folder")


def _describe(folder: Path, config: TrainConfig) -> None:
    versions = {"videoinpaint": __version__, "torch": torch.__version__, "gymnasium": gymnasium.__version__}
    versions |= {"stable_baselines3": stable_baselines3.__version__, "python": sys.version.split()[0]}
    write_json(folder / "run.json", {"config": config.as_dict(), "command": sys.argv, "versions": versions})


def _origin(config: TrainConfig, model: ClosedLoopPPO, curve: list[dict[str, float]]) -> dict[str, Any]:
    told = {"steps": model.num_timesteps, "env_id": config.env_id, "env": config.as_dict()["env"], "seed": config.seed}
    return told | {"return": curve[-1].get("return") if curve else None, "videoinpaint": __version__}
