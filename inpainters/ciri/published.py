"""CIRI around published networks: inactivation at every resolution of their convolutional encoders."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, cast

import torch
from torch import Tensor, nn

from videoinpaint.controls import FUSION, HEADS
from videoinpaint.inpainters.ciri.inactivation import Inactivation, Stage, inactivated
from videoinpaint.inpainters.ciri.model import OneShotModel, Scene
from videoinpaint.inpainters.published import plan
from videoinpaint.inpainters.published.e2fgvi.network import E2FGVI
from videoinpaint.inpainters.published.geometry import Geometry
from videoinpaint.inpainters.published.layers.encoder import HierarchicalEncoder
from videoinpaint.inpainters.published.layers.heads import active_heads, count_heads, heads_of
from videoinpaint.protocols import State


class OneShotPublished(OneShotModel):
    """A published network whose encoder sees the target. It paints window by window, as its own script does.

    All frames are encoded anew in every pass; heads run in the order of their index, as nothing is measured first.

    Args:
        network: DSTT, FuseFormer, E2FGVI or E2FGVI-HQ: ``encode``, ``transform`` and ``decode`` are its stages.
        geometry: how frames come to the network's size.
        learned: see :class:`Inactivation`. False works at once, but knows nothing of what a target is.
        attention: see :class:`Inactivation`.
    """

    def __init__(self, network: nn.Module, geometry: Geometry, learned: bool = False, attention: bool = True) -> None:
        super().__init__()
        self.network, self.geometry = network, geometry
        self.inactivation = Inactivation([stage.channels for stage in self.stages()], attention, learned)

    def stages(self) -> tuple[Stage, ...]:
        """The convolutions that end each scale: at a half, at a quarter, and the encoder's last."""
        convolutions = [module for module in self._encoder() if isinstance(module, nn.Conv2d)]
        strided = [index for index, module in enumerate(convolutions) if module.stride[0] == 2]
        chosen = (convolutions[strided[1] - 1], convolutions[strided[1]], convolutions[-1])
        return tuple(Stage(module, module.out_channels) for module in chosen)

    def _encoder(self) -> list[nn.Module]:
        parts = [cast(nn.Module, self.network.encoder)]
        if hasattr(self.network, "hier_enc"):  # DSTT keeps the hierarchical part outside
            parts.append(cast(HierarchicalEncoder, self.network.hier_enc))
        return [module for part in parts for module in part.modules()]

    @property
    def _parts(self) -> Any:
        """The network as what encodes, transforms and decodes, which no type of its says."""
        return self.network

    def encode_intact(self, observed: Tensor) -> None:
        """See :class:`OneShotModel`."""
        self._encode(self.geometry.to_network(observed) * 2 - 1)

    def _encode(self, frames: Tensor) -> Tensor:
        return self._parts.encode(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])

    def encode_masked(self, frames: Tensor, prepared: State) -> Tensor:
        """Features ``(B, T, C, h, w)`` of frames in [-1, 1] at the network's size, in a pass; here of them alone."""
        return self._encode(frames)

    def prepare(self, observed: Tensor, holes: Tensor) -> State:
        """E2FGVI's flows, of frames whose holes are grey; the others need nothing."""
        if not isinstance(self.network, E2FGVI):
            return {}
        frames = (self.geometry.to_network(observed) * 2 - 1) * (1 - self.geometry.mask_to_network(holes))
        forward, backward = self.network.flows(frames)
        return {"forward": forward, "backward": backward}

    def pattern(self, prepared: State) -> Hashable:
        """What, beside shapes and heads, decides the cost of a pass over one clip; here nothing does."""
        return None

    def propose(self, scene: Scene, previous: Tensor, masks: Tensor, controls: Tensor) -> tuple[Tensor, None]:
        """See :class:`OneShotModel`. Clips of a batch run with the heads of their own."""
        made = []
        for item, heads in enumerate(controls[:, HEADS].tolist()):
            one, count = slice(item, item + 1), count_heads(heads, heads_of(self.network))
            prepared = {name: tensor[one] for name, tensor in scene.prepared.items()}
            maps = [mask[one].flatten(0, 1) for mask in self.active_maps(scene, masks)]
            frames = self.geometry.to_network(previous[one]) * 2 - 1
            with active_heads(self.network, count):
                with inactivated(self.stages(), maps):
                    features = self.encode_masked(frames, prepared)
                made.append(self._windows(features, prepared, controls[one, FUSION]))
        return self.geometry.from_network((torch.cat(made) + 1) / 2, *previous.shape[-2:]), None

    def _windows(self, features: Tensor, prepared: State, fusion: Tensor) -> Tensor:
        """Frames ``(1, T, 3, h, w)`` in [-1, 1], averaged over the published windows."""
        windows = plan.published_windows(features.shape[1])
        frames: list[Tensor | None] = [None] * features.shape[1]
        for window, share in zip(windows, plan.shares(windows)):
            number = len(window.local)
            local = self._transform(features[:, window.frames], window, prepared, fusion)[:, :number]
            images = self._parts.decode(local.flatten(0, 1))
            for frame, image in zip(window.local, images):
                before = frames[frame]
                frames[frame] = image * share[frame] if before is None else before + image * share[frame]
        return torch.stack([frame for frame in frames if frame is not None])[None]

    def _transform(self, features: Tensor, window: plan.Window, prepared: State, fusion: Tensor) -> Tensor:
        if not isinstance(self.network, E2FGVI):
            return self._parts.transform(features)
        number, pairs = len(window.local), slice(window.local[0], window.local[-1])
        if number > 1:
            flows = prepared["forward"][:, pairs], prepared["backward"][:, pairs]
            local = self.network.propagate(features[:, :number], flows)
            features = torch.cat([local, features[:, number:]], 1)
        return self.network.transform(features, number, fusion)

    def padded(self, masks: Tensor) -> Tensor:
        """Masks at the network's size, soft ones included."""
        flat = masks if masks.ndim == 5 else masks.unsqueeze(1)
        sized = self.geometry.to_network(flat)
        return sized if masks.ndim == 5 else sized[:, 0]

    def sized(self, frames: Tensor) -> Tensor:
        """Frames at the network's size."""
        return self.geometry.to_network(frames)

    def restored(self, masks: Tensor, size: tuple[int, int]) -> Tensor:
        """Masks at the frames' own size."""
        return self.geometry.from_network(masks, *size)
