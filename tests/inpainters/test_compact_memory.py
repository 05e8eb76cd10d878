"""What the compact network's heads remember: content along motion, further away the more of them look."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from videoinpaint.controls import Controls
from videoinpaint.inpainters.compact import CompactInpainter
from videoinpaint.inpainters.compact.config import CompactConfig
from videoinpaint.inpainters.compact.memory import recall, remember, remember_within, sources
from videoinpaint.inpainters.compact.network import CompactNetwork
from videoinpaint.inpainters.tracing import LOSS, trace
from videoinpaint.motion.camera import homography_flow, stabilised_flows

SMALL = CompactConfig(base=8, mid=16, dim=48, hidden=48, depth=2)


def asking(heads):
    """Controls ``(1, 5)`` with so many heads."""
    return Controls(heads=heads).to_array()[None]


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
    first = part.refine(state, shown, holes, asking(4))
    assert first.state["looked"].unique().tolist() == [4]
    second = part.refine(state | first.state, shown, holes, asking(4))
    assert second.state["looked"].unique().tolist() == [8]
    inside = holes.expand_as(frames) > 0
    errors = [(result.frames - frames)[inside].abs().mean().item() for result in (first, second)]
    assert errors[1] < 0.8 * errors[0]


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
    few, many = (part.refine(state, shown, holes, asking(heads)) for heads in (2, 12))
    mixed = part.refine(state, shown, holes, np.stack([asking(2), asking(12)], axis=1)[:, None])
    assert (few.gflops < mixed.gflops).all()
    assert (mixed.gflops < many.gflops).all()
    assert torch.equal(mixed.full_gflops, many.full_gflops)
    looked = mixed.state["looked"]
    assert looked[..., 0].unique().tolist() == [2]
    assert looked[..., -1].unique().tolist() == [12]


@pytest.mark.parametrize(("heads", "ahead", "behind"), [(2, 1, 1), (3, 2, 1), (6, 4, 4), (7, 7, 4)])
def test_heads_choose_from_what_lies_within_their_reach(heads, ahead, behind):
    frames, holes = panning_batch()
    memory = remember(frames, holes)
    planes = sources(memory, torch.tensor([float(heads)])).split((3, 1, 3, 1, 3), dim=2)
    for name, reach, colour, trust in (("ahead", ahead, *planes[:2]), ("behind", behind, *planes[2:4])):
        _, found, away = memory[name].split((3, 1, 1), dim=2)
        within = (away <= reach) & (found > 0)
        assert ((away == reach) & within).any() or reach > 4
        assert torch.equal(trust, torch.where(within, found, 0.0))
        assert torch.equal(colour, torch.where(within, memory[name][:, :, :3], 0.0))


def test_content_is_trusted_less_for_every_frame_that_it_comes_from_further_away():
    frames, holes = panning_batch()
    ways = torch.from_numpy(tilted(frames.shape[1])).float()[:, None]  # as exact motion, which tells no error
    found = trace(frames, holes, lambda *_: tuple(ways))
    for name in ("ahead", "behind"):
        _, trust, away = found[name].split((3, 1, 1), dim=2)
        arrived = trust > 0
        assert away[arrived].max() > 2
        torch.testing.assert_close(trust[arrived], LOSS ** (away[arrived] - 1))


def test_a_point_is_lost_where_both_directions_have_differed_too_often():
    frames, holes = panning_batch()
    there = torch.zeros(1, 7, 2, 64, 96)
    there[:, :, 0] = 4
    back = -there
    back[:, :, 0] -= 1.2  # an inconsistency of 1.55 a frame, and of more than 4 in three
    for known, reach in ((-there, 5), (back, 2)):
        assert trace(frames, holes, lambda *_, known=known: (there, known))["ahead"][:, :, 4].max() == reach
