"""Optuna and Hydra: settings come as numbers and as text, and end as a configuration or as an environment."""

from __future__ import annotations

import numpy as np
import pytest

from videoinpaint.agents import TrainConfig, evaluate, train
from videoinpaint.agents.policies.baselines import FixedPolicy
from videoinpaint.controls import Controls


def test_optuna_searches_fixed_controls(small):
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def objective(trial):
        controls = Controls(heads=trial.suggest_int("heads", 2, 12), fusion=trial.suggest_float("fusion", 0.5, 0.8))
        records = evaluate(FixedPolicy(controls), small, seeds=[0, 1], num_envs=2)
        return float(np.mean([record.quality for record in records]))

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(objective, n_trials=2)
    assert np.isfinite(study.best_value)
    assert 2 <= study.best_params["heads"] <= 12


def test_hydra_composes_a_training(small, tmp_path):
    hydra = pytest.importorskip("hydra")
    (tmp_path / "config.yaml").write_text(
        "steps: 8\nn_steps: 4\nnum_envs: 2\nbatch_size: 4\nenv:\n"
        + "".join(f"  {key}: {value}\n" for key, value in small.items())
    )
    with hydra.initialize_config_dir(str(tmp_path), version_base=None):
        config = hydra.compose("config", overrides=["+learning_rate=0.001", f"+output={tmp_path / 'run'}"])
    settings = TrainConfig.from_mapping(config)
    assert settings.learning_rate == pytest.approx(0.001)
    assert settings.env["height"] == 48
    train(settings)
    assert (tmp_path / "run" / "policy.safetensors").is_file()
