"""What CIRI asks of a backbone, and what all backbones share: from predicted masks to a repaired scene."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from videoinpaint.inpainters.ciri.inactivation import Blend, Guidance, Inactivation, Stage, recorded, resized
from videoinpaint.motion.neighbourhoods import window_max
from videoinpaint.protocols import State

NEAR = 0.5  # a joint map of this much makes a pixel part of the hole
MARGIN = 1  # pixels by which the hole grows beyond that, for the target's soft edge


@dataclass(frozen=True)
class Scene:
    """What is worked out once per clip.

    Attributes:
        observed: the frames with the target, ``(B, T, 3, H, W)``.
        holes: what may be repainted and is never a source, ``(B, T, 1, H, W)`` in {0, 1}.
        guidance: the maps.
        prepared: the backbone's own, such as carried content or flows; every tensor leads with B.
    """

    observed: Tensor
    holes: Tensor
    guidance: Guidance
    prepared: State

    def composed(self, painted: Tensor) -> Tensor:
        """The observed frames with ``painted`` in the holes."""
        return torch.where(self.holes > 0, painted, self.observed)

    def to_state(self) -> State:
        """As one flat dictionary of tensors."""
        maps = {f"map_{index}": mask for index, mask in enumerate(self.guidance.maps)}
        own = {"observed": self.observed, "holes": self.holes, "joint": self.guidance.joint}
        return own | maps | {f"prepared_{name}": tensor for name, tensor in self.prepared.items()}

    @staticmethod
    def from_state(state: State) -> Scene:
        """The inverse of :meth:`to_state`."""
        count = sum(name.startswith("map_") for name in state)
        maps = tuple(state[f"map_{index}"] for index in range(count))
        prepared = {name.removeprefix("prepared_"): t for name, t in state.items() if name.startswith("prepared_")}
        guidance = Guidance(maps, state["joint"], torch.logit(state["joint"], eps=1e-6))
        return Scene(state["observed"], state["holes"], guidance, prepared)


class OneShotModel(nn.Module, ABC):
    """A backbone with inactivated features. Subclasses say where its stages are, and how it paints."""

    inactivation: Inactivation

    @abstractmethod
    def stages(self) -> tuple[Stage, ...]:
        """The scales of the encoder that are inactivated, finest first."""

    @abstractmethod
    def encode_intact(self, observed: Tensor) -> None:
        """Run every stage once on the frames as they are, ``(B, T, 3, H, W)``; frames are folded to N = B * T."""

    @abstractmethod
    def prepare(self, observed: Tensor, holes: Tensor) -> State:
        """What the backbone works out once per clip, once its holes are known; called without gradients."""

    @abstractmethod
    def propose(self, scene: Scene, previous: Tensor, masks: Tensor, controls: Tensor) -> tuple[Tensor, Tensor | None]:
        """One pass with inactivated features: frames everywhere, and a coarse image where the backbone has one."""

    def padded(self, masks: Tensor) -> Tensor:
        """Masks ``(..., H, W)`` at the size at which the encoder works; here the same."""
        return masks

    def sized(self, frames: Tensor) -> Tensor:
        """Frames ``(B, T, 3, H, W)`` at that size; here the same."""
        return frames

    def restored(self, masks: Tensor, size: tuple[int, int]) -> Tensor:
        """The inverse of :meth:`padded` for masks ``(B, T, 1, H, W)``; here what was filled up is cut off."""
        return masks[..., : size[0], : size[1]]

    def features(self, observed: Tensor) -> list[Tensor]:
        """What every stage makes of the frames as they are, ``(B * T, C, h, w)``."""
        with recorded(self.stages()) as outputs:
            self.encode_intact(observed)
        return outputs

    def guide(
        self,
        observed: Tensor,
        predicted: Tensor,
        first: Tensor,
        blend: Blend | None = None,
        features: list[Tensor] | None = None,
    ) -> Guidance:
        """Maps of the target; see :class:`Inactivation`.

        Args:
            observed: ``(B, T, 3, H, W)`` in [0, 1].
            predicted: M_pred ``(B, T, 1, H, W)`` in [0, 1].
            first: the given mask ``(B, 1, H, W)`` in {0, 1}.
            blend: the curriculum's state, in training.
            features: of these frames, where they are known already.
        """
        features = self.features(observed) if features is None else features
        if blend is not None and blend.truth is not None:
            blend = Blend(blend.predicted, blend.attention, self.padded(blend.truth))
        maps = self.inactivation(features, self.sized(observed), self.padded(predicted), self.padded(first), blend)
        size = observed.shape[-2], observed.shape[-1]
        joint = self.restored(maps.joint, size)
        # Resizing may take a little of what is given.
        joint = torch.cat([torch.maximum(joint[:, :1], first.unsqueeze(1)), joint[:, 1:]], dim=1)
        return Guidance(maps.maps, joint, self.restored(maps.logits, size))

    def given(self, observed: Tensor, masks: Tensor) -> Scene:
        """The scene where masks are known to be right: all of them, and nothing else, is repainted."""
        with torch.no_grad():
            features = self.features(observed)
        hard = self.padded(masks).flatten(0, 1)
        maps = tuple(resized(hard, stage).unflatten(0, masks.shape[:2]) for stage in features)
        guidance = Guidance(maps, torch.ones_like(masks), torch.full_like(masks, 20.0))
        with torch.no_grad():
            return Scene(observed, masks, guidance, self.prepare(observed, masks))

    def scene(self, observed: Tensor, guidance: Guidance) -> Scene:
        """Hole and preparations that follow from the maps; without gradients, as a threshold has none."""
        with torch.no_grad():
            near = (guidance.joint > NEAR).to(observed.dtype).flatten(0, 1)
            holes = window_max(near, MARGIN).view_as(guidance.joint)
            return Scene(observed, holes, guidance, self.prepare(observed, holes))

    def paint(
        self, scene: Scene, previous: Tensor, masks: Tensor, controls: Tensor, *, soft: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """One pass over ``masks``: frames, not clipped, and the backbone's coarse image, if it has one.

        Args:
            scene: see :meth:`scene`.
            previous: the repair so far.
            masks: what is to be repaired now.
            controls: ``(B, 5)`` in natural units.
            soft: the joint map itself decides how far a pixel is repainted, so that gradients reach it everywhere.
                Otherwise pixels above `NEAR` are repainted wholly, and nothing of the target shines through there.
        """
        painted, coarse = self.propose(scene, previous, masks, controls)
        joint = scene.guidance.joint if soft else (scene.guidance.joint / NEAR).clamp(max=1)
        return joint * painted + (1 - joint) * scene.observed, coarse

    def active_maps(self, scene: Scene, masks: Tensor) -> list[Tensor]:
        """The inactivation maps ``(B, T, 1, h, w)`` of a pass that works on ``masks``: elsewhere nothing is touched."""
        flagged = self.padded(masks).flatten(0, 1)
        return [m * resized(flagged, m).unflatten(0, m.shape[:2]) for m in scene.guidance.maps]
