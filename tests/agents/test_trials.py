"""Trying plans on training episodes, and fitting a policy to what they returned."""

import json
from dataclasses import replace

import gymnasium
import numpy as np
import pytest
import torch

from videoinpaint.agents.policies.cells import CHANNELS
from videoinpaint.agents.policies.export import load_policy, save_policy
from videoinpaint.agents.trials import PLANS, CellTrials, build_trials, fit_policy, load_trials
from videoinpaint.agents.trials.cell_fit import _drawn, best_plan, laid_over, over_cells, returned
from videoinpaint.agents.trials.cells import KIND, try_plans
from videoinpaint.controls import DEFAULT, HEADS, action_to_controls, controls_to_action
from videoinpaint.errors import CorruptWeightsError, InputError
from videoinpaint.regions import influence, spread, summed
from videoinpaint.weights import save_safetensors

SMALL = {"action_grid": (2, 3), "num_frames": 2, "height": 32, "width": 48}


def small_env(env_id="VideoInpaintRegions-v0"):
    return gymnasium.make(env_id, **SMALL, reward_map=True)


def played(env, plan, seed):
    env.reset(seed=seed)
    rewards = [0.0] * 3
    for iteration in range(3):
        action = controls_to_action(plan[min(iteration, 1)].to_array()[None])[0]
        _, rewards[iteration], ended, _, _ = env.step(np.broadcast_to(action, (2, 3, 5)))
        if ended:
            break
    return rewards


@pytest.mark.parametrize("env_id", ["VideoInpaintRegions-v0", "VideoInpaintRegions-v1"])
def test_a_plan_returns_in_every_pass_what_its_episode_returns_by_itself(env_id):
    env = small_env(env_id)
    found = try_plans(env, 1_000_000_000, 3)
    assert found["first"].shape == (CHANNELS, 2, 3)
    assert found["later"].shape == (len(PLANS), 2, CHANNELS, 2, 3)
    assert not torch.equal(found["later"][0, 0], found["first"].half())  # it is what the first pass left
    for index in (0, 3, 5):
        expected = played(env, PLANS[index], 1_000_000_000)
        np.testing.assert_allclose(found["returns"][index].sum((1, 2)), expected, atol=1e-6)


def test_returns_are_those_of_the_plans_where_these_were_tried():
    table = torch.randn(2, len(PLANS), 1, 1)
    for index, (first, _) in enumerate(PLANS):
        objective = {0.45: 0.0, 0.6: 1.0}[round(first.beta, 2)]
        where = (torch.full((2, 1, 1), float(value)) for value in (first.heads, objective))
        torch.testing.assert_close(returned(table, *where), table[:, index])
    heads = torch.full((2, 1, 1), 5.0)
    torch.testing.assert_close(returned(table, heads, 0 * heads), (table[:, 1] + table[:, 2]) / 2)
    one = torch.ones_like(heads)
    torch.testing.assert_close(returned(table, heads, -one), returned(table, heads, 0 * one))


def test_a_cell_that_is_skipped_returns_nothing_and_has_the_fewest_heads_for_its_neighbours():
    table = torch.randn(1, len(PLANS), 1, 2, generator=torch.Generator().manual_seed(0))
    around = influence(torch.ones(1, 16, 32), (1, 2))
    heads = torch.tensor([[[2.0, 12.0]]])
    none = torch.zeros_like(heads)
    filled = over_cells(table, heads, none, around)
    torch.testing.assert_close(filled, returned(table, laid_over(heads, around), none))
    for few in (0.0, 1.0):
        left = over_cells(table, torch.tensor([[[few, 12.0]]]), none, around)
        torch.testing.assert_close(left, filled * torch.tensor([few / 2, 1.0]))


@pytest.mark.parametrize(("height", "width"), [(48, 64), (37, 51)])
def test_a_map_is_in_each_cell_what_the_inpainter_is_told_where_pixels_are_missing(height, width):
    generator = torch.Generator().manual_seed(0)
    cells, missing = torch.rand(2, 3, 4, generator=generator), torch.rand(2, height, width, generator=generator)
    missing[0, :, : width // 2] = 0
    told = spread(cells[..., None], height, width)[:, 0]
    counted = [summed(x, (3, 4)) for x in (missing * told, missing)]
    expected = torch.where(counted[1] > 0, counted[0] / counted[1].clamp_min(1e-9), cells)
    torch.testing.assert_close(laid_over(cells, influence(missing, (3, 4))), expected)


def test_the_plan_that_is_imitated_has_heads_where_a_hole_is():
    trials = two_kinds(4)
    holes = torch.zeros(4, 16, 32)
    holes[:, 2:14, 5:20] = 1  # cells of the first three columns
    holes[1:, :1, -1:] = 1  # a corner, where no other cell has a say
    trials = replace(trials, influence=influence(holes, (2, 4)))
    trials.returns[:, :, 0] = 0
    trials.returns[:, 3, 0] = 1  # 8 heads
    controls = action_to_controls(best_plan(trials).numpy())
    assert (controls[:, :, :3, HEADS] == 8).all()
    assert controls[:, :, 3, HEADS].tolist() == [[2, 2]] + 3 * [[8, 2]]
    assert (best_plan(replace(trials, influence=influence(torch.ones(4, 16, 32), (1, 1))))[..., HEADS] > 0).all()
    np.testing.assert_allclose(controls[..., 1:], np.broadcast_to(DEFAULT.to_array()[1:], (4, 2, 4, 4)), atol=1e-6)


def test_what_is_mirrored_is_mirrored_as_a_whole():
    generator = torch.Generator().manual_seed(0)
    trials, cells = two_kinds(3), torch.rand(3, 2, 4, 5, generator=generator)
    trials = replace(trials, influence=influence(torch.rand(3, 17, 35, generator=generator), (2, 4)))
    laid, found = laid_over(cells[..., 0], trials.influence), set()
    part = torch.arange(3)
    with torch.random.fork_rng(devices=[]):
        for seed in range(16):
            torch.manual_seed(seed)
            drawn = _drawn(trials, part, cells)
            axes = [axes for axes in ((), (1,), (2,), (1, 2)) if torch.equal(cells.flip(axes), drawn.imitated)]
            assert len(axes) == 1
            found.add(axes[0])
            torch.testing.assert_close(laid_over(drawn.imitated[..., 0], drawn.influence), laid.flip(axes[0]))
            assert torch.equal(drawn.first, trials.first.flip([axis + 1 for axis in axes[0]]))
    assert len(found) == 4


def two_kinds(count=64, **env):
    """Episodes of cells that are best with few heads and of cells that are best with many, as one feature tells. Of
    every second episode, which another feature tells, passes after the first are a loss."""
    first = 0.1 * torch.randn(count, CHANNELS, 2, 4, generator=torch.Generator().manual_seed(0))
    side = torch.where(torch.rand(count, 2, 4, generator=torch.Generator().manual_seed(1)) < 0.5, -1.0, 1.0)
    first[:, 0] = 2 * side
    heads = torch.tensor([plan[0].heads for plan in PLANS])[None, :, None, None]
    at_once = 0.01 * (side[:, None] * (heads - 7) + 6)
    pays = (torch.arange(count) % 2 * 2.0 - 1)[:, None, None, None]
    added = 0.01 * pays.expand_as(at_once)
    first[:, 2] = 2 * pays[:, 0]
    later = first[:, None, None].repeat(1, len(PLANS), 2, 1, 1, 1)
    first[:, 1], later[:, :, :, 1] = 2, -2  # as a fresh hole's grey tells them apart
    around = influence(torch.ones(1, 16, 32), (2, 4)).expand(count, -1, -1, -1)
    return CellTrials(first, later, torch.stack([at_once, added, added], 2), around, {"env": env})


def test_a_policy_learns_what_is_best_in_which_cell():
    trials = two_kinds()
    network = fit_policy(trials, seed=0, epochs=40)
    heads = network.means(trials.first)[..., 0]
    assert heads[trials.first[:, 0] > 0].mean() > heads[trials.first[:, 0] < 0].mean() + 0.5


def test_a_policy_learns_where_to_go_on_and_where_to_stop(tmp_path):
    trials = two_kinds(skips=True)
    network = fit_policy(trials, seed=0, epochs=40)
    shown = {"first": trials.first, "later": trials.later[:, 0, 0]}
    heads = {name: action_to_controls(network.means(x).numpy(), skips=True)[..., 0] for name, x in shown.items()}
    assert (heads["first"] > 0).mean() > 0.95
    assert (heads["later"][1::2] > 0).mean() > 0.9
    assert (heads["later"][::2] == 0).all((1, 2)).mean() > 0.9
    told = {"environment": json.dumps({"env_id": "VideoInpaintRegions-v1"})}
    path = save_policy(tmp_path / "policy.safetensors", network, told)
    again = load_policy(path).network
    assert again.skips
    assert torch.equal(again.means(trials.first), network.means(trials.first))
    plain = fit_policy(two_kinds(), seed=0, epochs=1)
    assert not plain.skips
    assert plain.means(trials.first).min() >= -1


def test_the_same_seed_fits_the_same_bits_and_another_others(check_fits_repeat):
    check_fits_repeat(two_kinds(8))


def test_bad_input_is_named(tmp_path):
    with pytest.raises(InputError, match="no trials in"):
        load_trials(tmp_path)
    with pytest.raises(InputError, match="max_iterations of 2"):
        build_trials(tmp_path, env_kwargs=SMALL | {"max_iterations": 1})
    env = small_env()
    trial = try_plans(env, 1_000_000_000, 3)
    for name in ("1", "2"):
        told = {"format": KIND.format, "environment": json.dumps({"env_id": name})}
        save_safetensors(tmp_path / f"{name}.safetensors", trial, told)
    with pytest.raises(InputError, match="different environments"):
        load_trials(tmp_path)
    alone = {side: tmp_path / side for side in ("left", "right")}
    for number, folder in enumerate(alone.values()):
        folder.mkdir()
        save_safetensors(folder / f"{number}.safetensors", trial, told)
    assert len(load_trials(*alone.values())) == 2
    save_safetensors(alone["right"] / "0.safetensors", trial, told)
    with pytest.raises(InputError, match="the same episodes"):
        load_trials(*alone.values())
    (tmp_path / "1.safetensors").write_bytes(b"nonsense")
    with pytest.raises(CorruptWeightsError):
        load_trials(tmp_path)
    with pytest.raises(InputError, match="no folder"):
        load_trials()
    with pytest.raises(InputError, match="too little"):
        fit_policy(two_kinds(1))
    with pytest.raises(InputError, match="epochs"):
        fit_policy(two_kinds(2), epochs=0)
