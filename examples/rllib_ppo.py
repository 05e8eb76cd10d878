"""RLlib's PPO on `VideoInpaint-v1`. Needs ray[rllib], which this package does not install.

`python examples/rllib_ppo.py 4` trains for four iterations of 256 steps and prints each one's mean return.
"""

import sys

import gymnasium as gym
import ray
from ray.rllib.algorithms.ppo import PPOConfig
from ray.tune.registry import register_env

from videoinpaint.envs.wrappers import FloatObservation, SquareImage


def make_env(config):
    """One square image of floats, as RLlib's own CNN encoders take it. Imports what registers the environments."""
    import videoinpaint  # noqa: F401 - registers the environments

    return FloatObservation(SquareImage(gym.make("VideoInpaint-v1", **config), 84))


def main(iterations=4, batch=256, workers=0, seed=0, ray_options=None, **env_kwargs):
    """Train; returns the mean return after each iteration."""
    ray.init(include_dashboard=False, **(ray_options or {}))
    register_env("videoinpaint", make_env)
    config = (
        PPOConfig()
        .environment("videoinpaint", env_config=env_kwargs)
        .env_runners(num_env_runners=workers)
        .training(train_batch_size_per_learner=batch, minibatch_size=batch // 4, num_epochs=4, gamma=0.95, lr=3e-4)
        .debugging(seed=seed)
    )
    algorithm = config.build_algo()
    curve = []
    for _ in range(iterations):
        curve.append(algorithm.train()["env_runners"]["episode_return_mean"])
        print(f"mean return {curve[-1]:.3f}")
    algorithm.stop()
    ray.shutdown()
    return curve


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4)
