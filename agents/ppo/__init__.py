"""What trains: PPO with trajectory replay and group baselines, its configuration and its checkpoints."""

from videoinpaint.agents.ppo.replay import ReplayConfig
from videoinpaint.agents.ppo.training import TrainConfig, TrainResult, make_training_envs, train
from videoinpaint.envs.states.episodes import TRAINING_SEEDS

__all__ = ["TRAINING_SEEDS", "ReplayConfig", "TrainConfig", "TrainResult", "make_training_envs", "train"]
