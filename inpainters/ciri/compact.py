"""CIRI around the compact network."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from videoinpaint.inpainters.ciri.inactivation import Inactivation, Stage, inactivated
from videoinpaint.inpainters.ciri.model import OneShotModel, Scene
from videoinpaint.inpainters.compact.config import CompactConfig
from videoinpaint.inpainters.compact.inputs import TOKEN, Inputs
from videoinpaint.inpainters.compact.memory import remember
from videoinpaint.inpainters.compact.network import CompactNetwork
from videoinpaint.inpainters.flow_propagation import carry
from videoinpaint.protocols import State


class OneShotCompact(OneShotModel):
    """The compact network whose encoder sees the target, with its features inactivated at three scales.

    Args:
        config: sizes of the compact network.
        attention: see :class:`Inactivation`.
    """

    def __init__(self, config: CompactConfig | None = None, attention: bool = True) -> None:
        super().__init__()
        self.network = CompactNetwork(config or CompactConfig(choosing=0))
        sizes = self.network.config
        self.inactivation = Inactivation((sizes.base, sizes.mid, sizes.dim), attention)

    def stages(self) -> tuple[Stage, ...]:
        """At a half, a quarter and an eighth of the resolution; the last behind its normalisation."""
        net, sizes = self.network, self.network.config
        return Stage(net.stem, sizes.base), Stage(net.down, sizes.mid), Stage(net.embed_norm, sizes.dim, True)

    def encode_intact(self, observed: Tensor) -> None:
        """See :class:`OneShotModel`."""
        nothing = torch.zeros_like(observed[:, :, :1])
        self.network.encode(Inputs(observed, nothing, nothing, observed, 1 - nothing, nothing).pad(TOKEN))

    def prepare(self, observed: Tensor, holes: Tensor) -> State:
        """Content carried in along the motion, of the whole clip whatever the number of heads."""
        propagated, confidence = carry(remember(observed, holes), holes)
        return {"propagated": propagated, "confidence": confidence}

    def propose(self, scene: Scene, previous: Tensor, masks: Tensor, controls: Tensor) -> tuple[Tensor, Tensor]:
        """See :class:`OneShotModel`."""
        inputs = Inputs(previous, masks, scene.holes, **scene.prepared, hidden=torch.zeros_like(masks))
        maps = [mask.flatten(0, 1) for mask in self.active_maps(scene, masks)]
        with inactivated(self.stages(), maps):
            return self.network(inputs, controls)

    def padded(self, masks: Tensor) -> Tensor:
        """Sides filled up to multiples of a token."""
        return F.pad(masks, (0, -masks.shape[-1] % TOKEN, 0, -masks.shape[-2] % TOKEN))

    def sized(self, frames: Tensor) -> Tensor:
        """The border repeated likewise."""
        grow = (0, -frames.shape[-1] % TOKEN, 0, -frames.shape[-2] % TOKEN)
        return F.pad(frames.flatten(0, 1), grow, mode="replicate").unflatten(0, frames.shape[:2])
