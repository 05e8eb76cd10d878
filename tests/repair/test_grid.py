"""Policies that choose for each cell of a grid, window by window."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from videoinpaint.agents.policies.export import blank_network, load_policy, save_policy
from videoinpaint.agents.policies.regional import RegionalPolicy
from videoinpaint.clips import make_clips
from videoinpaint.controls import DEFAULT, FUSION, HEADS, controls_to_action
from videoinpaint.errors import InputError
from videoinpaint.repair import inpaint, inpaint_stream
from videoinpaint.repair.streaming import Parts

FAST = {"inpainter": "compact", "detector": "none", "device": "cpu", "window": 6, "overlap": 2, "reach": 2}


class Halves:
    """Little fusion and two heads in the left half of the cells, much and all in the right; notes what it is asked."""

    def __init__(self, alike: bool = False) -> None:
        self.alike, self.asked = alike, []

    def act(self, observation):
        return np.tile(controls_to_action(DEFAULT.to_array()), (len(observation["masks"]), 1))

    def act_by_cell(self, observation, rows, columns):
        self.asked.append((observation["masks"].shape, rows, columns))
        controls = np.tile(DEFAULT.to_array(), (len(observation["masks"]), rows, columns, 1))
        if not self.alike:
            controls[:, :, : columns // 2, FUSION], controls[:, :, columns // 2 :, FUSION] = 0.5, 0.8
            controls[:, :, : columns // 2, HEADS] = 2
        return controls_to_action(controls)


@pytest.fixture(scope="module")
def video() -> tuple[np.ndarray, np.ndarray]:
    source = make_clips("studio:easy")
    frames = source.load(source.names()[0], 9, 64, 96).frames
    masks = np.zeros(frames.shape[:3], bool)
    masks[:, 20:44, 8:88] = True
    return frames, masks


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """The file of a policy that was trained in the environment with a grid of 4x6."""
    network = blank_network(RegionalPolicy)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.nn.init.normal_(network.action_net.linear.weight)
    return save_policy(tmp_path / "p.safetensors", network, {"env_id": "VideoInpaintRegions-v0", "env": {}})


def test_every_window_is_repaired_by_its_own_map(video) -> None:
    frames, masks = video
    policy, alike = Halves(), Halves(alike=True)
    split = inpaint(frames, masks, policy=policy, action_grid=(2, 4), **FAST)
    np.testing.assert_array_equal(split[~masks], frames[~masks])
    assert [asked[1:] for asked in policy.asked] == [(2, 4)] * 2  # one pass over each of two windows
    plain = inpaint(frames, masks, policy="default", **FAST)
    assert (split != plain).any()
    same = inpaint(frames, masks, policy=alike, action_grid=[2, 4], **FAST)
    assert np.abs(same[masks].astype(int) - plain[masks]).mean() < 0.2  # up to the order of sums
    assert np.abs(split[masks].astype(int) - plain[masks]).mean() > 1
    np.testing.assert_array_equal(inpaint(frames, masks, policy=Halves(), **FAST), plain)  # without a grid: as before


class Same:
    """One number of heads in all cells: below -1.2 of the action none, which skips them."""

    def __init__(self, heads: float) -> None:
        self.heads = heads

    def act(self, observation):
        raise AssertionError("asked for the whole frame")

    def act_by_cell(self, observation, rows, columns):
        actions = np.tile(controls_to_action(DEFAULT.to_array()), (len(observation["masks"]), rows, columns, 1))
        actions[..., HEADS] = self.heads
        return actions


def test_rounds_end_where_a_policy_skips_all_cells(video) -> None:
    frames, masks = video
    skipping, once, twice = (
        inpaint(frames, masks, policy=Same(heads), action_grid=(1, 4), iterations=iterations, **FAST)
        for heads, iterations in ((-1.4, 2), (-1.0, 1), (-1.0, 2))
    )
    np.testing.assert_array_equal(skipping, once)  # the first round refines in any case
    assert (twice != once).any()


def test_the_grid_lies_over_the_box_around_the_holes() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 40, 400, 3), dtype=np.uint8)
    masks = np.zeros(frames.shape[:3], bool)
    masks[:, 10:20, 300:310] = True
    policy = Halves()
    inpaint(frames, masks, policy=policy, action_grid=(1, 2), **FAST)
    assert policy.asked == [((1, 3, 40, 138), 1, 2)]


def test_a_file_brings_the_grid_that_it_was_trained_over(video, trained) -> None:
    frames, masks = (part[:6] for part in video)
    assert Parts.made(policy=trained, device="cpu").grid == (4, 6)
    own = inpaint(frames, masks, policy=trained, **FAST)
    np.testing.assert_array_equal(own, inpaint(frames, masks, policy=trained, action_grid=(4, 6), **FAST))
    whole = inpaint(frames, masks, policy=trained, action_grid=(1, 1), **FAST)
    assert (own != whole).any()
    silent = load_policy(trained)
    silent.training = {}
    np.testing.assert_array_equal(inpaint(frames, masks, policy=silent, **FAST), whole)
    assert Parts.made(inpainter="telea", policy=trained, device="cpu").grid is None


@pytest.mark.parametrize(
    ("told", "grid"),
    [
        ({"env_id": "VideoInpaint-v1", "env": {"action_grid": [2, 3]}}, [2, 3]),
        ({"env_id": "VideoInpaint-v1", "env": {}}, None),
        ({"env_id": "no_such_module:Mine-v0", "env": {}}, None),
        ({"env_id": "Nothing-v7"}, None),
        ({"env_id": 3, "env": "text"}, None),
    ],
)
def test_what_a_file_says_of_its_grid(trained, told, grid) -> None:
    policy = load_policy(trained)
    policy.training = told
    assert policy.trained_grid == grid


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"inpainter": "telea"}, r"telea.*compact, compact2, ciri"),
        ({"policy": "heads4"}, r"heads4.*heuristic, random"),
        ({"policy": "trained"}, r"trained.*whole frames"),
        ({"action_grid": (0, 2)}, "rows of action_grid"),
        ({"action_grid": (2, 33)}, "columns of action_grid"),
        ({"action_grid": "46"}, "action_grid"),
        ({"action_grid": (2.5, 3)}, "action_grid"),
    ],
)
def test_grids_that_cannot_be_are_refused_before_any_frame_is_read(wrong, message) -> None:
    with pytest.raises(InputError, match=message):
        inpaint_stream(iter([]), iter([]), **(FAST | {"policy": "heuristic", "action_grid": (2, 3)} | wrong))


def test_a_file_that_says_nonsense_is_named(trained) -> None:
    policy = load_policy(trained)
    policy.training = {"env": {"action_grid": [2, "many"]}}
    with pytest.raises(InputError, match=r"columns of the action_grid that .* trained over"):
        Parts.made(policy=policy, device="cpu")


def test_kept_windows_are_of_one_grid(video, tmp_path) -> None:
    frames, masks = video
    settings = FAST | {"policy": "heuristic", "action_grid": (2, 3), "iterations": 2}
    whole = np.stack(list(inpaint_stream(frames, masks, **settings)))
    begun = inpaint_stream(frames, masks, keep=tmp_path / "windows", **settings)
    next(begun)
    begun.close()
    for other in ((3, 2), None):
        with pytest.raises(InputError, match="other settings"):
            inpaint_stream(frames, masks, keep=tmp_path / "windows", **(settings | {"action_grid": other}))
    again = np.stack(list(inpaint_stream(frames, masks, keep=tmp_path / "windows", **settings)))
    np.testing.assert_array_equal(again, whole)


def test_one_shot_repair_takes_a_grid_over_the_frame() -> None:
    frames = make_clips("one_shot").load(make_clips("one_shot").names()[0], 3, 64, 96).frames
    mask = np.zeros((64, 96), bool)
    mask[20:44, 30:60] = True
    policy = Halves()
    masks = dict.fromkeys(range(3), mask)
    options = {"propagator": "flow", "device": "cpu", "detector": "none", "inpainter": "ciri"}
    split = inpaint(frames, masks, policy=policy, action_grid=(2, 4), **options)
    assert policy.asked == [((1, 3, 64, 96), 2, 4)]
    assert (split != inpaint(frames, masks, **options)).any()
