"""Two searches that tell how much there is to gain: the best fixed controls, and an oracle that tries every state."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from videoinpaint.agents.evaluation.episodes import evaluate, make_evaluation_env
from videoinpaint.agents.evaluation.record import EpisodeRecord, by_clip, episode_record
from videoinpaint.agents.policies.baselines import FixedPolicy
from videoinpaint.controls import DEFAULT, Controls, controls_to_action
from videoinpaint.errors import InputError
from videoinpaint.registration import DEFAULT_ID

Score = Callable[[EpisodeRecord], float]
"""What a search maximises; the default is the return."""


def controls_grid(
    heads: Sequence[int] = (4, 8, 12),
    fusion: Sequence[float] = (0.5, 0.65, 0.8),
    alpha: Sequence[float] = (DEFAULT.alpha,),
    beta: Sequence[float] = (DEFAULT.beta,),
    gamma: Sequence[float] = (DEFAULT.gamma,),
) -> list[Controls]:
    """Every combination of the values given, nine by default.

    The reward's weights are fixed by default: with ``reward_weights="action"`` a search over them finds the weights
    that flatter any repair (alpha 1, beta 0.3, gamma 0.1) before it finds a better repair.
    """
    return [Controls(*values) for values in itertools.product(heads, fusion, alpha, beta, gamma)]


@dataclass(frozen=True)
class OracleResult:
    """The best episode a search found.

    Attributes:
        record: as `evaluate` would give for it, under the policy name "oracle".
        actions: float32 ``(n, 5)``, or ``(n, rows, columns, 5)``: step `record.seed`'s episode with these to see it
            again.
        tried: environment steps the search took.
    """

    record: EpisodeRecord
    actions: NDArray[np.float32]
    tried: int


@dataclass(frozen=True)
class _Branch:
    """A partial episode: how it got here and how to go on."""

    state: dict[str, Any]
    start: dict[str, Any]
    actions: tuple[NDArray[np.float32], ...] = ()
    rewards: tuple[float, ...] = ()
    infos: tuple[dict[str, Any], ...] = ()
    over: bool = False


def oracle_return(
    env: gymnasium.Env,
    grid: Iterable[Controls] | None = None,
    *,
    seed: int,
    options: Mapping[str, Any] | None = None,
    width: int | None = 1,
    score: Score | None = None,
    known: dict[tuple[bytes, ...], Any] | None = None,
) -> OracleResult:
    """Search an episode's controls by trying them, with ``get_state`` and ``set_state``.

    It uses the reward, and thus the reference, to choose: no policy can be expected to reach it.

    Where actions are by cell of a grid, one setting for all cells is searched first; then, in the partial episodes that
    are kept, cell after cell tries all settings while the others stand still (coordinate search, once around). Cells
    that no hole touches are tried together. Where cells may be skipped, that is tried beside the grid.

    Args:
        env: a single environment.
        grid: the controls to try in every state; by default :func:`controls_grid`.
        seed: of the episode.
        options: of the reset.
        width: partial episodes kept after each iteration, the best by `score`: 1 is greedy search with
            ``N * len(grid)`` steps, None keeps all and is exact on the grid with ``len(grid) ** N`` at the last.
        score: what to maximise, of a partial episode's record; the return so far by default.
        known: what another search of the same episode in the same environment has tried; this one adds to it.

    Raises:
        InputError: an empty grid, a width below 1, or an environment without ``get_state``.
    """
    shape = tuple(env.action_space.shape or (5,))
    chosen = list(controls_grid() if grid is None else grid)
    if chosen and isinstance(env.action_space, spaces.Box) and env.action_space.low.min() < -1:
        chosen.append(replace(chosen[0], heads=0))
    settings = [controls_to_action(one.to_array()[None])[0] for one in chosen]
    actions = [np.broadcast_to(setting, shape).copy() for setting in settings]
    if not actions or (width is not None and width < 1):
        raise InputError("an oracle needs a grid with at least one entry and a width of at least 1 (or None)")
    base: Any = env.unwrapped
    if not hasattr(base, "get_state"):
        raise InputError(f"{base} cannot be searched: it has no get_state() and set_state()")
    _, start = env.reset(seed=seed, options=None if options is None else dict(options))
    value = score or (lambda record: record.episode_return)
    branches = [_Branch(base.get_state(), start)]
    known = {} if known is None else known
    before = len(known)

    def grow(branch: _Branch, action: NDArray[np.float32]) -> _Branch:
        path = tuple(taken.tobytes() for taken in (*branch.actions, action))
        if path not in known:
            known[path] = _try(env, branch, action)
        return known[path]

    def worth(pair: tuple[_Branch, _Branch]) -> float:
        return -value(_as_record(pair[1], seed))

    while any(not branch.over for branch in branches):
        over = [(branch, branch) for branch in branches if branch.over]
        grown = [(branch, grow(branch, action)) for branch in branches if not branch.over for action in actions]
        # A stable sort: of equal branches, the one whose controls stand first in the grid.
        kept = sorted([*over, *grown], key=worth)[:width]
        if len(shape) == 3:
            kept = sorted((_by_cell(pair, partial(grow, pair[0]), settings, worth) for pair in kept), key=worth)
        branches = [branch for _, branch in kept]
    best = max(branches, key=lambda branch: value(_as_record(branch, seed)))
    return OracleResult(_as_record(best, seed), np.stack(best.actions), len(known) - before)


def _by_cell(
    pair: tuple[_Branch, _Branch],
    grow: Callable[[NDArray[np.float32]], _Branch],
    settings: Sequence[NDArray[np.float32]],
    worth: Callable[[tuple[_Branch, _Branch]], float],
) -> tuple[_Branch, _Branch]:
    """A branch whose last action is improved cell by cell, beside the branch it grew from; `worth` is the lower the
    better.
    """
    before, best = pair
    if before is best:  # it was over already
        return pair
    rows, columns, _ = best.actions[-1].shape
    for cells in _coordinates(before.state["tensors"]["loop/masks"], rows, columns):
        for setting in settings:
            action = best.actions[-1].copy()
            action[cells] = setting
            tried = grow(action)
            if worth((before, tried)) < worth((before, best)):
                best = tried
    return before, best


def _coordinates(masks: Tensor, rows: int, columns: int) -> list[NDArray[np.bool_]]:
    """Which cells change together, bool ``(rows, columns)`` each: all that no mask ``(1, T, 1, H, W)`` comes near, then
    every other one alone. Controls change smoothly, so that a mask feels the cells around its own.
    """
    holes = F.adaptive_max_pool2d(masks.float().amax(1), (rows, columns))
    near = F.max_pool2d(holes, 3, stride=1, padding=1)[0, 0].gt(0).cpu().numpy()
    single = np.zeros((int(near.sum()), rows, columns), np.bool_)
    single[np.arange(len(single)), *np.nonzero(near)] = True
    return [*([] if near.all() else [~near]), *single]


def _try(env: gymnasium.Env, branch: _Branch, action: NDArray[np.float32]) -> _Branch:
    base: Any = env.unwrapped
    base.set_state(branch.state)
    _, reward, terminated, truncated, info = base.step(action)
    return _Branch(
        base.get_state(),
        branch.start,
        (*branch.actions, action),
        (*branch.rewards, float(reward)),
        (*branch.infos, info),
        bool(terminated or truncated),
    )


def _as_record(branch: _Branch, seed: int) -> EpisodeRecord:
    record = episode_record("oracle", seed, branch.start, branch.infos, branch.rewards)
    return replace(record, actions=[action.tolist() for action in branch.actions])


@dataclass(frozen=True)
class BestFixed:
    """The best single setting over some episodes.

    Attributes:
        controls: the setting.
        score: its mean score.
        scores: every setting of the grid with its mean score, best first.
        records: every setting's episodes, in the order of the grid.
    """

    controls: Controls
    score: float
    scores: list[tuple[Controls, float]]
    records: dict[Controls, list[EpisodeRecord]]

    def policy(self) -> FixedPolicy:
        """The policy that always chooses it."""
        return FixedPolicy(self.controls)


def best_fixed(
    env_kwargs: Mapping[str, Any] | None = None,
    grid: Iterable[Controls] | None = None,
    seeds: Sequence[int] = tuple(range(1_000_000, 1_000_010)),
    *,
    env_id: str = DEFAULT_ID,
    num_envs: int = 4,
    env: VectorEnv | None = None,
    score: Score | None = None,
    precision: str = "auto",
    on_done: Callable[[], Any] | None = None,
) -> BestFixed:
    """The constant controls with the highest mean score on `seeds`, which should not be those of the evaluation.

    Args:
        env_kwargs: of the environment.
        grid: the settings to try; by default :func:`controls_grid`.
        seeds: of the episodes, the same for every setting.
        env_id: a registered environment.
        num_envs: episodes in a batch.
        env: as for :func:`evaluate`: used instead of making one, and left open.
        score: what to maximise, of an episode's record; the return by default. It is averaged over the episodes of a
            clip, then over clips.
        precision: as for :func:`evaluate`.
        on_done: called whenever a setting has played.

    Raises:
        UnknownNameError: nothing answers to the id.
        InputError: an empty grid, no seed, or arguments that the environment does not take.
    """
    settings = list(dict.fromkeys(controls_grid() if grid is None else grid))
    if not settings or not len(seeds):
        raise InputError("best_fixed needs a grid with at least one setting, and at least one seed")
    vector = make_evaluation_env(min(num_envs, len(seeds)), env_id, env_kwargs, precision) if env is None else env
    records = {}
    try:
        for one in settings:
            records[one] = evaluate(FixedPolicy(one), seeds=seeds, env=vector, name="fixed")
            if on_done is not None:
                on_done()
    finally:
        if env is None:
            vector.close()
    scores = [(one, float(np.mean(list(by_clip(played, score).values())))) for one, played in records.items()]
    scores.sort(key=lambda pair: -pair[1])
    return BestFixed(scores[0][0], scores[0][1], scores, records)
