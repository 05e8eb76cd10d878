"""RLlib trains on the example's view of the environment, with its own default encoder."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("ray.rllib")


def test_the_example_trains(small, load_example, tmp_path_factory, monkeypatch):
    # Ray's sockets have a name of at most 107 characters: its folder must be a short one.
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    # Logs go to ~/ray_results unless Tune says otherwise, and Tune is not here.
    monkeypatch.setattr("ray.tune.trainable.trainable.DEFAULT_STORAGE_PATH", str(tmp_path_factory.mktemp("logs")))
    alone = {
        "num_cpus": 1,
        "object_store_memory": 80_000_000,
        "_node_ip_address": "127.0.0.1",
        "_temp_dir": str(tmp_path_factory.mktemp("r")),
    }
    curve = load_example("rllib_ppo").main(iterations=2, batch=16, ray_options=alone, **small)
    assert len(curve) == 2
    assert np.isfinite(curve).all()
