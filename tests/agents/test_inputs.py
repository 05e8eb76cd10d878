"""What policies look at: each kind reads what is made for it, and says so where it is given something else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from gymnasium import spaces

from videoinpaint.agents.policies.cells import cell_space
from videoinpaint.agents.policies.closed_loop import ClosedLoopPolicy
from videoinpaint.agents.policies.kinds import NETWORKS, trained_kind
from videoinpaint.agents.policies.regional import RegionalPolicy
from videoinpaint.agents.policies.thumbnails import thumbnail_space
from videoinpaint.agents.ppo.behaviour_cloning import clone_behaviour
from videoinpaint.agents.ppo.config import POLICIES, ReplayConfig, TrainConfig
from videoinpaint.agents.ppo.replay import trajectory_bytes
from videoinpaint.agents.ppo.training import make_training_envs, replay_told
from videoinpaint.agents.ppo.view import TrainingView
from videoinpaint.errors import InputError

SHAPES = dict.fromkeys(NETWORKS.values(), (5,)) | {RegionalPolicy: (2, 3, 5)}
"""By kind of policy, the shape of its actions."""


def space_for(policy: type[ClosedLoopPolicy]) -> spaces.Dict:
    return policy.input_for(SHAPES[policy]).space(4, 48, 64)


def built(policy: type[ClosedLoopPolicy], space: spaces.Dict) -> ClosedLoopPolicy:
    return policy(space, spaces.Box(-1, 1, SHAPES[policy]), lambda _: 0.0)


@pytest.mark.parametrize("policy", SHAPES)
def test_a_policy_reads_what_it_looks_at_and_the_observation_itself(
    policy: type[ClosedLoopPolicy], observation: dict
) -> None:
    shown = policy.input_for(SHAPES[policy]).show(observation)
    space = space_for(policy)
    assert space.contains({key: value[0] for key, value in shown.items()})
    pictures = spaces.Dict({key: spaces.Box(0, 255, value.shape[1:], np.uint8) for key, value in observation.items()})
    whole = built(policy, pictures)
    network = built(policy, space)
    network.load_state_dict(whole.state_dict())
    acted = network.predict(shown, deterministic=True)[0]
    assert acted.shape == (3, *SHAPES[policy])
    np.testing.assert_allclose(whole.predict(observation, deterministic=True)[0], acted, atol=1e-5)


@pytest.mark.parametrize("policy", SHAPES)
@pytest.mark.parametrize("other", SHAPES)
def test_what_another_policy_looks_at_is_refused(policy: type[ClosedLoopPolicy], other: type[ClosedLoopPolicy]) -> None:
    if policy is not other:
        with pytest.raises(InputError, match=r"the policy needs frames .* got \{"):
            built(policy, space_for(other))


def test_entries_of_another_shape_are_refused() -> None:
    with pytest.raises(InputError, match=r"cells \(78, 2, 3\), got"):
        built(RegionalPolicy, cell_space(3, 2))
    for name, shape in (("thumbnails", (3, 5, 30, 54)), ("features", (4,))):
        space = thumbnail_space(3)
        space.spaces[name] = spaces.Box(0, 1, shape)
        with pytest.raises(InputError, match="thumbnails"):
            built(ClosedLoopPolicy, space)


def test_actions_say_which_policy_is_trained() -> None:
    assert tuple(NETWORKS) == POLICIES
    assert trained_kind(ClosedLoopPolicy, (5,)) is ClosedLoopPolicy
    for shape in ((1, 1, 5), (2, 3, 5)):
        assert trained_kind(ClosedLoopPolicy, shape) is trained_kind(RegionalPolicy, shape) is RegionalPolicy
        with pytest.raises(InputError, match="whole frames"):
            trained_kind(NETWORKS["paper"], shape)
    with pytest.raises(InputError, match="action_grid"):
        trained_kind(RegionalPolicy, (5,))
    with pytest.raises(InputError, match="action_grid"):
        RegionalPolicy.input_for((5,))


def test_a_policy_over_a_grid_is_cloned_on_what_it_looks_at(small: dict, tmp_path: Path) -> None:
    config = TrainConfig(tmp_path, env=small | {"fusion": "boundary", "action_grid": (2, 3)}, num_envs=2)
    env = make_training_envs(config)
    network = built(RegionalPolicy, cell_space(2, 3))

    class Still:
        def act(self, observation: dict) -> np.ndarray:
            return np.full((len(observation["masks"]), 5), 0.5, np.float32)

    assert clone_behaviour(network, Still(), env, 2) < 0.2
    env.close()


@pytest.mark.parametrize("grid", [None, (1, 1), (2, 3)])
def test_what_is_told_of_the_replay_is_what_a_training_keeps(grid: tuple[int, int] | None, small: dict) -> None:
    env = small | {"action_grid": grid, "max_iterations": 2} | ({"fusion": "boundary"} if grid else {})
    config = TrainConfig(Path("unused"), env=env, num_envs=1, replay=ReplayConfig())
    view = TrainingView(make_training_envs(config))
    assert isinstance(view.observation_space, spaces.Dict)
    kept = trajectory_bytes(view.observation_space, int(np.prod(view.action_space.shape or ())), 2)
    view.close()
    assert f" {kept / 1e3:,.1f} kB each" in replay_told(config)
