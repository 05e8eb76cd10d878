"""The compact network: exact cost, nested heads, gradients, controls that reach the output, sparse windows."""

from dataclasses import replace

import pytest
import torch

from videoinpaint.controls import Controls
from videoinpaint.errors import CorruptWeightsError
from videoinpaint.inpainters.compact.config import CompactConfig
from videoinpaint.inpainters.compact.cost import flops, heads_by_cell
from videoinpaint.inpainters.compact.inputs import Inputs
from videoinpaint.inpainters.compact.layers import Chooser, roughness, signed
from videoinpaint.inpainters.compact.memory import heads_at
from videoinpaint.inpainters.compact.network import CompactNetwork
from videoinpaint.inpainters.published.cost import count_flops

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
    assert flops(network, x.masks, [heads] * batch)[0].sum().item() == counted


@pytest.mark.parametrize(("height", "width"), [(48, 80), (120, 216)])
def test_the_cost_of_a_map_of_heads_is_that_of_its_windows(height, width):
    network, x = live_network(), inputs(height=height, width=width)
    controls = cells([{"heads": 2}, {"heads": 12}], [{"heads": 3}, {"heads": 6}], [{"heads": 2}, {"heads": 2}])
    with torch.no_grad():
        _, counted = count_flops(lambda: whole_pass(network, x, controls))
        _, uniform = count_flops(lambda: whole_pass(network, x, cells([{"heads": 4}])))
    cost = flops(network, x.masks, controls[..., 0])[0].item()
    assert cost == pytest.approx(counted, rel=1e-2)  # laying the map over the frame is not counted
    assert flops(network, x.masks, torch.full((1, 1, 1), 4.0))[0].item() == pytest.approx(uniform, rel=1e-2)
    least, most = (flops(network, x.masks, [heads])[0].item() for heads in (2, 12))
    assert least < cost < most


def test_the_cells_that_cost_are_those_that_windows_with_a_hole_reach_over():
    torch.manual_seed(0)
    network, masks = CompactNetwork(SMALL), torch.zeros(2, 2, 1, 120, 216)
    masks[0, 1, :, 4:20, 4:20] = 1  # within the first of 4 x 6 cells; windows are 40 x 72 pixels
    masks[1, :, :, 50:100, 60:150] = 1
    weights = heads_by_cell(network, masks, (4, 6))
    assert (weights >= 0).all()
    assert weights[0, 0, 2] > 0  # beside the hole
    assert not weights[0, 3, 2:4].any()  # windows that are shifted reach around the frame's edges, and so the corners
    least, most = (flops(network, masks, torch.full((2, 4, 6), heads))[0] for heads in (2.0, 12.0))
    price = (most - least) / (10 * weights.double().sum((1, 2)))
    for seed in range(20):
        heads = torch.randint(2, 13, (2, 4, 6), generator=torch.Generator().manual_seed(seed)).float()
        expected = least + price * (weights * (heads - 2)).double().sum((1, 2))
        torch.testing.assert_close(flops(network, masks, heads)[0], expected, rtol=0.02, atol=0)


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


def half_textured():
    """Frames ``(1, 3, 96, 96)``, flat on the left and in stripes on the right, and a hole across both."""
    frames, holes = torch.full((1, 3, 96, 96), 0.5), torch.zeros(1, 1, 96, 96)
    frames[..., 48::2] = 0.7
    holes[..., 16:80, 10:86] = 1
    return frames, holes


def test_roughness_goes_on_in_a_hole_and_does_not_see_what_is_in_it():
    frames, holes = half_textured()
    rough = roughness(frames, holes)
    assert rough.shape == (1, 1, 24, 24)
    middle = rough[0, 0, 12]  # where no window sees a known pixel above or below
    assert middle[:5].max() < 0.1 * middle[19:].min()
    assert middle[19:].min() > 0.5 * rough[0, 0, 1, 20]
    assert 0.05 * middle[20] < middle[12] < middle[20]
    assert torch.equal(roughness(torch.where(holes > 0, torch.rand_like(frames), frames), holes), rough)
    assert not roughness(frames, torch.ones_like(holes)).any()


@torch.no_grad()
@pytest.mark.parametrize("grain", [1, 2])
def test_grain_is_as_strong_as_the_detail_of_the_scene_around(grain):
    network, (frames, holes) = live_network(replace(SMALL, grain=grain)), half_textured()
    frames, holes = frames.expand(1, 2, -1, -1, -1), holes.expand(1, 2, -1, -1, -1)
    x = Inputs(frames, holes, holes, frames, torch.zeros_like(holes))
    before = network(x, row())[0]
    network.grain.noise.neg_()
    change = (network(x, row())[0] - before).abs()[..., 44:52, :]
    assert change[..., 60:84].mean() > 1e-3
    assert (change[..., 12:32].mean() < 0.2 * change[..., 60:84].mean()) == (grain == 2)


def test_cost_falls_with_heads_and_with_windows():
    network, x = live_network(), inputs()
    costs = [cost.item() for cost in flops(network, x.masks, *([k] for k in range(2, 13)))]
    assert costs == sorted(costs)
    assert flops(network, torch.zeros_like(x.masks), [12])[0].item() < costs[0]


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
