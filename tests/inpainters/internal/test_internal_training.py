"""IIVI: what is drawn from one clip, training on it, and the inpainter in the loop."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch

from videoinpaint.controls import DEFAULT, Controls
from videoinpaint.envs.loop import ClosedLoop
from videoinpaint.envs.states.batch import put, take
from videoinpaint.errors import InputError
from videoinpaint.inpainters.internal import PAPER, Budget, Internal, InternalInpainter, Trainer, losses, train
from videoinpaint.inpainters.internal.clip import STARTS, Examples, TrainingClip, moved
from videoinpaint.inpainters.internal.inpainter import loss_weights
from videoinpaint.inpainters.internal.presets import preset
from videoinpaint.inpainters.internal.trainer import masked_psnr
from videoinpaint.inpainters.published.cost import count_flops
from videoinpaint.testing import check_inpainter

SMALL = Internal(width=0.1, pool=2, backbone="alex", patch=32, crop=(24, 24))


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
    for seed in range(10):
        few = TrainingClip(torch.rand(1, 3, 8, 8), torch.zeros(1, 1, 8, 8), "none", pool=40, seed=seed)
        assert few.held_out not in few.shifts
    with pytest.raises(InputError, match="no translation besides the pool's 2000: take fewer"):
        TrainingClip(torch.rand(1, 3, 8, 8), torch.zeros(1, 1, 8, 8), "none", pool=2000)


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
    ("bad", "told"),
    [
        ({"arch": "huge"}, "arch is one of base, .*, got 'huge'"), ({"start": "noise"}, "start is one of"),
        ({"hidden": "all"}, "hidden is one of"), ({"learning_rate": 0}, "learning_rate must be above 0"),
        ({"decay": 2}, "decay must be"), ({"batch": 0}, "batch must lie in 1"), ({"pool": 1.5}, "pool must be a whole"),
        ({"patch": 8}, "patch must lie in 16"), ({"width": 9}, "width must be above 0 and at most 4, got 9"),
        ({"weights": (1, -1, 0)}, "weights must be at least 0"), ({"focus": float("nan")}, "focus must be"),
    ],
)  # fmt: skip
def test_settings_out_of_range_are_named(bad, told):
    with pytest.raises(InputError, match=f"^{told}"):
        Trainer(replace(SMALL, **bad))
    with pytest.raises(InputError, match="budget"):
        Budget()


def test_photometric_changes_are_none_of_masks(scene):
    """How far a start can be trusted is moved with the picture, and neither dimmed nor blurred (Appendix A.3)."""
    trainer, clip, brightest = (
        Trainer(replace(SMALL, start="smooth", pool=1)),
        TrainingClip(*scene, "smooth", pool=1),
        [],
    )
    trainer.network.register_forward_pre_hook(lambda _, args: brightest.append(float(args[2].max())))
    for _ in range(8):
        trainer.step(clip, 1.0)
    assert brightest == [1.0] * 16


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
    assert [PAPER.is_late(share) for share in (0, 0.74, 0.76, 1)] == [False, False, True, True]


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


@pytest.mark.parametrize("weights", [(1.0, 0.1, 0.2), (1.0, 0.1, 0.0), (1.0, 0.0, 0.2), (1.0, 0.0, 0.0)])
@pytest.mark.parametrize("steps", [1, 3, 5, 8])
def test_a_pass_costs_what_it_runs(scene, steps, weights):
    frames, holes = scene[0][None], scene[1][None]
    part = InternalInpainter(steps=steps, config=replace(SMALL, start="smooth", width=0.25, weights=weights))
    state = part.begin(frames, holes)
    result, counted = count_flops(lambda: part.refine(state, frames, holes, Controls().to_array()[None]))
    assert float(result.gflops[0]) == pytest.approx(counted / 1e9, rel=0.1)


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


def test_a_clip_without_holes_costs_its_painting_alone(inpainter, scene):
    frames = scene[0][None, :2].expand(2, -1, -1, -1, -1)
    holes = torch.stack([scene[1][:2], torch.zeros_like(scene[1][:2])])
    controls = np.repeat(Controls().to_array()[None], 2, 0)
    costs = inpainter.refine(inpainter.begin(frames, holes), frames, holes, controls).gflops.tolist()
    assert costs[0] == inpainter.gflops(2, 40, 56)
    assert costs[1] == 2 * inpainter._trainer.network.flops(40, 56) / 1e9 < costs[0]


def test_no_loss_is_taken_where_nothing_is_known(scene):
    trainer, clip = Trainer(replace(SMALL, start="smooth", pool=1)), TrainingClip(*scene, "smooth", pool=1)
    for seed in range(4):
        batch = clip.draw(np.random.default_rng(seed), 2)
        spoilt = replace(batch, frames=torch.where(batch.holes > 0, torch.rand(batch.frames.shape), batch.frames))
        one, two = (trainer._losses(each, np.random.default_rng(seed), (1.0, 0.0, 0.2)) for each in (batch, spoilt))
        assert set(one) == {"reconstruction", "stabilisation"}
        assert {name: value.item() for name, value in one.items()} == pytest.approx(
            {name: value.item() for name, value in two.items()}, abs=1e-6
        )
