"""Training CIRI around published networks (CIRI, Section 4.1): the network and its inactivation together, Eq. 2 to 6.

The network comes from its own training on random masks (150 epochs, `videoinpaint pretrain inpainter --arch`); here
follow the 30 epochs on pasted targets with the dual curriculum.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from videoinpaint.clips.sources.augmented import OneShotWindows
from videoinpaint.composition import widened
from videoinpaint.controls import DEFAULT
from videoinpaint.fitting import FitConfig, fit
from videoinpaint.inpainters.ciri.around import around, save_around
from videoinpaint.inpainters.ciri.curriculum import Curriculum
from videoinpaint.inpainters.ciri.model import Scene
from videoinpaint.inpainters.ciri.published import OneShotPublished
from videoinpaint.inpainters.ciri.shots import (
    ADVERSARIAL,
    MAP,
    WARM_BATCH,
    Shot,
    draw_shot,
    guided,
    target_iou,
    target_psnr,
    warm_loss,
)
from videoinpaint.inpainters.published.adapter import PublishedInpainter
from videoinpaint.inpainters.published.discriminator import TemporalPatchDiscriminator, adversarial_losses
from videoinpaint.inpainters.published.recipes import recipe_of

EPOCH = 3417  # training videos of the publication


@dataclass(frozen=True)
class OneShotRecipe:
    """The second training by numbers.

    Attributes:
        iterations: optimiser steps.
        learning_rate: Adam's; it falls to a tenth at the iterations ``steps``, or, without any, along a cosine.
        steps: see ``learning_rate``.
        batch: windows a step; the publication does not say, its backbones' own trainings have 8.
        num_frames, height, width: of a window.
        critic: channels of the critic's first layer, and its layers.
        held_out: batches that are measured.
        warm: share of the iterations, at the start, that train maps and attention alone, on features of the network as
            it is: a seventh of a step's cost.
        share_rate: times the learning rate, of the shares of Eq. 3. Adam moves a number by at most the rate a step: in
            a few hundred steps a share cannot get far from one half by the rate of a network.
    """

    iterations: int
    learning_rate: float
    steps: tuple[int, ...] = ()
    batch: int = 8
    num_frames: int = 5
    height: int = 240
    width: int = 432
    critic: tuple[int, int] = (64, 6)
    held_out: int = 8
    warm: float = 0.0
    share_rate: float = 1.0


PAPER = OneShotRecipe(30 * EPOCH // 8, 2e-5, (20 * EPOCH // 8,))
"""30 epochs of 3,417 videos, a tenth of the rate after 20."""


def one_shot_recipe(name: str, preset: str) -> OneShotRecipe:
    """The numbers of a preset: "paper", or "small", at the size of the network's own small recipe.

    Raises:
        UnknownNameError: no such network or preset.
    """
    own = recipe_of(name, preset)
    if preset == "paper":
        return PAPER
    return OneShotRecipe(560, 1e-3, (), 1, 4, own.height, own.width, own.critic, 6, 0.5, 30)


def schedule_of(recipe: OneShotRecipe, folder: Path, seed: int, settings: dict[str, object]) -> FitConfig:
    """The training loop's view of a recipe."""
    faster = {"inactivation.share": recipe.share_rate} if recipe.share_rate != 1 else {}
    return FitConfig(
        folder, recipe.iterations, recipe.learning_rate, 0, 0.0, average=0.0 if recipe.steps else 0.98, seed=seed,
        steps=recipe.steps, settings=settings | {"warm": recipe.warm}, faster=faster,
    )  # fmt: skip


class Trained(nn.Module):
    """What the training loop optimises at once: the network, its inactivation, and the critic."""

    def __init__(self, model: OneShotPublished, critic: tuple[int, int]) -> None:
        super().__init__()
        self.model = model
        self.critic = TemporalPatchDiscriminator(*critic)


def train_around(
    windows: OneShotWindows,
    part: PublishedInpainter,
    recipe: OneShotRecipe,
    config: FitConfig,
    output: Path,
    *,
    ablate: bool = False,
) -> Path:
    """Train inactivation around an adapter's network, and that network with it; write both to ``output``.

    The log has, of held-out windows with wrong masks, what CIRI repairs inside the true target (``psnr_local``), what
    the same network makes of them where it trusts the masks (``psnr_trusting``), what it made of them before this
    training, as an ordinary inpainter (``psnr_backbone``), all with true masks, too, the IoU of the joint map and of
    the wrong masks, and the shares of prediction (beta of Eq. 3) of the scales.

    Args:
        windows: training clips with targets.
        part: the adapter, from a file of its own training; trained in place.
        recipe: sizes and critic.
        config: from :func:`schedule_of`.
        output: the weight file, which ``make_inpainter("ciri_NAME", weights=...)`` reads.
        ablate: target inactivation alone, without attention and curriculum.
    """
    torch.manual_seed(config.seed)
    held_out = [draw_shot(windows, np.random.default_rng([config.seed, 2**31, i])) for i in range(recipe.held_out)]
    held_out = [shot.to(part.device) for shot in held_out]
    before = backbone_quality(part, held_out)
    part.networks["main"].requires_grad_(True)
    both = Trained(around(part, learned=True, attention=not ablate), recipe.critic).to(part.device)
    curriculum = None if ablate else Curriculum()
    wider = replace(windows, batch=WARM_BATCH * windows.batch)
    share = 0.0

    def tick(iteration: int) -> None:
        nonlocal share
        share = iteration / config.iterations

    def loss(rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        if share < recipe.warm:
            return resting_loss(both.model, draw_shot(wider, rng).to(part.device))
        late = (share - recipe.warm) / (1 - recipe.warm)
        return around_loss(both, draw_shot(windows, rng).to(part.device), curriculum, late)

    def measured(_: nn.Module) -> dict[str, float]:
        return quality(both.model, held_out) | before

    fit(both, loss, config, measured, max(20, config.iterations // 8), tick)
    part.networks["main"].requires_grad_(False)
    return save_around(both.model, part, output)


def resting_loss(model: OneShotPublished, shot: Shot) -> tuple[Tensor, dict[str, float]]:
    """The joint map's cross-entropy alone, on features of the network as it is; network and critic rest."""
    with torch.no_grad():
        features = model.features(shot.observed)
    return warm_loss(model, shot, features)


def around_loss(
    both: Trained, shot: Shot, curriculum: Curriculum | None, share: float
) -> tuple[Tensor, dict[str, float]]:
    """Eq. 6 after ``share`` of the training: the network's own frames, and those that the joint map composes."""
    model = both.model
    scene, mapped = guided(model, shot, curriculum, share)
    neutral = torch.from_numpy(DEFAULT.to_array()).to(shot.observed).expand(len(shot.observed), -1)
    painted, _ = model.propose(scene, shot.observed, scene.holes, neutral)
    joint = scene.guidance.joint
    composed = joint * painted + (1 - joint) * shot.observed
    own, whole = ((frames - shot.background).abs().mean() for frames in (painted, composed))
    fooled, told = adversarial_losses(both.critic, shot.background, painted)
    total = own + whole + ADVERSARIAL * fooled + told + MAP * mapped
    terms = {"own": own, "composed": whole, "map": mapped, "fooled": fooled, "told": told}
    return total, {name: float(value.detach()) for name, value in terms.items()}


@torch.no_grad()
def quality(model: OneShotPublished, shots: list[Shot]) -> dict[str, float]:
    """PSNR in the target with wrong and with true masks, as CIRI and where masks are trusted, IoU of maps and masks,
    and beta of every scale.
    """
    rows: dict[str, list[float]] = {}
    for shot in shots:
        for name, masks in (("", shot.predicted), ("_true", shot.truth)):
            scene = model.scene(shot.observed, model.guide(shot.observed, masks, shot.first))
            rows.setdefault(f"psnr_local{name}", []).append(_repaired(model, scene, shot))
            trusting = model.given(shot.observed, widened(masks))
            rows.setdefault(f"psnr_trusting{name}", []).append(_repaired(model, trusting, shot))
            if not name:
                rows.setdefault("iou", []).append(target_iou(scene.guidance.joint, shot.truth))
                rows.setdefault("iou_predicted", []).append(target_iou(masks, shot.truth))
    shares = model.inactivation.share.detach().sigmoid().tolist()
    return {name: float(np.mean(row)) for name, row in rows.items()} | {f"share_{i}": b for i, b in enumerate(shares)}


def _repaired(model: OneShotPublished, scene: Scene, shot: Shot) -> float:
    neutral = torch.from_numpy(DEFAULT.to_array()).to(shot.observed).expand(len(shot.observed), -1)
    painted, _ = model.paint(scene, shot.observed, scene.holes, neutral)
    return target_psnr(scene.composed(painted.clamp(0, 1)), shot)


@torch.no_grad()
def backbone_quality(part: PublishedInpainter, shots: list[Shot]) -> dict[str, float]:
    """PSNR in the target of the network as an ordinary inpainter: masks, widened, are cut out of the frames."""
    rows: dict[str, list[float]] = {}
    for shot in shots:
        for name, masks in (("psnr_backbone", shot.predicted), ("psnr_backbone_true", shot.truth)):
            holes = widened(masks)
            frames = part.geometry.to_network(shot.observed) * 2 - 1
            cut = part.geometry.mask_to_network(holes)
            painted, _ = part.propose(frames * (1 - cut), cut, frames.shape[1])
            painted = part.geometry.from_network((painted + 1) / 2, *holes.shape[-2:]).clamp(0, 1)
            rows.setdefault(name, []).append(target_psnr(torch.where(holes > 0, painted, shot.observed), shot))
    return {name: float(np.mean(row)) for name, row in rows.items()}
