"""The policy of the closed loop: actor and critic over what an extractor makes of observations."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.distributions import DiagGaussianDistribution, Distribution
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.type_aliases import Schedule
from torch import Tensor, nn

from videoinpaint.agents.policies.extractor import ClosedLoopExtractor
from videoinpaint.agents.policies.features import clip_features
from videoinpaint.agents.policies.heads import LOG_STD, START_STD, GaussianHead, StandardisedValue
from videoinpaint.agents.policies.inputs import PolicyInput
from videoinpaint.agents.policies.thumbnails import thumbnail_space, thumbnails
from videoinpaint.errors import InputError


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

    @classmethod
    def input_for(cls, action_shape: tuple[int, ...]) -> PolicyInput:
        """What this kind of policy looks at.

        Args:
            action_shape: of one action, ``(5,)`` or ``(rows, columns, 5)``: a policy that acts by cell looks at the
                cells of the grid, any other at the same whatever it is.

        Raises:
            InputError: a policy that acts by cell, and a shape without a grid.
        """
        return PolicyInput(lambda num_frames, height, width: thumbnail_space(num_frames), _look)

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
        self.action_net, self.value_net = self._heads()  # type: ignore[assignment]  # linear in the parent
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


def _look(frames: Tensor, masks: Tensor) -> dict[str, Tensor]:
    small = thumbnails(frames, masks)
    return {"thumbnails": small, "features": clip_features(small)}
