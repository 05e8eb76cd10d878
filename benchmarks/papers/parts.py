"""Parts that only these experiments need: fusion beyond the controls' range, policies of which one control counts."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videoinpaint.agents.policies.baselines import FixedPolicy
from videoinpaint.agents.policies.protocol import Observation, Policy, choose, reset_policy
from videoinpaint.controls import FUSION, NAMES
from videoinpaint.errors import InputError
from videoinpaint.inpainters import make_inpainter
from videoinpaint.protocols import Inpainter, Refinement, State, is_untrained, precision_of


class NoFusion:
    """An inpainter at ``w = 1``: nothing of what was propagated is mixed in (CLIP-RL, Table 5, "no fusion").

    The controls end at 0.8, and the loop refuses more; here the weight is set behind the loop. In `compact` 1 means
    that what the transformer invents is taken alone, in features and in the picture; what was propagated is still
    among the inputs of its encoder, as the publication's transformer sees propagated features too.

    Args:
        inpainter: one that honours ``fusion``.
        device, precision, weights: see :func:`videoinpaint.inpainters.make_inpainter`.

    Raises:
        InputError: the inpainter has no fusion to switch off.
    """

    def __init__(
        self,
        inpainter: str | Inpainter = "compact",
        device: str | torch.device = "cpu",
        precision: str = "auto",
        weights: str | None = None,
    ) -> None:
        self.inner = make_inpainter(inpainter, device=device, weights=weights, precision=precision)
        if "fusion" not in self.inner.controls:
            raise InputError(f"{self.inner.name!r} has no fusion that could be switched off: use compact, e2fgvi, ...")
        self.name = f"{self.inner.name}, no fusion"
        self.controls = self.inner.controls - {"fusion"}
        self.min_size = self.inner.min_size
        self.random_weights = is_untrained(self.inner)
        self.precision = precision_of(self.inner)

    def begin(self, frames: Tensor, masks: Tensor) -> State:
        """See :class:`videoinpaint.protocols.Inpainter`."""
        return self.inner.begin(frames, masks)

    def refine(self, state: State, repaired: Tensor, masks: Tensor, controls: NDArray[np.float32]) -> Refinement:
        """See :class:`videoinpaint.protocols.Inpainter`; the fusion of `controls` is not read."""
        alone = controls.copy()
        alone[:, FUSION] = 1.0
        return self.inner.refine(state, repaired, masks, alone)


class Only:
    """A policy of which some controls count; the others stand at their defaults.

    So the publication takes a control apart: "with other actions fixed".

    Args:
        policy: chooses.
        controls: names of those that count.
    """

    def __init__(self, policy: Policy, controls: tuple[str, ...]) -> None:
        self.policy, self.columns = policy, [NAMES.index(name) for name in controls]
        self._default = FixedPolicy()

    def reset(self) -> None:
        """Start the policy again."""
        reset_policy(self.policy)

    def act(self, observation: Observation) -> NDArray[np.float32]:
        """See :class:`videoinpaint.agents.policies.protocol.Policy`."""
        actions = self._default.act(observation)
        actions[:, self.columns] = choose(self.policy, observation)[:, self.columns]
        return actions


class AfterFirst:
    """The default controls in an episode's first iteration, a policy in those after it.

    Of single episodes: it counts its calls.

    Args:
        policy: chooses from the second iteration on.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy, self._default = policy, FixedPolicy()
        self._calls = 0

    def reset(self) -> None:
        """An episode begins."""
        self._calls = 0
        reset_policy(self.policy)

    def act(self, observation: Observation) -> NDArray[np.float32]:
        """See :class:`videoinpaint.agents.policies.protocol.Policy`."""
        self._calls += 1
        return choose(self._default if self._calls == 1 else self.policy, observation)
