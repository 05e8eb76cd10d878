"""How much of what an oracle gains belongs to the clip, and how much to the one place where its hole is.

    python -m videoinpaint.benchmarks.policies.places --suites studio:easy studio:hard path/to/clips

Every clip gets several holes, drawn anew, and every fixed setting repairs each of them. A chooser that knows, of the
truth, how the settings did in the clip's *other* holes takes the setting that was best there; beside it stand the best
setting of all other clips, which a constant could be, and the best in each hole, which an oracle finds. Where the
chooser gains no more than the constant, what is best in a hole is no property of the clip: a policy has to see it in
the hole's own surroundings, if it is to be seen at all. It is no bound on policies, as it looks at nothing of the hole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from videoinpaint.agents.trials.playing import steps
from videoinpaint.benchmarks.protocol import tables
from videoinpaint.benchmarks.protocol.envelope import envelope
from videoinpaint.benchmarks.protocol.episodes import EnvironmentFlags
from videoinpaint.benchmarks.protocol.flags import GradedSuites
from videoinpaint.benchmarks.protocol.statistics import mean_interval, paired_difference, significant
from videoinpaint.clips import Clip, make_clips
from videoinpaint.controls import controls_to_action
from videoinpaint.envs.observing import masks_space
from videoinpaint.errors import InputError

APART = 1_000_003
"""Between the seeds of a clip's holes, so that no two clips of a suite share one."""
TRIES = 8
"""Draws for each hole that is wanted, as some are like an earlier one."""


@dataclass(frozen=True, kw_only=True)
class Places(GradedSuites, EnvironmentFlags):
    """What to repair, and with what."""

    env_id: str = "VideoInpaint-v1"
    """A registered id whose actions are for whole frames."""
    heads: tuple[int, ...] = (12,)
    """The grid of fixed settings."""
    fusion: tuple[float, ...] = (0.6125, 0.65, 0.6875)
    """The grid of fixed settings."""
    objectives: tuple[str, ...] = ("average", "texture", "largest")
    """The grid of fixed settings: average, fidelity, texture, motion, largest."""
    clips: int = 24
    """Of each suite: seeds 0, 1, ..."""
    places: int = 4
    """Holes of each clip."""
    max_iterations: int = 1
    """Passes in each hole."""


def run(flags: Places) -> dict[str, Any]:
    """Measure; see the module's description.

    Returns:
        ``suites``: per suite what :func:`compared` says, and the names of the clips.

    Raises:
        InputError, UnknownNameError, MissingWeightsError: before any episode; later, holes that do not differ.
    """
    for name, least in (("clips", 2), ("places", 2), ("max_iterations", 1)):
        if getattr(flags, name) < least:
            raise InputError(f"{name} must be {least} or more, got {getattr(flags, name)}")
    candidates = flags.candidates
    if len(candidates) < 2:
        raise InputError("one setting leaves nothing to choose: give several heads, fusions or objectives")
    envs = {spec: _made(flags, spec) for spec in flags.suites}
    bar, advance = tables.progress("repairing", len(envs) * flags.clips * flags.places)
    results = {}
    with bar:
        for spec, env in envs.items():
            source, shape = make_clips(flags.arguments(spec)["clips"]), masks_space(env).shape
            clips = [source.sample(np.random.default_rng(seed), *shape) for seed in range(flags.clips)]
            returns = [_returns(env, clip, seed, flags, advance) for seed, clip in enumerate(clips)]
            results[spec] = {"clips": [clip.name for clip in clips]} | compared(np.stack(returns))
            env.close()
    settings = flags.asked()
    return envelope("places", settings, candidates=[one.as_dict() for one in candidates], suites=results)


def _made(flags: Places, spec: str) -> gymnasium.Env:
    kwargs = flags.arguments(spec) | {"max_iterations": flags.max_iterations}
    env = gymnasium.make(flags.env_id, disable_env_checker=True, **kwargs)
    if env.action_space.shape != (5,):
        raise InputError(f"{flags.env_id} has actions {env.action_space.shape}: take one with actions for whole frames")
    return env


def _returns(
    env: gymnasium.Env, clip: Clip, seed: int, flags: Places, advance: Callable[[], Any]
) -> NDArray[np.float64]:
    """What every setting returns in every hole, ``(places, settings)``."""
    actions = controls_to_action(np.stack([one.to_array() for one in flags.candidates]))
    returns = []
    for start in _begun(env, clip, seed, flags.places):
        played = (steps(env, start, [action] * flags.max_iterations) for action in actions)
        returns.append([sum(reward for _, reward, _ in one) for one in played])
        advance()
    return np.array(returns)


def _begun(env: gymnasium.Env, clip: Clip, seed: int, places: int) -> Iterator[Any]:
    """States in which so many different holes of a clip are to be repaired."""
    base: Any = env.unwrapped
    holes: set[bytes] = set()
    for drawn in range(TRIES * places):
        observation, _ = env.reset(seed=seed + drawn * APART, options={"clip": clip})
        hole = observation["masks"].tobytes()
        if hole not in holes:  # some kinds of hole are what a clip's own object covers
            holes.add(hole)
            yield base.get_state()
        if len(holes) == places:
            return
    raise InputError(
        f"{clip.name!r} has {len(holes)} different holes, not {places}: give --masks that are drawn anew, as mixed, "
        "and no graded studio suite alone (studio:easy), which brings its own"
    )


def compared(returns: NDArray[np.float64]) -> dict[str, Any]:
    """Choosers on ``returns (clips, places, settings)``.

    Returns:
        the intervals over clips of the returns of ``constant``, ``elsewhere`` and ``oracle``, and of what the last two
        gain over the first; ``captured``, the share of the oracle's gain that elsewhere has, NaN where that gain's
        interval holds zero; ``clip_share``, the share of the variance of the differences between settings that the
        clip explains (the intraclass correlation of a one-way analysis of variance, over all settings together).
    """
    clips, places, _ = returns.shape
    share = clip_share(returns)
    # Of a mean over so many holes, what is the clip's (Spearman and Brown); the rest is drawn to what others say.
    trust = (places - 1) * share / (1 + (places - 2) * share)
    total = returns.sum(1)
    reached = np.zeros((3, clips, places))
    for clip in range(clips):
        others = (total.sum(0) - total[clip]) / ((clips - 1) * places)
        for place in range(places):
            beside = (total[clip] - returns[clip, place]) / (places - 1)
            own = beside - beside.mean() - (others - others.mean())
            chosen = (others.argmax(), (others + trust * own).argmax())
            reached[:, clip, place] = (*returns[clip, place, list(chosen)], returns[clip, place].max())
    constant, elsewhere, oracle = reached.mean(2)
    room, gain = paired_difference(oracle, constant), paired_difference(elsewhere, constant)
    return {
        "constant": mean_interval(constant),
        "elsewhere": mean_interval(elsewhere),
        "oracle": mean_interval(oracle),
        "headroom": room,
        "gain": gain,
        "captured": gain["mean"] / room["mean"] if significant(room) else float("nan"),
        "clip_share": share,
    }


def clip_share(returns: NDArray[np.float64]) -> float:
    """See :func:`compared`; in [0, 1]. How good a hole is for all settings alike does not count, nor does how good a
    setting is in all clips alike.
    """
    clips, places, settings = returns.shape
    apart = returns - returns.mean(2, keepdims=True)
    apart = apart - apart.mean((0, 1))
    means = apart.mean(1)
    free = settings - 1  # differences between so many settings are independent
    between = places * np.square(means).sum() / ((clips - 1) * free)
    within = np.square(apart - means[:, None]).sum() / (clips * (places - 1) * free)
    spread = between + (places - 1) * within
    return float(max(0.0, between - within) / spread) if spread > 0 else 0.0


def report(results: Mapping[str, Any]) -> None:
    """Print a table, a row for each suite."""
    rows = [
        [
            spec,
            *(tables.interval(suite[name], 4) for name in ("oracle", "elsewhere", "constant")),
            *(tables.interval(suite[name], 4, True) for name in ("headroom", "gain")),
            *(tables.number(suite[name], 2) for name in ("captured", "clip_share")),
        ]
        for spec, suite in results["suites"].items()
    ]
    titles = ["suite", "oracle", "best elsewhere", "constant", "oracle gains", "elsewhere gains", "share", "clip's"]
    settings = results["settings"]
    caption = (
        f"{settings['clips']} clips with {settings['places']} holes each; intervals over clips; best elsewhere knows "
        "the truth of the clip's other holes; clip's: how much of the differences between settings the clip explains"
    )
    tables.show(f"what belongs to the clip in {settings['env_id']}", titles, rows, caption)


if __name__ == "__main__":
    tables.main(Places, run, report, __doc__ or "")
