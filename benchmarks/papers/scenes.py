"""Figures 5 and 6 of CLIP-RL: five kinds of scenes, by the loop and by one pass of it; feedback after feedback."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from videoinpaint.agents import Policy, make_policy
from videoinpaint.agents.policies.protocol import choose
from videoinpaint.benchmarks.papers.clip_rl import FEEDBACKS
from videoinpaint.benchmarks.papers.experiment import BenchFlags, Entrant, Experiment, scenarios_of, suite_of
from videoinpaint.benchmarks.papers.verdict import Claim
from videoinpaint.benchmarks.protocol.frozen import FrozenSuite
from videoinpaint.benchmarks.report.panels import Pixels, below, beside, closeup, labelled
from videoinpaint.envs.observing import frames_of
from videoinpaint.envs.states.episodes import Episode

SCENES = ("object removal", "simple static background", "large-area damage", "complex textures", "dynamic backgrounds")
GAIN = 0.012
"""Of SSIM over the closest competitor "in dynamic background scenes", as the text says (1.2 %)."""

ONE_PASS, FIXED = "one pass", "three passes, default controls"
RED = (220, 38, 38)
CLIPS_DRAWN = 3
Rows = dict[str, tuple[Policy, dict[str, Any]]]
"""Row of a sheet -> its policy and the environment's arguments."""


def figure5(flags: BenchFlags) -> Experiment:
    """Pictures of five scenarios, and the one number that the text gives about them."""
    suites = scenarios_of("figure5", SCENES, flags)
    names = list(flags.policies or ("trained",))
    entrants = [Entrant(ONE_PASS, stage="one", kwargs=lambda: _kwargs(flags, ONE_PASS)),
                Entrant(FIXED, stage="loop", kwargs=lambda: _kwargs(flags, FIXED))]  # fmt: skip
    entrants += [Entrant(f"policy {name}", name, "loop", lambda: _kwargs(flags, FIXED)) for name in names]
    claims = [Claim(f"policy {name}", ONE_PASS, "ssim65", GAIN, SCENES[-1]) for name in names if SCENES[-1] in suites]
    return Experiment("figure5", suites, tuple(entrants), ("psnr_hole", "psnr", "ssim65", "lpips"),
                      claims=tuple(claims))  # fmt: skip


def _kwargs(flags: BenchFlags, row: str) -> dict[str, Any]:
    return flags.loop | ({"max_iterations": 1} if row == ONE_PASS else {})


def draw(results: Mapping[str, Any], flags: BenchFlags) -> bytes:
    """A clip of every scenario as PNG: a column each; frame with a red box, and the box enlarged."""
    columns = []
    for order, (scene, told) in enumerate(results["suites"].items()):
        suite = suite_of(told["name"], flags)
        # Studio suites draw one scene in several kinds from one seed: another seed for each shows more.
        seed = suite.seeds[order % len(suite.seeds)]
        policies: dict[str, Policy] = {ONE_PASS: make_policy("default"), FIXED: make_policy("default")}
        policies |= {
            f"policy {name}": make_policy(name, device=flags.device) for name in flags.policies or ("trained",)
        }
        rows = {name: (policy, _kwargs(flags, name)) for name, policy in policies.items()}
        columns.append(_column(scene, suite, next(suite.drawn([seed])), flags, rows))
    return _png(columns)


def draw_feedback(results: Mapping[str, Any], flags: BenchFlags) -> bytes:
    """The suite's first clips as PNG: a column each, with no feedback of the detector, with one and with two."""
    suite = suite_of(next(iter(results["suites"].values()))["name"], flags)
    rows: Rows = {name: (make_policy("default"), flags.loop | {"max_iterations": passes})
                  for passes, name in enumerate(FEEDBACKS, 1)}  # fmt: skip
    columns = [_column(f"clip {number}", suite, episode, flags, rows)
               for number, episode in enumerate(suite.drawn(suite.seeds[:CLIPS_DRAWN]), 1)]  # fmt: skip
    return _png(columns)


def _png(columns: list[Pixels]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(beside(columns, gap=12)).save(buffer, format="png")
    return buffer.getvalue()


def _column(scene: str, suite: FrozenSuite, episode: Episode, flags: BenchFlags, methods: Rows) -> Pixels:
    seen = episode.observed if episode.observed is not None else episode.frames
    middle = len(seen) // 2
    shown = middle if episode.holes[middle].any() else int(episode.holes.sum((1, 2)).argmax())
    hole = episode.holes[shown]
    damaged = seen[shown].copy()
    if episode.observed is None:
        damaged[hole > 0] = 128
    rows = {f"{scene}: {'damaged' if episode.observed is None else 'seen'}": damaged}
    for name, (policy, kwargs) in methods.items():
        rows[name] = _repaired(suite, policy, flags, kwargs, episode.seed)[shown]
    rows["true background"] = episode.frames[shown]
    return below([labelled(beside([boxed(frame, hole), closeup(frame, hole)]), name) for name, frame in rows.items()])


def _repaired(suite: FrozenSuite, policy: Policy, flags: BenchFlags, own: dict[str, Any], seed: int) -> Pixels:
    """The repair ``(T, H, W, 3)`` of one episode."""
    kwargs = {**suite.env_kwargs, **own, "device": flags.device, "precision": flags.precision}
    env = gymnasium.make(suite.env_id, **kwargs)
    observation, _ = env.reset(seed=seed)
    done = False
    while not done:
        action = choose(policy, {key: value[None] for key, value in observation.items()})[0]
        observation, _, terminated, truncated, _ = env.step(action)
        done = bool(terminated or truncated)
    env.close()
    return frames_of(observation["frames"])


def boxed(frame: Pixels, where: NDArray[np.uint8]) -> Pixels:
    """The frame with a red box around what ``where (H, W)`` marks."""
    rows, columns = np.flatnonzero(where.any(1)), np.flatnonzero(where.any(0))
    top, bottom = max(rows[0] - 2, 0), min(rows[-1] + 2, where.shape[0] - 1)
    left, right = max(columns[0] - 2, 0), min(columns[-1] + 2, where.shape[1] - 1)
    drawn = frame.copy()
    drawn[[top, bottom], left : right + 1] = RED
    drawn[top : bottom + 1, [left, right]] = RED
    return drawn
