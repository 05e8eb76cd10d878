"""IIVI's networks, its losses on cases worked out by hand, training on one clip, and the inpainter in the loop."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch

from videoinpaint.controls import DEFAULT, Controls
from videoinpaint.envs.batch import put, take
from videoinpaint.envs.loop import ClosedLoop
from videoinpaint.errors import InputError
from videoinpaint.inpainters.internal import PAPER, Budget, Internal, InternalInpainter, Trainer, losses, train
from videoinpaint.inpainters.internal.clip import STARTS, Examples, TrainingClip, moved
from videoinpaint.inpainters.internal.inpainter import loss_weights
from videoinpaint.inpainters.internal.layers import GatedConv, mirrored
from videoinpaint.inpainters.internal.networks import ARCHS, InternalNetwork, parameter_count
from videoinpaint.inpainters.internal.presets import preset
from videoinpaint.inpainters.internal.trainer import masked_psnr
from videoinpaint.metrics.backbone import get_backbone
from videoinpaint.testing import check_inpainter

SMALL = Internal(width=0.1, pool=2, backbone="alex", patch=32, crop=(24, 24))


@pytest.fixture(scope="module")
def scene() -> tuple[torch.Tensor, torch.Tensor]:
    """Six frames of a striped scene that moves, and a hole that stands still."""
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(56.0), indexing="ij")
    frames = torch.stack([torch.stack([(0.5 + 0.4 * torch.sin((x + 2 * t) / p)) for p in (5, 7, 9)]) for t in range(6)])
    holes = torch.zeros(6, 1, 40, 56)
    holes[..., 14:26, 20:34] = 1
    return frames * (0.7 + 0.3 * y / 40), holes


@pytest.fixture
def clip(scene):
    return TrainingClip(*scene, "smooth", pool=2)


# --- networks -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arch", "count"), [("base", 1_629_663), ("stacked", 3_259_326), ("coarse-to-fine", 4_405_998)]
)
def test_networks_have_the_published_size_where_half_of_the_channels_are_gates(arch, count):
    """Added up by hand from Appendix A.1: out_c channels after in_c need k^2 (in_c / 2) out_c weights, out_c biases."""
    assert parameter_count(InternalNetwork(arch)) == count


def test_the_base_network_is_the_printed_list():
    printed = [(48, 5, 1, 1), (96, 3, 2, 1), (96, 3, 1, 1), (192, 3, 2, 1), (192, 3, 1, 1), (192, 3, 1, 1)]
    printed += [(192, 3, 1, d) for d in (2, 4, 8, 16, 1, 1)] + [(96, 3, 1, 1), (96, 3, 1, 1), (48, 3, 1, 1)]
    printed += [(24, 3, 1, 1), (3, 1, 1, 1)]
    convolutions = [m for m in InternalNetwork("base").modules() if isinstance(m, torch.nn.Conv2d)]
    assert [(c.out_channels, c.kernel_size[0], c.stride[0], c.dilation[0]) for c in convolutions] == printed


def test_a_gate_that_is_shut_lets_nothing_through():
    block = GatedConv(2, 6)
    with torch.no_grad():
        block.conv.bias[3:] = torch.tensor([-100.0, 100.0, 0.0])
        block.conv.bias[:3] = torch.tensor([2.0, -1.0, 2.0])
        block.conv.weight.zero_()
    out = block(torch.rand(1, 2, 5, 5))[0, :, 2, 2]
    assert out.tolist() == pytest.approx([0, np.exp(-1) - 1, 1], abs=1e-6)


def test_mirroring_goes_on_beyond_the_picture():
    line = torch.tensor([0.0, 1, 2]).expand(1, 1, 3, 3)
    assert mirrored(line, 5)[0, 0, 0].tolist() == [1, 0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2, 1]
    assert mirrored(torch.rand(1, 1, 1, 4), 3).shape == (1, 1, 7, 10)


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("size", [(16, 16), (17, 30), (41, 50)])
def test_any_size_passes_and_lies_in_the_range(arch, size):
    network = InternalNetwork(arch, 0.1)
    results = network(torch.rand(2, 3, *size) * 2 - 1, torch.ones(2, 1, *size))
    assert [tuple(r.shape) for r in results] == [(2, 3, *size)] * (1 if arch == "base" else 2)
    assert all(r.abs().max() < 1 for r in results)


def test_the_signal_survives_seventeen_gated_layers():
    torch.manual_seed(0)
    network = InternalNetwork("base")
    frames = torch.rand(2, 3, 48, 48) * 2 - 1
    outputs = network(frames, torch.zeros(2, 1, 48, 48))[0].detach()
    assert outputs.std() > 0.01


def test_flops_are_those_of_the_convolutions():
    network, counted = InternalNetwork("coarse-to-fine", 0.2), []
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(lambda m, _, out: counted.append(2 * out[0, 0].numel() * m.weight.numel()))
    network(torch.rand(1, 3, 38, 50), torch.zeros(1, 1, 38, 50))
    assert network.flops(38, 50) == pytest.approx(sum(counted))


# --- losses ---------------------------------------------------------------------------------------------------------


def test_reconstruction_looks_at_known_pixels_alone(scene):
    frames, holes = scene
    wrong_inside = frames + holes
    assert losses.reconstruction([wrong_inside], frames, holes) == 0
    assert losses.reconstruction([frames + 0.25, frames + 0.5], frames, holes) == pytest.approx(0.75, abs=1e-5)
    half = torch.zeros_like(holes)
    half[..., :20, :] = 1
    top_wrong = frames + 0.5 * half
    plain = losses.reconstruction([top_wrong], frames, torch.zeros_like(holes))
    focused = losses.reconstruction([top_wrong], frames, torch.zeros_like(holes), 1 + 3 * half)
    assert (float(plain), float(focused)) == pytest.approx((0.25, 0.4), abs=1e-5)


def test_ambiguity_finds_the_same_texture_elsewhere_and_has_gradients_to_the_output():
    backbone = get_backbone("alex")
    rng = torch.Generator().manual_seed(0)
    sharp = torch.rand(1, 3, 64, 64, generator=rng)
    nothing = torch.zeros(1, 1, 64, 64)
    blurred = torch.nn.functional.avg_pool2d(sharp, 9, 1, 4).requires_grad_()
    same = losses.ambiguity(sharp.flip(-1).flip(-1), sharp, nothing, backbone)
    shifted = losses.ambiguity(sharp.roll(16, -1), sharp, nothing, backbone)
    blurry = losses.ambiguity(blurred, sharp, nothing, backbone)
    assert same < 1e-5
    assert same < shifted < blurry
    blurry.backward()
    assert blurred.grad is not None
    assert blurred.grad.abs().sum() > 0
    assert losses.ambiguity(blurred.detach(), sharp, torch.ones_like(nothing), backbone) < 1e-5


def test_the_nearest_feature_is_found_in_parts_as_at_once(monkeypatch):
    rng = torch.Generator().manual_seed(0)
    made, other = torch.rand(2, 2, 3, 64, 48, generator=rng)
    none, backbone = torch.zeros(2, 1, 64, 48), get_backbone("alex")
    made.requires_grad_()
    found = []
    for pairs in (2**24, 100):
        monkeypatch.setattr(losses, "PAIRS", pairs)
        made.grad = None
        losses.ambiguity(made, other, none, backbone).backward()
        found.append(made.grad)
    assert (found[0] - found[1]).abs().max() < 1e-7
    assert found[0].flatten(1).abs().sum(1).min() > 0  # every frame of the batch counts
    each = [losses.ambiguity(made[i : i + 1].detach(), other[i : i + 1], none[:1], backbone) for i in range(2)]
    assert float(losses.ambiguity(made.detach(), other, none, backbone)) == pytest.approx(
        float(sum(each)) / 2, rel=1e-5
    )


def test_stabilisation_forgives_changes_that_follow_the_input(scene):
    frames, holes = scene
    none = torch.zeros_like(holes)
    assert losses.stabilisation([frames * 0.9], [frames * 0.9 + 0.1], frames, frames + 0.1, none) < 1e-6
    flicker = losses.stabilisation([frames], [frames + 0.3], frames, frames, none)
    assert float(flicker) == pytest.approx(0.3, abs=1e-5)
    assert losses.stabilisation([frames], [frames + holes], frames, frames, holes) == 0


def test_changes_stay_within_the_published_ranges():
    rng = np.random.default_rng(0)
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(96.0), indexing="ij")
    blurs = set()
    for _ in range(40):
        change = losses.draw_change(rng, 2, 64, 96)
        blurs.add(change.blur)
        assert ((change.gain >= 0.95) & (change.gain <= 1.05)).all()
        still = losses.Change(change.matrix, torch.ones_like(change.gain), 0)
        where = still._warped(torch.stack([columns, rows]).expand(2, -1, -1, -1))
        centre = where[:, :, 31:33, 47:49].mean((2, 3)) - torch.tensor([47.5, 31.5])
        assert centre.abs().max() <= 3.01
        along = where[:, :, 32, 60] - where[:, :, 32, 40]
        assert ((along.norm(dim=1) / 20 > 0.94) & (along.norm(dim=1) / 20 < 1.06)).all()
        assert (torch.atan2(along[:, 1], along[:, 0]).abs() <= np.deg2rad(3.1)).all()
    assert blurs == {0, 3, 5}


def test_a_changed_mask_covers_what_the_changed_hole_touches(scene):
    frames, holes = scene
    change = losses.draw_change(np.random.default_rng(3), 6, 40, 56)
    spoilt = torch.where(holes > 0, torch.ones_like(frames), torch.zeros_like(frames))
    assert not change.frames(spoilt)[(change.masks(holes) == 0).expand_as(frames)].any()


# --- the clip -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", STARTS)
def test_examples_never_show_what_is_hidden(scene, start):
    frames, holes = scene
    spoilt = torch.where(holes > 0, torch.rand(frames.shape), frames)
    drawn = []
    for version in (frames, spoilt):
        made = TrainingClip(version, holes, start, pool=1)
        drawn.append(made.draw(np.random.default_rng(5), 3))
    for name, value in vars(drawn[0]).items():
        assert torch.equal(value, vars(drawn[1])[name]), name
    batch = drawn[0]
    known = (batch.union == 0).expand_as(batch.frames)
    assert torch.equal(batch.start[known], batch.frames[known])
    hidden = batch.focus.expand_as(batch.frames) > 0
    assert hidden.any()
    assert not torch.equal(batch.start[hidden], batch.frames[hidden])
    assert not (batch.focus * batch.holes).any()


def test_the_held_out_translation_is_never_drawn(scene):
    clip = TrainingClip(*scene, "none")
    held = moved(clip.holes[:1], clip.held_out)
    rng = np.random.default_rng(0)
    for _ in range(50):
        union = clip.draw(rng, 1).union
        assert not torch.equal(union, torch.maximum(held, clip.holes[:1]))
    assert clip.held_out not in TrainingClip(*scene, "smooth", pool=6).shifts


@pytest.mark.parametrize("start", ["none", "smooth"])
def test_brush_strokes_hide_in_place_of_moved_masks(scene, start):
    clip = TrainingClip(*scene, start, pool=2, hidden="free-form")
    drawn = [clip.draw(np.random.default_rng(seed), 1) for seed in range(6)]
    shapes = {tuple(d.union.flatten().tolist()) for d in drawn}
    assert len(shapes) > 1
    moved_holes = [float(d.focus.sum()) for d in drawn]
    assert all(0 < area < 0.5 * 40 * 56 for area in moved_holes)
    # What is held out stays a moved mask: both ways of hiding are judged by the same pixels.
    usual = TrainingClip(*scene, start, pool=2)
    assert torch.equal(clip.held_out_examples().union, usual.held_out_examples().union)
    with pytest.raises(InputError, match="hidden"):
        TrainingClip(*scene, start, hidden="noise")


def test_flagged_frames_are_drawn_and_their_shape_is_the_focus(scene):
    clip = TrainingClip(*scene, "smooth", pool=3)
    flagged = torch.zeros_like(clip.holes)
    flagged[4, :, 14:20, 20:26] = 1
    rng = np.random.default_rng(0)
    focused = [clip.draw(rng, 1, flagged).focus.sum() for _ in range(40)]
    assert np.mean([f > 0 for f in focused]) > 0.7
    assert max(focused) <= 36
    crops = clip.draw(rng, 4, flagged, (16, 20))
    assert crops.frames.shape == (4, 3, 16, 20)


# --- training -------------------------------------------------------------------------------------------------------


def run(trainer, clip, budget, **options):
    return list(train(trainer, clip, budget, **options))


def test_training_from_nothing_learns_the_clip(scene):
    config = replace(SMALL, start="none", width=0.25, crop=None, learning_rate=3e-3, second_stage=0)
    clip, trainer = TrainingClip(*scene, "none"), Trainer(config)
    before = trainer.held_out(clip)["psnr"]
    last = run(trainer, clip, Budget(steps=120), patience=0)[-1]
    assert (last.steps, last.spent) == (120, 1.0)
    assert trainer.held_out(clip)["psnr"] > before + 4
    inside = clip.holes
    grey = torch.full_like(scene[0], 0.5)
    assert masked_psnr(trainer.repair(clip), scene[0], inside) > masked_psnr(grey, scene[0], inside) + 1


def test_training_never_ends_below_its_start_by_more_than_the_tolerance(clip):
    trainer = Trainer(replace(SMALL, start="smooth", learning_rate=0.05))
    run(trainer, clip, Budget(steps=12), check_every=3)
    numbers = trainer.held_out(clip)
    assert numbers["psnr"] > numbers["start"] - 0.31


def test_resumed_training_equals_uninterrupted_training_bit_for_bit(scene, tmp_path):
    def fresh():
        return Trainer(replace(SMALL, start="smooth")), TrainingClip(*scene, "smooth", pool=2)

    options = {"check_every": 3, "save_seconds": 0.0}
    whole, clip = fresh()
    run(whole, clip, Budget(steps=10), folder=tmp_path / "whole", **options)
    broken, clip = fresh()
    list(islice(train(broken, clip, Budget(steps=10), folder=tmp_path / "broken", **options), 6))
    resumed, clip = fresh()
    after = run(resumed, clip, Budget(steps=10), folder=tmp_path / "broken", **options)
    assert [p.steps for p in after] == [7, 8, 9, 10]
    assert torch.equal(resumed.repair(clip), whole.repair(clip))
    for name, value in whole.state().items():
        assert torch.equal(value, resumed.state()[name])
    again, clip = fresh()
    assert run(again, clip, Budget(steps=10), folder=tmp_path / "whole", **options) == []
    assert torch.equal(again.repair(clip), whole.repair(clip))


def test_a_checkpoint_of_something_else_is_refused(scene, clip, tmp_path):
    run(Trainer(replace(SMALL, start="smooth")), clip, Budget(steps=1), folder=tmp_path)
    with pytest.raises(InputError, match="another clip"):
        run(Trainer(replace(SMALL, start="smooth", seed=1)), clip, Budget(steps=1), folder=tmp_path)
    other = TrainingClip(scene[0] * 0.5, scene[1], "smooth", pool=2)
    with pytest.raises(InputError, match="another clip"):
        run(Trainer(replace(SMALL, start="smooth")), other, Budget(steps=1), folder=tmp_path)
    (tmp_path / "checkpoint.pt").write_bytes(b"torn")
    with pytest.raises(InputError, match="not a checkpoint"):
        run(Trainer(SMALL), clip, Budget(steps=1), folder=tmp_path)


def test_a_stage_that_stops_improving_ends_early(scene):
    clip = TrainingClip(*scene, "smooth", pool=1)
    trainer = Trainer(replace(SMALL, start="smooth", learning_rate=1e-9, pool=1))
    last = run(trainer, clip, Budget(steps=400), check_every=2, patience=2)[-1]
    assert last.steps < 40
    assert last.spent < 1 or last.steps < 400


def test_time_budgets_end(clip):
    now = iter(range(10_000))
    trainer = Trainer(replace(SMALL, start="smooth"))
    last = run(trainer, clip, Budget(seconds=30, clock=lambda: float(next(now))), patience=0)[-1]
    assert last.seconds >= 30
    assert 5 < last.steps < 30


@pytest.mark.parametrize(
    "bad", [{"arch": "huge"}, {"start": "noise"}, {"learning_rate": 0}, {"batch": 0}, {"width": 9}]
)
def test_settings_out_of_range_are_named(bad):
    with pytest.raises(InputError, match=next(iter(bad))):
        Trainer(replace(SMALL, **bad))
    with pytest.raises(InputError, match="budget"):
        Budget()


def test_a_loss_of_no_weight_is_not_taken(scene):
    clip = TrainingClip(*scene, "smooth", pool=1)
    taken = {}
    for weights in ((1.0, 0.1, 0.2), (1.0, 0.1, 0.0), (1.0, 0.0, 0.2), (1.0, 0.0, 0.0)):
        terms = Trainer(replace(SMALL, start="smooth", pool=1, weights=weights)).step(clip, 1.0)
        taken[weights[1:]] = set(terms)
    assert taken == {
        (0.1, 0.2): set(losses.NAMES),
        (0.1, 0.0): {"reconstruction", "ambiguity"},
        (0.0, 0.2): {"reconstruction", "stabilisation"},
        (0.0, 0.0): {"reconstruction"},
    }
    assert losses.total({"reconstruction": 2.0, "stabilisation": 3.0}, (1, 0.1, 0.2)) == pytest.approx(2.6)


def test_all_tensors_of_a_step_follow_the_device():
    """On "meta", which computes no numbers and refuses to mix with the CPU: nothing of a step stays behind."""
    config = replace(PAPER, width=0.1, backbone="alex", batch=2)
    trainer = Trainer(config, "meta")
    three, one = torch.empty(2, 3, 40, 64, device="meta"), torch.empty(2, 1, 40, 64, device="meta")
    batch = Examples(three, one, one, three, one, one, three, one)
    terms = trainer._losses(batch, np.random.default_rng(0), config.weights)
    assert set(terms) == set(losses.NAMES)
    losses.total(terms, config.weights).backward()
    trainer.optimiser.step()
    assert all(p.grad is not None and p.device.type == "meta" for p in trainer.parameters)
    assert {value.device.type for name, value in trainer.state().items() if name != "steps"} == {"meta"}
    assert trainer.paint(three, one, one).device.type == "meta"


def test_the_papers_settings():
    paper = preset("paper")
    assert (paper.config, paper.steps, paper.levels) == (PAPER, 80_000, (30_000, 45_000, 60_000))
    assert (paper.large.learning_rate, paper.large.batch, paper.large.width) == (1e-4, 2, 1)
    assert (paper.mask.steps, paper.mask.alpha, paper.mask.learning_rate) == (6_000, 0.8, 2e-4)
    assert PAPER.patch is None
    assert (PAPER.arch, PAPER.width, PAPER.start, PAPER.learning_rate) == ("coarse-to-fine", 1, "none", 2e-4)
    assert PAPER.weights == (1, 0.1, 0.2)
    assert PAPER.second_stage == 20_000 / 80_000


# --- in the loop ----------------------------------------------------------------------------------------------------


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
