"""What the trainings of CIRI share, around whatever network: shots, the joint map's loss, and what is measured."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from videoinpaint.clips.masks.inaccurate import inaccurate
from videoinpaint.clips.sources.augmented import OneShotWindows
from videoinpaint.inpainters.ciri.curriculum import Curriculum
from videoinpaint.inpainters.ciri.inactivation import FAR, Guidance
from videoinpaint.inpainters.ciri.model import OneShotModel, Scene

ADVERSARIAL = 0.01  # lambda_adv of Eq. 6; lambda_rec is 1
MAP = 0.2
"""Weight of the cross-entropy of the joint map against the true masks, which only synthetic clips have. Not published:
there the maps learn from the reconstruction alone."""

WARM_BATCH = 3  # windows a step of the warm-up, for each window of the rest
NEARLY_RIGHT = 0.4  # share of windows whose masks are good
TWICE = 0.3  # share whose masks have errors of two kinds


@dataclass(frozen=True)
class Shot:
    """A batch of clips with a target."""

    observed: Tensor
    background: Tensor
    truth: Tensor
    predicted: Tensor

    @property
    def first(self) -> Tensor:
        """The given mask of the first frame, ``(B, 1, H, W)``."""
        return self.truth[:, 0]

    def to(self, device: str | torch.device) -> Shot:
        """The same there."""
        return replace(self, **{name: cast(Tensor, value).to(device) for name, value in vars(self).items()})


def draw_shot(windows: OneShotWindows, rng: np.random.Generator) -> Shot:
    """A batch of windows, and for each masks as a propagator might get them wrong, or nearly right: a model that saw
    nothing but large errors would distrust good masks.
    """
    observed, background, truth = windows.draw(rng)
    wrong = [_wrong(clip.squeeze(1).byte().numpy(), rng) for clip in truth]
    return Shot(observed, background, truth, torch.from_numpy(np.stack(wrong)).unsqueeze(2).float())


def _wrong(masks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    wrong = inaccurate(masks, rng, severity=_severity(rng))
    return inaccurate(wrong, rng, severity=_severity(rng)) if rng.random() < TWICE else wrong


def _severity(rng: np.random.Generator) -> float:
    return rng.uniform(0.02, 0.25) if rng.random() < NEARLY_RIGHT else rng.uniform(0.2, 1.0)


def guided(model: OneShotModel, shot: Shot, curriculum: Curriculum | None, share: float) -> tuple[Scene, Tensor]:
    """The scene that is to be painted after ``share`` of the training, and the loss of the joint map (`map_loss`).

    The loss is always that of the inaccurate masks: with the true ones that the curriculum mixes in, the map would
    learn to trust masks.
    """
    features = model.features(shot.observed)
    guidance = model.guide(shot.observed, shot.predicted, shot.first, features=features)
    mapped = map_loss(guidance, shot)
    if curriculum is not None:
        blend = curriculum.blend(share, shot.truth)
        guidance = model.guide(shot.observed, shot.predicted, shot.first, blend, features)
    return model.scene(shot.observed, guidance), mapped


def warm_loss(model: OneShotModel, shot: Shot, features: list[Tensor] | None = None) -> tuple[Tensor, dict[str, float]]:
    """The joint map's cross-entropy alone; painting and its critic rest. ``features`` as of `OneShotModel.guide`."""
    mapped = map_loss(model.guide(shot.observed, shot.predicted, shot.first, features=features), shot)
    return mapped, {"map": float(mapped.detach())}


def map_loss(guidance: Guidance, shot: Shot) -> Tensor:
    """Cross-entropy of the joint map in the frames after the first, where the target is looked for at all.

    The target counts twice: what is wrongly repainted can be carried in again, and what is missed stays.
    """
    logits, truth = guidance.logits[:, 1:], shot.truth[:, 1:]
    judged = (logits > FAR).to(logits.dtype)
    entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none") * (1 + truth)
    return (entropy * judged).sum() / judged.sum().clamp_min(1)


def target_psnr(repaired: Tensor, shot: Shot) -> float:
    """PSNR in dB in the target, of all frames but the first: its mask is given, and right whatever happens."""
    inside = shot.truth[:, 1:]
    error = ((repaired - shot.background)[:, 1:].square() * inside).sum() / (inside.sum() * 3).clamp_min(1)
    return float(-10 * torch.log10(error + 1e-8))


def target_iou(masks: Tensor, truth: Tensor) -> float:
    """Intersection over union of masks ``(B, T, 1, H, W)``, cut at one half, with the true ones: all frames but the
    first at once.
    """
    found = masks[:, 1:] > 0.5
    both, either = (found & (truth[:, 1:] > 0)).sum(), (found | (truth[:, 1:] > 0)).sum()
    return float(both / either.clamp_min(1))
