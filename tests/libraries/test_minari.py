"""Minari records episodes with their infos, and gives them back."""

from __future__ import annotations

import numpy as np
import pytest

minari = pytest.importorskip("minari")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    return tmp_path


def test_a_dataset_holds_what_was_played(env, folder):
    collector = minari.DataCollector(env, record_infos=True)
    rewards, pictures = [], []
    for seed in range(2):
        observation, _ = collector.reset(seed=seed)
        rewards.append([])
        pictures.append([observation["frames"]])
        collector.action_space.seed(seed)
        done = False
        while not done:
            observation, reward, terminated, truncated, _ = collector.step(collector.action_space.sample())
            rewards[-1].append(reward)
            pictures[-1].append(observation["frames"])
            done = terminated or truncated
    collector.create_dataset("videoinpaint/random-v0", algorithm_name="random")
    assert list(folder.iterdir())

    dataset = minari.load_dataset("videoinpaint/random-v0")
    assert dataset.total_episodes == 2
    for episode, expected, seen in zip(dataset.iterate_episodes(), rewards, pictures):
        np.testing.assert_allclose(episode.rewards, expected)
        np.testing.assert_array_equal(episode.observations["frames"], seen)
        assert episode.actions.shape == (len(expected), 5)
        # One entry for the reset, then one a step.
        assert np.shape(episode.infos["metrics"]["psnr_hole"]) == (len(expected) + 1,)
        assert np.isfinite(episode.infos["quality"]).all()
    recovered = dataset.recover_environment()
    assert recovered.spec.id == "VideoInpaint-v1"
    assert recovered.observation_space == env.observation_space
