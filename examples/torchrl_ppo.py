"""TorchRL's PPO on `VideoInpaint-v1`. Needs torchrl, which this package does not install.

`python examples/torchrl_ppo.py 1000` trains for 1,000 steps and prints each batch's mean reward and quality.
"""

import sys

import torch
from tensordict.nn import NormalParamExtractor, TensorDictModule
from tensordict.nn import TensorDictSequential as Sequence
from torch import nn
from torchrl.collectors import Collector
from torchrl.envs import GymEnv
from torchrl.modules import ProbabilisticActor, TanhNormal, ValueOperator
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE

import videoinpaint  # noqa: F401 - registers the environments


class Network(nn.Module):
    """A small CNN over frames and masks; takes any number of leading dimensions."""

    def __init__(self, channels, outputs):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 16, 5, stride=4), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2), nn.ReLU(),
            nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(128, outputs),
        )  # fmt: skip

    def forward(self, frames, masks):
        pictures = torch.cat([frames, masks], dim=-3).float() / 255
        found = self.layers(pictures.flatten(0, -4) if pictures.ndim > 3 else pictures[None])
        return found.reshape(*pictures.shape[:-3], -1)


def main(steps=1_000, batch=64, seed=0, **env_kwargs):
    """Train; returns the policy and the mean reward of each batch."""
    torch.manual_seed(seed)
    # `flat_info` leaves text and nesting out of the infos, so that TorchRL can carry them as tensors.
    env = GymEnv("VideoInpaint-v1", flat_info=True, **env_kwargs).auto_register_info_dict()
    env.set_seed(seed)
    keys = ["frames", "masks"]
    channels = sum(env.observation_spec[key].shape[0] for key in keys)
    parameters = Sequence(
        TensorDictModule(Network(channels, 10), keys, ["parameters"]),
        TensorDictModule(NormalParamExtractor(), ["parameters"], ["loc", "scale"]),
    )
    policy = ProbabilisticActor(
        parameters, spec=env.action_spec, in_keys=["loc", "scale"], distribution_class=TanhNormal, return_log_prob=True
    )
    value = ValueOperator(Network(channels, 1), in_keys=keys)
    advantage = GAE(gamma=0.95, lmbda=0.95, value_network=value, average_gae=True)
    loss = ClipPPOLoss(policy, value, clip_epsilon=0.2, entropy_coeff=0.0)
    optimiser = torch.optim.Adam(loss.parameters(), lr=3e-4)
    collector = Collector(env, policy, frames_per_batch=batch, total_frames=max(batch, steps // batch * batch))
    curve = []
    for data in collector:
        for _ in range(4):
            advantage(data)
            losses = loss(data)
            optimiser.zero_grad()
            sum(losses[key] for key in ("loss_objective", "loss_critic")).backward()
            nn.utils.clip_grad_norm_(loss.parameters(), 0.5)
            optimiser.step()
        curve.append(data["next", "reward"].mean().item())
        print(f"mean reward {curve[-1]:.3f}, mean quality {data['next', 'quality'].mean().item():.3f}")
    collector.shutdown()
    return policy, curve


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000)
