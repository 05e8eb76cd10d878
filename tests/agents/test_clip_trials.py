import json

import gymnasium
import numpy as np
import pytest
import torch

from videoinpaint.agents.policies.described import DESCRIBED, described
from videoinpaint.agents.trials import PLANS, SETTINGS, ClipTrials, build_trials, fit_policy, load_trials
from videoinpaint.agents.trials.clip_fit import parabolas, returned, untried
from videoinpaint.agents.trials.clips import FUSIONS, KIND, TRIED, try_settings
from videoinpaint.controls import ALPHA, BETA, FUSION, GAMMA, HEADS, Controls, action_to_controls, controls_to_action
from videoinpaint.errors import CorruptWeightsError, InputError
from videoinpaint.weights import save_safetensors

SMALL = {"num_frames": 2, "height": 32, "width": 48}
ACTIONS = torch.from_numpy(controls_to_action(np.stack([setting.to_array() for setting in SETTINGS])))  # anew


def test_a_setting_returns_in_every_pass_what_its_episode_returns_by_itself():
    env = gymnasium.make("VideoInpaint-v1", **SMALL)
    found = try_settings(env, 1_000_000_000, 3)
    assert found["returns"].shape == (len(SETTINGS), 3)
    for index in (12, 4, 0):
        observation, _ = env.reset(seed=1_000_000_000)
        seen = [observation]
        for done in range(3):
            observation, reward, ended, _, _ = env.step(ACTIONS[index].numpy())
            assert found["returns"][index, done] == pytest.approx(reward, abs=1e-6)
            seen.append(observation)
            if ended:
                break
    seen += [seen[-1]] * 3
    batch = {name: torch.from_numpy(np.stack([one[name] for one in seen[:3]])) for name in seen[0]}
    torch.testing.assert_close(found["seen"], described(batch["frames"], batch["masks"]), atol=1e-4, rtol=1e-4)


def bent(count, seed=0):
    """Returns that are a parabola over the fusion at every objective, and their coefficients."""
    curves = 0.01 * torch.randn(count, len(TRIED), 3, generator=torch.Generator().manual_seed(seed))
    curves[:, 0, 0] = 0  # the default returns nothing beyond itself
    powers = torch.stack([ACTIONS[:, FUSION] ** power for power in range(3)], 1)
    of = torch.tensor([0, *(index for index in range(len(TRIED)) for _ in FUSIONS)])
    return curves, (curves[:, of] * powers).sum(2)


def test_returns_between_settings_are_those_of_parabolas_and_mixtures():
    curves, beyond = bent(4)
    returns = torch.stack([beyond / 2, beyond / 2 + 0.3], 2)
    trials = ClipTrials(torch.zeros(4, 2, DESCRIBED), returns)
    surface = parabolas(trials)
    torch.testing.assert_close(surface, curves, atol=1e-5, rtol=1e-3)
    for index, action in enumerate(ACTIONS):
        torch.testing.assert_close(returned(surface, action.expand(4, 5)), beyond[:, index], atol=1e-5, rtol=1e-3)
        assert untried(action[None]) < 0.01
    middle = (ACTIONS[3] + ACTIONS[11]) / 2  # the same fusion, half way from the average objective to the largest
    torch.testing.assert_close(
        returned(surface, middle.expand(4, 5)), (beyond[:, 3] + beyond[:, 11]) / 2, atol=1e-5, rtol=1e-3
    )
    beyond_all = ACTIONS[4].clone()
    beyond_all[FUSION] = 1
    torch.testing.assert_close(returned(surface, beyond_all.expand(4, 5)), beyond[:, 4], atol=1e-5, rtol=1e-3)


def test_the_default_counts_among_the_settings_of_its_objective():
    returns = torch.ones(1, len(SETTINGS), 1)
    returns[:, 0] = 0
    surface = parabolas(ClipTrials(torch.zeros(1, 1, DESCRIBED), returns))
    average, largest = (returned(surface, ACTIONS[None, 0] + torch.tensor([0, 0, b, b, b])) for b in (0.0, 1.0))
    assert largest.item() == pytest.approx(1, abs=1e-4)
    assert 0 < average.item() < 0.9


@pytest.mark.parametrize("changed", [{HEADS: -1.0}, {FUSION: 1.0}, {ALPHA: 1.0}, {GAMMA: -1.0}, {BETA: -1.0}])
def test_what_was_not_tried_is_held_against_a_setting(changed):
    action = ACTIONS[0].clone()
    for column, value in changed.items():
        action[column] = value
    assert untried(action[None]) > untried(ACTIONS[:1]) + 0.05


def two_kinds(count=64):
    """Clips that are best with little fusion and texture, and clips that are best with much and the average objective,
    as one feature tells."""
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(count, DESCRIBED, generator=generator)
    side = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
    first[:, 0] = 2 * side
    wanted = torch.stack([0.5 * side, -side], 1)
    apart = (ACTIONS[None, :, [FUSION, BETA]] - wanted[:, None]).square().sum(2) + ACTIONS[:, ALPHA].clamp_min(0)
    return ClipTrials(first[:, None].expand(-1, 2, -1), -0.01 * apart.unsqueeze(2).expand(-1, -1, 2))


def test_a_policy_learns_which_setting_suits_which_clip():
    trials = two_kinds()
    network = fit_policy(trials, seed=0, epochs=40)
    with torch.no_grad():
        actions = network.get_distribution({"description": trials.seen[:, 0]}).mode()
    little, much = (actions[trials.seen[:, 0, 0] * sign > 0].mean(0) for sign in (-1, 1))
    assert little[FUSION] < much[FUSION] - 0.5
    assert little[BETA] > much[BETA] + 0.5
    assert (action_to_controls(actions.numpy())[:, HEADS] == 12).all()


def test_the_same_seed_fits_the_same_bits_and_another_others(check_fits_repeat):
    check_fits_repeat(two_kinds(8))


@pytest.mark.parametrize("env_id", ["VideoInpaint-v0", "VideoInpaintBudget-v0"])
def test_an_environment_in_which_the_settings_say_nothing_is_refused(tmp_path, env_id):
    with pytest.raises(InputError, match="of use where"):
        build_trials(tmp_path / "trials", env_id)
    assert not (tmp_path / "trials").exists()


def test_trials_of_both_kinds_in_one_folder_are_refused(tmp_path):
    told = {"environment": json.dumps({"env_id": "VideoInpaint-v1"})}
    env = gymnasium.make("VideoInpaint-v1", **SMALL, max_iterations=1)
    one = try_settings(env, 1_000_000_000, 1)
    assert one["seen"].shape == (1, DESCRIBED)
    save_safetensors(tmp_path / "0.safetensors", one, {"format": KIND.format} | told)
    assert isinstance(load_trials(tmp_path), ClipTrials)
    fit_policy(ClipTrials(*(torch.stack([one[name]] * 2) for name in ("seen", "returns"))), epochs=1)
    save_safetensors(tmp_path / "1.safetensors", one | {"returns": one["returns"][1:]}, {"format": KIND.format} | told)
    with pytest.raises(CorruptWeightsError, match=r"1\.safetensors is a damaged trial"):
        load_trials(tmp_path)
    save_safetensors(tmp_path / "1.safetensors", one, {"format": "videoinpaint-trial-6"} | told)
    with pytest.raises(CorruptWeightsError, match=r"1\.safetensors is a damaged trial"):
        load_trials(tmp_path)


def test_settings_are_within_their_ranges_and_all_different():
    assert len(set(SETTINGS)) == len(SETTINGS) == 1 + len(TRIED) * len(FUSIONS)
    assert SETTINGS[0] == Controls()
    assert len(PLANS) == 7
    assert ACTIONS.abs().max() <= 1
