"""Training of the residue detector on synthetic residues (CIRI, Sections 3.3 and 4.1).

A target is pasted before a known background, its mask is falsified as a propagator would, the falsified region is
repaired, and what the repair leaves of the target is what is to be found. A part of the examples is repaired under the
exact mask, and a part is compared with the template of another target: there is nothing to be found in those.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor
from torch.nn import functional as F

from videoinpaint.checks import check_extent
from videoinpaint.clips.masks.inaccurate import inaccurate
from videoinpaint.clips.types import Clip, ClipSource
from videoinpaint.errors import InputError
from videoinpaint.fitting import FitConfig, fit
from videoinpaint.inpainters.ciri.crops import SEARCH, crop, search_boxes
from videoinpaint.inpainters.ciri.residue import ResidueDetector, template_of
from videoinpaint.motion.flow import smooth_fill
from videoinpaint.motion.neighbourhoods import window_max
from videoinpaint.weights import save_safetensors

MAP = 64
"""Side of the map that the detector makes of a search crop."""
CLEAN = 0.25
"""Share of examples that are repaired under the exact mask."""
FOREIGN = 0.1
"""Share of batches whose templates are of other targets."""
GHOSTS = 0.3
"""Share of clips whose repair lets the target shine through, as soft masks do."""
REPAIRS = {"truth": 0.2, "blurred": 0.3, "smooth": 0.35, "inpainter": 0.15}
"""Shares of what fills the holes: the background itself, blurred and noisy, a smooth fill, or `ResidueData.repair`."""
WEIGHT = 4.0
"""Of residue in the cross-entropy."""
SLOW = 50_000
"""Pixels of a frame above which an inpainter would take longer than all the rest: the smooth fill stands in for it."""

Repair = Callable[[Tensor, Tensor, np.random.Generator], Tensor]
"""``repair(corrupted (B, T, 3, H, W), holes (B, T, 1, H, W), rng)``: a repaired clip, by whatever inpainter."""


@dataclass(frozen=True)
class Residues:
    """What the detector sees, and what it is to say.

    Attributes:
        templates: ``(N, 3, 127, 127)`` in [0, 1].
        searches: ``(N, 3, 255, 255)`` in [0, 1].
        labels: ``(N, 1, 64, 64)`` in [0, 1]: the share of the target that is left in a pixel.
    """

    templates: Tensor
    searches: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> Residues:
        """The same, elsewhere."""
        return Residues(self.templates.to(device), self.searches.to(device), self.labels.to(device))


@dataclass(frozen=True)
class ResidueData:
    """Where examples come from.

    Attributes:
        clips: sources of clips with `observed` and `objects`, drawn with equal chance.
        repair: an inpainter (or a mixture) for a part of the clips; None for the cheap repairs alone.
        sizes: ``(height, width)`` of clips, drawn with equal chance.
        num_frames: frames of a clip.
        looks: frames of a clip that are looked at, drawn from all but the first.
        batch: clips a batch.
    """

    clips: Sequence[ClipSource]
    repair: Repair | None = None
    sizes: tuple[tuple[int, int], ...] = ((120, 216), (120, 216), (160, 288), (240, 432))
    num_frames: int = 6
    looks: int = 4
    batch: int = 2

    def __post_init__(self) -> None:
        """Raises InputError for sizes out of bounds."""
        for size in self.sizes:
            check_extent(self.num_frames, *size, self.batch, least=(2, 1))

    def draw(self, rng: np.random.Generator) -> Residues:
        """A batch of ``batch * looks`` examples."""
        templates, searches, labels = (torch.cat(x) for x in zip(*(self._example(rng) for _ in range(self.batch))))
        if self.batch > 1 and rng.random() < FOREIGN:
            templates, labels = templates.roll(self.looks, 0), torch.zeros_like(labels)
        return Residues(templates, searches, labels)

    def _example(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        source = self.clips[int(rng.integers(len(self.clips)))]
        height, width = self.sizes[int(rng.integers(len(self.sizes)))]
        clip = source.sample(rng, self.num_frames, height, width)
        observed, background, truth = tensors(clip, rng)
        predicted = truth
        if rng.random() >= CLEAN:
            predicted = torch.from_numpy(inaccurate(truth[:, 0].byte().numpy(), rng)).float()[:, None]
        boxes = search_boxes(predicted, truth[0])
        template = template_of(observed[0], truth[0])
        chosen = torch.from_numpy(np.sort(1 + rng.permutation(self.num_frames - 1)[: self.looks]))
        observed, background, truth, predicted, boxes = (
            x[chosen] for x in (observed, background, truth, predicted, boxes)
        )
        repaired, left = self._repaired(observed, background, truth, predicted, rng)
        return template.expand(len(chosen), -1, -1, -1), crop(repaired, boxes, SEARCH), crop(left, boxes, MAP)

    def _repaired(
        self, observed: Tensor, background: Tensor, truth: Tensor, predicted: Tensor, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """A repair of the predicted region, and the share of the target that it leaves, ``(T, 1, H, W)`` in [0, 1]."""
        holes = window_max(predicted, int(rng.integers(1, 5)))
        kind = rng.choice(list(REPAIRS), p=list(REPAIRS.values()))
        if kind == "inpainter" and (self.repair is None or truth[0].numel() > SLOW):
            kind = "smooth"
        if kind == "inpainter" and self.repair is not None:
            corrupted = observed * (1 - holes) + 0.5 * holes
            filling = self.repair(corrupted[None], holes[None], rng)[0]
        elif kind == "smooth":
            filling = smooth_fill(observed, 1 - holes)
        elif kind == "truth":
            filling = background
        else:
            filling = blurred(background, float(rng.uniform(0.5, 5)))
            noise = torch.from_numpy(rng.normal(0, rng.uniform(0, 0.04), filling.shape)).float()
            filling = (filling + noise).clamp(0, 1)
        strength = blurred(holes, float(rng.uniform(0.4, 1.2))) if rng.random() < 0.5 else holes
        if rng.random() < GHOSTS:
            coarse = torch.from_numpy(rng.uniform(0.2, 1.6, (1, 1, 4, 6))).float()
            strength = strength * F.interpolate(coarse, size=holes.shape[-2:], mode="bicubic").clamp(0, 1)
        return strength * filling + (1 - strength) * observed, truth * (1 - strength)


def tensors(clip: Clip, rng: np.random.Generator | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """X, Y ``(T, 3, H, W)`` in [0, 1] and M ``(T, 1, H, W)`` of a clip with a target; re-lit and mirrored by `rng`.

    Raises:
        InputError: the clip has no target, or not in its first frame.
    """
    if clip.observed is None or clip.objects is None or not clip.objects[0].any():
        raise InputError(f"clip {clip.name!r} has no target pasted into it: name one-shot clips, such as one_shot")
    both = torch.from_numpy(np.stack([clip.observed, clip.frames])).permute(0, 1, 4, 2, 3).float().div(255)
    masks = torch.from_numpy(clip.objects)[:, None].float()
    if rng is not None:
        both = (both * float(rng.uniform(0.8, 1.1))).clamp(0, 1) ** float(rng.uniform(0.85, 1.2))
        if rng.random() < 0.3:
            both = both[:, :, torch.from_numpy(rng.permutation(3))]
        if rng.random() < 0.5:
            both, masks = both.flip(-1), masks.flip(-1)
    return both[0], both[1], masks


def blurred(pictures: Tensor, sigma: float) -> Tensor:
    """A Gaussian blur of ``(N, C, H, W)``, sigma in pixels."""
    radius = max(1, round(2.5 * sigma))
    line = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma) ** 2)
    kernel = (line / line.sum()).view(1, 1, 1, -1).expand(pictures.shape[1], 1, 1, -1)
    for sides in ((radius, radius, 0, 0), (0, 0, radius, radius)):
        turned = kernel if sides[0] else kernel.transpose(2, 3)
        pictures = F.conv2d(F.pad(pictures, sides, mode="replicate"), turned, groups=pictures.shape[1])
    return pictures


def residue_loss(logits: Tensor, labels: Tensor) -> tuple[Tensor, dict[str, float]]:
    """Cross-entropy of the map; what is left of a target weighs :data:`WEIGHT` times as much, as residues are small.

    Args:
        logits: ``(N, 1, h, w)``.
        labels: as `logits`, in [0, 1].
    """
    entropy = F.binary_cross_entropy_with_logits(logits, labels, pos_weight=logits.new_tensor(WEIGHT))
    found = logits.detach().sigmoid()
    overlap = 2 * (found * labels).sum() / (found.sum() + labels.sum() + 1)
    return entropy, {"entropy": float(entropy.detach()), "overlap": float(overlap)}


def train_residue_detector(
    data: ResidueData,
    config: FitConfig,
    output: Path,
    *,
    device: str | torch.device = "cpu",
    bfloat16: bool = False,
) -> Path:
    """Train and write the weights to ``output`` (safetensors, half precision).

    Args:
        data: examples.
        config: schedule, folder of the checkpoint, seed.
        output: the weight file.
        device: where the network is trained; examples are made on the CPU.
        bfloat16: autocast the network: faster on a processor that has it.

    Returns:
        ``output``.
    """
    torch.manual_seed(config.seed)
    network, where = ResidueDetector().to(device), torch.device(device)

    def loss(rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        with torch.no_grad():
            batch = data.draw(rng).to(where)
        with torch.autocast(where.type, dtype=torch.bfloat16, enabled=bfloat16):
            logits = network(batch.templates, batch.searches)
        return residue_loss(logits.float(), batch.labels)

    with torch.no_grad():
        held_out = [data.draw(np.random.default_rng([config.seed, 2**31, i])).to(where) for i in range(10)]
    fit(network, loss, config, evaluate=lambda _: precision(network, held_out), evaluate_every=100)
    save_safetensors(output, {k: v.half().cpu().contiguous() for k, v in network.state_dict().items()}, {})
    return output


@torch.no_grad()
def precision(network: ResidueDetector, batches: Sequence[Residues]) -> dict[str, float]:
    """Average precision over all pixels of the crops, that of a constant, and the mean maps of clean and unclean crops.

    A pixel counts as residue where more than half of the target is left.
    """
    scores = torch.cat([network(batch.templates, batch.searches).sigmoid() for batch in batches]).cpu()
    labels = torch.cat([batch.labels for batch in batches]).cpu()
    clean = labels.flatten(1).amax(1) < 0.05
    truth = labels.flatten().numpy() > 0.5
    return {
        "average_precision": float(average_precision_score(truth, scores.flatten().numpy())),
        "constant": float(truth.mean()),
        "response_clean": float(scores[clean].mean()),
        "response_residue": float(scores[~clean].mean()),
    }
