"""What a record says an episode cost: all of it, and the same whoever asks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from videoinpaint.agents import evaluate
from videoinpaint.agents.evaluation.cost import Stopwatch, fixed_cost, timed
from videoinpaint.agents.evaluation.episodes import make_evaluation_env
from videoinpaint.clips import Clip
from videoinpaint.inpainters.compact import CompactInpainter
from videoinpaint.metrics import PSNR_CAP
from videoinpaint.protocols import Refinement

COMPACT = {"num_frames": 3, "height": 40, "width": 48, "inpainter": "compact", "detector": "compact", "device": "cpu"}


class Convolving:
    """Begins with a convolution of a known cost, and draws random numbers."""

    name, controls, min_size = "convolving", frozenset[str](), (16, 16)

    def __init__(self) -> None:
        self.inner = CompactInpainter()

    def begin(self, frames, masks):
        torch.nn.functional.conv2d(frames.flatten(0, 1) + torch.rand(1), torch.zeros(5, 3, 3, 3), padding=1)
        return self.inner.begin(frames, masks)

    def refine(self, state, repaired, masks, controls):
        return self.inner.refine(state, repaired, masks, controls)


def test_begin_and_detections_are_counted() -> None:
    plain, more = (
        evaluate("heads4", COMPACT | {"inpainter": part}, seeds=[3, 4, 5], num_envs=2, precision="float32")
        for part in (CompactInpainter(), Convolving())
    )
    for one, other in zip(plain, more):
        extra = 2 * 3 * 40 * 48 * 5 * 3 * 9 / 1e9
        assert other.gflops_begin - one.gflops_begin == pytest.approx(extra)
        assert one.gflops_detector / one.length == pytest.approx(plain[0].gflops_detector / plain[0].length)
        assert one.gflops_detector > 0
        assert one.gflops_total == one.gflops_begin + one.gflops + one.gflops_detector
        assert one.seconds_per_frame > 0
        assert one.as_dict()["gflops_total"] == one.gflops_total


def test_counting_changes_no_episode() -> None:
    env = make_evaluation_env(1, env_kwargs=COMPACT | {"inpainter": Convolving()})
    torch.manual_seed(1)
    fixed_cost(env.unwrapped._core)  # type: ignore[attr-defined]
    counted = torch.rand(3)
    torch.manual_seed(1)
    assert torch.equal(counted, torch.rand(3))


def test_every_pass_is_detected_after_and_clips_of_a_batch_share_its_time() -> None:
    core = make_evaluation_env(1, env_kwargs=COMPACT).unwrapped._core  # type: ignore[attr-defined]
    once, thrice = (Stopwatch(core).costs(iterations, 6.0) for iterations in (1, 3))
    assert thrice["gflops_detector"] == pytest.approx(3 * once["gflops_detector"])
    assert thrice["gflops_begin"] == once["gflops_begin"]
    assert once["seconds_per_frame"] == 6.0 / core.shape[0]
    alone, shared = Stopwatch(core), Stopwatch(core)
    with alone("refine", 1), shared("refine", 4):
        sum(range(100_000))
    assert 0 < shared.take("refine") <= alone.take("refine") / 4


def test_a_one_shot_episode_counts_what_follows_the_target() -> None:
    kwargs = COMPACT | {"inpainter": "ciri", "max_iterations": 1}
    record = evaluate("heads4", kwargs, seeds=[1], env_id="VideoInpaintOneShot-v1", num_envs=1)[0]
    assert record.gflops_begin > 0  # the features that are compared
    assert record.gflops_detector > 0


def test_nothing_is_timed_outside_of_an_evaluation(small: dict) -> None:
    env = make_evaluation_env(2, env_kwargs=small)
    loop = env.unwrapped._core.loop  # type: ignore[attr-defined]
    with timed(env) as watch:
        assert loop.clock is watch
        env.reset(seed=1)
        assert watch is not None
        assert watch.take("begin") > 0
        assert watch.take("begin") == 0
    assert loop.clock is None


def test_the_cost_of_a_foreign_environment_is_not_known(toy_id: str) -> None:
    record = evaluate("heads4", seeds=[1], env_id=toy_id, num_envs=1)[0]
    assert record.gflops_begin is record.gflops_detector is record.seconds_per_frame is record.gflops_total is None


class Painter:
    """Knows the colour."""

    name, controls, min_size = "painter", frozenset[str](), (16, 16)

    def begin(self, frames, masks):
        return {}

    def refine(self, state, repaired, masks, controls):
        nothing = torch.zeros(len(repaired), dtype=torch.float64)
        return Refinement(torch.full_like(repaired, 96 / 255), nothing, nothing)


class Plain:
    """Clips of one colour."""

    name = "plain"

    def sample(self, rng: np.random.Generator, num_frames: int, height: int, width: int) -> Clip:
        return Clip(np.full((num_frames, height, width, 3), 96, np.uint8), "plain")

    def names(self) -> list[str]:
        return ["plain"]

    def load(self, name: str, num_frames: int, height: int, width: int, start: int = 0) -> Clip:
        return self.sample(np.random.default_rng(0), num_frames, height, width)


def test_a_perfect_repair_is_finite(small: dict) -> None:
    record = evaluate("heads4", small | {"clips": Plain(), "inpainter": Painter()}, seeds=[1], num_envs=1)[0]
    assert record.measures["psnr_hole"] == record.measures["psnr"] == record.metrics["psnr_hole"] == PSNR_CAP
    assert record.measures["ssim"] == pytest.approx(1)
    assert np.isfinite([*record.measures.values(), *record.metrics.values(), record.episode_return]).all()
