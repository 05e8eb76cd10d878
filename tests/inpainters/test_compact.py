"""The compact network: exact cost, nested heads, gradients, controls that reach the output, sparse windows."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from videoinpaint.clips import make_clips, make_masks
from videoinpaint.clips.sources.augmented import Windows
from videoinpaint.controls import NAMES, Controls
from videoinpaint.errors import CorruptWeightsError, InputError
from videoinpaint.fitting import FitConfig
from videoinpaint.inpainters.compact import CompactInpainter
from videoinpaint.inpainters.compact.layers import Chooser
from videoinpaint.inpainters.compact.memory import heads_at, recall, remember, remember_within
from videoinpaint.inpainters.compact.network import CompactConfig, CompactNetwork, Inputs, signed
from videoinpaint.inpainters.compact.pretraining import (
    begin_from,
    draw_batch,
    draw_controls,
    imperfect_error_mask,
    train_inpainter,
    unrolled_loss,
)
from videoinpaint.inpainters.published.cost import count_flops
from videoinpaint.inpainters.tracing import trace
from videoinpaint.metrics.backbone import get_backbone
from videoinpaint.motion.camera import homography_flow, stabilised_flows
from videoinpaint.weights import save_safetensors

SMALL = CompactConfig(base=8, mid=16, dim=48, hidden=48, depth=2)


def inputs(batch=1, length=3, height=48, width=80, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def plane(channels):
        return torch.rand(batch, length, channels, height, width, generator=generator)

    masks = torch.zeros(batch, length, 1, height, width)
    masks[..., 10:30, 20:45] = 1
    return Inputs(plane(3), masks, masks, plane(3), plane(1))


def memory(batch=1, length=3, height=48, width=80, seed=1):
    generator = torch.Generator().manual_seed(seed)
    shapes = {"ahead": 5, "behind": 5, "filled": 3, "ahead2": 5, "behind2": 5}
    return {n: torch.rand(batch, length, c, height, width, generator=generator) for n, c in shapes.items()}


def whole_pass(network, x, controls):
    """From what other frames show to the painted frames."""
    found = memory(*x.previous.shape[:2], *x.previous.shape[-2:])
    looked = heads_at(controls, *x.holes.shape[-2:])
    propagated, confidence = network.carried(found, x.holes, looked)
    return network(replace(x, propagated=propagated, confidence=confidence), controls)


def picked(x, pick):
    return Inputs(**{name: None if part is None else part[pick] for name, part in vars(x).items()})


def live_network(config=SMALL):
    """A network whose zero-initialised layers have been woken up, so that everything reaches the output."""
    torch.manual_seed(0)
    network = CompactNetwork(config).eval()
    asleep = [network.chooser.say, network.chooser.look_second, network.chooser.say_second] if network.chooser else []
    asleep += network.grain.layers.values() if network.grain else []
    for layer in (network.patch, network.paint, *asleep):
        torch.nn.init.normal_(layer.weight, std=0.05)
    return network


def row(**changes):
    return torch.from_numpy(Controls(**changes).to_array())[None]


def cells(*rows):
    """A map of controls ``(1, rows, columns, 5)`` from lists of changes."""
    return torch.stack([torch.cat([row(**changes) for changes in line]) for line in rows])[None]


FIRST = replace(SMALL, sparing=0, smooth=0, choosing=0, grain=0)  # as version 0.1.0 was


@pytest.mark.parametrize(("height", "width"), [(48, 80), (37, 51), (120, 216)])
@pytest.mark.parametrize(("heads", "config", "batch"), [(2, SMALL, 1), (7, FIRST, 2), (12, SMALL, 1)])
def test_the_cost_formula_equals_the_counter(height, width, heads, config, batch):
    network, x = live_network(config), inputs(batch, height=height, width=width)
    controls = row(heads=heads).expand(batch, -1)
    with torch.no_grad():
        _, counted = count_flops(lambda: whole_pass(network, x, controls))
    assert network.flops(x.masks, [heads] * batch)[0].sum().item() == counted


@pytest.mark.parametrize(("height", "width"), [(48, 80), (120, 216)])
def test_the_cost_of_a_map_of_heads_is_that_of_its_windows(height, width):
    network, x = live_network(), inputs(height=height, width=width)
    controls = cells([{"heads": 2}, {"heads": 12}], [{"heads": 3}, {"heads": 6}], [{"heads": 2}, {"heads": 2}])
    with torch.no_grad():
        _, counted = count_flops(lambda: whole_pass(network, x, controls))
        _, uniform = count_flops(lambda: whole_pass(network, x, cells([{"heads": 4}])))
    cost = network.flops(x.masks, controls[..., 0])[0].item()
    assert cost == pytest.approx(counted, rel=1e-2)  # laying the map over the frame is not counted
    assert network.flops(x.masks, torch.full((1, 1, 1), 4.0))[0].item() == pytest.approx(uniform, rel=1e-2)
    least, most = (network.flops(x.masks, [heads])[0].item() for heads in (2, 12))
    assert least < cost < most


@torch.no_grad()
def test_a_map_that_is_the_same_everywhere_is_one_vector():
    network, x = live_network(), inputs(2)
    changes = {"heads": 5, "fusion": 0.7, "alpha": 0.8, "beta": 0.6}
    wide = cells([changes] * 3, [changes] * 3).expand(2, -1, -1, -1)
    assert torch.allclose(network(x, wide)[0], network(x, row(**changes).expand(2, -1))[0], atol=1e-5)


@torch.no_grad()
def test_maps_of_a_batch_are_those_of_its_items():
    network, x = live_network(), inputs(2)
    maps = torch.cat([cells([{"heads": 2}, {"heads": 12}]), cells([{"heads": 9}, {"fusion": 0.5, "heads": 3}])])
    together = network(x, maps)[0]
    for index in range(2):
        pick = slice(index, index + 1)
        alone = network(picked(x, pick), maps[pick])[0]
        assert torch.allclose(together[pick], alone, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("change", [{"heads": 2}, {"fusion": 0.5}, {"alpha": 0.8}, {"beta": 0.6}, {"gamma": 0.1}])
def test_a_cell_changes_the_frame_where_it_lies(change):
    network, x = live_network(), inputs(height=96, width=208)
    x = replace(x, masks=torch.ones_like(x.masks), holes=torch.ones_like(x.holes))
    plain = cells([{}] * 6)
    changed = plain.clone()
    changed[:, :, 0] = row(**change)
    moved = (network(x, plain)[0] - network(x, changed)[0]).abs().amax((0, 1, 2, 3))
    assert moved[:24].max() > 1e-4
    if "heads" not in change:  # windows attend to a summary of the frame, to which all heads contribute
        assert moved[-24:].max() < 0.2 * moved[:24].max()


@torch.no_grad()
def test_where_numbers_may_not_be_looked_at_a_map_gives_the_same(monkeypatch):
    network, x = live_network(), inputs()
    controls = cells([{"heads": 2}, {"heads": 12}], [{"heads": 7}, {"heads": 7}])
    before = network(x, controls)[0]
    monkeypatch.setattr("videoinpaint.inpainters.compact.transformer.may_look", lambda _: False)
    assert torch.allclose(network(x, controls)[0], before, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("motions", [1, 2])
def test_the_chooser_begins_near_the_blend_and_never_takes_what_was_not_found(motions):
    torch.manual_seed(0)
    chooser, holes = Chooser(8, motions), torch.ones(3, 1, 48, 80)
    sources = torch.rand(3, 11 if motions == 1 else 19, 48, 80, generator=torch.Generator().manual_seed(0))
    ahead, filled = sources[:, :3], sources[:, 8:11]
    sources[:, 3], sources[:, 7] = 0.8, 0.0
    sources[:, 14::4] = 0.9
    content, trust = chooser(sources, holes)
    near = 1e-3 if motions == 1 else 0.1
    assert torch.allclose(content, 0.8 * ahead + 0.2 * filled, atol=near)
    assert torch.allclose(trust, torch.full_like(trust, 0.8), atol=near)
    torch.nn.init.constant_(chooser.say.bias, 5)  # what is behind is asked for most, as is the second motion
    if motions == 2:
        torch.nn.init.constant_(chooser.say_second.bias, 5)
        sources[:, 14::4] = 0
    content = chooser(sources, holes)[0]
    assert (content >= torch.minimum(ahead, filled) - 1e-6).all()
    assert (content <= torch.maximum(ahead, filled) + 1e-6).all()
    sources[:, 3] = 0
    assert torch.equal(chooser(sources, holes)[0], filled)


@torch.no_grad()
def test_the_chooser_may_take_what_lies_along_the_second_motion():
    chooser, holes = Chooser(8, 2), torch.ones(3, 1, 48, 80)
    sources = torch.rand(3, 19, 48, 80, generator=torch.Generator().manual_seed(0))
    torch.nn.init.constant_(chooser.say_second.bias[:4], 20)
    assert torch.allclose(chooser(sources, holes)[0], sources[:, 11:14], atol=1e-3)


@pytest.mark.parametrize("choosing", [0, 1, 2])
def test_what_is_traced_is_what_the_network_chooses_from(choosing):
    """Single clips, whole videos and clips without holes tell the same names."""
    network = CompactNetwork(replace(SMALL, choosing=choosing))
    frames, holes = panning_batch()
    found = remember(frames, holes, network.motions)
    within, seen = remember_within(frames, holes, range(1, 3), motions=network.motions)
    assert set(found) == set(within) == set(remember(frames, torch.zeros_like(holes), network.motions))
    assert ("ahead2" in found) == ("forward2" in seen) == (choosing == 2)
    looked = torch.full((len(frames),), 12.0)
    assert network.carried(found, holes, looked)[0].shape == frames.shape


def test_two_motions_are_traced_as_each_alone():
    frames, holes = panning_batch()

    def and_still(filled, hidden):  # nothing is ever seen behind a still hole by who takes the scene to stand still
        pan = stabilised_flows(filled, hidden)
        return *pan, *map(torch.zeros_like, pan)

    both, alone = trace(frames, holes, and_still, 2), trace(frames, holes, stabilised_flows)
    assert torch.equal(both["ahead"], alone["ahead"])
    assert torch.equal(both["behind"], alone["behind"])
    assert alone["ahead"].any()
    assert alone["behind"].any()
    assert not both["ahead2"].any()
    assert not both["behind2"].any()


def tilted(length):
    """Homographies of a camera that pans, turns and tilts, and those back, ``(2, T-1, 3, 3)``."""
    there = np.stack([np.array([[1.01, 0.02, 4 + t], [-0.02, 0.99, 1], [1e-4, 5e-5, 1]]) for t in range(length - 1)])
    return np.stack([there, np.linalg.inv(there)])


@pytest.mark.parametrize("still", [False, True])
def test_a_homography_is_followed_as_the_flow_that_it_makes(still):
    frames, holes = panning_batch()
    length, height, width = frames.shape[1], *frames.shape[3:]
    ways = tilted(length)
    if still:
        ways[:] = np.eye(3)

    def dense(filled, _):
        flows = homography_flow(ways.reshape(-1, 3, 3), height, width).unflatten(0, (2, 1, -1))
        return tuple(flows.expand(-1, len(filled), -1, -1, -1, -1))

    def sparse(filled, _):
        return tuple(torch.from_numpy(ways).float()[:, None].expand(-1, len(filled), -1, -1, -1))

    flow, camera = trace(frames, holes, dense), trace(frames, holes, sparse)
    for name in ("ahead", "behind"):
        both = (flow[name][:, :, 3:4] > 0) & (camera[name][:, :, 3:4] > 0)
        assert both.any() != still
        # A homography tells no error; what the dense flow tells at the frame's border is that of its interpolation.
        assert torch.equal(flow[name][:, :, 3] > 0, camera[name][:, :, 3] > 0)
        differences = ((flow[name] - camera[name]).abs() * both).amax((0, 1, 3, 4))
        assert (differences < torch.tensor([0.01, 0.01, 0.01, 0.2, 0.01])).all()


def test_a_video_that_goes_on_is_traced_as_one_that_is_there_at_once():
    frames, holes = panning_batch()
    whole, _ = remember_within(frames, holes, range(2, 4), motions=2)
    _, seen = remember_within(frames[:, :3], holes[:, :3], range(0, 1), motions=2)
    later, _ = remember_within(frames, holes, range(2, 4), seen, motions=2)
    assert all(torch.allclose(whole[name], later[name], atol=1e-4) for name in whole)


@torch.no_grad()
@pytest.mark.parametrize("config", [SMALL, FIRST])
def test_frames_painted_a_few_at_a_time_are_those_painted_at_once(monkeypatch, config):
    network, x = live_network(config), inputs(2, length=5)
    for controls in (torch.cat([row(heads=3, alpha=1.0), row()]), cells([{"fusion": 0.5}, {}]).repeat(2, 1, 1, 1)):
        whole = whole_pass(network, x, controls)
        monkeypatch.setattr("videoinpaint.framewise.TOGETHER", 3 * 48 * 80)
        parts = whole_pass(network, x, controls)
        monkeypatch.undo()
        assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(whole, parts))


@torch.no_grad()
def test_a_flat_hole_shows_no_grid():
    """What the dots of version 0.1.0 came from: tokens that are all alike gave a pattern of their size."""

    def along(frames):
        lines = frames[0, 0, 0, 40:-40, 40:-40]
        return float((lines - lines.mean()).abs().max())

    flat = torch.full((1, 1, 3, 160, 160), 0.5)
    ones = torch.ones(1, 1, 1, 160, 160)
    x = Inputs(flat, ones, ones, flat, 0 * ones)
    coarse = [live_network(config)(x, row())[1] for config in (SMALL, FIRST)]
    assert along(coarse[0]) < 0.1 * along(coarse[1])


def test_cost_falls_with_heads_and_with_windows():
    network, x = live_network(), inputs()
    costs = [cost.item() for cost in network.flops(x.masks, *([k] for k in range(2, 13)))]
    assert costs == sorted(costs)
    assert network.flops(torch.zeros_like(x.masks), [12])[0].item() < costs[0]


@torch.no_grad()
def test_unused_heads_change_nothing():
    network, x = live_network(), inputs()
    before = network(x, row(heads=5))[0]
    for block in network.transformer.blocks:
        block.query.weight[5 * block.head_dim :] = 9
        block.up.weight[5 * block.head_hidden :] = 9
    assert torch.equal(network(x, row(heads=5))[0], before)
    assert not torch.equal(network(x, row(heads=6))[0], before)


@torch.no_grad()
@pytest.mark.parametrize("change", [{"heads": 2}, {"fusion": 0.5}, {"alpha": 0.8}, {"beta": 0.6}, {"gamma": 0.1}])
def test_every_control_reaches_the_output(change):
    network, x = live_network(), inputs()
    assert (network(x, row())[0] - network(x, row(**change))[0]).abs().max() > 1e-4


@torch.no_grad()
def test_a_mixed_batch_equals_its_items():
    network, x = live_network(), inputs(3)
    controls = torch.cat([row(heads=12, fusion=0.5), row(heads=3), row(heads=12, beta=0.6)])
    together = network(x, controls)[0]
    for index in range(3):
        pick = slice(index, index + 1)
        alone = network(picked(x, pick), controls[pick])[0]
        assert torch.allclose(together[pick], alone, atol=1e-5)


@torch.no_grad()
def test_only_windows_with_work_are_computed():
    network, x = live_network(), inputs(height=120, width=216)
    assert network.transformer.active_windows(torch.zeros(1, 3, 1, 15, 27)).sum() == 0
    some = network.transformer.active_windows(torch.nn.functional.avg_pool2d(x.masks[0], 8)[None])
    assert 0 < some.max() < 9


def test_planes_are_joined_and_centred():
    planes = (torch.full((3, 2, 4, 4), 0.25), torch.ones(3, 1, 4, 4), torch.zeros(3, 1, 4, 4))
    joined = signed(*planes)
    assert joined.shape == (3, 4, 4, 4)
    assert joined[1, :, 1, 2].tolist() == [-0.5, -0.5, 1, -1]


@torch.no_grad()
def test_shifted_windows_are_put_back_where_they_were_and_idle_ones_keep_their_tokens():
    transformer = live_network(replace(SMALL, depth=4)).transformer
    tokens = torch.randn(1, 3, 15, 27, 48, generator=torch.Generator().manual_seed(1))
    idle, busy = torch.zeros(1, 3, 1, 15, 27), torch.zeros(1, 3, 1, 15, 27)
    busy[..., :2, :2] = 1  # one window of the unshifted blocks, and one of the shifted ones that wraps around
    before, after = transformer(tokens, idle, 12), transformer(tokens, busy, 12)
    changed = (after - before).abs().amax((0, 1, 4)) > 0
    assert changed[:2, :2].all()
    reached = torch.zeros(15, 27, dtype=torch.bool)
    reached[:5, :9] = True
    for rows in (slice(0, 2), slice(-3, None)):
        for columns in (slice(0, 4), slice(-5, None)):
            reached[rows, columns] = True
    assert torch.equal(changed, reached)  # no further, and as far as windows that are shifted by half


def test_gradients_reach_every_parameter():
    network, x = live_network(), inputs()
    painted, coarse = whole_pass(network, x, row())
    (painted.square().sum() + coarse.square().sum()).backward()
    silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []


def windows():
    return Windows([make_clips("studio")], make_masks("mixed"), num_frames=3, height=48, width=64)


def test_loss_is_finite_at_every_depth_of_the_loop():
    network, backbone = live_network(), get_backbone("alex")
    for seed in range(6):
        rng = np.random.default_rng(seed)
        value, scalars = unrolled_loss(network, draw_batch(windows(), rng, network.motions), rng, backbone)
        assert torch.isfinite(value)
        assert scalars["coarse"] >= 0


def test_training_writes_weights_that_load(tmp_path):
    config = FitConfig(tmp_path / "run", iterations=3, progress=False)
    path = train_inpainter(windows(), config, tmp_path / "w.safetensors", SMALL)
    part = CompactInpainter(weights=str(path))
    assert part.network.config == SMALL


def test_drawn_controls_lie_in_their_ranges():
    rng = np.random.default_rng(0)
    rows = torch.cat([draw_controls(rng, 4) for _ in range(50)]).numpy()
    for index, (low, high) in enumerate([(2, 12), (0.5, 0.8), (0.8, 1.0), (0.3, 0.6), (0.1, 0.3)]):
        assert rows[:, index].min() >= low - 1e-6, NAMES[index]
        assert rows[:, index].max() <= high + 1e-6, NAMES[index]


def test_the_stand_in_detector_stays_inside_the_hole():
    rng = np.random.default_rng(0)
    batch = draw_batch(windows(), rng, 1)
    start = recall(batch.memory, batch.holes, torch.tensor([12.0]))[0]
    mask = imperfect_error_mask(start, batch, rng)
    assert mask[batch.holes == 0].max() == 0
    assert 0 <= mask.min() <= mask.max() <= 1


@torch.no_grad()
def test_the_shipped_weights_obey_every_control():
    """The trained controls change the repair, visibly, not by rounding."""
    part = CompactInpainter()
    batch = draw_batch(windows(), np.random.default_rng(3), 1)
    state = part.begin(batch.corrupted, batch.holes)

    def repair(**changes):
        frames = part.refine(state, batch.corrupted, batch.holes, row(**changes).numpy()).frames
        return frames[batch.holes.expand_as(frames) > 0]

    neutral = repair()
    for change in ({"heads": 2}, {"fusion": 0.5}, {"fusion": 0.8}, {"alpha": 0.8}, {"beta": 0.6}, {"gamma": 0.3}):
        assert (repair(**change) - neutral).abs().mean() > 5e-4, change


def panning_batch():
    """Eight frames of a pan of four pixels a frame, a still hole wider than that."""
    generator = torch.Generator().manual_seed(0)
    wall = torch.rand(1, 3, 64, 140, generator=generator)
    wall = torch.nn.functional.avg_pool2d(torch.nn.functional.pad(wall, (4, 4, 4, 4), mode="reflect"), 9, stride=1)
    wall = (wall - wall.min()) / (wall.max() - wall.min())
    frames = torch.stack([wall[..., 4 * t : 4 * t + 96] for t in range(8)], dim=1)
    holes = torch.zeros(1, 8, 1, 64, 96)
    holes[..., 20:44, 40:60] = 1
    return frames, holes


def test_more_heads_see_more_of_the_clip():
    frames, holes = panning_batch()
    memory = remember(frames, holes)
    found = [recall(memory, holes, torch.tensor([float(heads)])) for heads in (0, 2, 4, 6, 8, 12, 24)]
    arrived = [float((trust[holes > 0] > 0).float().mean()) for _, trust in found]
    assert arrived[0] == 0
    assert arrived == sorted(arrived)
    assert arrived[1] < arrived[2] < arrived[3] < arrived[4]
    assert arrived[4] > 0.9
    assert torch.equal(found[-1][0], found[-2][0])
    errors = [(carried - frames)[holes.expand_as(frames) > 0].abs().mean().item() for carried, _ in found]
    assert errors[4] < 0.5 * errors[1]
    assert all(
        torch.equal(carried[holes.expand_as(frames) == 0], frames[holes.expand_as(frames) == 0]) for carried, _ in found
    )


def test_a_later_pass_looks_on_where_the_one_before_stopped():
    frames, holes = panning_batch()
    part = CompactInpainter()
    shown = torch.where(holes > 0, torch.full_like(frames, 0.5), frames)
    state = part.begin(shown, holes)
    first = part.refine(state, shown, holes, row(heads=4).numpy())
    assert first.state["looked"].unique().tolist() == [4]
    second = part.refine(state | first.state, shown, holes, row(heads=4).numpy())
    assert second.state["looked"].unique().tolist() == [8]
    inside = holes.expand_as(frames) > 0
    errors = [(result.frames - frames)[inside].abs().mean().item() for result in (first, second)]
    assert errors[1] < 0.8 * errors[0]


def test_weights_from_before_fusion_spared_anything_load_as_they_were_trained():
    sizes = {k: str(v) for k, v in CompactConfig().as_dict().items() if k != "sparing"}
    assert CompactConfig.from_metadata(sizes).sparing == 0
    assert CompactConfig.from_metadata(sizes | {"sparing": "2"}) == CompactConfig()
    with pytest.raises(CorruptWeightsError, match="do not say base"):
        CompactConfig.from_metadata({k: v for k, v in sizes.items() if k not in ("base", "dim")})


def test_sparing_keeps_trusted_content_and_fuses_the_rest_as_before():
    plain, sparing = (live_network(replace(SMALL, sparing=p)) for p in (0, 2))
    x = inputs()
    carried, coarse = x.propagated.flatten(0, 1), 1 - x.propagated.flatten(0, 1)
    features = torch.zeros(3, 16, 12, 20)
    weight = torch.full((3, 1, 1, 1), 0.5)
    for trust, closer in ((1.0, True), (0.0, False)):
        seen = torch.full((3, 1, 48, 80), trust)
        images = [network._fuse(carried, seen, features, coarse, weight)[1] for network in (plain, sparing)]
        gaps = [(image - carried).abs().mean().item() for image in images]
        assert gaps[1] < 0.3 * gaps[0] if closer else gaps[1] == pytest.approx(gaps[0])


def test_an_odd_head_looks_further_ahead_than_behind():
    holes = torch.zeros(1, 4, 1, 8, 8)
    holes[..., 2:6, 2:6] = 1
    shape = (1, 4, 3, 8, 8)
    two_away = {name: torch.cat([torch.full(shape, colour), holes, 2 * holes], dim=2) for name, colour in
                (("ahead", 0.9), ("behind", 0.3))}  # fmt: skip
    memory = {"filled": torch.full(shape, 0.5), **two_away}
    inside = holes.expand(shape) > 0
    for heads, colour in ((2.0, 0.5), (3.0, 0.9), (4.0, 0.6)):
        propagated, _ = recall(memory, holes, torch.tensor([heads]))
        assert torch.allclose(propagated[inside], torch.tensor(colour))


def test_a_map_of_heads_looks_far_where_they_are_many():
    frames, holes = panning_batch()
    part = CompactInpainter()
    shown = torch.where(holes > 0, torch.full_like(frames, 0.5), frames)
    state = part.begin(shown, holes)
    few, many = (part.refine(state, shown, holes, row(heads=heads).numpy()) for heads in (2, 12))
    mixed = part.refine(
        state, shown, holes, cells([{"heads": 2}, {"heads": 12}]).expand(len(frames), -1, -1, -1).numpy()
    )
    assert (few.gflops < mixed.gflops).all()
    assert (mixed.gflops < many.gflops).all()
    assert torch.equal(mixed.full_gflops, many.full_gflops)
    looked = mixed.state["looked"]
    assert looked[..., 0].unique().tolist() == [2]
    assert looked[..., -1].unique().tolist() == [12]


def test_weights_of_other_sizes_give_what_fits(tmp_path):
    torch.manual_seed(0)
    first, file = CompactNetwork(FIRST), tmp_path / "first.safetensors"
    save_safetensors(file, dict(first.state_dict()), {k: str(v) for k, v in FIRST.as_dict().items()})
    network = CompactNetwork(SMALL)
    fresh = begin_from(network, file)
    assert {name.split(".")[0] for name in fresh} == {"chooser", "patch", "unfold", "grow", "grain"}
    assert torch.equal(network.stem.weight, first.stem.weight)
    save_safetensors(file, {"other": torch.zeros(2)}, {})
    with pytest.raises(InputError, match="holds nothing for this network"):
        begin_from(network, file)
