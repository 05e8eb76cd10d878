"""The policy network: what it sees of an observation, and the Gaussian whose mean and deviation it outputs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.distributions import DiagGaussianDistribution, Distribution
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.type_aliases import Schedule
from torch import Tensor, nn

from videoinpaint.agents.policies.features import BOUND, FEATURES, clip_features
from videoinpaint.agents.policies.reveal import evenly
from videoinpaint.errors import DivergedError, InputError
from videoinpaint.motion.neighbourhoods import cell_means

THUMBNAIL = (30, 54)
"""Height and width at which the network looks: a quarter of the environment's default size."""

LOOKED_AT = 8
"""Frames that the CNN sees, evenly spread over a longer clip; the hand-made features are of all of them."""

WIDTHS = (16, 32, 48)
START_STD = 0.5
"""Standard deviation of the actions at first."""

LOG_STD = (-3.0, 0.0)
"""Bounds of the log standard deviation of an action in the middle of [-1, 1]: 0.05 (nearly fixed) to 1 (nearly
uniform)."""
LEAST_ROOM = 0.1
"""What is left of the deviation at the bounds themselves."""


def thumbnails(frames: Tensor, masks: Tensor) -> Tensor:
    """An observation as the network sees it: small pictures of RGB and predicted mask.

    Averaging to a fixed size makes the network independent of the clip's size and cheap on the CPU; rounding to whole
    numbers makes a stored thumbnail (one 16th of the observation) exactly as good as the observation itself.

    Args:
        frames: ``(B, 3T, H, W)`` in 0..255 of any type.
        masks: ``(B, T, H, W)``, the same.

    Returns:
        uint8 ``(B, T, 4, *THUMBNAIL)``.
    """
    batch, time = masks.shape[:2]
    small = [cell_means(images.float(), THUMBNAIL) for images in (frames, masks)]
    parts = [small[0].view(batch, time, 3, *THUMBNAIL), small[1].view(batch, time, 1, *THUMBNAIL)]
    return torch.cat(parts, dim=2).round_().clamp_(0, 255).to(torch.uint8)


def thumbnail_space(num_frames: int) -> spaces.Dict:
    """The space of thumbnails and their features; Stable-Baselines3 takes nothing of four axes for an image."""
    pictures = spaces.Box(0, 255, (num_frames, 4, *THUMBNAIL), np.uint8)
    return spaces.Dict({"thumbnails": pictures, "features": spaces.Box(-BOUND, BOUND, (len(FEATURES),), np.float32)})


class ClosedLoopExtractor(BaseFeaturesExtractor):
    """One small CNN for every frame of the batch and its change to the next, pooled over space, then over time.

    The change is what shows a moving camera: pooling over space forgets where things are. It works for any number of
    frames and any size: pooling over space gives mean and maximum, pooling over time gives mean, maximum and the mean
    absolute change between neighbouring frames (0 for a single frame). Of a long clip it sees ``LOOKED_AT`` frames.
    Beside the CNN stand the features of :mod:`videoinpaint.agents.policies.features`, which it need not learn.

    Args:
        observation_space: ``frames (3T, H, W)`` and ``masks (T, H, W)``, or ``thumbnails`` of them; where an
            observation has ``features`` of its thumbnails too, these are not measured again.
        features_dim: size of the result: those features as they are, and as many of the CNN as fit beside them.
        white: what stands for 255 in the frames and masks it is given: 1 under Stable-Baselines3's image
            normalisation, 255 without it. Thumbnails are always in 0..255.

    Raises:
        InputError: another observation space, or a `features_dim` with no place for the CNN.
    """

    def __init__(self, observation_space: spaces.Dict, features_dim: int = 64, white: float = 1.0) -> None:
        check_space(observation_space)
        if features_dim <= len(FEATURES):
            least = len(FEATURES)
            raise InputError(
                f"features_dim must be above the {least} features of agents/policies/features.py, got {features_dim}"
            )
        super().__init__(observation_space, features_dim)
        self.white = white
        layers: list[nn.Module] = []
        for inner, outer in zip((8, *WIDTHS), WIDTHS):
            layers += [nn.Conv2d(inner, outer, 3, stride=2, padding=1), nn.ReLU()]
        self.cnn = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Linear(6 * WIDTHS[-1], features_dim - len(FEATURES)), nn.ReLU())

    def forward(self, observations: Mapping[str, Tensor]) -> Tensor:
        """Features ``(B, features_dim)``."""
        seen = observations.get("thumbnails")
        if seen is None:
            scale = 255 / self.white
            seen = thumbnails(observations["frames"] * scale, observations["masks"] * scale)
        told = observations["features"] if "features" in observations else clip_features(seen)
        return torch.cat([self.head(summarised(self.cnn, seen)), told], dim=1)


def summarised(cnn: nn.Module, seen: Tensor) -> Tensor:
    """What a CNN finds in frames and in their change to the next, pooled over space, then over time: ``(B, 6 C)``.

    Args:
        cnn: ``(N, 8, h, w)`` to ``(N, C, h', w')``.
        seen: RGB and mask ``(B, T, 4, h, w)`` in 0..255; of a long clip ``LOOKED_AT`` frames are looked at.
    """
    seen = seen[:, evenly(seen.shape[1], LOOKED_AT)]
    batch, time = seen.shape[:2]
    shown = seen.float() / 127.5 - 1
    # The last frame's change is that to the frame before; a single frame has none.
    change = shown.diff(dim=1).abs() if time > 1 else torch.zeros_like(shown)
    changes = torch.cat([change, change[:, -1:]], dim=1)[:, :time]
    images = cnn(torch.cat([shown, changes], dim=2).flatten(0, 1))
    per_frame = torch.cat([images.mean((2, 3)), images.amax((2, 3))], dim=1).view(batch, time, -1)
    drift = per_frame.diff(dim=1).abs().sum(1) / max(time - 1, 1)
    return torch.cat([per_frame.mean(1), per_frame.amax(1), drift], dim=1)


class GaussianHead(nn.Module):
    """Mean and log standard deviation of every action dimension, both functions of the state (CLIP-RL, 3.1.2).

    The mean is bounded by tanh, so that it stays where the clipping of actions leaves a gradient; the log standard
    deviation is bounded smoothly to ``LOG_STD``, so that the entropy bonus can neither run away nor lose its gradient.
    Towards the bounds the deviation shrinks as the slope of the tanh does, down to ``LEAST_ROOM``: clipping would let
    only one half of the noise through there, and a control that settled at its lowest would in truth be above it.

    Args:
        latent: features.
        lowest: action of every dimension, ``(actions,)``: -1, or less where the environment lets cells be skipped.
    """

    lowest: Tensor

    def __init__(self, latent: int, lowest: NDArray[np.float32]) -> None:
        super().__init__()
        self.linear = nn.Linear(latent, 2 * len(lowest))
        # The action space says it, not the weights: what a file holds is the same for every environment.
        self.register_buffer("lowest", torch.from_numpy(lowest.copy()), persistent=False)

    def start(self, std: float) -> None:
        """Begin in the middle of every range, where there is most to try, with one standard deviation everywhere."""
        low, high = LOG_STD
        share = (np.log(std) - low) / (high - low)
        with torch.no_grad():
            mean, spread = self.linear.bias.chunk(2)
            spread.fill_(float(np.log(share / (1 - share))))
            mean.zero_()

    def bounded(self, unbounded: Tensor) -> Tensor:
        """Means ``(B, actions)`` of the linear layer's first half: above zero a tanh, below it one that ends at the
        lowest action.
        """
        mean = torch.tanh(unbounded)
        return torch.where(mean < 0, mean * -self.lowest, mean)

    def forward(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation, each ``(B, actions)``.

        Raises:
            DivergedError: the network's numbers are none: an action made of them would mean nothing.
        """
        whole = self.linear(latent)
        if not torch.isfinite(whole).all():
            raise DivergedError("the policy's network gives values that are not finite: train it again, more slowly")
        unbounded, spread = whole.chunk(2, dim=1)
        low, high = LOG_STD
        room = (1 - torch.tanh(unbounded).square()).clamp_min(LEAST_ROOM)
        return self.bounded(unbounded), low + (high - low) * torch.sigmoid(spread) + room.log()


class StandardisedValue(nn.Module):
    """A linear value head that predicts standardised returns and outputs plain ones.

    Returns here are nearly constant (about 3) and differ by little, which a network reaches slowly from 0. Their mean
    and deviation are therefore kept outside of the weights, and the weights are rescaled whenever these change, so that
    no prediction jumps (PopArt: van Hasselt et al., 2016).
    """

    mean: Tensor
    std: Tensor
    fresh: Tensor

    def __init__(self, latent: int, rate: float = 0.1) -> None:
        super().__init__()
        self.linear, self.rate = nn.Linear(latent, 1), rate
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("std", torch.ones(()))
        self.register_buffer("fresh", torch.ones((), dtype=torch.bool))

    def forward(self, latent: Tensor) -> Tensor:
        """Predicted returns ``(B, 1)``."""
        return self.linear(latent) * self.std + self.mean

    @torch.no_grad()
    def update(self, returns: Tensor) -> None:
        """Move mean and deviation towards those of a rollout's returns, predictions unchanged (but for the first)."""
        mean, std = returns.mean(), returns.std(correction=0).clamp_min(1e-3)
        if self.fresh:
            self.mean.copy_(mean), self.std.copy_(std), self.fresh.fill_(False)
            return
        mean, std = self.mean.lerp(mean, self.rate), self.std.lerp(std, self.rate)
        self.linear.weight.mul_(self.std / std)
        self.linear.bias.mul_(self.std).add_(self.mean - mean).div_(std)
        self.mean.copy_(mean), self.std.copy_(std)


class ClosedLoopPolicy(ActorCriticPolicy):
    """Actor and critic of CLIP-RL for Stable-Baselines3: ``PPO(ClosedLoopPolicy, env)``.

    Actions are sampled from a Gaussian whose mean and standard deviation both depend on the state in training, are its
    mean in evaluation, and are clipped to the action space by whoever steps the environment.

    Args:
        start_std: standard deviation of the actions of a new policy, within the bounds of ``LOG_STD``.

    Raises:
        InputError: an observation or action space that is not the environment's, ``use_sde``, or ``start_std`` out of
            bounds.
    """

    extractor: ClassVar[type[BaseFeaturesExtractor]] = ClosedLoopExtractor
    by_cell = False
    """Whether an action is one for each cell of a grid."""

    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        lr_schedule: Schedule,
        start_std: float = START_STD,
        **kwargs: Any,
    ) -> None:
        low, high = np.exp(LOG_STD)
        if not low < start_std < high:
            raise InputError(f"start_std must lie between {low:.2f} and {high:.2f}, got {start_std}")
        self.start_std = start_std
        if kwargs.pop("use_sde", False):
            raise InputError("ClosedLoopPolicy has a state-dependent Gaussian of its own: leave use_sde out")
        defaults: dict[str, Any] = {
            "features_extractor_class": self.extractor,
            "features_extractor_kwargs": {"white": 255.0} | self.check_action_space(action_space),
            "normalize_images": False,
            "net_arch": {"pi": [64], "vf": [64]},
            "activation_fn": nn.ReLU,
        }
        super().__init__(observation_space, action_space, lr_schedule, **(defaults | kwargs))

    @staticmethod
    def looked_at_space(num_frames: int, height: int, width: int) -> spaces.Dict:
        """The space of what :meth:`look` makes of clips of this shape."""
        return thumbnail_space(num_frames)

    @staticmethod
    def look(frames: Tensor, masks: Tensor) -> dict[str, Tensor]:
        """A batch of observations as this kind of policy sees it, so that whoever shows it the same one often (a
        training) makes it once.

        Args:
            frames: ``(B, 3T, H, W)`` in 0..255.
            masks: ``(B, T, H, W)``, the same.
        """
        small = thumbnails(frames, masks)
        return {"thumbnails": small, "features": clip_features(small)}

    def check_action_space(self, space: spaces.Space) -> dict[str, Any]:
        """The extractor's arguments that follow from the action space.

        Raises:
            InputError: the space is no flat Box.
        """
        if not isinstance(space, spaces.Box) or len(space.shape) != 1:
            raise InputError(f"ClosedLoopPolicy needs a flat Box of actions, got {space}: RegionalPolicy takes a grid")
        return {}

    @property
    def lowest_action(self) -> NDArray[np.float32]:
        """Of a frame or of a cell, ``(actions,)``; the same for all cells."""
        assert isinstance(self.action_space, spaces.Box)
        lowest = self.action_space.low
        return lowest.reshape(-1, lowest.shape[-1])[0]

    @property
    def skips(self) -> bool:
        """Whether it was made for an environment that lets cells, or the whole frame, be skipped."""
        return bool(self.lowest_action.min() < -1)

    def _heads(self) -> tuple[GaussianHead, StandardisedValue]:
        """The actor's and the critic's last layers."""
        actor = GaussianHead(self.mlp_extractor.latent_dim_pi, self.lowest_action)
        return actor, StandardisedValue(self.mlp_extractor.latent_dim_vf)

    def _build(self, lr_schedule: Schedule) -> None:
        self._build_mlp_extractor()
        self.action_net, self.value_net = self._heads()  # type: ignore[assignment]
        gains = {
            self.features_extractor: 2**0.5,
            self.mlp_extractor: 2**0.5,
            self.action_net: 0.01,
            self.value_net: 0.1,
        }
        for module, gain in gains.items():
            module.apply(partial(self.init_weights, gain=gain))
        self.action_net.start(self.start_std)
        kwargs: dict[str, Any] = {"lr": lr_schedule(1)} | self.optimizer_kwargs
        self.optimizer = self.optimizer_class(self.parameters(), **kwargs)

    def _get_action_dist_from_latent(self, latent_pi: Tensor) -> Distribution:
        assert isinstance(self.action_dist, DiagGaussianDistribution)
        return self.action_dist.proba_distribution(*self._gaussian(latent_pi))

    def _gaussian(self, latent_pi: Tensor) -> tuple[Tensor, Tensor]:
        return self.action_net(latent_pi)

    def evaluate_parts(self, observation: Any, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Values, log probabilities of actions ``(B, A)`` and entropies, each ``(B,)``; of a policy that acts by cell
        each ``(B, cells)``.
        """
        values, log_probs, entropy = self.evaluate_actions(observation, actions)
        assert entropy is not None
        return values.flatten(), log_probs, entropy


def check_space(space: spaces.Space, small: str = "thumbnails") -> None:
    """Raise InputError unless a space has frames and masks, or the stacked pictures of them under the name `small`."""
    shapes = {k: s.shape for k, s in space.spaces.items()} if isinstance(space, spaces.Dict) else {}
    pictures, masks, frames = (shapes.get(k) for k in (small, "masks", "frames"))
    if pictures is not None and len(pictures) == 4 and pictures[1] == 4:
        return
    if frames and masks and len(frames) == len(masks) == 3 and frames == (3 * masks[0], *masks[1:]):
        return
    raise InputError(f"the policy needs frames (3T, H, W) and masks (T, H, W), got {shapes or space}")
