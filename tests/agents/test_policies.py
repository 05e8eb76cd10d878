"""Policies by name, by plug-in and by file, and the baselines."""

from __future__ import annotations

import sys
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from videoinpaint.agents import POLICIES, make_policy, shipped_policy
from videoinpaint.agents.policies.baselines import FixedPolicy, HeuristicPolicy, RandomPolicy
from videoinpaint.agents.policies.composed import ComposedPolicy
from videoinpaint.agents.policies.protocol import check_actions, choose
from videoinpaint.composition import GREY
from videoinpaint.controls import DEFAULT, HEADS, action_to_controls
from videoinpaint.errors import InputError, MissingWeightsError, UnknownNameError, VideoInpaintError
from videoinpaint.registration import ENVIRONMENTS
from videoinpaint.testing import check_policy

FIXED = {
    "heads4": replace(DEFAULT, heads=4),
    "heads8": replace(DEFAULT, heads=8),
    "heads12": DEFAULT,
    "fusion65": replace(DEFAULT, fusion=0.65),
    "fusion80": replace(DEFAULT, fusion=0.8),
    "fixed-bias": replace(DEFAULT, alpha=1.0, beta=0.3, gamma=0.1),
    "fixed-average": replace(DEFAULT, alpha=0.9, beta=0.45, gamma=0.2),
}


@pytest.mark.parametrize("name", sorted(POLICIES.names()))
def test_every_name_passes_the_checker(name: str) -> None:
    check_policy(make_policy(name), deterministic=name != "random")
    check_policy(make_policy(name), num_frames=1, height=32, width=33, deterministic=name != "random")


@pytest.mark.parametrize("name", sorted(FIXED))
def test_fixed_policies_choose_what_they_say(name: str, observation: dict) -> None:
    controls = action_to_controls(make_policy(name).act(observation))
    np.testing.assert_allclose(controls, np.tile(FIXED[name].to_array(), (3, 1)), atol=1e-5)


def test_random_repeats_by_seed_and_by_reset(observation: dict) -> None:
    one, same, other = (make_policy("random", seed=seed) for seed in (3, 3, 4))
    first = [one.act(observation) for _ in range(2)]
    np.testing.assert_array_equal(first, [same.act(observation) for _ in range(2)])
    assert not np.array_equal(first[0], other.act(observation))
    assert not np.array_equal(first[0], first[1])
    assert isinstance(one, RandomPolicy)
    one.reset()
    np.testing.assert_array_equal(first[0], one.act(observation))


def test_random_draws_the_same_for_an_episode_alone_and_in_a_batch(observation: dict) -> None:
    together, alone = make_policy("random"), make_policy("random")
    both = [together.act(observation) for _ in range(2)]
    single = {key: value[2:] for key, value in observation.items()}
    np.testing.assert_array_equal([actions[2:] for actions in both], [alone.act(single) for _ in range(2)])


def scene(motion: int, area: int) -> dict[str, np.ndarray]:
    stripes = (128 + 100 * np.sin(np.arange(200) / 5)).astype(np.uint8)
    rows = np.stack([stripes[motion * t : motion * t + 64] for t in range(4)])
    frames = np.broadcast_to(rows[:, None, None], (4, 3, 48, 64)).reshape(1, 12, 48, 64)
    masks = np.zeros((1, 4, 48, 64), np.uint8)
    masks[:, :, :area, :area] = 255
    return {"frames": np.ascontiguousarray(frames), "masks": masks}


def test_heuristic_spends_more_on_large_holes_and_motion() -> None:
    policy = HeuristicPolicy()
    calm, moving, large = (action_to_controls(policy.act(scene(*case)))[0] for case in ((0, 8), (6, 8), (0, 32)))
    assert moving[0] > calm[0] + 1
    assert large[0] > calm[0] + 1
    assert moving[4] > calm[4]


@pytest.mark.parametrize(("untouched", "heads"), [(0.0, 2), (0.3, 2), (0.7, 6), (1.0, 6)])
def test_a_plan_knows_a_fresh_hole_by_its_grey(untouched: float, heads: int) -> None:
    seen = scene(0, 20)
    grey = round(20 * untouched)
    seen["frames"][..., :20, :20] = 200
    seen["frames"][..., :grey, :20] = round(255 * GREY)
    chosen = action_to_controls(make_policy("heads6then2").act(seen))[0]
    np.testing.assert_allclose(chosen, [heads, 0.6, 0.8, 0.6, 0.1], atol=1e-5)


class NoArguments:
    def act(self, observation):
        return np.zeros((len(observation["masks"]), 5), np.float32)


class TakesSeed(NoArguments):
    def __init__(self, seed):
        self.seed = seed


instance = NoArguments()


def factory():
    return NoArguments()


def test_a_plan_for_holes_gives_heads_to_the_cells_that_hold_one() -> None:
    frames, masks = np.full((2, 6, 40, 60), GREY * 255, np.uint8), np.zeros((2, 2, 40, 60), np.uint8)
    masks[0, 1, 22:24, 10:30] = 255  # two cells of the second row
    masks[1, 0, :2, 58:] = 255
    chosen = make_policy("heads8holes").act_by_cell({"frames": frames, "masks": masks}, 2, 3)
    heads = action_to_controls(chosen)[..., 0]
    assert heads.tolist() == [[[2, 2, 2], [8, 8, 2]], [[2, 2, 8], [2, 2, 2]]]
    assert np.array_equal(
        chosen[..., 1:], np.broadcast_to(make_policy("heads8").act({"masks": masks})[0, 1:], (2, 2, 3, 4))
    )
    frames[:] = 77  # repaired before
    later = make_policy("heads8holes").act_by_cell({"frames": frames, "masks": masks}, 2, 3)
    assert (action_to_controls(later, skips=True)[..., 0] == 0).all()


@pytest.mark.parametrize("spec", [NoArguments, TakesSeed, instance, factory])
def test_classes_factories_and_instances_plug_in(spec: object) -> None:
    check_policy(make_policy(spec, seed=7))  # type: ignore[arg-type]


def test_seed_reaches_factories_that_take_it() -> None:
    assert make_policy(TakesSeed, seed=7).seed == 7  # type: ignore[attr-defined]


def test_plug_in_by_string() -> None:
    policy = make_policy("videoinpaint.agents.policies.baselines:FixedPolicy")
    assert isinstance(policy, FixedPolicy)


class Broken(NoArguments):
    def __init__(self):
        raise KeyError("no table")


def test_an_error_inside_a_factory_is_told_as_the_plug_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in = types.ModuleType("broken_plug_in")
    plug_in.Broken = Broken  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "broken_plug_in", plug_in)
    with pytest.raises(VideoInpaintError, match=r"policy 'broken_plug_in:Broken'.*KeyError: 'no table'"):
        make_policy("broken_plug_in:Broken")
    with pytest.raises(VideoInpaintError, match=r"policy '.*:Broken'"):
        make_policy(Broken)


def test_every_registered_environment_has_a_policy_that_ships() -> None:
    made = {"trained", "trained-budget", "trained-objective", "trained-regions"}
    assert {shipped_policy(one.id) for one in ENVIRONMENTS} == made
    assert (
        shipped_policy("VideoInpaintBudget-v0") == shipped_policy("my.module:VideoInpaintBudget-v0") == "trained-budget"
    )
    assert shipped_policy("Mine-v0") == "default"
    assert "shipped" not in POLICIES.names()  # by itself it names nothing: it takes an environment
    with pytest.raises(UnknownNameError, match="shipped"):
        make_policy("shipped")


def test_unknown_names_list_the_known() -> None:
    with pytest.raises(UnknownNameError, match=r"heuristic.*module:attribute"):
        make_policy("clever")
    with pytest.raises(InputError, match="needs a method act"):
        make_policy("math:pi")


def test_missing_files_name_the_remedy(tmp_path: Path) -> None:
    for path in (tmp_path / "none.safetensors", tmp_path):
        with pytest.raises(MissingWeightsError, match="videoinpaint train"):
            make_policy(path)
    with pytest.raises(MissingWeightsError):
        make_policy(str(tmp_path / "none.safetensors"))


@pytest.mark.parametrize("bad", [np.zeros((2, 4)), np.zeros(5), np.full((2, 5), np.nan)])
def test_bad_actions_are_named(bad: np.ndarray) -> None:
    with pytest.raises(InputError, match="mine"):
        check_actions(bad, 2, "mine")


def test_a_composed_policy_has_the_heads_of_one_and_the_rest_of_the_other(observation: dict) -> None:
    plan, rest = make_policy("heads8holes"), RandomPolicy(seed=1)
    composed, again = ComposedPolicy(plan, rest), RandomPolicy(seed=1)
    assert composed.by_cell
    for shape in ((5,), (2, 3, 5)):
        acted = choose(composed, observation, shape)
        assert np.array_equal(acted[..., HEADS], choose(plan, observation, shape)[..., HEADS])
        assert np.array_equal(acted[..., HEADS + 1 :], choose(again, observation, shape)[..., HEADS + 1 :])
    composed.reset()
    again.reset()
    assert np.array_equal(composed.act(observation)[:, 1:], again.act(observation)[:, 1:])
    assert not ComposedPolicy(FixedPolicy(), FixedPolicy()).by_cell


def test_trained_holes_looks_as_the_plan_and_favours_as_the_trained_one(observation: dict) -> None:
    parts = {name: make_policy(name) for name in ("trained-holes", "heads8holes", "trained-objective")}
    acted = {name: choose(policy, observation, (2, 3, 5)) for name, policy in parts.items()}
    assert np.array_equal(acted["trained-holes"][..., HEADS], acted["heads8holes"][..., HEADS])
    assert np.array_equal(acted["trained-holes"][..., 1:], acted["trained-objective"][..., 1:])


@pytest.mark.parametrize("control", [{"heads": 99}, {"heads": 1}, {"fusion": 0.9}, {"beta": float("nan")}])
def test_fixed_controls_out_of_range_are_refused(control):
    with pytest.raises(InputError, match=r"controls must (lie within|hold finite)"):
        FixedPolicy(replace(DEFAULT, **control))


def test_fixed_controls_may_skip():
    assert action_to_controls(FixedPolicy(replace(DEFAULT, heads=0)).action[None], skips=True)[0, HEADS] == 0
