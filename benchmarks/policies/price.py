"""At what price of compute the best number of heads differs from clip to clip: how VideoInpaintBudget-v0 got its own.

    python -m videoinpaint.benchmarks.policies.price --num-frames 16 --height 80 --width 144 --episodes 12

One pass from the same state with each number of heads, all else neutral, in every suite.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from videoinpaint.benchmarks.protocol import tables
from videoinpaint.benchmarks.protocol.envelope import envelope
from videoinpaint.benchmarks.protocol.episodes import env_kwargs
from videoinpaint.benchmarks.protocol.flags import Computing, GradedSuites
from videoinpaint.checks import real_number, whole_number
from videoinpaint.controls import DEFAULT, HEADS, HIGH, LOW, controls_to_action
from videoinpaint.errors import InputError

ALL_HEADS = int(HIGH[HEADS])


@dataclass(frozen=True, kw_only=True)
class Price(GradedSuites, Computing):
    """What to measure."""

    masks: str | None = None
    """Holes for clips that bring none; like the size, as VideoInpaint-v1 registers it unless given."""
    heads: tuple[int, ...] = (2, 4, 6, 8, 12)
    """Numbers of heads to try."""
    prices: tuple[float, ...] = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2)
    """Prices of a pass with all heads."""
    episodes: int = 14
    """Clips of each suite: seeds 0, 1, ..."""
    num_frames: int | None = None
    """Frames of each clip."""
    height: int | None = None
    """Pixels."""
    width: int | None = None
    """Pixels."""


def run(flags: Price) -> dict[str, Any]:
    """Rewards and shares of compute by heads; per suite the mean gain over the fewest, and the best heads by price.

    Heads come in ascending order, whatever the order that they are given in.

    Raises:
        InputError: no heads are given, or numbers out of their range.
    """
    if not flags.heads:
        raise InputError("--heads names nothing to try: give at least one number of heads, such as --heads 2 12")
    whole_number(flags.episodes, "episodes", 1, 10**6)
    for count in flags.heads:
        whole_number(count, "heads", int(LOW[HEADS]), ALL_HEADS)
    for price in flags.prices:
        real_number(price, "prices", 0, 1e6)
    flags = replace(flags, heads=tuple(sorted(set(flags.heads))))
    bar, advance = tables.progress("pricing", len(flags.suites) * flags.episodes)
    with bar:
        suites = {spec: _suite(flags, spec, advance) for spec in flags.suites}
    return envelope("price", flags.asked(), suites=suites)


def _suite(flags: Price, clips: str, advance: Any) -> dict[str, Any]:
    size = {"num_frames": flags.num_frames, "height": flags.height, "width": flags.width, "device": flags.device}
    env = gymnasium.make("VideoInpaint-v1", disable_env_checker=True, **env_kwargs(clips, flags.masks, **size))
    # What a price is of must be measured, whether it is to be tried or not.
    passes = flags.heads if ALL_HEADS in flags.heads else (*flags.heads, ALL_HEADS)
    measured = np.array([_clip(env.unwrapped, seed, passes, advance) for seed in range(flags.episodes)])
    env.close()
    heads = np.array(flags.heads)
    rewards, gflops = np.moveaxis(measured[:, : len(heads)], -1, 0)
    shares = gflops / measured[:, [passes.index(ALL_HEADS)], 1]
    best = {str(price): float(heads[(rewards - price * shares).argmax(1)].mean()) for price in flags.prices}
    return {
        "gain": (rewards - rewards[:, :1]).mean(0).tolist(),
        "spread": float((rewards[:, -1] - rewards[:, 0]).std()),
        "share": shares.mean(0).tolist(),
        "best_heads": best,
    }


def _clip(env: Any, seed: int, heads: tuple[int, ...], advance: Any) -> NDArray[np.float64]:
    """Reward and GFLOPs ``(len(heads), 2)`` of the first pass on one clip."""
    env.reset(seed=seed)
    state, rows = env.get_state(), []
    for count in heads:
        env.set_state(state)
        _, reward, _, _, info = env.step(controls_to_action(replace(DEFAULT, heads=count).to_array()))
        rows.append((reward, info["gflops"]))
    advance()
    return np.array(rows)


def report(result: Mapping[str, Any]) -> None:
    """Print the mean best heads by price, and what heads gain."""
    prices = [str(price) for price in result["settings"]["prices"]]
    rows = [
        [spec, *(tables.number(found["best_heads"][price], 1) for price in prices), f"{found['gain'][-1]:+.5f}"]
        for spec, found in result["suites"].items()
    ]
    columns = ["suite", *(f"price {price}" for price in prices), "reward of most - fewest heads"]
    tables.show("Mean best number of heads", columns, rows)


if __name__ == "__main__":
    tables.main(Price, run, report, __doc__)
