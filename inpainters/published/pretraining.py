"""Training the published networks: L1 inside and outside of the holes, a temporal PatchGAN, flows of the true frames.

The network is trained through the very adapter that plays it in the loop (:meth:`PublishedInpainter.propose`), one
window of local and reference frames a step. What differs from the published trainings: the loss looks at local frames
alone, and the flows that E2FGVI's completion should find come from dense inverse search on the true frames instead of
a second, fixed SPyNet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videoinpaint.clips.sources.augmented import Windows
from videoinpaint.errors import InputError
from videoinpaint.fitting import FitConfig, fit
from videoinpaint.inpainters.published.adapter import PublishedInpainter
from videoinpaint.inpainters.published.discriminator import TemporalPatchDiscriminator, hinge_losses
from videoinpaint.inpainters.published.layers.heads import active_heads
from videoinpaint.inpainters.published.loading import save_trained
from videoinpaint.inpainters.published.recipes import Recipe
from videoinpaint.inpainters.published.sizes import Sizes
from videoinpaint.motion.flow import neighbour_flows, smooth_fill
from videoinpaint.weights import load_into, terms_of

WINDOWS_HELD_OUT = 6
MOST_HEADS = 64


class Trained(nn.Module):
    """What the training loop optimises at once: the network and its critic. Frozen parts stand outside."""

    def __init__(self, network: nn.Module, recipe: Recipe) -> None:
        super().__init__()
        self.network = network
        self.critic = TemporalPatchDiscriminator(*recipe.critic)


def schedule_of(recipe: Recipe, folder: Path, seed: int = 0, settings: Mapping[str, Any] | None = None) -> FitConfig:
    """The training loop's view of a recipe."""
    return FitConfig(
        folder, recipe.iterations, recipe.learning_rate, recipe.warmup, 0.0, recipe.clip, recipe.average, seed,
        recipe.steps, recipe.factor, recipe.betas, settings=settings or {},
    )  # fmt: skip


def sizes_of(part: type[PublishedInpainter], recipe: Recipe, nested: int = 0) -> Sizes:
    """What the network of a recipe has: the recipe's sizes or the published ones, at the size of its windows.

    Args:
        part: the adapter.
        recipe: see :class:`Recipe`.
        nested: so many heads, of which the first k learn to work alone; 0 for the published heads.

    Raises:
        InputError: the heads do not share a token's width, or the network has no heads to choose.
    """
    sizes = replace(recipe.sizes or part.published, height=recipe.height, width=recipe.width)
    if not nested:
        return sizes
    if part.name == "sttn":
        raise InputError("sttn's heads are its four scales: choose another network for nested heads")
    if sizes.dim % nested:
        raise InputError(f"{nested} heads cannot share {sizes.dim} channels: take a divisor")
    return replace(sizes, heads=nested, nested=1)


def split_heads(part: PublishedInpainter, count: int) -> PublishedInpainter:
    """An adapter of the same weights with more heads, each a part of a head of before; nested, as they are to learn.

    A part of a head attends by its own channels alone, so that what the network makes changes: it has to be trained on.

    Args:
        part: the adapter; it stays as it is.
        count: heads, a multiple of those of before.

    Raises:
        InputError: no such multiple, or one that does not share a token's width; the network has no heads to choose.
    """
    sizes = part.sizes
    if part.name == "sttn":
        raise InputError("sttn's heads are its four scales: choose another network for nested heads")
    if count % sizes.heads or sizes.dim % count:
        fitting = [n for n in range(sizes.heads, MOST_HEADS + 1, sizes.heads) if not sizes.dim % n]
        raise InputError(
            f"{sizes.heads} heads of {sizes.dim // sizes.heads} channels each cannot be split into {count}: "
            f"take {', '.join(map(str, fitting))}, or train new ones without --init"
        )
    split = type(part)(part.device, sizes=replace(sizes, heads=count, nested=1))
    split.networks.load_state_dict(part.networks.state_dict())
    split.terms = part.terms
    return split


def train_published(data: Windows, part: PublishedInpainter, recipe: Recipe, config: FitConfig, output: Path) -> Path:
    """Train the main network of an adapter and write all of its parts to ``output``.

    Args:
        data: training windows of at least ``recipe.local + recipe.references`` frames.
        part: the adapter, with an untrained network (``sizes=``) or one to go on from; trained in place.
        recipe: losses and frames.
        config: from :func:`schedule_of`.
        output: the weight file, which ``make_inpainter(NAME, weights=...)`` reads.

    Raises:
        InputError: windows too short, or of a size that the network cannot work at.
    """
    check_windows(data, part, recipe)
    torch.manual_seed(config.seed)
    network = part.networks["main"].requires_grad_(True)
    both = Trained(network, recipe).to(part.device)

    def loss(rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        return window_loss(part, both.critic, draw_frames(data, recipe, part, rng), recipe, rng)

    held_out = [
        draw_frames(data, recipe, part, np.random.default_rng([config.seed, 2**31, i])) for i in range(WINDOWS_HELD_OUT)
    ]
    fit(both, loss, config, lambda _: measured(part, held_out, recipe.local), max(50, config.iterations // 20))
    network.requires_grad_(False)
    return save_trained(part.networks, part.sizes, output, part.terms)


def load_completion(part: PublishedInpainter, completion: Path | None) -> None:
    """Give an untrained adapter what it does not learn itself, or begins with.

    Args:
        part: ProPainter gets its flow completion, which stays as it is, and RAFT; E2FGVI the SPyNet that it goes on
            tuning; the others get nothing.
        completion: weights by ``videoinpaint pretrain flow-completion``; None for the fetched ones of ProPainter, and
            an untrained SPyNet.

    Raises:
        MissingWeightsError, CorruptWeightsError.
    """
    loaded: list[tuple[nn.Module, str, Path | None]] = []
    if "completion" in part.networks:
        loaded.append((part.networks["completion"], "propainter-flow-completion", completion))
    elif completion is not None:
        spynet = cast(nn.Module, part.networks["main"].update_spynet)
        loaded.append((spynet, "the flow completion of E2FGVI", completion))
    if "raft" in part.networks:
        loaded.append((part.networks["raft"], "propainter-raft", None))
    for network, name, path in loaded:
        load_into(network, name, path)
    part.terms += tuple(terms_of(name, path) for _, name, path in loaded)  # the trained file holds these, too


def check_windows(data: Windows, part: PublishedInpainter, recipe: Recipe) -> None:
    """Raise InputError where windows are too short for a recipe, or of a size that the network does not work at."""
    wanted = recipe.local + recipe.references
    if data.num_frames < wanted:
        raise InputError(f"windows of {data.num_frames} frames are too short: a step takes {wanted}")
    if data.larger:
        raise InputError("published networks are trained at one size: leave larger out")
    height, width = data.height, data.width
    if part.geometry.size(height, width) != (height, width):
        fits = part.geometry.size(height, width)
        raise InputError(f"{part.name} does not work at {height}x{width}: try {fits[0]}x{fits[1]}")
    blank = torch.zeros(1, 2, 3, height, width, device=part.device)
    try:
        with torch.no_grad():
            part.propose(blank, blank[:, :, :1], 2)
    except ValueError as error:  # of the network, which says what it wants
        raise InputError(f"{part.name} does not work at {height}x{width}: {error}") from error


def draw_frames(
    data: Windows, recipe: Recipe, part: PublishedInpainter, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """The frames of a step, ``(B, T, 3, H, W)`` in [-1, 1], local ones first, and their holes."""
    frames, holes = data.draw(rng)
    chosen = choose_frames(frames.shape[1], recipe, rng)
    return frames[:, chosen].to(part.device) * 2 - 1, holes[:, chosen].to(part.device)


def choose_frames(length: int, recipe: Recipe, rng: np.random.Generator) -> list[int]:
    """Which of ``length`` frames a step takes; see :class:`Recipe`."""
    if not recipe.references and rng.random() < 0.5:
        return sorted(rng.permutation(length)[: recipe.local].tolist())
    start = int(rng.integers(length - recipe.local + 1))
    run = list(range(start, start + recipe.local))
    others = [frame for frame in range(length) if frame not in run]
    return run + sorted(rng.permutation(others)[: recipe.references].astype(int).tolist())


def window_loss(
    part: PublishedInpainter,
    critic: TemporalPatchDiscriminator,
    frames_and_holes: tuple[Tensor, Tensor],
    recipe: Recipe,
    rng: np.random.Generator,
) -> tuple[Tensor, dict[str, float]]:
    """The loss of one window, and its terms. With nested heads, half of the steps run a random number of them."""
    true, holes = frames_and_holes
    heads = part.num_heads
    if part.sizes.nested and rng.random() < 0.5:
        heads = int(rng.integers(1, part.num_heads))
    with active_heads(part.networks, heads):
        painted, state = part.propose(true * (1 - holes), holes, recipe.local)
    true, holes = true[:, : recipe.local], holes[:, : recipe.local]
    inside, outside = mean_distance(painted, true, holes), mean_distance(painted, true, 1 - holes)
    composed = painted * holes + true * (1 - holes)
    fooled, told = hinge_losses(critic, (true + 1) / 2, (composed + 1) / 2)
    terms = {"hole": inside, "valid": outside, "fooled": fooled, "told": told}
    total = recipe.hole * inside + recipe.valid * outside + recipe.adversarial * fooled + told
    if recipe.flow:
        terms["flow"] = flow_distance((state["flows_forward"], state["flows_backward"]), true)
        total = total + recipe.flow * terms["flow"]
    return total, {name: float(value.detach()) for name, value in terms.items()}


def mean_distance(painted: Tensor, true: Tensor, where: Tensor) -> Tensor:
    """Mean L1 distance where a mask ``(B, T, 1, H, W)`` is 1."""
    return ((painted - true).abs() * where).sum() / (where.sum() * painted.shape[2] + 1)


def flow_distance(flows: tuple[Tensor, Tensor], true: Tensor) -> Tensor:
    """L1 distance of both flows ``(B, T-1, 2, h, w)``, in their own pixels, from those of the true frames by DIS."""
    size = cast(tuple[int, int], tuple(flows[0].shape[-2:]))
    terms = []
    for flow, target in zip(flows, neighbour_flows((true + 1) / 2)):
        scale = size[0] / target.shape[-2]
        small = F.interpolate(target.flatten(0, 1), size, mode="area") * scale
        terms.append(F.l1_loss(flow.flatten(0, 1), small))
    return sum(terms, torch.zeros(()).to(true))


@torch.no_grad()
def quality(part: PublishedInpainter, held_out: list[tuple[Tensor, Tensor]], local: int) -> dict[str, float]:
    """PSNR inside the holes of held-out windows, and that of a smooth fill of each frame."""
    painted, smooth = [], []
    for true, holes in held_out:
        proposal, _ = part.propose(true * (1 - holes), holes, local)
        seen, mask = true[:, :local], holes[:, :local]
        fill = smooth_fill(seen.flatten(0, 1), 1 - mask.flatten(0, 1)).view_as(seen)
        painted.append(_psnr(proposal, seen, mask))
        smooth.append(_psnr(fill, seen, mask))
    return {"psnr_hole": float(np.mean(painted)), "psnr_smooth": float(np.mean(smooth))}


def measured(part: PublishedInpainter, held_out: list[tuple[Tensor, Tensor]], local: int) -> dict[str, float]:
    """:func:`quality`, and with nested heads what the first 2, 6 and 10 of the control's 12 repair alone."""
    found = quality(part, held_out, local)
    for control in (2, 6, 10) if part.sizes.nested else ():
        with active_heads(part.networks, part.heads_run(control)):
            found[f"psnr_hole_{control}_heads"] = quality(part, held_out, local)["psnr_hole"]
    return found


def _psnr(painted: Tensor, true: Tensor, holes: Tensor) -> float:
    error = ((painted - true) / 2).square() * holes
    return float(-10 * torch.log10(error.sum() / (holes.sum() * 3 + 1) + 1e-8))
