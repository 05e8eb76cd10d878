"""IIVI as an inpainter, in the loop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from videoinpaint.controls import DEFAULT, Controls
from videoinpaint.envs.batch import put, take
from videoinpaint.envs.loop import ClosedLoop
from videoinpaint.inpainters.internal import Internal, InternalInpainter
from videoinpaint.inpainters.internal.inpainter import loss_weights
from videoinpaint.testing import check_inpainter

SMALL = Internal(width=0.1, pool=2, backbone="alex", patch=32, crop=(24, 24))


@pytest.fixture(scope="module")
def inpainter():
    return InternalInpainter(steps=4, config=replace(SMALL, learning_rate=5e-3))


def test_it_keeps_the_rules(inpainter):
    check_inpainter(inpainter)


def test_the_middle_of_the_controls_means_the_papers_weights():
    assert loss_weights(DEFAULT.to_array()) == pytest.approx((1, 0.1, 0.2), rel=1e-3)
    low, high = (loss_weights(np.array([2, 0.5, *row], np.float32)) for row in ((0.8, 0.3, 0.1), (1.0, 0.6, 0.3)))
    assert np.array(high) / low == pytest.approx([16] * 3, rel=1e-3)


def test_weights_travel_in_the_state(inpainter, scene, passive):
    loop = ClosedLoop(inpainter, passive)
    controls = Controls().to_array()[None]
    begun = loop.begin(scene[0][None], scene[1][None])
    once = loop.refine(begun, controls)[0]
    twice = loop.refine(once, controls)[0]
    assert [int(state["inpainter/steps"]) for state in (begun, once, twice)] == [0, 4, 8]
    assert not torch.equal(twice["repaired"], once["repaired"])
    # A state that was saved goes on as if nothing had happened in between, also as a part of a batch.
    other = loop.begin(scene[0][None].flip(-1), scene[1][None])
    loop.refine(other, controls)
    assert torch.equal(loop.refine(once, controls)[0]["repaired"], twice["repaired"])
    pair = loop.begin(scene[0][None].expand(2, -1, -1, -1, -1), scene[1][None].expand(2, -1, -1, -1, -1))
    mixed = loop.refine(put(pair, [1], once), np.repeat(controls, 2, 0))[0]
    assert torch.equal(take(mixed, [1])["repaired"], twice["repaired"])
    assert torch.equal(take(mixed, [0])["repaired"], once["repaired"])


@pytest.fixture(scope="module")
def passive():
    from videoinpaint.detectors import make_detector

    return make_detector("none")


def test_more_steps_cost_more(scene):
    frames, holes = scene[0][None], scene[1][None]
    costs = []
    for steps in (2, 4):
        part = InternalInpainter(steps=steps, config=SMALL)
        costs.append(float(part.refine(part.begin(frames, holes), frames, holes, Controls().to_array()[None]).gflops))
    assert costs[1] > costs[0] > 0


@pytest.mark.parametrize("shape", [(1, 16, 16), (2, 37, 51)])
def test_odd_sizes_single_frames_and_frames_without_holes(inpainter, shape):
    frames = torch.rand(1, shape[0], 3, *shape[1:])
    holes = torch.zeros(1, shape[0], 1, *shape[1:])
    empty = inpainter.refine(inpainter.begin(frames, holes), frames, holes, Controls().to_array()[None])
    assert torch.equal(empty.frames, frames)
    holes[:, :1, :, 4:10, 3:9] = 1
    result = inpainter.refine(inpainter.begin(frames, holes), frames, holes, Controls().to_array()[None])
    assert torch.isfinite(result.frames).all()
    known = (holes == 0).expand_as(frames)
    assert torch.equal(result.frames[known], frames[known])
