"""Training CIRI around the compact network on clips with a pasted target (CIRI, Section 3.2 and 4.1)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videoinpaint.clips.sources.augmented import OneShotWindows
from videoinpaint.controls import DEFAULT
from videoinpaint.errors import InputError
from videoinpaint.fitting import FitConfig, fit
from videoinpaint.inpainters.ciri.compact import OneShotCompact
from videoinpaint.inpainters.ciri.curriculum import Curriculum
from videoinpaint.inpainters.ciri.inpainter import WEIGHTS
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
from videoinpaint.inpainters.compact.config import CompactConfig
from videoinpaint.inpainters.compact.inpainter import WEIGHTS as BACKBONE
from videoinpaint.inpainters.compact.pretraining import ROUGH, Batch, draw_controls, objective_weights, repair_losses
from videoinpaint.inpainters.published.discriminator import TemporalPatchDiscriminator, adversarial_losses
from videoinpaint.metrics.backbone import Backbone, get_backbone
from videoinpaint.weights import handed_on, load_into, load_safetensors, save_safetensors, terms_of

SECOND = 0.33  # share of the iterations that train a second pass


class Trained(nn.Module):
    """What the training loop optimises at once: the repair and its critic."""

    def __init__(self, sizes: CompactConfig, attention: bool) -> None:
        super().__init__()
        self.model = OneShotCompact(sizes, attention)
        self.critic = TemporalPatchDiscriminator()


def train_one_shot(
    windows: OneShotWindows,
    config: FitConfig,
    output: Path,
    *,
    curriculum: Curriculum | None = None,
    attention: bool = True,
    init: Path | None = None,
    warm: float = 0.0,
    device: str | torch.device = "cpu",
) -> Path:
    """Train and write the weights to ``output`` (safetensors, half precision, sizes in the metadata).

    Args:
        windows: training clips.
        config: schedule, folder of the checkpoint, seed.
        output: the weight file.
        curriculum: None: inaccurate masks from the first iteration on (the ablation "T.I.").
        attention: False: no complementary attention (likewise).
        init: weights to start from, of a compact network that follows one motion or of an earlier run of this; None
            for ``inpainter-compact``, which ships.
        warm: share of the iterations, at the start, that train the maps alone, which costs a fifth.
        device: where the network is trained; windows are drawn on the CPU.

    Returns:
        ``output``.

    Raises:
        InputError, MissingWeightsError, CorruptWeightsError: the weights to start from cannot be used.
    """
    torch.manual_seed(config.seed)
    both = Trained(sizes_of(init), attention)
    start_from(both.model, init)
    both.to(device)
    backbone = get_backbone("alex", str(device))
    share = 0.0
    wider = replace(windows, batch=WARM_BATCH * windows.batch)

    def before(iteration: int) -> None:
        nonlocal share
        share = iteration / config.iterations

    def loss(rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        if share < warm:
            return warm_loss(both.model, draw_shot(wider, rng).to(device))
        late = (share - warm) / (1 - warm)
        return one_shot_loss(both, draw_shot(windows, rng).to(device), rng, backbone, curriculum, late)

    held_out = [draw_shot(windows, np.random.default_rng([config.seed, 2**31, i])).to(device) for i in range(8)]
    fit(both, loss, config, evaluate=lambda _: quality(both.model, held_out), before=before)
    tensors = {k: v.half().contiguous().cpu() for k, v in both.model.state_dict().items()}
    sizes = {k: str(v) for k, v in both.model.network.config.as_dict().items()}
    told = handed_on(terms_of(BACKBONE, init)) | {"attention": str(int(attention))}
    save_safetensors(output, tensors, sizes | told)
    return output


def sizes_of(init: Path | None) -> CompactConfig:
    """The sizes of the compact network in a weight file; None for the shipped one.

    Raises:
        InputError: it chooses among motions, of which CIRI carries content along one.
        MissingWeightsError, CorruptWeightsError.
    """
    sizes = CompactConfig.from_metadata(load_safetensors(BACKBONE, init)[1])
    if sizes.choosing:
        raise InputError(
            f"{init or BACKBONE} chooses among {sizes.choosing} motions, as what `pretrain inpainter` writes does, and "
            "CIRI has content carried along one: start from weights of 'inpainter-compact' or 'ciri-compact'"
        )
    return sizes


def start_from(model: OneShotCompact, init: Path | None) -> None:
    """Load the weights of a compact network, or of a whole model.

    Raises:
        MissingWeightsError, CorruptWeightsError.
    """
    whole = init is not None and "attention" in load_safetensors(WEIGHTS, init)[1]
    load_into(model if whole else model.network, WEIGHTS if whole else BACKBONE, init)


def one_shot_loss(
    both: Trained,
    shot: Shot,
    rng: np.random.Generator,
    backbone: Backbone,
    curriculum: Curriculum | None,
    share: float,
) -> tuple[Tensor, dict[str, float]]:
    """Eq. 6 after ``share`` of the training, with the compact network's own conditional terms as reconstruction.

    A third of the iterations train a second pass, after the network's own, detached first one.
    """
    model = both.model
    scene, mapped = guided(model, shot, curriculum, share)
    previous, masks = shot.observed, scene.holes
    if rng.random() < SECOND:
        with torch.no_grad():
            first = draw_controls(rng, len(masks)).to(masks)
            previous = scene.composed(model.paint(scene, previous, masks, first)[0])
        masks = _rough_error(previous, shot.background, scene.holes, rng)
    controls = draw_controls(rng, len(masks)).to(masks)
    painted, coarse = model.paint(scene, previous, masks, controls, soft=True)
    repaired = scene.composed(painted)
    judged = torch.maximum(scene.holes, shot.truth)
    batch = Batch(shot.background, shot.observed, judged, {})
    terms = repair_losses(repaired, batch, judged, backbone, rng)
    weights = objective_weights(controls)
    rebuilt = sum((weights[name] * value).mean() for name, value in terms.items())
    rough = 0.0 if coarse is None else ((coarse - shot.background).abs() * masks).sum() / (masks.sum() * 3 + 1)
    fooled, told = adversarial_losses(both.critic, shot.background, repaired)
    total = rebuilt + ROUGH * rough + ADVERSARIAL * fooled + told + MAP * mapped
    scalars = {name: float(value.detach().mean()) for name, value in terms.items()}
    return total, scalars | {
        "map": float(mapped.detach()),
        "fooled": float(fooled.detach()),
        "told": float(told.detach()),
    }


def _rough_error(repaired: Tensor, reference: Tensor, holes: Tensor, rng: np.random.Generator) -> Tensor:
    """What a detector might flag: the blurred true error, thresholded at a random level."""
    error = F.avg_pool2d((repaired - reference).abs().mean(2), 9, stride=1, padding=4).unsqueeze(2)
    level = float(rng.uniform(0.02, 0.12))
    return torch.sigmoid((error - level) / (0.3 * level)) * holes


@torch.no_grad()
def quality(model: OneShotCompact, shots: list[Shot]) -> dict[str, float]:
    """PSNR in the target, of the repair and of what is carried in along the motion, and the IoU of map and masks."""
    rows: dict[str, list[float]] = {}
    for shot in shots:
        neutral = torch.from_numpy(DEFAULT.to_array()[None]).to(shot.observed)
        scene = model.scene(shot.observed, model.guide(shot.observed, shot.predicted, shot.first))
        painted, _ = model.paint(scene, shot.observed, scene.holes, neutral.expand(len(shot.observed), -1))
        rows.setdefault("psnr_local", []).append(target_psnr(scene.composed(painted.clamp(0, 1)), shot))
        carried = scene.composed(scene.prepared["propagated"])
        rows.setdefault("psnr_carried", []).append(target_psnr(carried, shot))
        rows.setdefault("iou", []).append(target_iou(scene.guidance.joint, shot.truth))
        rows.setdefault("iou_predicted", []).append(target_iou(shot.predicted, shot.truth))
    return {name: float(np.mean(values)) for name, values in rows.items()}
