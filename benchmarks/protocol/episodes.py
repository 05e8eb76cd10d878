"""Playing policies on the same episodes, and turning records into scores clip by clip."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from videoinpaint.agents.evaluation.episodes import evaluate, make_evaluation_env
from videoinpaint.agents.evaluation.oracle import BestFixed, best_fixed, controls_grid
from videoinpaint.agents.evaluation.record import EpisodeRecord, fixed_quality
from videoinpaint.agents.policies.policy import make_policy
from videoinpaint.agents.policies.protocol import Policy
from videoinpaint.benchmarks.protocol.flags import Computing
from videoinpaint.controls import OBJECTIVES, Controls
from videoinpaint.errors import InputError

CHOICE_SEEDS = 1_000_000
"""Fixed settings are chosen on seeds from here on; evaluation seeds begin at 0, training's at a thousand times this."""

TRAINED = "trained"
"""The row of a table that holds the policies after --trained, a training seed each."""

Score = Callable[[EpisodeRecord], float]


def env_kwargs(clips: str, masks: str | None = None, **others: Any) -> dict[str, Any]:
    """An environment's arguments for a suite, without what is None: a graded studio suite brings its own holes."""
    given = {"clips": clips, "masks": clips if clips.startswith("studio:") else masks, **others}
    return {name: value for name, value in given.items() if value is not None}


def grid(
    heads: Sequence[int] = (2, 6, 12),
    fusion: Sequence[float] = (0.5, 0.65, 0.8),
    objectives: Sequence[str] = ("average",),
) -> list[Controls]:
    """Every combination; an objective is a name of ``videoinpaint.controls.OBJECTIVES``.

    Raises:
        InputError: an objective is unknown, or nothing is left to combine.
    """
    unknown = [name for name in objectives if name not in OBJECTIVES]
    if unknown:
        raise InputError(f"unknown objectives {unknown}: use some of {', '.join(OBJECTIVES)}")
    base = controls_grid(heads, fusion)
    combined = [
        replace(controls, alpha=a, beta=b, gamma=c)
        for controls, (a, b, c) in itertools.product(base, [OBJECTIVES[name] for name in objectives])
    ]
    if not combined:
        raise InputError("the grid is empty: give at least one value for each of heads, fusion and objectives")
    return combined


@dataclass(frozen=True, kw_only=True)
class GridFlags(Computing):
    """Flags of every benchmark that plays fixed settings."""

    heads: tuple[int, ...] = (2, 6, 12)
    """The grid of fixed settings."""
    fusion: tuple[float, ...] = (0.5, 0.65, 0.8)
    """The grid of fixed settings."""
    objectives: tuple[str, ...] = ("average",)
    """The grid of fixed settings: average, fidelity, texture, motion, largest."""

    @property
    def candidates(self) -> list[Controls]:
        """The grid of fixed settings; see :func:`grid`."""
        return grid(self.heads, self.fusion, self.objectives)


@dataclass(frozen=True, kw_only=True)
class EnvironmentFlags(GridFlags):
    """Flags of those that make the environments themselves."""

    masks: str | None = None
    """Holes for clips that bring none; like all that follows, as the id registers it unless given."""
    inpainter: str | None = None
    """A name, or module:attribute of your own."""
    detector: str | None = None
    """A name, or module:attribute of your own."""
    num_frames: int | None = None
    """Frames of each clip."""
    height: int | None = None
    """Pixels."""
    width: int | None = None
    """Pixels."""

    def arguments(self, clips: str) -> dict[str, Any]:
        """The environment's keyword arguments for a suite."""
        names = ("num_frames", "height", "width", "inpainter", "detector", "device")
        return env_kwargs(clips, self.masks, **{name: getattr(self, name) for name in names})


@dataclass(frozen=True, kw_only=True)
class EpisodeFlags(GridFlags):
    """Flags of those that compare policies with the best fixed setting."""

    episodes: int = 24
    """Held-out episodes of each suite: seeds 0, 1, ..."""
    choice_episodes: int = 12
    """Episodes on which the best fixed setting is chosen: seeds 1000000, ..."""
    num_envs: int = 4
    """Episodes at a time."""

    @property
    def seeds(self) -> range:
        """Held-out seeds.

        Raises:
            InputError: there are none, or none to choose the fixed setting on.
        """
        if self.episodes < 1 or self.choice_episodes < 1:
            raise InputError("episodes and choice_episodes must be 1 or more")
        return range(self.episodes)

    @property
    def choice_seeds(self) -> range:
        """Those on which the fixed setting is chosen."""
        return range(CHOICE_SEEDS, CHOICE_SEEDS + self.choice_episodes)


@dataclass(frozen=True, kw_only=True)
class SuiteFlags(EpisodeFlags, EnvironmentFlags):
    """Flags of those that do both."""

    trained: tuple[str, ...] = ()
    """Policy files or training runs' folders: one method, a training seed each."""

    def check_players(self, policies: Sequence[str]) -> None:
        """Whether these policies and those after --trained can play, each in a row of its own.

        Raises:
            InputError, UnknownNameError, MissingWeightsError, CorruptWeightsError: one of them cannot.
        """
        for spec in (*policies, *self.trained):
            make_policy(spec)
        if self.trained and TRAINED in policies:
            raise InputError(
                f"two rows would be called {TRAINED!r}: the policy of that name and those after --trained; "
                "leave one of them out"
            )


class Arena:
    """One batch of environments in which every policy plays the same episodes. Use it in a ``with`` block.

    Args:
        env_id: a registered environment.
        kwargs: its arguments.
        num_envs: episodes at a time.
        precision: in which the environment's networks multiply, see :mod:`videoinpaint.precision`.
    """

    def __init__(self, env_id: str, kwargs: Mapping[str, Any], num_envs: int = 4, precision: str = "auto") -> None:
        self.env_id, self.kwargs = env_id, dict(kwargs)
        self.env = make_evaluation_env(num_envs, env_id, kwargs, precision)

    def __enter__(self) -> Arena:
        return self

    def __exit__(self, *_: Any) -> None:
        self.env.close()

    def play(self, policy: str | Path | Policy, seeds: Sequence[int], name: str | None = None) -> list[EpisodeRecord]:
        """One record per seed; see :func:`videoinpaint.agents.evaluation.episodes.evaluate`."""
        return evaluate(policy, seeds=seeds, env=self.env, name=name)

    def best_fixed(
        self, candidates: Sequence[Controls], seeds: Sequence[int], advance: Callable[[], Any] | None = None
    ) -> BestFixed:
        """The setting with the highest mean return; see :func:`videoinpaint.agents.evaluation.oracle.best_fixed`."""
        return best_fixed(grid=candidates, seeds=seeds, env=self.env, on_done=advance)


def episode_return(record: EpisodeRecord) -> float:
    """The return under the environment's own reward."""
    return record.episode_return


def fixed_return(record: EpisodeRecord, iterations: int = 0) -> float:
    """The return that Eq. 6 gives with the weights of `DEFAULT`, whatever the action said, without any price.

    Policies may be ranked by it: an agent that picks its own weights cannot raise it without a better repair, nor by
    keeping an episode from ending.

    Args:
        record: of an episode.
        iterations: one that ended earlier keeps its last repair up to here.
    """
    measured = list(record.metrics_by_iteration)
    measured += measured[-1:] * (iterations - len(measured))
    return float(sum(fixed_quality(metrics) for metrics in measured))


def summary(records: Sequence[EpisodeRecord]) -> dict[str, float]:
    """Means over episodes: raw metrics after the last iteration, GFLOPs, iterations, heads."""
    means = {name: float(np.mean([r.metrics[name] for r in records])) for name in records[0].metrics}
    return means | {
        "gflops": float(np.mean([r.gflops for r in records])),
        "iterations": float(np.mean([r.length for r in records])),
        "heads": float(np.mean([c["heads"] for r in records for c in r.controls])),
    }
