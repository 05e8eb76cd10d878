"""Training a policy by PPO: one call, one configuration, a folder that explains itself."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gymnasium
from stable_baselines3.common.logger import configure
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from videoinpaint.agents.evaluation.run_record import run_record
from videoinpaint.agents.policies.export import save_policy
from videoinpaint.agents.policies.kinds import NETWORKS, trained_kind
from videoinpaint.agents.policies.policy import make_policy
from videoinpaint.agents.ppo.algorithm import ClosedLoopPPO
from videoinpaint.agents.ppo.behaviour_cloning import clone_behaviour
from videoinpaint.agents.ppo.callbacks import Checkpointer, ProgressReport, Recorder, progress_bar
from videoinpaint.agents.ppo.checkpoint import checkpoints, load_checkpoint, save_checkpoint, write_record
from videoinpaint.agents.ppo.config import ReplayConfig, TrainConfig
from videoinpaint.agents.ppo.replay import trajectory_bytes
from videoinpaint.agents.ppo.run_folder import CHECKPOINTS, POLICIES, check_folder, kept_of, last_good
from videoinpaint.agents.ppo.view import TrainingView
from videoinpaint.checkpoints import alone
from videoinpaint.device import resolve_device
from videoinpaint.envs.ids import argument_of, check_env, with_offered, with_precision
from videoinpaint.envs.states.episodes import TRAINING_SEEDS
from videoinpaint.errors import DivergedError, InputError
from videoinpaint.files import read_json, writing
from videoinpaint.version import __version__

MakeEnvs = Callable[[TrainConfig], VecEnv]


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

    The folder then holds ``policy.safetensors``, ``run.json`` (the configuration and the `run_record` of
    :mod:`videoinpaint.agents.evaluation`), ``curve.json``, ``checkpoints/`` and ``tensorboard/``. Training that was
    stopped goes on with ``resume=True``, to the same result. Environments of one's own that have no ``get_state`` and
    ``set_state`` begin new episodes there instead, which run.json says under ``resumed``.

    Args:
        config: see :class:`TrainConfig`.
        make_env: builds the environments; by default the batch of `config.env_id`.
        on_progress: called after every rollout with the steps so far and the latest row of the curve.

    Raises:
        InputError: the folder holds another run, or one that goes on in another process, or the environment's
            arguments are not usable.
        DivergedError: the loss, a reward or a weight is not finite; the message names the last good checkpoint.
        UnknownNameError: nothing answers to the id or to the policy to clone.
        CorruptWeightsError: the checkpoint to resume from is damaged.
    """
    began = time.monotonic()
    folder = Path(config.output)
    check_folder(folder, config)
    model = _build(config, make_env or make_training_envs)
    assert model.env is not None
    try:
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        with alone(folder, (CHECKPOINTS, POLICIES)):
            saved = check_folder(folder, config)  # again: another process may have ended meanwhile
            return _train(model, config, folder, saved, make_env is not None, on_progress, began)
    except DivergedError as error:
        raise DivergedError(f"{error}; {last_good(folder)}") from error
    except KeyboardInterrupt as error:
        error.add_note(kept_of(config))
        raise
    finally:
        model.env.close()


def _train(
    model: ClosedLoopPPO,
    config: TrainConfig,
    folder: Path,
    saved: list[Path],
    own: bool,
    on_progress: Callable[[int, dict[str, float]], None] | None,
    began: float,
) -> TrainResult:
    recorder = Recorder(**_resume(saved[-1], model, config, folder)) if saved else Recorder()
    _describe(folder, config, recorder, own)
    if config.clone is not None and not saved:
        _clone(model, config)

    def save() -> Path:
        write_record(folder / "curve.json", recorder.curve)
        # Checkpoints are pruned; the policies alone are small, and a learning curve needs them all.
        save_policy(folder / POLICIES / f"step-{model.num_timesteps:09d}.safetensors", model.learner, {})
        extra = {"curve": recorder.curve, "random_weights": sorted(recorder.random_weights)}
        return save_checkpoint(folder / CHECKPOINTS, model, config.as_dict(), extra)

    if model.num_timesteps < config.steps:
        model.set_logger(configure(str(folder / "tensorboard"), ["tensorboard"]))
        with progress_bar(config.progress) as bar:
            report = ProgressReport(bar, config.steps, recorder, on_progress)
            callbacks = [Checkpointer(save, config.checkpoint_every), recorder, report]
            remaining = config.steps - model.num_timesteps
            model.learn(remaining, callback=callbacks, reset_num_timesteps=not saved)
        model.logger.close()
        _describe(folder, config, recorder, own)
    policy = save_policy(folder / "policy.safetensors", model.policy, _origin(config, model, recorder.curve))
    last = checkpoints(folder / CHECKPOINTS)[-1]
    return TrainResult(folder, policy, last, model.num_timesteps, recorder.curve, time.monotonic() - began)


def make_training_envs(config: TrainConfig) -> VecEnv:
    """The environments that a configuration asks for: one batch, or one after the other where an id has no vector form.

    Raises:
        UnknownNameError: the id is not registered.
        InputError: the environment does not take one of its arguments.
    """
    from videoinpaint.envs.sb3 import make_sb3_vec

    kwargs = _env_kwargs(config)
    spec = check_env(config.env_id, kwargs)
    if spec.vector_entry_point is None:  # unlike Gymnasium's, SB3's loop lets checkpoints into each environment
        return DummyVecEnv([lambda: gymnasium.make(config.env_id, **kwargs) for _ in range(config.num_envs)])
    return make_sb3_vec(config.num_envs, config.env_id, tensors=True, **kwargs)


def _env_kwargs(config: TrainConfig) -> dict[str, Any]:
    """The environment's keyword arguments: the configuration's own, and device and precision where it takes them."""
    kwargs = with_precision(config.env_id, config.env, config.precision)
    asked = {name: argument_of(config.env_id, kwargs, name) for name in ("action_grid", "reward")}
    improves = asked["action_grid"] is not None and asked["reward"] == "improvement"
    if config.cell_credit and config.replay is None and improves:
        # Flat infos, which leave arrays out, would leave out the map.
        kwargs = {name: value for name, value in kwargs.items() if name != "flat_info"}
        kwargs = with_offered(config.env_id, kwargs, reward_map=True, flat_info=False)
    return with_offered(config.env_id, kwargs, device=config.device)


def _build(config: TrainConfig, make_env: MakeEnvs) -> ClosedLoopPPO:
    device = resolve_device(config.device)
    rollout = config.num_envs * config.n_steps
    names = ("n_epochs", "learning_rate", "gamma", "gae_lambda", "clip_range", "ent_coef", "vf_coef", "max_grad_norm",
             "target_kl", "n_steps", "seed", "sync_every", "group_size", "final_ent_coef")  # fmt: skip
    kwargs = {name: getattr(config, name) for name in names}
    if config.anneal:
        # The last rollout may end beyond `steps`.
        kwargs["learning_rate"] = lambda remaining: config.learning_rate * max(remaining, 0.0)
    # Minibatches alike in size: one that holds what is left over would pull as hard as the others.
    kwargs["batch_size"] = math.ceil(rollout / math.ceil(rollout / config.batch_size))
    base = make_env(config)
    kind = trained_kind(NETWORKS[config.policy], base.action_space.shape or ())
    env = TrainingView(base, kind)
    kwargs |= {"policy": kind, "policy_kwargs": {"start_std": config.start_std}}
    told = bool(_env_kwargs(config).get("reward_map")) if make_env is make_training_envs else False
    kwargs["cell_credit"] = kind.by_cell and told and config.cell_credit and config.replay is None
    replay = config.replay if make_env is not make_training_envs else replay_of(config)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*truncated mini-batch")
        model = ClosedLoopPPO(env, device=device, replay=replay, **kwargs)
    if config.clone is not None:
        make_policy(config.clone)  # fails before anything is written
    _seed_envs(env, config)  # after the model, which seeds it by small numbers
    return model


def replay_of(config: TrainConfig) -> ReplayConfig | None:
    """The replay of a run, whose places are no longer than the environment's episodes, where these say how long."""
    longest = argument_of(config.env_id, config.env, "max_iterations")
    if config.replay is None or longest is None:
        return config.replay
    return replace(config.replay, max_steps=min(config.replay.max_steps, int(longest)))


def replay_told(config: TrainConfig) -> str:
    """What a run's replay will hold and take, in a line; "" without one."""
    if (replay := replay_of(config)) is None:
        return ""
    frames, height, width = (
        int(argument_of(config.env_id, config.env, name) or 0) for name in ("num_frames", "height", "width")
    )
    actions = (*(argument_of(config.env_id, config.env, "action_grid") or ()), 5)
    seen = trained_kind(NETWORKS[config.policy], actions).input_for(actions)
    each = trajectory_bytes(seen.space(frames, height, width), math.prod(actions), replay.max_steps)
    held = min(replay.trajectories, replay.max_bytes // each)
    return (
        f"replay: {held:,} of {replay.trajectories:,} trajectories of {replay.max_steps} steps, {each / 1e3:,.1f} kB "
        f"each, {held * each / 2**30:.2f} GiB when full"
    )


def _seed_envs(env: VecEnv, config: TrainConfig, steps: int = 0) -> None:
    """What the next reset begins with: other clips for every seed of training, and for every fresh start within one."""
    env.seed(TRAINING_SEEDS + (config.seed + steps) * config.num_envs)
    if config.group_size > 1:  # the same seed gives a group the same clips, episode by episode
        base = env.unwrapped
        base._seeds = [base._seeds[i - i % config.group_size] for i in range(config.num_envs)]


def _clone(model: ClosedLoopPPO, config: TrainConfig) -> None:
    """Clone a policy on one rollout without groups; training then begins on its own episodes as it would have."""
    assert isinstance(model.env, TrainingView)
    env = model.env.venv
    env.seed(TRAINING_SEEDS + config.seed * config.num_envs)
    clone_behaviour(model.policy, make_policy(config.clone, seed=config.seed), env, config.n_steps, model.env.show)
    if model.behaviour is not None:  # the first rollouts are its own
        model.behaviour.load_state_dict(model.policy.state_dict())
    _seed_envs(env, config)


def _resume(checkpoint: Path, model: ClosedLoopPPO, config: TrainConfig, folder: Path) -> dict[str, Any]:
    """Go on from a checkpoint; returns what was recorded so far, and notes in run.json how the environments went on."""
    extra, restored = load_checkpoint(checkpoint, model)
    if not restored:
        assert model.env is not None
        _seed_envs(model.env, config, model.num_timesteps)
    entry = {"steps": model.num_timesteps, "environments": "restored" if restored else "reset"}
    write_record(folder / "run.json", _told(folder) | {"resumed": [*_told(folder).get("resumed", []), entry]})
    return {"curve": extra["curve"], "random_weights": extra.get("random_weights", [])}  # 0.1.0 has only the curve


def _describe(folder: Path, config: TrainConfig, recorder: Recorder, own: bool) -> None:
    """Write run.json; what an earlier part of the run noted about being resumed stays.

    Of environments that a caller built the record says nothing but the configuration: they need not be `env_id`'s.
    """
    told = run_record(
        None if own else config.env_id,
        None if own else _env_kwargs(config),
        device=config.device,
        precision=config.precision,
        random_weights=sorted(recorder.random_weights),
    )
    write_record(folder / "run.json", {"config": config.as_dict(), **told, "resumed": _told(folder).get("resumed", [])})


def _told(folder: Path) -> dict[str, Any]:
    """What run.json says so far; nothing where it is absent or damaged."""
    try:
        return read_json(folder / "run.json", "a run's record")
    except InputError:
        return {}


def _origin(config: TrainConfig, model: ClosedLoopPPO, curve: list[dict[str, float]]) -> dict[str, Any]:
    # How episodes were begun and computed says nothing about what was learnt, and names folders of a machine.
    env = {k: v for k, v in config.as_dict()["env"].items() if k not in ("bank", "prefetch", "compile")}
    told = {"steps": model.num_timesteps, "env_id": config.env_id, "env": env, "seed": config.seed}
    return told | {"return": curve[-1].get("return") if curve else None, "videoinpaint": __version__}
