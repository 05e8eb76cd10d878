"""Pre-training of the compact inpainter: nested heads and loss-conditional from the start, with the loop unrolled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from videoinpaint.clips.sources.augmented import Windows
from videoinpaint.composition import compose
from videoinpaint.controls import ALPHA, BETA, DEFAULT, FUSION, GAMMA, HEADS, HIGH, LOW
from videoinpaint.errors import InputError
from videoinpaint.fitting import FitConfig, fit
from videoinpaint.inpainters.compact.config import CompactConfig
from videoinpaint.inpainters.compact.inpainter import WEIGHTS
from videoinpaint.inpainters.compact.inputs import Inputs
from videoinpaint.inpainters.compact.memory import heads_at, recall, remember
from videoinpaint.inpainters.compact.network import CompactNetwork
from videoinpaint.metrics.backbone import Backbone, get_backbone
from videoinpaint.weights import handed_on, load_safetensors, save_safetensors, terms_of

# Ends of the loss weights that alpha, beta and gamma stand for in training (geometric in between). The action's own
# ranges are narrow; stretching them is what makes the ends differ visibly.
LOSS_ENDS = {"fidelity": (0.4, 2.0), "texture": (0.04, 12.0), "temporal": (0.03, 2.0)}

MAPS = 0.25  # the share of iterations in which heads and fusion vary over the frame

ROUGH = 0.5  # weight of the error of the coarse image, and of what the chooser carries in

# Of `repair_losses`.
SQUARES = 2.0  # weight of squared beside absolute errors, in colours of [0, 1]: large errors count more
SMALLEST = 32  # pixels a side that the perceptual loss needs
CELL = 8  # pixels of AlexNet's first strides together: frames are shifted by up to this before LPIPS
AREA = 0.12
"""LPIPS is told as for a hole with this share of the frame: a mean over the frame grows with the hole."""
LEAST_AREA, MOST_TIMES = 0.02, 3
"""Smaller holes count as if they had this share of the frame; and no LPIPS counts more often than so many times."""

# Of `imperfect_error_mask`.
BLIND = 0.15  # share of masks that know nothing of the error
BLUR = 7  # pixels over which the error is averaged
LEVELS = (0.2, 0.8)  # shares of the hole that a mask leaves unflagged, from .. to
SOFTNESS = 0.25  # width of a mask's edge, as a share of its level
SHARPER = (1, 4)  # times as sharp, from .. to
SAMPLED = 5000  # pixels from which the level is estimated


def train_inpainter(
    data: Windows,
    config: FitConfig,
    output: Path,
    network: CompactConfig | None = None,
    init: Path | None = None,
    detect: Detect | None = None,
    bfloat16: bool = False,
) -> Path:
    """Train and write the weights to ``output`` (safetensors, half precision, sizes in the metadata).

    Args:
        data: training clips and masks; its device is where the network is trained.
        config: schedule, folder of the checkpoint, seed.
        output: the weight file.
        network: sizes.
        init: a weight file to start from (a fresh schedule), of these sizes or of others: what has the same name and
            shape is taken from it; None for random initialisation.
        detect: what flags, half of the time, where a later pass works; None for simulated detections alone.
        bfloat16: autocast the network and the perceptual loss.

    Returns:
        ``output``.
    """
    torch.manual_seed(config.seed)
    model = CompactNetwork(network).to(data.device)
    if init is not None:
        begin_from(model, init)
    backbone = get_backbone("alex", str(data.device))

    def loss(rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        return unrolled_loss(model, draw_batch(data, rng, model.motions), rng, backbone, detect, bfloat16)

    held_out = [draw_batch(data, np.random.default_rng([config.seed, 2**31, i]), model.motions) for i in range(6)]
    fit(model, loss, config, evaluate=lambda _: control_effects(model, held_out))
    tensors = {k: v.cpu().half().contiguous() for k, v in model.state_dict().items()}
    told = {} if init is None else handed_on(terms_of(WEIGHTS, init))
    save_safetensors(output, tensors, told | {k: str(v) for k, v in model.config.as_dict().items()})
    return output


def begin_from(model: CompactNetwork, path: Path) -> list[str]:
    """Take from a weight file what has the same name and shape.

    Returns:
        the names of tensors that stay as they were initialised.

    Raises:
        MissingWeightsError, CorruptWeightsError.
        InputError: the file has nothing for this network.
    """
    stored, _ = load_safetensors(WEIGHTS, path)
    own = model.state_dict()
    fitting = {k: v.to(own[k]) for k, v in stored.items() if k in own and v.shape == own[k].shape}
    if not fitting:
        raise InputError(f"{path} holds nothing for this network: name the weights of a compact inpainter")
    model.load_state_dict(fitting, strict=False)
    return sorted(set(own) - set(fitting))


Detect = Callable[[Tensor, Tensor], Tensor]
"""``(repaired, holes)`` to the predicted mask, all ``(B, T, C, H, W)``: the closed loop's detector."""


@dataclass(frozen=True)
class Batch:
    """Reference ``(B, T, 3, H, W)``, holes ``(B, T, 1, H, W)`` and what `begin` makes of them."""

    reference: Tensor
    corrupted: Tensor
    holes: Tensor
    memory: dict[str, Tensor]

    def inputs(self, network: CompactNetwork, previous: Tensor, masks: Tensor, looked: Tensor) -> Inputs:
        """What a pass sees that brings the heads of all passes to ``looked``: ``(B,)`` or a map ``(B, 1, H, W)``."""
        return Inputs(previous, masks, self.holes, *network.carried(self.memory, self.holes, looked))

    def heads_of(self, controls: Tensor) -> Tensor:
        """How many heads look along the motion: ``(B,)``, of a map of controls ``(B, 1, H, W)``."""
        return heads_at(controls, *self.holes.shape[-2:])


def draw_batch(data: Windows, rng: np.random.Generator, motions: int) -> Batch:
    """Windows with their holes cut, and the propagation that an episode starts from, along so many motions."""
    reference, hole = data.draw(rng)
    corrupted = reference * (1 - hole) + 0.5 * hole
    with torch.no_grad():
        memory = remember(corrupted, hole, motions)
    return Batch(reference, corrupted, hole, memory)


def draw_controls(rng: np.random.Generator, batch: int) -> Tensor:
    """Controls ``(B, 5)`` in natural units: uniform over their ranges, all heads half of the time."""
    values = rng.uniform(LOW, HIGH, size=(batch, 5))
    values[:, HEADS] = 12 if rng.random() < 0.5 else int(rng.integers(2, 12))
    for column in (ALPHA, BETA, GAMMA):  # the ends matter most: visit them often
        if rng.random() < 0.4:
            values[:, column] = (LOW, HIGH)[int(rng.integers(2))][column]
    return torch.from_numpy(values).float()


def draw_map(rng: np.random.Generator, controls: Tensor) -> Tensor:
    """Controls ``(B, 5)`` as a map ``(B, rows, columns, 5)`` over which heads and fusion vary.

    The objective does not: the loss that it stands for is one number.
    """
    rows, columns = int(rng.integers(2, 7)), int(rng.integers(2, 9))
    cells = controls[:, None, None].repeat(1, rows, columns, 1)
    size = (len(controls), rows, columns)
    cells[..., HEADS] = torch.from_numpy(rng.integers(2, 13, size)).to(cells)
    cells[..., FUSION] = torch.from_numpy(rng.uniform(LOW[FUSION], HIGH[FUSION], size)).to(cells)
    return cells


def unrolled_loss(
    model: CompactNetwork,
    batch: Batch,
    rng: np.random.Generator,
    backbone: Backbone,
    detect: Detect | None = None,
    bfloat16: bool = False,
) -> tuple[Tensor, dict[str, float]]:
    """The loss of one pass of an episode: the first, or a later one that follows the network's own mistakes.

    Earlier passes run without gradients, so that a later pass is rewarded for what it improves alone.
    """
    size = len(batch.reference)
    previous, masks = batch.corrupted, batch.holes
    device = batch.reference.device
    looked = torch.zeros(size, device=device)
    passes = int(rng.choice([1, 2, 3], p=[0.55, 0.3, 0.15]))
    for _ in range(passes - 1):
        with torch.no_grad():
            with _autocast(bfloat16, device):
                earlier = draw_controls(rng, size).to(device)
                looked = looked + batch.heads_of(earlier)
                painted, _ = model(batch.inputs(model, previous, masks, looked), earlier)
            previous = compose(painted.float().clamp(0, 1), previous, batch.corrupted, masks, batch.holes)
            if detect is not None and rng.random() < 0.5:
                masks = detect(previous, batch.holes)
            else:
                masks = imperfect_error_mask(previous, batch, rng)
    controls = draw_controls(rng, size).to(device)
    chosen = draw_map(rng, controls) if rng.random() < MAPS else controls
    asked = batch.heads_of(chosen)
    looked = (looked if chosen is controls else looked.view(-1, 1, 1, 1)) + asked
    with _autocast(bfloat16, device):
        inputs = batch.inputs(model, previous, masks, looked)
        painted, coarse = model(inputs, chosen)
    repaired = compose(painted.float(), previous, batch.corrupted, masks, batch.holes)
    terms = repair_losses(repaired, batch, masks, backbone, rng, bfloat16)
    weights = objective_weights(controls)
    share = masks / (masks.sum() * 3 + 1)
    rough = ((coarse.float() - batch.reference).abs() * share).sum()
    total = sum((weights[name] * value).mean() for name, value in terms.items()) + ROUGH * rough
    if model.chooser is not None:
        carried = ((inputs.propagated - batch.reference).abs() * share).sum()
        total, terms = total + ROUGH * carried, terms | {"carried": carried}
    scalars = {f"{name}{min(passes, 2)}": float(value.detach().mean()) for name, value in terms.items()}
    return total, scalars | {"coarse": float(rough.detach())}


def _autocast(enabled: bool, device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)


def repair_losses(
    repaired: Tensor,
    batch: Batch,
    masks: Tensor,
    backbone: Backbone,
    rng: np.random.Generator,
    bfloat16: bool = False,
) -> dict[str, Tensor]:
    """Fidelity (L1 and squares where work was done), texture (LPIPS), temporal (L1 of changes), each ``(B,)``.

    LPIPS sees the frames at a random offset: AlexNet's strides would else reward texture at fixed places, and the
    network learned a grid of dots.
    """
    dims = (1, 2, 3, 4)
    error = repaired - batch.reference
    area = masks.sum(dims) * 3 + 1
    fidelity = ((error.abs() + SQUARES * error.square()) * masks).sum(dims) / area
    shape = repaired.shape[:2]
    top, left = (int(rng.integers(0, min(CELL, side - SMALLEST + 1))) for side in repaired.shape[-2:])
    both = torch.cat([repaired.flatten(0, 1), batch.reference.flatten(0, 1)])[..., top:, left:]
    with _autocast(bfloat16, both.device):
        features = backbone(both)
    halves = [f.float().chunk(2) for f in features]
    texture = backbone.lpips([h[0] for h in halves], [h[1] for h in halves]).view(shape).mean(1)
    either = torch.maximum(masks[:, 1:], masks[:, :-1])
    change = (error[:, 1:] - error[:, :-1]).abs()
    temporal = (change * either).sum(dims) / (either.sum(dims) * 3 + 1)
    # Relative to the hole's area LPIPS is comparable among clips.
    share = masks.mean(dims).clamp_min(LEAST_AREA)
    return {"fidelity": fidelity, "texture": texture * (AREA / share).clamp(max=MOST_TIMES), "temporal": temporal}


def objective_weights(controls: Tensor) -> dict[str, Tensor]:
    """The loss weights ``(B,)`` that alpha, beta and gamma of ``controls (B, 5)`` stand for."""
    low, high = (torch.as_tensor(ends, dtype=torch.float32, device=controls.device) for ends in (LOW, HIGH))
    unit = (controls - low) / (high - low)
    columns = dict(zip(LOSS_ENDS, (ALPHA, BETA, GAMMA)))
    return {name: end[0] * (end[1] / end[0]) ** unit[:, columns[name]] for name, end in LOSS_ENDS.items()}


def imperfect_error_mask(repaired: Tensor, batch: Batch, rng: np.random.Generator) -> Tensor:
    """A stand-in for a detector: the true error, blurred, thresholded at a random level, sometimes wrong."""
    error = (repaired - batch.reference).abs().mean(2, keepdim=True).flatten(0, 1)
    if rng.random() < BLIND:  # a smooth random field
        error = torch.from_numpy(rng.random(error[..., ::8, ::8].shape)).float().to(error.device)
        error = F.interpolate(error, size=repaired.shape[-2:], mode="bilinear")
    error = F.avg_pool2d(error, BLUR, stride=1, padding=BLUR // 2).view_as(batch.holes)
    inside = error[batch.holes > 0]
    level = torch.quantile(inside[:: max(1, inside.numel() // SAMPLED)], float(rng.uniform(*LEVELS)))
    soft = torch.sigmoid((error - level) / (SOFTNESS * level + 1e-4) * float(rng.uniform(*SHARPER)))
    return soft * batch.holes


@torch.no_grad()
def control_effects(model: CompactNetwork, batches: Sequence[Batch]) -> dict[str, float]:
    """PSNR inside the hole at neutral controls and the change at the ends of each control, in dB, and a second pass."""
    neutral = torch.from_numpy(DEFAULT.to_array()[None]).to(next(model.parameters()).device)
    values = {"all": neutral}
    for column, name in ((HEADS, "heads"), (FUSION, "fusion"), (ALPHA, "alpha"), (BETA, "beta"), (GAMMA, "gamma")):
        for end, bound in (("low", LOW), ("high", HIGH)):
            values[f"{name}_{end}"] = neutral.clone().index_fill(
                1, torch.tensor([column], device=neutral.device), float(bound[column])
            )
    results: dict[str, list[float]] = {}
    for batch in batches:
        for name, row in values.items():
            first = _pass(model, batch, batch.corrupted, batch.holes, row)
            results.setdefault(name, []).append(_hole_psnr(first, batch))
            if name == "all":
                worst = imperfect_error_mask(first, batch, np.random.default_rng(0))
                results.setdefault("second", []).append(_hole_psnr(_pass(model, batch, first, worst, row), batch))
        start, _ = recall(batch.memory, batch.holes, neutral[:, HEADS])
        results.setdefault("start", []).append(_hole_psnr(start, batch))
    means = {name: float(np.mean(numbers)) for name, numbers in results.items()}
    base = means.pop("all")
    before = means.pop("start")
    return {"psnr_hole": base, "over_propagation": base - before} | {k: v - base for k, v in means.items()}


def _pass(model: CompactNetwork, batch: Batch, previous: Tensor, masks: Tensor, controls: Tensor) -> Tensor:
    controls = controls.expand(len(previous), -1)
    painted, _ = model(batch.inputs(model, previous, masks, controls[:, HEADS]), controls)
    return compose(painted.clamp(0, 1), previous, batch.corrupted, masks, batch.holes)


def _hole_psnr(repaired: Tensor, batch: Batch) -> float:
    error = ((repaired - batch.reference).square() * batch.holes).sum() / (batch.holes.sum() * 3)
    return float(-10 * torch.log10(error + 1e-8))
