"""Internal learning as a propagator: a trained network follows; regions that appear far away are gated."""

from __future__ import annotations

import torch

from videoinpaint.inpainters.internal.masks import MaskTraining
from videoinpaint.inpainters.propagators import make_propagator
from videoinpaint.metrics import j_and_f


def test_training_makes_it_follow_and_a_far_copy_is_left_out(scene):
    frames, masks = scene(length=4, left=4)
    frames[2:, :, 30:46, 54:70] = frames[0, :, 12:28, 4:20]  # a second one, in the far corner
    training = MaskTraining(width=0.2, learning_rate=3e-3)
    tracker = make_propagator("internal", training=training, steps=250).start(frames, masks[0])
    with torch.no_grad():
        found = tracker.masks()
    assert j_and_f(found[None, 1:], masks[None, 1:]).mean() > 0.6
    assert not (found[2:, :, 32:44, 56:68] > 0.5).any()


def test_one_frame_and_a_mask_at_the_border(scene):
    frames, _ = scene(length=1)
    mask = torch.zeros(1, *frames.shape[-2:])
    mask[:, :9, :7] = 1
    tracker = make_propagator("internal", training=MaskTraining(width=0.2), steps=2).start(frames, mask)
    with torch.no_grad():
        assert torch.equal(tracker.masks(), mask[None])
