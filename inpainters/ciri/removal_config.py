"""How a mask propagator is fine-tuned on the clip it works on: the settings, and learning rates by propagator."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from videoinpaint.errors import InputError


@dataclass(frozen=True)
class RemovalConfig:
    """How a propagator is fine-tuned. Defaults are the published numbers where there are any.

    Attributes:
        epochs: passes over the clip's frames.
        learning_rate: Adam's. 1e-6 is published for STCN (and is what `cutie` gets); see :data:`RATES` for ours.
        contextual_weight: lambda_cx of Eq. 10.
        residue_weight: lambda_res of Eq. 10.
        chunk: frames that one step of Adam sees; bounds the memory of detector and contextual loss.
        contextual_size: side of the crops whose features are compared, pixels; at least 32.
        bandwidth: h of the contextual loss.
        published_sums: sum both losses as printed, over pixels and frames. By default the residue map is summed and
            divided by the area of the target's box (1: a residue as large as the box), and both are averaged over
            frames, so that the two weights mean the same for every clip. Adam itself does not feel a common factor.
    """

    epochs: int = 2
    learning_rate: float = 1e-6
    contextual_weight: float = 0.1
    residue_weight: float = 1.0
    chunk: int = 4
    contextual_size: int = 64
    bandwidth: float = 0.5
    published_sums: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        for name, least in (("epochs", 1), ("chunk", 1), ("contextual_size", 32)):
            if getattr(self, name) < least:
                raise InputError(f"{name} must be {least} or more, got {getattr(self, name)}")
        if not (self.learning_rate > 0 and self.bandwidth > 0):
            raise InputError(
                f"learning_rate and bandwidth must be positive, got {self.learning_rate}, {self.bandwidth}"
            )
        if min(self.contextual_weight, self.residue_weight) < 0:
            raise InputError("the weights of the losses must not be negative")


RATES = {"appearance": 0.03, "cutie": 1e-6, "flow": 0.03, "internal": 1e-4}
"""Learning rates by propagator; others take the published one. Those of `flow` and `internal` were chosen on
training clips: docs/models/ciri-residue.md."""


def removal_config(propagator: str, **changes: Any) -> RemovalConfig:
    """The configuration for a propagator by its name: the published one, with the rate of :data:`RATES`."""
    return replace(RemovalConfig(learning_rate=RATES.get(propagator, 1e-6)), **changes)
