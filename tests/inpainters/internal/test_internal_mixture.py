"""What holes start from with start "compact": a mixture whose weights are learnt on the clip's own hidden pixels."""

from __future__ import annotations

import torch

from videoinpaint.inpainters.internal.clip import TrainingClip
from videoinpaint.inpainters.internal.mixture import PRIOR, Candidates, Fit, candidates


def fills(seed=0):
    make = torch.Generator().manual_seed(seed)
    carried, repair, smooth = torch.rand(3, 2, 3, 20, 30, generator=make) * 0.2 + 0.4
    return Candidates(carried, repair, smooth, torch.rand(2, 1, 20, 30, generator=make))


def test_the_weights_that_made_the_truth_are_found_as_far_as_the_ridge_lets_them():
    found, true = fills(), torch.tensor([0.8, -0.2, 0.1, 0.3])
    hidden = torch.zeros(2, 1, 20, 30)
    hidden[:, :, 4:16, 5:25] = 1
    truth = torch.where(hidden > 0, found.mixed(true), torch.zeros(()))
    fit = Fit()
    fit.add(found, truth, hidden)
    learnt = fit.weights()
    assert (learnt - true).abs().max() < (torch.tensor(PRIOR) - true).abs().max()

    def error(weights):
        return float(((found.mixed(weights) - truth) * hidden).square().mean())

    assert error(learnt) < 0.2 * error(torch.tensor(PRIOR))
    assert error(learnt) < 0.2 * error(torch.zeros(4))


def test_nothing_to_learn_from_leaves_the_prior():
    fit = Fit()
    fit.add(fills(), torch.zeros(2, 3, 20, 30), torch.zeros(2, 1, 20, 30))
    assert torch.allclose(fit.weights(), torch.tensor(PRIOR))


def test_what_the_hole_holds_changes_neither_weights_nor_start():
    make = torch.Generator().manual_seed(3)
    frames = torch.rand(3, 3, 24, 32, generator=make)
    holes = torch.zeros(3, 1, 24, 32)
    holes[:, :, 8:16, 10:20] = 1
    first, second = (
        TrainingClip(version, holes, "compact", pool=1) for version in (frames, frames * (1 - holes) + holes)
    )
    for shift in (*first.shifts, first.held_out, None):
        assert torch.equal(first.started(shift)[0], second.started(shift)[0])
    assert not torch.equal(first.started(None)[0], candidates(frames, holes).mixed(torch.tensor(PRIOR)))
    known = (holes == 0).expand_as(frames)
    assert torch.equal(first.started(None)[0][known], frames[known])
