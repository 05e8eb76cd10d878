"""PPO in one file, as CleanRL writes it, on `VideoInpaint-v1`: torch and Gymnasium's vector environment, nothing else.

`python examples/ppo_single_file.py 2000` trains for 2,000 steps and prints the mean return of each rollout. Pictures,
rewards and ends stay tensors on the device (`output="torch"`): of a step only its actions are copied.
`python examples/ppo_single_file.py 1 tiny` is the smallest run: one rollout (96 steps) of two small frames without
networks.
"""

import sys

import gymnasium as gym
import torch
from gymnasium.vector import AutoresetMode
from torch import nn
from torch.distributions import Normal

import videoinpaint  # noqa: F401 - registers the environments

GAMMA, LAMBDA, CLIP = 0.95, 0.95, 0.2
TINY = {"num_frames": 2, "height": 40, "width": 48, "inpainter": "telea", "detector": "none"}


class Agent(nn.Module):
    """A small CNN over frames and masks; a Gaussian policy and a value."""

    def __init__(self, channels):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, 32, 5, stride=4), nn.ReLU(), nn.Conv2d(32, 32, 3, stride=2), nn.ReLU(),
            nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(128, 64), nn.Tanh(),
        )  # fmt: skip
        self.mean, self.value = nn.Linear(64, 5), nn.Linear(64, 1)
        self.log_std = nn.Parameter(torch.full((5,), -0.7))

    def forward(self, pictures):
        features = self.body(pictures.float() / 255)
        return Normal(self.mean(features).tanh(), self.log_std.exp().expand(len(features), 5)), self.value(features)[
            :, 0
        ]


class Returns:
    """Adds up what running episodes have earned, and keeps it when they end."""

    def __init__(self, num_envs, device):
        self.running, self.finished = torch.zeros(num_envs, device=device), []

    def add(self, reward, done):
        self.running = self.running + reward
        self.finished.append(self.running[done])
        self.running = self.running * ~done

    def taken(self):
        finished, self.finished = torch.cat(self.finished).tolist(), []
        return finished


def stacked(observation):
    return torch.cat([observation["frames"], observation["masks"]], dim=1)


def collect(envs, agent, pictures, steps, returns):
    """A rollout of every environment: pictures, actions, log probabilities, values, rewards, ends."""
    rows = []
    for _ in range(steps):
        with torch.no_grad():
            policy, value = agent(pictures)
            action = policy.sample()
        observation, reward, terminated, truncated, _ = envs.step(action.clamp(-1, 1).cpu().numpy())
        reward, done = reward.float(), terminated | truncated
        returns.add(reward, done)
        rows.append((pictures, action, policy.log_prob(action).sum(1), value, reward, done))
        pictures = stacked(observation)
    return pictures, [torch.stack(column) for column in zip(*rows)]


def advantages_of(rewards, values, dones, last):
    """Generalised advantages; nothing follows the end of an episode."""
    found, running = torch.zeros_like(rewards), torch.zeros_like(last)
    for t in reversed(range(len(rewards))):
        following = last if t == len(rewards) - 1 else values[t + 1]
        going = (~dones[t]).float()
        running = rewards[t] + GAMMA * following * going - values[t] + GAMMA * LAMBDA * going * running
        found[t] = running
    return found


def update(agent, optimiser, batch, epochs=4, minibatches=4):
    pictures, actions, log_probs, advantages, returns = batch
    advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    for _ in range(epochs):
        for part in torch.randperm(len(actions), device=actions.device).chunk(minibatches):
            policy, value = agent(pictures[part])
            ratio = (policy.log_prob(actions[part]).sum(1) - log_probs[part]).exp()
            gain = torch.min(ratio * advantages[part], ratio.clamp(1 - CLIP, 1 + CLIP) * advantages[part]).mean()
            loss = 0.5 * (value - returns[part]).square().mean() - gain
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
            optimiser.step()


def main(steps=2_000, num_envs=4, rollout=24, seed=0, **env_kwargs):
    """Train; returns the agent and the mean return of each rollout's finished episodes."""
    torch.manual_seed(seed)
    # Same-step autoreset: every row of a rollout is a real transition.
    mode = AutoresetMode.SAME_STEP
    envs = gym.make_vec("VideoInpaint-v1", num_envs=num_envs, autoreset_mode=mode, output="torch", **env_kwargs)
    observation, _ = envs.reset(seed=seed)
    pictures = stacked(observation)
    agent, returns, count = Agent(pictures.shape[1]).to(pictures.device), Returns(num_envs, pictures.device), 0
    optimiser = torch.optim.Adam(agent.parameters(), lr=3e-4)
    curve = []
    for _ in range(max(1, steps // (num_envs * rollout))):
        pictures, (x, a, log_probs, values, rewards, dones) = collect(envs, agent, pictures, rollout, returns)
        with torch.no_grad():
            advantages = advantages_of(rewards, values, dones, agent(pictures)[1])
        batch = [part.flatten(0, 1) for part in (x, a, log_probs, advantages, advantages + values)]
        update(agent, optimiser, batch)
        finished = returns.taken()
        count += len(finished)
        curve.append(sum(finished) / len(finished) if finished else float("nan"))
        print(f"{count} episodes, mean return {curve[-1]:.3f}")
    envs.close()
    return agent, curve


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2_000, **(TINY if "tiny" in sys.argv else {}))
