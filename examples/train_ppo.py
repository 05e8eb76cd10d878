"""Stock Stable-Baselines3 PPO on `VideoInpaint-v1`: nothing of this package but the environment.

`python examples/train_ppo.py 500` trains for 500 steps (1,000 if you name none) and writes ppo_videoinpaint.zip.
`python examples/train_ppo.py 1 tiny` is the smallest run: one rollout (192 steps) of two small frames without networks.
`videoinpaint train` does the same with a network made for the task, checkpoints and TensorBoard.
"""

import sys

from stable_baselines3 import PPO

from videoinpaint.envs import make_sb3_vec

TINY = {"num_frames": 2, "height": 40, "width": 48, "inpainter": "telea", "detector": "none"}


def main(steps=1_000, n_steps=48, output="ppo_videoinpaint", **env_kwargs):
    """Train, save, and return the model."""
    env = make_sb3_vec(4, "VideoInpaint-v1", seed=0, **env_kwargs)
    model = PPO("MultiInputPolicy", env, n_steps=n_steps, batch_size=n_steps, gamma=0.95, seed=0, verbose=1)
    model.learn(steps)
    model.save(output)
    return model


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000, **(TINY if "tiny" in sys.argv else {}))
