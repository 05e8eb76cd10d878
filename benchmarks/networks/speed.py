"""How long things take at their defaults, and the reward against its naive composition, paired in one run.

    python -m videoinpaint.benchmarks.networks.speed --threads 2 --output speed.json

The naive composition is what one writes first: the `lpips` package, VGG16 features and scikit-image, frame by frame.
It always runs on the CPU. Numbers are medians; run it on an otherwise idle machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from videoinpaint.benchmarks.networks.naive_reward import naive_scores, reference_lpips
from videoinpaint.benchmarks.protocol import tables
from videoinpaint.benchmarks.protocol.envelope import envelope
from videoinpaint.benchmarks.protocol.flags import SmallClips
from videoinpaint.benchmarks.protocol.suite import make_suite
from videoinpaint.benchmarks.repair.timed import repair
from videoinpaint.controls import DEFAULT, Controls
from videoinpaint.envs.env import VideoInpaintEnv
from videoinpaint.envs.rewards.reward import Reward
from videoinpaint.envs.states.batch import within
from videoinpaint.protocols import State

FLOORS = {"step_ms": 300.0, "reset_ms": 500.0, "reward_times_faster": 15.0, "frame_seconds": 0.25}
"""What has to hold on two CPU cores at the defaults: at most, at most, at least, at most."""


@dataclass(frozen=True, kw_only=True)
class Speed(SmallClips):
    """What to time, and how often."""

    inpainter: str = "compact"
    """A name, or module:attribute of your own."""
    detector: str = "compact"
    """A name, or module:attribute of your own."""
    repeats: int = 10
    """Episodes, and repetitions of everything else."""
    num_frames: int = 8
    """Frames of the environment's clips."""
    frame_height: int = 240
    """Pixels, where the time for a frame of video is taken."""
    frame_width: int = 432
    """Pixels, likewise."""
    naive: bool = True
    """Time the naive reward too, which takes seconds a repetition."""
    threads: int = 2
    """CPU threads."""


def run(flags: Speed) -> dict[str, Any]:
    """Time the environment, its parts, the reward and the repair of video; see the module's description.

    Returns:
        ``milliseconds`` of named parts (median, fastest, slowest), ``reward`` (ours, naive, their paired ratio),
        ``frame_seconds`` by iterations, ``floors`` with what was measured against each.
    """
    env = VideoInpaintEnv(
        num_frames=flags.num_frames, height=flags.height, width=flags.width,
        inpainter=flags.inpainter, detector=flags.detector, device=flags.device,
    )  # fmt: skip
    milliseconds = {name: _spread(values) for name, values in _episodes(env, flags.repeats).items()}
    milliseconds |= {name: _spread(values) for name, values in _parts(env, flags.repeats).items()}
    reward = _reward(env, flags.repeats, flags.naive)
    frames = _video(env, flags)
    measured = {
        "step_ms": milliseconds["step"]["median"],
        "reset_ms": milliseconds["reset"]["median"],
        "reward_times_faster": reward.get("times_faster", {}).get("median"),
        "frame_seconds": frames[max(frames)],
    }
    floors = {name: {"floor": FLOORS[name], "measured": value} for name, value in measured.items()}
    settings = flags.asked()
    return envelope(
        "speed", settings, milliseconds=milliseconds, reward=reward, frame_seconds=frames, floors=floors
    )  # fmt: skip


def _timed(call: Callable[[], Any], device: str = "cpu") -> float:
    """Seconds of one call, up to the moment the device has finished."""
    cuda = device.startswith("cuda")
    if cuda:
        torch.cuda.synchronize()
    start = time.perf_counter()
    call()
    if cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start


def _episodes(env: VideoInpaintEnv, repeats: int) -> dict[str, list[float]]:
    """Seconds of whole `reset` and `step` calls, each episode on a scene of its own; the first episode warms up."""
    action = env.to_action(Controls())
    device = str(env._core.device)
    seconds: dict[str, list[float]] = {"reset": [], "step": []}
    for seed in range(repeats + 1):
        times: dict[str, list[float]] = {"reset": [_timed(partial(env.reset, seed=seed), device)], "step": []}
        while not env._running.done[0]:
            times["step"].append(_timed(lambda: env.step(action), device))
        if seed:
            for name, values in times.items():
                seconds[name] += values
    return seconds


def _parts(env: VideoInpaintEnv, repeats: int) -> dict[str, list[float]]:
    """Seconds of a reset's and a step's parts, alternating, on one state."""
    core, device = env._core, str(env._core.device)
    env.reset(seed=0)
    state = env._running.shelf.opened([0])
    loop, truth = within("loop", state), state["reference"].float() / 255
    controls = Controls().to_array()[None]
    scene = np.random.default_rng(0)
    repaired, _, detection = core.loop.refine(loop, controls)
    calls: dict[str, Callable[[], Any]] = {
        "reset: clip and hole": lambda: core.episodes.draw(scene, None, None),
        "reset: inpainter": lambda: core.loop.begin(truth, loop["holes"]),
        "reset: reward": lambda: core.reward.begin(truth, loop["holes"]),
        "step: inpainter": lambda: core.loop.inpainter.refine(
            within("inpainter", loop), loop["repaired"], loop["masks"], controls
        ),
        "step: detector": lambda: core.loop.detector.detect(repaired["repaired"], loop["holes"]),
        "step: reward": lambda: core.reward.measure(
            within("reward", state), repaired["repaired"], detection.weights
        ),
    }  # fmt: skip
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            seconds[name].append(_timed(call, device))
    return seconds


def _reward(env: VideoInpaintEnv, repeats: int, naive: bool) -> dict[str, Any]:
    """Our reward for one repair, and the naive one for the same, in turns: their ratio is paired."""
    env.reset(seed=0)
    env.step(env.to_action(Controls()))
    state = env._running.shelf.opened([0])
    repaired, truth = state["loop/repaired"], state["reference"].float() / 255
    weights = state["loop/holes"].expand_as(truth)
    scorer: Reward = env._core.reward
    own: State = within("reward", state)
    device = str(env._core.device)

    def ours() -> Any:
        return scorer.combine(scorer.measure(own, repaired, weights), DEFAULT.alpha, DEFAULT.beta, DEFAULT.gamma)

    ours()
    if not naive:
        return {"ours_ms": _spread([_timed(ours, device) for _ in range(repeats)])}
    distance = reference_lpips()
    frames = truth[0].cpu(), repaired[0].cpu()

    def theirs() -> Any:
        return naive_scores(*frames, distance)

    theirs()
    pairs = [(_timed(ours, device), _timed(theirs)) for _ in range(repeats)]
    ratios = [slow / fast for fast, slow in pairs]
    return {
        "ours_ms": _spread([fast for fast, _ in pairs]),
        "naive_ms": _spread([slow for _, slow in pairs]),
        "times_faster": {"median": float(np.median(ratios)), "low": min(ratios), "high": max(ratios)},
    }


def _video(env: VideoInpaintEnv, flags: Speed) -> dict[int, float]:
    """Seconds per frame of larger video, by iterations: propagation, passes and detection, without any metric."""
    suite = make_suite("studio", "stationary", num_frames=flags.num_frames, height=flags.frame_height,
                       width=flags.frame_width, limit=1)  # fmt: skip
    truth, holes = (tensor.to(flags.device) for tensor in next(iter(suite)).tensors())
    runs = [repair(env._core.loop, truth, holes, window=flags.num_frames) for _ in range(1 + min(flags.repeats, 3))]
    return {n + 1: float(np.median([run[n].seconds for run in runs[1:]])) for n in range(len(runs[0]))}


def _spread(seconds: list[float]) -> dict[str, float]:
    """Median, fastest and slowest in milliseconds."""
    values = 1000 * np.asarray(seconds)
    return {"median": float(np.median(values)), "fastest": float(values.min()), "slowest": float(values.max())}


def report(results: Mapping[str, Any]) -> None:
    """Print the parts, the reward, the time per frame, and each floor."""
    parts = dict(results["milliseconds"]) | {
        name: results["reward"][key]
        for name, key in (("reward", "ours_ms"), ("reward, naive", "naive_ms"))
        if key in results["reward"]
    }
    rows = [[name, *(tables.number(v[k], 1) for k in ("median", "fastest", "slowest"))] for name, v in parts.items()]
    size = "{num_frames} frames of {height}x{width}, {threads} threads, {device}".format(**results["settings"])
    tables.show("milliseconds", ["", "median", "fastest", "slowest"], rows, size)
    floors = [[name, entry["floor"], tables.number(entry["measured"], 3)] for name, entry in results["floors"].items()]
    tables.show("floors", ["", "floor", "measured"], floors, "step, reset, frame: at most; reward: at least")
    frames = [[f"{n} iterations", tables.number(seconds)] for n, seconds in results["frame_seconds"].items()]
    tables.show("seconds per frame of {frame_height}x{frame_width}".format(**results["settings"]), ["", "s"], frames)


if __name__ == "__main__":
    tables.main(Speed, run, report, __doc__ or "")
