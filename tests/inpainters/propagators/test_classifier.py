"""The classifier of a target's look learns whatever mode the caller's program computes in."""

from __future__ import annotations

import torch

from videoinpaint.inpainters.propagators.classifier import CellClassifier


def learnt() -> torch.Tensor:
    features = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0)) + 0.0
    label = (features[0, 0].flatten() > 0).float()
    classifier = CellClassifier(features, label, hidden=4)
    before = classifier.logits()
    classifier.fit(5)
    assert not torch.equal(classifier.logits(), before)
    return classifier.logits().detach()


def test_it_learns_the_same_where_gradients_are_forbidden():
    usual = learnt()
    with torch.no_grad():
        assert torch.equal(learnt(), usual)
    with torch.inference_mode():
        assert torch.equal(learnt(), usual)
