"""CIRI's parts: inactivation, curriculum, critic, and the inpainter around the compact and published networks."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from torch import nn

from videoinpaint.clips.sources.pasted import OneShotClips
from videoinpaint.controls import Controls
from videoinpaint.errors import CorruptWeightsError, InputError, MissingWeightsError
from videoinpaint.inpainters import AROUND_PUBLISHED, make_inpainter
from videoinpaint.inpainters.ciri.compact import OneShotCompact
from videoinpaint.inpainters.ciri.curriculum import Curriculum
from videoinpaint.inpainters.ciri.inactivation import Blend, Inactivation, Stage, inactivated, recorded
from videoinpaint.inpainters.ciri.inpainter import CIRIInpainter
from videoinpaint.inpainters.ciri.joint import looked_up
from videoinpaint.inpainters.ciri.model import NEAR, Scene
from videoinpaint.inpainters.ciri.published import OneShotPublished
from videoinpaint.inpainters.ciri.removal_config import RemovalConfig
from videoinpaint.inpainters.compact.config import CompactConfig
from videoinpaint.inpainters.compact.inputs import Inputs
from videoinpaint.inpainters.propagators import GivenTracker, make_propagator
from videoinpaint.inpainters.published.discriminator import TemporalPatchDiscriminator, adversarial_losses
from videoinpaint.inpainters.published.dstt.inpainter import DSTTInpainter
from videoinpaint.inpainters.published.dstt.network import DSTT
from videoinpaint.inpainters.published.e2fgvi.network import E2FGVI
from videoinpaint.inpainters.published.fuseformer.network import FuseFormer
from videoinpaint.inpainters.published.geometry import Geometry
from videoinpaint.inpainters.published.sizes import Sizes
from videoinpaint.motion.neighbourhoods import window_max
from videoinpaint.protocols import Inpainter, OneShotInpainter

NEUTRAL = Controls().to_array()[None]
SMALL = CompactConfig(base=8, mid=16, dim=48, hidden=48, depth=1)


def scene_of(seed=0, length=4, height=48, width=80):
    """A clip with a target: observed, background, masks, with the batch dimension."""
    clip = OneShotClips().load(f"studio-mixed-{seed:06d}@000001", length, height, width)
    frames = [torch.from_numpy(x).permute(0, 3, 1, 2)[None].float() / 255 for x in (clip.observed, clip.frames)]
    return *frames, torch.from_numpy(clip.objects)[None, :, None].float()


def test_inactivation_scales_every_stage_and_leaves_no_hook():
    net = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.Conv2d(4, 5, 3, stride=2, padding=1))
    stages, x = (Stage(net[0], 4), Stage(net[1], 5)), torch.rand(2, 3, 8, 8)
    first, second = torch.rand(2, 1, 4, 4), torch.rand(2, 1, 2, 2)
    expected = (1 - second) * net[1]((1 - first) * net[0](x))
    with inactivated(stages, [first, second]):
        assert torch.allclose(net(x), expected)
    with recorded(stages) as seen:
        plain = net(x)
    assert torch.equal(seen[1], plain)
    assert torch.equal(seen[0], net[0](x))
    assert not any(module._forward_hooks for module in net)


@torch.no_grad()
@pytest.mark.parametrize("few", [1, 3])
def test_frames_that_are_worked_on_a_few_at_a_time_are_inactivated_as_all_at_once(monkeypatch, few):
    """The backbone's encoder does so where a clip is long or large: beyond eight frames of 120x216."""
    torch.manual_seed(0)
    model, (observed, _, masks) = OneShotCompact(SMALL).eval(), scene_of()
    whole = model.features(observed)
    maps = [torch.rand(stage[:, :1].shape, generator=torch.Generator().manual_seed(1)) for stage in whole]
    part, cells = make_inpainter("ciri", weights="random"), np.tile(NEUTRAL, (2, 1))
    clips, holes = (torch.cat([x, x.flip(1)]) for x in (observed, masks))

    def everything():
        with inactivated(model.stages(), maps):
            encoded = model.network.encode(Inputs(observed, *(torch.zeros_like(masks),) * 2, observed, masks, masks))
        refined = part.refine(part.begin(clips, holes), clips, holes, cells).frames
        return [*model.features(observed), *encoded, refined]

    expected = everything()
    monkeypatch.setattr("videoinpaint.framewise.TOGETHER", few * 48 * 80)
    for one, other in zip(everything(), expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_a_stage_that_does_not_run_is_named():
    with pytest.raises(InputError, match="did not run"), recorded([Stage(nn.Conv2d(1, 1, 1), 1)]):
        pass


def test_curriculum_follows_equation_2():
    truth = torch.ones(1, 1, 1, 2, 2)
    blends = [Curriculum().blend(epoch / 30, truth) for epoch in (0, 5, 10, 15, 20, 30)]
    assert [b.predicted for b in blends] == pytest.approx([1, 1, 0.5, 0, 0, 0])
    assert [b.attention for b in blends] == pytest.approx([1, 1, 2 / 3, 1 / 3, 0, 0])
    assert torch.equal(blends[2].mix(0.25, torch.zeros(1, 1, 2, 2)), torch.full((1, 1, 2, 2), 0.25))
    with pytest.raises(InputError, match="start < predicted"):
        Curriculum(start=16)


def test_attention_finds_what_the_prediction_lacks():
    """Features that tell target from background: a missing half comes back, and beyond the reach nothing is flagged."""
    inactivation = Inactivation((2,), learned=False)
    target = torch.zeros(1, 3, 1, 40, 100)
    target[..., 10:30, 40:56] = 1
    elsewhere = torch.zeros_like(target)
    elsewhere[..., 10:30, 90:] = 1  # looks alike, but far away
    alike = torch.maximum(target, elsewhere)
    features = torch.cat([alike, 1 - alike], dim=2).flatten(0, 1)
    predicted = target.clone()
    predicted[:, 1:, ..., 48:] = 0
    frames = torch.zeros(1, 3, 3, 40, 100)
    found = inactivation([features], frames, predicted, target[:, 0])
    assert ((found.joint[:, 1:] > 0.5).float() == target[:, 1:])[..., :80].float().mean() > 0.97
    assert found.joint[..., 90:].max() < 1e-6
    plain = Inactivation((2,), attention=False, learned=False)(
        [features], torch.zeros(1, 3, 3, 40, 100), predicted, target[:, 0]
    )
    assert not ((plain.joint[:, 1:] > 0.5) & (predicted[:, 1:] == 0)).any()


def test_true_masks_rule_the_maps_at_the_beginning_of_the_curriculum():
    inactivation = Inactivation((2,))
    truth, wrong = torch.zeros(1, 2, 1, 16, 16), torch.zeros(1, 2, 1, 16, 16)
    truth[..., 4:12, 4:12], wrong[..., :4, :4] = 1, 1
    maps = inactivation(
        [torch.rand(2, 2, 16, 16)], torch.rand(1, 2, 3, 16, 16), wrong, truth[:, 0], Blend(1, 1, truth)
    ).maps
    assert torch.allclose(maps[0], truth)


@pytest.mark.parametrize(("share", "leans"), [(100.0, (1, 0)), (-100.0, (0, 1))])
def test_either_branch_leans_on_the_true_masks_by_its_own_weight(share, leans):
    """Of Eq. 3 one branch alone: that of the predicted masks, or that of the attention."""
    inactivation = Inactivation((2,))
    with torch.no_grad():
        inactivation.share.fill_(share)
    truth, wrong = torch.zeros(1, 2, 1, 16, 16), torch.zeros(1, 2, 1, 16, 16)
    truth[..., 4:12, 4:12], wrong[..., :4, :4] = 1, 1
    given = [torch.rand(2, 2, 16, 16)], torch.rand(1, 2, 3, 16, 16), wrong, truth[:, 0]
    assert torch.allclose(inactivation(*given, Blend(*leans, truth)).maps[0], truth)
    assert not torch.allclose(inactivation(*given, Blend(*leans[::-1], truth)).maps[0], truth, atol=0.1)


def test_attention_compares_with_the_target_and_with_what_is_beside_it():
    """Of features at right angles one is wholly like the target's and unlike the others, by the sharpness of 6."""
    inactivation = Inactivation((2,), learned=False)
    with torch.no_grad():
        inactivation.share.fill_(-100)  # the attention alone
    target = torch.zeros(1, 2, 1, 40, 100)
    target[..., 10:30, 40:56] = 1
    features = torch.cat([target, 1 - target], dim=2).flatten(0, 1)
    found = inactivation([features], torch.zeros(1, 2, 3, 40, 100), target, target[:, 0])
    expected = torch.tensor([6.0, -6]).add(-1).sigmoid()
    seen = found.maps[0][0, 1, 0]
    assert torch.allclose(seen[10:30, 40:56], expected[0], atol=1e-4)
    assert torch.allclose(seen[8, 40:56], expected[1], atol=1e-4)
    assert torch.equal(found.joint[:, 0], window_max(target[:, 0], 1))  # a soft edge reaches a pixel beyond its mask


def test_adversarial_losses_part_their_gradients():
    torch.manual_seed(0)
    critic, repaired = TemporalPatchDiscriminator(4), torch.rand(1, 4, 3, 32, 32, requires_grad=True)
    fooled, told = adversarial_losses(critic, torch.rand(1, 4, 3, 32, 32), repaired)
    fooled.backward(retain_graph=True)
    assert repaired.grad is not None
    assert repaired.grad.abs().sum() > 0
    assert all(p.grad is None for p in critic.parameters())
    repaired.grad = None
    told.backward()
    assert repaired.grad is None
    assert all(p.grad is not None for p in critic.parameters())


def around(network, size):
    return OneShotPublished(network, Geometry(fixed=size), learned=True)


BACKBONES = {
    "compact": lambda: OneShotCompact(SMALL),
    "dstt": lambda: around(DSTT(dim=32, hidden=32, depth=2), (48, 72)),
    "fuseformer": lambda: around(FuseFormer(dim=32, hidden=49, depth=1, size=(48, 72)), (48, 72)),
    "e2fgvi": lambda: around(E2FGVI(hq=True, sizes=Sizes(depth=1, dim=48, hidden=98)), (60, 108)),
}


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_repairs_and_learns(name):
    """Output in place, gradients to the maps' parameters, to the backbone and back to the predicted masks."""
    torch.manual_seed(0)
    model = BACKBONES[name]()
    observed, _, masks = scene_of()
    predicted = masks.clone().requires_grad_()
    scene = model.scene(observed, model.guide(observed, predicted, masks[:, 0]))
    painted, _ = model.paint(scene, observed, scene.holes, torch.from_numpy(NEUTRAL))
    assert painted.shape == observed.shape
    assert (scene.holes[:, 0] >= masks[:, 0]).all()
    (scene.composed(painted) ** 2).mean().backward()
    assert predicted.grad is not None
    assert predicted.grad.abs().sum() > 0
    assert all(key.weight.grad.abs().sum() > 0 for key in model.inactivation.keys)
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.network.parameters())
    assert not any(module._forward_hooks for module in model.modules())


def test_state_dicts_of_published_backbones_keep_their_names():
    network = DSTT(dim=32, hidden=32, depth=1)
    names = set(network.state_dict())
    assert {n.removeprefix("network.") for n in OneShotPublished(network, Geometry()).state_dict()} >= names


@pytest.fixture(scope="module")
def ciri():
    return CIRIInpainter()


def test_it_is_both_an_inpainter_and_a_one_shot_inpainter(ciri):
    assert isinstance(ciri, Inpainter)
    assert isinstance(ciri, OneShotInpainter)


def test_a_missing_part_is_found_and_repaired(ciri):
    """Trained weights: the joint map recovers much of what the prediction lacks, and the repair gains from it."""
    gains, recovered = [], []
    for seed in range(4):
        observed, background, masks = scene_of(seed, 5, 80, 144)
        predicted = masks.clone()
        columns = torch.nonzero(masks[0, 0, 0].any(0)).flatten()
        predicted[:, 1:, ..., columns[len(columns) // 2] :] = 0
        state, holes = ciri.begin_one_shot(observed, [GivenTracker(predicted[0])])
        frames = ciri.refine(state, observed, holes, NEUTRAL).frames
        repaired = torch.where(holes > 0, frames, observed)
        missing = (masks - predicted)[:, 1:] > 0
        if not missing.any():
            continue
        recovered.append(float(holes[:, 1:][missing].mean()))
        errors = [
            ((x - background)[:, 1:].square().mean(2, keepdim=True)[missing]).mean() for x in (observed, repaired)
        ]
        gains.append(float(10 * torch.log10(errors[0] / errors[1])))
    assert np.mean(recovered) > 0.4
    assert np.mean(gains) > 1


def test_what_surely_shows_the_target_is_repainted_wholly(ciri):
    observed, _, masks = scene_of()
    scene = ciri.look(observed, masks)
    controls = torch.from_numpy(NEUTRAL)
    with torch.no_grad():
        painted, soft = (ciri.model.paint(scene, observed, scene.holes, controls, soft=s)[0] for s in (False, True))
        proposed, _ = ciri.model.propose(scene, observed, scene.holes, controls)
    joint = scene.guidance.joint
    sure = (joint > NEAR).expand_as(observed)
    torch.testing.assert_close(painted[sure], proposed[sure])
    torch.testing.assert_close(soft, joint * proposed + (1 - joint) * observed)
    assert not torch.allclose(soft[sure], proposed[sure], atol=1e-3)


def test_removal_tunes_the_tracker_before_the_repair(ciri):
    observed, _, masks = scene_of(length=3, height=64, width=112)
    tuning = CIRIInpainter(removal=RemovalConfig(epochs=1, learning_rate=0.1))
    follow = make_propagator("flow")
    trackers = [follow.start(observed[0], masks[0, 0]) for _ in range(2)]
    before = [p.detach().clone() for p in trackers[0].parameters()]
    for inpainter, tracker, changes in zip((ciri, tuning), trackers, (False, True)):
        inpainter.begin_one_shot(observed, [tracker])
        assert any(not torch.equal(a, b) for a, b in zip(before, tracker.parameters(), strict=True)) == changes


def test_scene_survives_a_state():
    model = OneShotCompact(SMALL)
    observed, _, masks = scene_of()
    scene = model.scene(observed, model.guide(observed, masks, masks[:, 0]))
    back = Scene.from_state(scene.to_state())
    assert torch.equal(back.holes, scene.holes)
    assert all(torch.equal(a, b) for a, b in zip(back.guidance.maps, scene.guidance.maps))
    assert back.prepared.keys() == scene.prepared.keys()


def test_batch_equals_single(ciri):
    parts = [scene_of(seed) for seed in (0, 1)]
    observed, masks = torch.cat([p[0] for p in parts]), torch.cat([p[2] for p in parts])
    together, holes = ciri.begin_one_shot(observed, [GivenTracker(m) for m in masks])
    frames = ciri.refine(together, observed, holes, np.repeat(NEUTRAL, 2, 0)).frames
    for item in range(2):
        one = slice(item, item + 1)
        state, own = ciri.begin_one_shot(observed[one], [GivenTracker(masks[item])])
        assert torch.equal(own, holes[one])
        assert torch.allclose(ciri.refine(state, observed[one], own, NEUTRAL).frames, frames[one], atol=1e-5)


def test_the_target_leaves_and_touches_the_border(ciri):
    observed, _, masks = scene_of()
    masks = torch.zeros_like(masks)
    masks[:, :2, ..., 10:30, :20] = 1  # at the border, gone after two frames
    state, holes = ciri.begin_one_shot(observed, [GivenTracker(masks[0])])
    frames = ciri.refine(state, observed, holes, NEUTRAL).frames
    assert torch.isfinite(frames).all()
    assert not holes[:, 2:].any()
    single, hole = ciri.begin_one_shot(observed[:, :1], [GivenTracker(masks[0, :1])])
    assert torch.isfinite(ciri.refine(single, observed[:, :1], hole, NEUTRAL).frames).all()


def test_bad_input_is_named(ciri, tmp_path):
    observed, _, masks = scene_of()
    with pytest.raises(InputError, match="absent from the first frame"):
        ciri.look(observed, torch.zeros_like(masks))
    with pytest.raises(InputError, match="shape"):
        ciri.look(observed, masks[..., :-1])
    with pytest.raises(InputError, match="NaN"):
        ciri.look(observed, torch.full_like(masks, torch.nan))
    with pytest.raises(MissingWeightsError):
        CIRIInpainter(weights=str(tmp_path / "nowhere.safetensors"))
    (tmp_path / "torn.safetensors").write_bytes(b"torn")
    with pytest.raises(CorruptWeightsError):
        CIRIInpainter(weights=str(tmp_path / "torn.safetensors"))


@pytest.mark.parametrize("name", AROUND_PUBLISHED)
def test_around_published_networks_without_weights(name, monkeypatch, tmp_path):
    monkeypatch.setenv("VIDEOINPAINT_CACHE", str(tmp_path))
    with pytest.raises(MissingWeightsError, match="weights fetch"):
        make_inpainter(name)


def test_around_dstt_runs_in_the_protocol(monkeypatch):
    small = Sizes(depth=2, dim=48, hidden=48, height=48, width=96)
    changes = {"published": small, "geometry": Geometry(fixed=(48, 96)), "calibration_size": (48, 96)}
    for name, value in changes.items():
        monkeypatch.setattr(DSTTInpainter, name, value)
    part = make_inpainter("ciri_dstt", weights="random")
    observed, _, masks = scene_of(length=2)
    state, holes = part.begin_one_shot(observed, [GivenTracker(masks[0])])
    few, all_heads = (part.refine(state, observed, holes, np.array([[k, 0.5, 0.9, 0.45, 0.2]])) for k in (2, 12))
    assert few.frames.shape == observed.shape
    assert 0 < float(few.gflops[0]) < float(all_heads.gflops[0])


def test_a_clip_is_looked_up_in_a_batch_as_alone():
    rng = torch.Generator().manual_seed(0)
    keys = nn.functional.normalize(torch.randn(3 * 4, 32, 15, 27, generator=rng), dim=1)
    targets = (torch.rand(3, 1, 15, 27, generator=rng) > 0.8).float()
    together = looked_up(keys, targets, 4)
    for clip in range(3):
        alone = looked_up(keys[4 * clip : 4 * clip + 4], targets[clip : clip + 1], 4)
        assert torch.equal(together[4 * clip : 4 * clip + 4], alone)


@torch.no_grad()
def test_what_one_thread_inactivates_another_does_not_see():
    """Coming episodes are begun by threads while a step inactivates features of the present ones."""
    torch.manual_seed(0)
    model, (observed, *_) = OneShotCompact(SMALL).eval(), scene_of()
    expected, seen = model.features(observed), []
    maps = [torch.ones_like(stage[:, :1]) for stage in expected]
    other = threading.Thread(target=lambda: seen.extend(model.features(observed)))
    with inactivated(model.stages(), maps):
        other.start()
        other.join(timeout=2)
    other.join()
    assert all(torch.equal(a, b) for a, b in zip(seen, expected, strict=True))


def test_controls_may_vary_over_the_frame():
    part = make_inpainter("ciri", weights="random")
    frames = torch.rand(1, 3, 3, 48, 80, generator=torch.Generator().manual_seed(0))
    holes = torch.zeros(1, 3, 1, 48, 80)
    holes[..., 8:40, 8:72] = 1
    state = part.begin(frames, holes)
    cells = np.tile(Controls().to_array(), (1, 2, 3, 1))
    plain = part.refine(state, frames, holes, cells)
    assert torch.allclose(plain.frames, part.refine(state, frames, holes, cells[:, 0, 0]).frames, atol=1e-5)
    cells[:, :, 0, 0] = 2
    assert part.refine(state, frames, holes, cells).gflops.item() < plain.gflops.item()
