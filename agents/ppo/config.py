"""The configuration of a training run: PPO's defaults, and how one is read from mappings and text."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from videoinpaint.agents.policies.heads import START_STD
from videoinpaint.checks import MAX_COUNT, real_number, shown, whole_number
from videoinpaint.errors import InputError
from videoinpaint.naming import check_names, plain
from videoinpaint.precision import check_precision
from videoinpaint.registration import DEFAULT_ID


@dataclass(frozen=True)
class ReplayConfig:
    """How episodes are kept and used again (:mod:`videoinpaint.agents.ppo.replay`).

    Attributes:
        trajectories: the most to keep (50,000 in the paper).
        max_bytes: the most memory to keep them in. A trajectory of three steps on thumbnails of 8 frames takes 156 kB,
            so that 1 GiB holds 6,900 of them and the paper's 50,000 need 7.8 GB; at full resolution (216x120) it takes
            2.5 MB, and 50,000 need 124 GB. See :meth:`videoinpaint.agents.ppo.replay.TrajectoryReplay.nbytes`.
        max_steps: longer episodes are not kept. Every slot of the buffer has room for this many steps, or for an
            episode's maximal length if that is shorter.
        ratio: replayed trajectories for each fresh one.
        max_weight: upper bound of the importance weights.
    """

    trajectories: int = 50_000
    max_bytes: int = 2**30
    max_steps: int = 8
    ratio: float = 1.0
    max_weight: float = 2.0

    def __post_init__(self) -> None:
        for name, high in (("trajectories", 10**9), ("max_bytes", 2**50), ("max_steps", 10**4)):
            whole_number(getattr(self, name), name, 1, high)
        for name in ("ratio", "max_weight"):
            real_number(getattr(self, name), name, 0, 1e6, above=True)


POLICIES = ("features", "paper", "described")
MAX_ROLLOUT = 10**6
_WHOLE = (
    ("steps", 1, 10**12), ("num_envs", 1, MAX_COUNT), ("n_steps", 1, MAX_ROLLOUT), ("batch_size", 1, 10**9),
    ("n_epochs", 1, 10**4), ("sync_every", 1, 10**9), ("group_size", 1, MAX_COUNT), ("checkpoint_every", 0, 10**12),
    ("seed", 0, 2**32 - 1),
)  # fmt: skip
_ABOVE_ZERO = (
    ("gamma", 1.0), ("gae_lambda", 1.0), ("clip_range", 1.0), ("learning_rate", 1.0), ("max_grad_norm", 1e6),
    ("target_kl", 1e3), ("start_std", 10.0),
)  # fmt: skip


@dataclass(frozen=True)
class TrainConfig:
    """How a policy is trained. The defaults are meant for some 20,000 steps on a CPU.

    Attributes:
        output: the run's folder.
        env: keyword arguments of the environment (`clips`, `masks`, `num_frames`, ...).
        env_id: a registered environment.
        steps: environment steps in all, rounded up to whole rollouts of ``num_envs * n_steps``.
        num_envs: environments in the batch.
        n_steps: steps of each environment in a rollout; with a multiple of the episode length few episodes are cut.
        batch_size: steps of a minibatch, at most: a rollout is split evenly.
        n_epochs: passes over a rollout.
        learning_rate: of Adam.
        anneal: let the learning rate fall linearly to 0 over `steps`, which a resumed run then cannot change.
        gamma: discount factor.
        gae_lambda: lambda of generalised advantage estimation.
        clip_range: of PPO's surrogate.
        ent_coef: weight of the entropy bonus.
        final_ent_coef: what that weight falls to, linearly over `steps`, which a resumed run then cannot change; None:
            the weight is constant.
        vf_coef: weight of the value loss (in units of the returns' standard deviation).
        max_grad_norm: bound of the gradient's norm.
        target_kl: stop a round of updates early when the KL divergence exceeds 1.5 times this; None: never.
        seed: of everything random.
        device: of environment and network; "auto" is the GPU where there is one.
        precision: of the environment's matrix products and convolutions: "float32", "bfloat16", or "auto", which is
            bfloat16 on a CPU that multiplies it natively and float32 elsewhere.
        checkpoint_every: steps between checkpoints; 0: one at the end only.
        resume: continue from the folder's last checkpoint, if there is one.
        replay: keep old trajectories and learn from them too (CLIP-RL, Section 4.1); None: do not.
        sync_every: rounds of updates after which the behaviour policy is copied from the learner; 1: they are the same.
        group_size: how many neighbouring environments play the same clips and are each other's baseline
            (:mod:`videoinpaint.agents.ppo.group_baseline`); 1: none.
        start_std: initial standard deviation of the actions. Noise in later iterations hides what an earlier one is
            worth: where iterations share the work, begin with a small value.
        clone: a policy whose behaviour is cloned before training begins, anything that `make_policy` takes
            (:mod:`videoinpaint.agents.ppo.behaviour_cloning`); None: do not clone.
        policy: what the network sees: "features", thumbnails and hand-made features
            (:mod:`videoinpaint.agents.policies.extractor`), or with an action grid the features of its cells
            (:mod:`videoinpaint.agents.policies.regional`); "paper", frames and masks at full resolution and nothing
            else (:mod:`videoinpaint.agents.policies.full_resolution`); or "described", hand-made features and nothing
            else, with measures of fine detail (:mod:`videoinpaint.agents.policies.described`).
        cell_credit: with an action grid, each cell learns from the reward that arose there (`reward_map` of the
            environment, :mod:`videoinpaint.agents.ppo.cell_credit`); otherwise, and always with `replay` or an
            absolute reward, all cells learn from the whole reward.
        progress: show a live bar.

    Raises:
        InputError: a value out of its range.
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
    final_ent_coef: float | None = None
    vf_coef: float = 0.5
    max_grad_norm: float = 0.5
    target_kl: float | None = 0.05
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    checkpoint_every: int = 2_000
    resume: bool = False
    replay: ReplayConfig | None = None
    sync_every: int = 1
    group_size: int = 1
    start_std: float = START_STD
    clone: Any = None
    policy: str = "features"
    cell_credit: bool = True
    progress: bool = True

    def __post_init__(self) -> None:
        # Stable-Baselines3 takes Python's own numbers.
        vars(self).update({name: value.item() for name, value in vars(self).items() if isinstance(value, np.generic)})
        for name, low, high in _WHOLE:
            whole_number(getattr(self, name), name, low, high)
        for name, most in _ABOVE_ZERO:
            if name != "target_kl" or self.target_kl is not None:
                real_number(getattr(self, name), name, 0, most, above=True)
        for name in ("ent_coef", "vf_coef", "final_ent_coef"):
            if name != "final_ent_coef" or self.final_ent_coef is not None:
                real_number(getattr(self, name), name, 0, 1e3)
        if self.policy not in POLICIES:
            raise InputError(f"unknown policy {shown(self.policy)}: use {' or '.join(map(repr, POLICIES))}")
        kinds: dict[str, Any] = {"env": Mapping, "env_id": str, "output": str | PathLike, "device": str,
                                 "replay": ReplayConfig | None}  # fmt: skip
        for name, kind in kinds.items():
            if not isinstance(getattr(self, name), kind):
                raise InputError(f"{name} of a training run cannot be {shown(getattr(self, name))}")
        if "autoreset_mode" in self.env:
            raise InputError("a training resets within the step that ends an episode: leave autoreset_mode out of env")
        if self.num_envs % self.group_size:
            raise InputError(f"num_envs={self.num_envs} cannot be split into groups of group_size={self.group_size}")
        if not 2 <= self.num_envs * self.n_steps <= MAX_ROLLOUT:
            raise InputError(
                f"a rollout needs num_envs x n_steps of 2 to {MAX_ROLLOUT} steps, got {self.num_envs * self.n_steps}"
            )
        check_precision(self.precision)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> TrainConfig:
        """A configuration from a plain dict, from OmegaConf's `DictConfig`, or from text such as a sweep passes on.

        Text stands for what it says where the field is no text: ``"20000"``, ``"3e-4"``, ``"true"``, ``"none"``.
        ``replay`` is a nested mapping, or true for the defaults of :class:`ReplayConfig`.

        Args:
            mapping: some of the fields by name, `output` among them.

        Raises:
            InputError: a field is unknown (the message names close matches), is missing, or holds another type.
        """
        return _parse(cls, mapping, "TrainConfig")

    def as_dict(self) -> dict[str, Any]:
        """The configuration as JSON would hold it; objects are under their :func:`stable_name`."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return plain(values | {"replay": None if self.replay is None else vars(self.replay)})


def _parse(cls: type[Any], mapping: Any, where: str) -> Any:
    if not isinstance(mapping, Mapping):
        raise InputError(f"{where} must be a mapping of its fields, got {shown(mapping)}")
    hints = typing.get_type_hints(cls)
    known = [f.name for f in fields(cls)]
    given = {str(name): mapping[name] for name in mapping}
    check_names(given, known, where, "field")
    if missing := [f.name for f in fields(cls) if f.default is f.default_factory is MISSING and f.name not in given]:
        raise InputError(f"{where} lacks {', '.join(missing)}")
    return cls(**{name: _converted(value, hints[name], f"{where}.{name}") for name, value in given.items()})


def _converted(value: Any, hint: Any, where: str) -> Any:
    """``value`` as the type that a field is annotated with."""
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    optional = hint is Any or types.NoneType in options
    if optional and (value is None or (isinstance(value, str) and value.strip().lower() in ("none", "null"))):
        return None
    wanted = next(option for option in options if option is not types.NoneType)
    if wanted is ReplayConfig:
        return _replay(value, where)
    if typing.get_origin(wanted) is dict:
        if not isinstance(value, Mapping):
            raise InputError(f"{where} must be a mapping of keyword arguments, got {shown(value)}")
        return {str(name): _argument(value[name]) for name in value}
    return value if wanted is Any else _scalar(value, wanted, where)


def _replay(value: Any, where: str) -> ReplayConfig | None:
    switch = _boolean(value)
    if switch is not None:
        return ReplayConfig() if switch else None
    return value if isinstance(value, ReplayConfig) else _parse(ReplayConfig, value, where)


def _scalar(value: Any, wanted: type, where: str) -> Any:
    try:
        if wanted is bool:
            found = _boolean(value)
            if found is None:
                raise ValueError("say true or false")
            return found
        if wanted in (str, Path) and value is not None:
            return wanted(value)
        if isinstance(value, bool):
            raise ValueError("a truth value is no number")
        number = float(value)
        if wanted is int:
            if number != int(number):
                raise ValueError("a whole number is needed")
            return int(number)
        return number
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{where} must be of type {wanted.__name__}, got {shown(value)} ({error})") from error


def _argument(value: Any) -> Any:
    """An environment's argument: numbers and truth values in text become such, mappings and lists plain ones.

    "none" stays a name: it is a detector's.
    """
    if isinstance(value, Mapping):
        return {str(name): _argument(value[name]) for name in value}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_argument(entry) for entry in value]
    if not isinstance(value, str):
        return value
    for read in (int, float):
        try:
            return read(value)
        except ValueError:
            pass
    found = _boolean(value)
    return value if found is None else found


def _boolean(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value.strip().lower()) if isinstance(value, str) else None
