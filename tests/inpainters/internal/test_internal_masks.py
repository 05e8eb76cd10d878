"""One frame's mask carried to the others: the loss, the examples, and what follows an object."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from videoinpaint.inpainters.internal.masks import (
    MaskLearner,
    MaskTraining,
    followed,
    weighted_cross_entropy,
)

QUICK = MaskTraining(width=0.2, steps=250, learning_rate=3e-3)


@pytest.fixture(scope="module")
def scene():
    """A red checked square on grey-green noise, moving right; the true masks."""
    rng = torch.Generator().manual_seed(0)
    noise = torch.nn.functional.interpolate(torch.rand(1, 3, 10, 14, generator=rng), size=(40, 56), mode="bilinear")
    frames, masks = noise.clamp(0, 1).mul(0.5).repeat(5, 1, 1, 1), torch.zeros(5, 1, 40, 56)
    frames[:, 1] += 0.3
    check = (torch.arange(12)[:, None] // 3 + torch.arange(12)[None] // 3) % 2
    for t in range(5):
        frames[t, :, 12:24, 8 + 4 * t : 20 + 4 * t] = torch.stack([0.6 + 0.4 * check, 0.2 * check, 0.1 * check])
        masks[t, :, 12:24, 8 + 4 * t : 20 + 4 * t] = 1
    return frames, masks


def test_the_loss_forgives_background_more_and_ignores_what_is_not_judged():
    logits = torch.full((1, 1, 2, 2), -1.0)
    target = torch.tensor([[[[1.0, 0], [0, 1]]]])
    judged = torch.tensor([[[[1.0, 1], [1, 0]]]])
    miss, calm = np.log1p(np.e), np.log1p(np.exp(-1))
    expected = (miss + 0.8 * 2 * calm) / 3
    assert float(weighted_cross_entropy(logits, target, judged)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("vary", [False, True])
def test_examples_show_a_second_object_and_keep_the_rest(scene, vary):
    frames, masks = scene
    learner = MaskLearner(replace(QUICK, vary=vary, both=False), frames[0], masks[0])
    shapes = []
    for seed in range(5):
        pasted, shape = learner.example(np.random.default_rng(seed))
        outside = (shape == 0).expand_as(pasted)
        assert torch.equal(pasted[outside], frames[:1][outside])
        assert shape.sum() == pytest.approx(float(masks[0].sum()), rel=0.2)
        red = (pasted[:, 0] - pasted[:, 1])[shape[:, 0] > 0]
        assert red.mean() > 0.3
        shapes.append(shape)
    assert not torch.equal(shapes[0], shapes[1])
    _, wanted = MaskLearner(replace(QUICK, vary=vary), frames[0], masks[0]).example(np.random.default_rng(0))
    assert torch.equal(wanted, torch.maximum(shapes[0], masks[:1]))


def test_the_same_seed_finds_the_same_masks(scene):
    frames, masks = scene
    found = []
    for _ in range(2):
        learner = MaskLearner(replace(QUICK, steps=20), frames[2], masks[2])
        learner.train()
        found.append(learner.probabilities(frames))
    assert torch.equal(*found)


def test_following_drops_what_does_not_continue_the_object():
    masks = torch.zeros(4, 1, 40, 56)
    masks[:, :, 10:16, 10:16] = 1
    masks[1, :, 30:34, 45:50] = 1
    masks[2, :, 10:16, 10:16] = 0
    masks[2, :, 30:34, 45:50] = 1
    kept = followed(masks)
    assert not kept[1:, :, 30:, 45:].any()
    assert torch.equal(kept[1, :, :20, :20], masks[1, :, :20, :20])
    assert not kept[2].any()
    assert torch.equal(kept[3], masks[3])


def test_regions_continue_an_object_where_they_touch_it_or_nearly_do():
    """Within 4 % of the diagonal, here 3 pixels; regions hang together by their corners, too."""
    masks = torch.zeros(2, 1, 40, 56)
    masks[:, :, 10:16, 10:16] = 1
    line = torch.arange(16, 30)
    masks[1, 0, line, line] = 1
    masks[1, 0, 10:16, 18:20] = 1
    expected = masks[1].clone()
    masks[1, 0, 10:16, 5:7] = 1
    assert torch.equal(followed(masks)[1], expected)


@torch.no_grad()
def test_the_networks_range_stands_for_probabilities(scene):
    frames, masks = scene
    learner = MaskLearner(QUICK, frames[0], masks[0])
    torch.testing.assert_close(learner.probabilities(frames), (1 + learner.network(2 * frames - 1)) / 2)
