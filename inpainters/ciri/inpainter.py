"""CIRI behind the inpainter protocols: one-shot, and as an ordinary inpainter where masks are known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from numpy.typing import NDArray
from torch import Tensor

from videoinpaint.controls import DEFAULT, HEADS, HIGH
from videoinpaint.errors import InputError
from videoinpaint.inpainters.ciri.compact import OneShotCompact
from videoinpaint.inpainters.ciri.model import OneShotModel, Scene
from videoinpaint.inpainters.ciri.removal import RemovalReport, remove_residues
from videoinpaint.inpainters.ciri.removal_config import RemovalConfig
from videoinpaint.inpainters.ciri.removal_objective import RepairMasks
from videoinpaint.inpainters.ciri.residue import ResidueDetector, load_residue_detector
from videoinpaint.inpainters.compact.config import CompactConfig
from videoinpaint.inpainters.compact.cost import flops, heads_by_cell
from videoinpaint.protocols import Refinement, State, Tracker, stacked_masks
from videoinpaint.regions import is_map
from videoinpaint.weights import build_loaded, build_seeded, load_safetensors

WEIGHTS = "ciri-compact"
RANDOM = "random"


class CIRIInpainter:
    """CIRI around the compact network: repairs clips of which only the first frame's mask is known.

    Masks predicted by a tracker say where to look; which pixels are repainted is decided by the joint map. Given masks
    as an ordinary inpainter, it trusts them and repaints just these.

    Args:
        device: where it computes.
        weights: a safetensors file; ``"random"`` for an untrained network (seed 0); None for the shipped weights.
        removal: fine-tune trackers on every clip, until less of the target is left (Section 3.3); None does not. It
            takes many times as long as the repair.

    Raises:
        MissingWeightsError, CorruptWeightsError.
    """

    name: str = "ciri"
    controls: frozenset[str] = frozenset({"heads", "fusion", "objective"})
    regional: frozenset[str] = controls
    min_size = (16, 16)

    def __init__(
        self,
        device: str | torch.device = "cpu",
        weights: str | None = None,
        removal: RemovalConfig | None = None,
    ) -> None:
        self.device = torch.device(device)
        self.removal = removal
        self._detector: ResidueDetector | None = load_residue_detector(self.device) if removal else None
        self.random_weights = weights == RANDOM
        self.model = self.build(weights).eval().requires_grad_(False).to(self.device)

    def build(self, weights: str | None) -> OneShotModel:
        """The model with its weights."""
        if weights == RANDOM:
            return build_seeded(OneShotCompact)
        metadata = load_safetensors(WEIGHTS, weights)[1]
        config = CompactConfig.from_metadata(metadata)
        attention = metadata.get("attention", "1") == "1"
        return build_loaded(lambda: OneShotCompact(config, attention=attention), WEIGHTS, weights)

    def heads_by_cell(self, masks: Tensor, grid: tuple[int, int]) -> Tensor:
        """See :class:`videoinpaint.protocols.WeighsCells`."""
        return heads_by_cell(cast(OneShotCompact, self.model).network, masks, grid)

    @torch.no_grad()
    def begin(self, frames: Tensor, masks: Tensor) -> State:
        """See :class:`videoinpaint.protocols.Inpainter`: the masks are trusted."""
        return self.model.given(frames, masks).to_state()

    def begin_one_shot(self, frames: Tensor, trackers: Sequence[Tracker]) -> tuple[State, Tensor]:
        """See :class:`videoinpaint.protocols.OneShotInpainter`."""
        if self.removal is not None:
            for clip, tracker in zip(frames, trackers, strict=True):
                self.tune(tracker, clip, self.removal)
        with torch.no_grad():
            predicted = stacked_masks(trackers).to(frames)
            scene = self.look(frames, predicted)
        return scene.to_state(), scene.holes

    def tune(self, tracker: Tracker, frames: Tensor, config: RemovalConfig) -> RemovalReport:
        """Fine-tune a tracker on its clip ``(T, 3, H, W)`` until a repair shows less of the target (Section 3.3).

        Raises:
            InputError: see :func:`videoinpaint.inpainters.ciri.removal.remove_residues`.
            MissingWeightsError, CorruptWeightsError: of the residue detector.
        """
        if self._detector is None:
            self._detector = load_residue_detector(self.device)
        first = (tracker.masks()[0].detach() > 0.5).to(frames)
        return remove_residues(tracker, frames, first, self.repairs(frames), self._detector, config)

    def repairs(self, frames: Tensor) -> RepairMasks:
        """One pass over some of ``frames (T, 3, H, W)`` as a function of their masks, differentiable in them."""
        neutral = torch.from_numpy(DEFAULT.to_array()[None]).to(self.device)

        def repair(masks: Tensor, chosen: Tensor) -> Tensor:
            shown = frames[chosen][None]
            scene = self.look(shown, masks[None])
            return self.model.paint(scene, shown, scene.holes, neutral, soft=True)[0][0]

        return repair

    def look(self, frames: Tensor, predicted: Tensor) -> Scene:
        """What is to be repainted in ``frames (B, T, 3, H, W)``, from masks ``(B, T, 1, H, W)`` in [0, 1].

        Gradients flow from the maps to the masks, where they are enabled.

        Raises:
            InputError: shapes disagree; masks that are not finite; nothing is marked in a first frame.
        """
        expected = (*frames.shape[:2], 1, *frames.shape[3:])
        if tuple(predicted.shape) != expected:
            raise InputError(
                f"predicted masks must have shape {expected} for these frames, got {tuple(predicted.shape)}"
            )
        if not torch.isfinite(predicted).all():
            raise InputError("predicted masks hold NaN or infinity: check what predicted them")
        first = (predicted[:, 0].detach() > 0.5).to(frames.dtype)
        if not first.flatten(1).any(1).all():
            raise InputError("the target is absent from the first frame: mark it in a frame that shows it")
        return self.model.scene(frames, self.model.guide(frames, predicted, first))

    @torch.no_grad()
    def refine(self, state: State, repaired: Tensor, masks: Tensor, controls: NDArray) -> Refinement:
        """See :class:`videoinpaint.protocols.Inpainter`. GFLOPs are the compact network's: inactivating costs next to
        nothing.
        """
        values = torch.as_tensor(controls, dtype=torch.float32, device=self.device)
        frames, _ = self.model.paint(Scene.from_state(state), repaired, masks, values)
        network, asked = cast(OneShotCompact, self.model).network, values[..., HEADS]
        spent, full = flops(network, masks, asked if is_map(values) else asked.tolist(), [HIGH[HEADS]] * len(asked))
        return Refinement(frames.clamp(0, 1), spent / 1e9, full / 1e9)
