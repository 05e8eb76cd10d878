"""The residue detector (CIRI, Section 3.3): where does a repair still show pieces of the target?

The published detector is SiamMask, trained on residues. This one is small and written anew: one extractor for both
crops; the depth-wise cross-correlation of SiamMask (Eq. 7, channel by channel, the template's features as kernel),
which answers where the target as a whole would be; beside it the cross-correlation with every single cell of the
template, of which the best match counts, as a left-over piece is never the whole target; a decoder with the search
crop's finer features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videoinpaint.errors import InputError
from videoinpaint.inpainters.ciri.crops import SEARCH, TEMPLATE, crop, laid_back, target_box
from videoinpaint.weights import build_loaded, build_seeded

WEIGHTS = "ciri-residue"
GREY = 0.5
CHANNELS = (16, 32, 64)
HEADS = (2, 4)  # best matches kept apart, at a quarter and at an eighth of the resolution
CELLS = 12  # of the template, a side
KERNEL, SPREAD = 5, 3  # the template's kernel has 5 x 5 cells, three cells of the search features apart
FRAMES_AT_ONCE = 8  # bounds the memory of `residue_maps`
TONES = (0.03, 0.1)  # widths of the colour comparison


class ResidueDetector(nn.Module):
    """Residue maps of repaired search crops, given a template of the target.

    Called with templates and searches; see :meth:`forward`. About 0.3 million parameters.
    """

    def __init__(self) -> None:
        super().__init__()
        _, quarter, eighth = CHANNELS
        cues = (HEADS[0] + len(TONES), HEADS[1] + len(TONES))
        self.extract = Extractor()
        self.kernel = nn.Conv2d(eighth, eighth, 1)
        self.matches = nn.ModuleList([BestMatch(quarter, 16, HEADS[0]), BestMatch(eighth, 32, HEADS[1])])
        self.deep = nn.Sequential(
            nn.Conv2d(2 * eighth + cues[1], 64, 3, padding=1), nn.ReLU(),
            nn.Conv2d(64, 64, 3, padding=2, dilation=2), nn.ReLU(),
            nn.Conv2d(64, 32, 3, padding=1), nn.ReLU(),
        )  # fmt: skip
        last = nn.Conv2d(32, 1, 1)
        last.bias = nn.Parameter(torch.tensor([-3.0]))  # residue is rare: the training starts from there
        self.fine = nn.Sequential(
            nn.Conv2d(32 + quarter + cues[0], 32, 3, padding=1), nn.ReLU(),
            nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), last,
        )  # fmt: skip

    def forward(self, template: Tensor, search: Tensor) -> Tensor:
        """Logits of the residue map M_res, ``(N, 1, 64, 64)`` for the published sizes; their sigmoid is the map.

        Args:
            template: X_1's crop ``(N, 3, 127, 127)`` in [0, 1] (:func:`template_of`), or ``(1, 3, 127, 127)`` for all.
            search: crops of the repair ``(N, 3, 255, 255)`` in [0, 1], of twice the box.

        Raises:
            InputError: other shapes.
        """
        if template.ndim != 4 or search.ndim != 4 or template.shape[0] not in (1, len(search)):
            raise InputError(
                f"the detector needs templates (N or 1, 3, {TEMPLATE}, {TEMPLATE}) and searches "
                f"(N, 3, {SEARCH}, {SEARCH}), got {tuple(template.shape)} and {tuple(search.shape)}"
            )
        shown = shown_cells(template).expand(len(search), -1)
        targets = [level.expand(len(search), -1, -1, -1) for level in self.extract(template)]
        levels = self.extract(search)
        kernel = F.adaptive_avg_pool2d(self.kernel(targets[1]), KERNEL)
        correlation = depthwise_correlation(kernel - kernel.mean((2, 3), keepdim=True), levels[1], SPREAD)
        near = [match(target, level, shown) for match, target, level in zip(self.matches, targets, levels)]
        tones = like_colours(template, F.adaptive_avg_pool2d(search, levels[0].shape[-2:]), shown)
        coarse_tones = F.adaptive_avg_pool2d(tones, levels[1].shape[-2:])
        x = self.deep(torch.cat([levels[1], correlation, near[1], coarse_tones], 1))
        x = F.interpolate(x, size=levels[0].shape[-2:], mode="bilinear", align_corners=False)
        return self.fine(torch.cat([x, levels[0], near[0], tones], 1))


class Extractor(nn.Module):
    """f_theta of Eq. 7: features at 1/4 and 1/8 of the resolution (32 and 64 channels), the same for both crops.

    There is no normalisation over the crop, so that a colour gives the same feature in the template and in the search.
    """

    def __init__(self) -> None:
        super().__init__()
        half, quarter, eighth = CHANNELS
        self.stem = nn.Conv2d(3, half, 3, stride=2, padding=1)
        self.down = nn.ModuleList(
            [nn.Conv2d(half, quarter, 3, stride=2, padding=1), nn.Conv2d(quarter, eighth, 3, stride=2, padding=1)]
        )
        self.stay = nn.ModuleList([nn.Conv2d(channels, channels, 3, padding=1) for channels in (quarter, eighth)])

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """Features of ``(N, 3, S, S)`` in [0, 1], each ``(N, C, s, s)`` with s = ceil(S / 4), then ceil(S / 8)."""
        x, levels = F.relu(self.stem((pictures - GREY) * 4)), []
        for down, stay in zip(self.down, self.stay):
            x = F.relu(down(x))
            x = x + F.relu(stay(x))
            levels.append(x)
        return levels


def shown_cells(template: Tensor) -> Tensor:
    """Which of the template's 12 x 12 cells show the target, bool ``(N, 144)``; all where none does.

    What is outside of the target is grey, 0.5 exactly, which no 8-bit picture holds.
    """
    outside = ((template - GREY).abs() < 1e-4).all(1, keepdim=True).to(template.dtype)
    shown = F.adaptive_avg_pool2d(outside, CELLS).flatten(1) < 0.5
    return shown | ~shown.any(1, keepdim=True)


def like_colours(template: Tensor, search: Tensor, shown: Tensor) -> Tensor:
    """How near the nearest colour of the target is, ``(N, 2, s, s)`` in [0, 1]: a match that needs no learning.

    Args:
        template: ``(N or 1, 3, 127, 127)``.
        search: ``(N, 3, s, s)``.
        shown: see :func:`shown_cells`.
    """
    colours = F.adaptive_avg_pool2d(template, CELLS).flatten(2).expand(len(search), -1, -1)
    pixels = search.flatten(2).transpose(1, 2)
    # |a - b|^2 = a^2 - 2 a b + b^2, in single precision whatever is autocast.
    with torch.autocast(search.device.type, enabled=False):
        pixels, colours = pixels.float(), colours.float()
        colours = _only(colours, shown)
        # The pixel's own square is added behind the minimum: it is the same for all colours.
        rest = torch.baddbmm(colours.square().sum(1, keepdim=True), pixels, colours, alpha=-2)
        nearest = (rest.min(2).values + pixels.square().sum(2)).clamp_min(0)
    return torch.stack([torch.exp(-nearest / (2 * tone**2)) for tone in TONES], 1).unflatten(2, search.shape[-2:])


def depthwise_correlation(kernel: Tensor, search: Tensor, spread: int = 1) -> Tensor:
    """Eq. 7, channel by channel as in SiamMask: each item's kernel slides over that item's search features.

    Args:
        kernel: ``(N, C, k, k)``, the template's features, k odd.
        search: ``(N, C, s, s)``.
        spread: cells of the search features from one cell of the kernel to the next.

    Returns:
        ``(N, C, s, s)``: at every cell the mean over the kernel of the products, the kernel's centre at that cell.
        Beyond the border there is nothing: zeros.
    """
    number, channels, size = kernel.shape[:3]
    joined, kernels = search.reshape(1, number * channels, *search.shape[-2:]), kernel.reshape(-1, 1, size, size)
    margin = spread * (size // 2)
    products = F.conv2d(joined, kernels, padding=margin, dilation=spread, groups=number * channels)
    return products.view_as(search) / size**2


def _only(cells: Tensor, shown: Tensor) -> Tensor:
    """Cells ``(..., C, K)`` with those that are not shown replaced by one that is, which no maximum notices."""
    one = shown.to(torch.uint8).argmax(-1)[..., None, None].expand(*cells.shape[:-1], 1)
    return torch.where(shown[..., None, :], cells, cells.gather(-1, one))


class BestMatch(nn.Module):
    """The cross-correlation with every cell of the template as a kernel of its own; its maximum over the cells.

    Vectors are centred on the search's mean before they are compared: features of a small network all resemble each
    other otherwise.

    Args:
        channels: of the features.
        width: channels of the compared vectors, of all heads together.
        heads: comparisons of different vectors, kept apart.
    """

    def __init__(self, channels: int, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.project = nn.Conv2d(channels, width, 1)

    def forward(self, template: Tensor, search: Tensor, shown: Tensor) -> Tensor:
        """The cosine of the best match, ``(N, heads, s, s)`` in [-1, 1], among the cells that show the target."""
        kernels, places = (self._vectors(x) for x in (F.adaptive_avg_pool2d(template, CELLS), search))
        centre = places.mean(3, keepdim=True)
        kernels, places = (F.normalize(x - centre, dim=2, eps=1e-3) for x in (kernels, places))
        likeness = places.transpose(2, 3) @ _only(kernels, shown[:, None])
        return likeness.max(3).values.view(len(search), self.heads, *search.shape[-2:])

    def _vectors(self, features: Tensor) -> Tensor:
        """Vectors ``(N, heads, width / heads, cells)``."""
        return self.project(features).unflatten(1, (self.heads, -1)).flatten(3)


def load_residue_detector(device: str | torch.device = "cpu", weights: str | None = None) -> ResidueDetector:
    """The trained detector, frozen, in evaluation mode.

    Args:
        device: where it computes.
        weights: a safetensors file; ``"random"`` for an untrained network (seed 0); None for the shipped weights.

    Raises:
        MissingWeightsError, CorruptWeightsError.
    """
    random = weights == "random"
    detector = build_seeded(ResidueDetector) if random else build_loaded(ResidueDetector, WEIGHTS, weights)
    return detector.eval().requires_grad_(False).to(device)


def template_of(frame: Tensor, first: Tensor) -> Tensor:
    """X_1's crop ``(1, 3, 127, 127)``: the target's rectangle, grey where it shows no target.

    The publication crops the rectangle as it is. Grey around the target keeps the background of the first frame from
    passing for the target.

    Args:
        frame: X_1 ``(3, H, W)`` in [0, 1].
        first: ``(1, H, W)``, the target in it.

    Raises:
        InputError: the target is absent; another shape.
    """
    box = target_box(first)[None]
    inside = (first > 0.5).to(frame)
    return crop((frame * inside + GREY * (1 - inside))[None], box, TEMPLATE)


def residue_maps(detector: ResidueDetector, template: Tensor, repaired: Tensor, boxes: Tensor) -> Tensor:
    """M_res of repaired frames, laid over the frames, ``(T, 1, H, W)`` in [0, 1], zero outside the search boxes.

    Args:
        detector: see :func:`load_residue_detector`.
        template: :func:`template_of` the first frame.
        repaired: ``(T, 3, H, W)`` in [0, 1].
        boxes: ``(T, 4)``, see :func:`videoinpaint.inpainters.ciri.crops.search_boxes`.
    """
    height, width = repaired.shape[-2:]
    parts = [
        laid_back(detector(template, crop(frames, places, SEARCH)).sigmoid(), places, height, width)
        for frames, places in zip(repaired.split(FRAMES_AT_ONCE), boxes.split(FRAMES_AT_ONCE))
    ]
    return torch.cat(parts)
