"""CIRI around published networks: each learns, its file loads and plays, and what does not fit is named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from videoinpaint.clips.sources.augmented import OneShotWindows
from videoinpaint.controls import Controls
from videoinpaint.errors import CorruptWeightsError, InputWarning, UnknownNameError
from videoinpaint.inpainters import make_inpainter
from videoinpaint.inpainters.ciri.around import ADAPTERS, around, load_around
from videoinpaint.inpainters.ciri.curriculum import Curriculum
from videoinpaint.inpainters.ciri.published_inpainters import CIRIProPainterInpainter
from videoinpaint.inpainters.ciri.published_pretraining import (
    PAPER,
    Trained,
    around_loss,
    backbone_quality,
    one_shot_recipe,
    schedule_of,
    train_around,
)
from videoinpaint.inpainters.ciri.shots import Shot, draw_shot, target_psnr
from videoinpaint.inpainters.propagators import GivenTracker
from videoinpaint.inpainters.published.cost import Meter
from videoinpaint.inpainters.published.pretraining import save_trained, sizes_of
from videoinpaint.inpainters.published.recipes import SMALL

NEUTRAL = Controls().to_array()[None]


def tiny(name):
    """An adapter with a very small network, and a recipe for it."""
    kind, own = ADAPTERS[name], SMALL[name]
    small = replace(own, sizes=replace(own.sizes, depth=1, dim=48, hidden=98))
    recipe = replace(one_shot_recipe(name, "small"), iterations=1, num_frames=2, critic=(4, 5), held_out=1)
    torch.manual_seed(0)
    return kind(sizes=sizes_of(kind, small)), recipe


def windows(recipe):
    return OneShotWindows(num_frames=recipe.num_frames, height=recipe.height, width=recipe.width, batch=recipe.batch)


@pytest.mark.parametrize("name", ["dstt", "e2fgvi_hq", "propainter"])  # the other two are made of the same parts
def test_the_network_its_inactivation_and_the_share_learn(name):
    part, recipe = tiny(name)
    part.networks["main"].requires_grad_(True)
    both = Trained(around(part, learned=True), recipe.critic)
    shot = draw_shot(windows(recipe), np.random.default_rng(3))
    total, terms = around_loss(both, shot, Curriculum(), 0.6)
    total.backward()
    assert set(terms) == {"own", "composed", "map", "fooled", "told"}
    assert all(np.isfinite(value) for value in terms.values())
    assert both.model.inactivation.share.grad.abs().min() > 0
    assert all(key.weight.grad.abs().sum() > 0 for key in both.model.inactivation.keys)
    encoder = list(part.networks["main"].encoder.parameters())
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in encoder)
    frozen = [p for key, network in part.networks.items() if key != "main" for p in network.parameters()]
    assert all(p.grad is None for p in frozen)
    assert set(backbone_quality(part, [shot])) == {"psnr_backbone", "psnr_backbone_true"}


@pytest.mark.parametrize("name", ["fuseformer", "propainter"])
def test_a_trained_file_plays_and_removes_the_target(name, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("videoinpaint.weights.terms._announced", set())
    part, recipe = tiny(name)
    config = schedule_of(recipe, tmp_path / "run", 0, {})
    path = train_around(windows(recipe), part, recipe, config, tmp_path / "w.safetensors")
    loaded = make_inpainter(f"ciri_{name}", weights=str(path))
    assert not loaded.random_weights
    model, again = load_around(name, "cpu", str(path))
    assert "come under" not in capsys.readouterr().err, "the licence is that of other weights"
    assert again.sizes == part.sizes
    assert model.inactivation.keys[0].weight.shape[0] > 0
    shot = draw_shot(windows(recipe), np.random.default_rng(5))
    state, holes = loaded.begin_one_shot(shot.observed, [GivenTracker(shot.predicted[0])])
    frames = loaded.refine(state, shot.observed, holes, NEUTRAL).frames
    assert torch.isfinite(frames).all()
    assert frames.shape == shot.observed.shape
    assert (holes[:, 0] >= shot.first).all()
    with pytest.raises(CorruptWeightsError, match=f"ciri_{name}"):
        make_inpainter("ciri_dstt", weights=str(path))


def test_a_file_of_the_network_alone_is_told_to_have_no_trained_inactivation(tmp_path):
    part, _ = tiny("dstt")
    path = save_trained(part.networks, part.sizes, tmp_path / "dstt.safetensors", part.terms)
    told = r"the network alone.*ciri_dstt is untrained.*pretrain one-shot --arch dstt --init"
    with pytest.warns(InputWarning, match=told):
        alone = make_inpainter("ciri_dstt", weights=str(path))
    assert not list(alone.model.inactivation.keys.parameters())


def test_what_is_measured_in_the_target_leaves_the_first_frame_out():
    background, truth = torch.zeros(1, 3, 3, 8, 8), torch.zeros(1, 3, 1, 8, 8)
    truth[..., 2:6, 2:6] = 1
    shot, repaired = Shot(background, background, truth, truth), torch.full_like(background, 0.1)
    repaired[:, 0] = 1
    assert target_psnr(repaired, shot) == pytest.approx(20, abs=1e-3)


def test_without_attention_a_network_learns_to_take_masks_as_they_come(tmp_path):
    part, recipe = tiny("dstt")
    config = schedule_of(recipe, tmp_path / "run", 0, {})
    path = train_around(windows(recipe), part, recipe, config, tmp_path / "w.safetensors", ablate=True)
    model, _ = load_around("dstt", "cpu", str(path))
    assert not model.inactivation.attention
    assert model.inactivation.joint.keys == 0


def test_maps_are_trained_first_while_the_network_rests(tmp_path):
    part, recipe = tiny("dstt")
    before = {name: value.clone() for name, value in part.networks["main"].state_dict().items()}
    recipe = replace(recipe, iterations=2, warm=1.0, share_rate=100)
    config = schedule_of(recipe, tmp_path / "run", 0, {})
    path = train_around(windows(recipe), part, recipe, config, tmp_path / "w.safetensors")
    model, again = load_around("dstt", "cpu", str(path))
    assert all(torch.equal(value, before[name]) for name, value in again.networks["main"].state_dict().items())
    assert model.inactivation.joint.last.weight.abs().max() > 0
    moved = model.inactivation.share.detach().abs()
    assert moved.min() > 1.5 * recipe.learning_rate, "shares have a rate of their own"


def test_the_published_numbers_are_a_preset():
    assert one_shot_recipe("e2fgvi", "paper") == PAPER
    assert (PAPER.iterations, PAPER.learning_rate) == (30 * 3417 // 8, 2e-5)
    assert PAPER.steps == (20 * 3417 // 8,)
    assert (PAPER.height, PAPER.width) == (240, 432)
    with pytest.raises(UnknownNameError, match="large"):
        one_shot_recipe("e2fgvi", "large")


class TinyProPainter(CIRIProPainterInpainter):
    def build(self, weights):
        self.random_weights, self._meter = True, Meter()
        return around(tiny("propainter")[0], learned=False)


def repaired(part, length, hole):
    frames = torch.rand(1, length, 3, 64, 192, generator=torch.Generator().manual_seed(0))
    masks = torch.zeros(1, length, 1, 64, 192)
    masks[..., hole[0], hole[1]] = 1
    return part.refine(part.begin(frames, masks), frames, masks, NEUTRAL)


def test_a_single_frame_is_painted_around_propainter():
    result = repaired(TinyProPainter(), 1, (slice(20, 40), slice(30, 60)))
    assert result.frames.shape == (1, 1, 3, 64, 192)
    assert torch.isfinite(result.frames).all()
    assert float(result.gflops) > 0


def test_around_propainter_a_pass_costs_what_its_own_hole_costs():
    """Windows that touch the hole attend to more than themselves."""
    small, large = (slice(4, 8), slice(4, 8)), (slice(2, 62), slice(2, 190))
    part = TinyProPainter()
    few, many = (float(repaired(part, 2, hole).gflops) for hole in (small, large))
    assert many == float(repaired(TinyProPainter(), 2, large).gflops)
    assert many > few
