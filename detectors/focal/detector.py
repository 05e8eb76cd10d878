"""FOCAL behind the detector protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videoinpaint.checks import whole_number
from videoinpaint.detectors.compact.network import shrink
from videoinpaint.detectors.focal.clustering import hdbscan_scores, scores, smaller_cluster, two_centres
from videoinpaint.detectors.focal.hrnet import HRNetExtractor
from videoinpaint.detectors.focal.vit import ViTConfig, ViTExtractor
from videoinpaint.errors import InputError
from videoinpaint.files import user_path
from videoinpaint.protocols import Detection
from videoinpaint.weights import WEIGHTS, build_seeded, load_into, load_safetensors, metadata_number, path_of

EXTRACTORS: dict[str, Callable[[Mapping[str, str]], nn.Module]] = {
    "hrnet": lambda _: HRNetExtractor(),
    "vit": lambda metadata: ViTExtractor(ViTConfig.from_metadata(metadata)),
}
"""Untrained extractors: the official ones, or of the size that a file's metadata name."""
CLUSTERINGS = ("two-means", "hdbscan")
GUIDES = ("seed", "gate")
PUBLISHED_SIZE = 1024
TEMPERATURE = 0.1
"""Of the contrastive loss (FOCAL, Section 3.3); a difference of similarities over it is the logit of being poor."""

_PIXELS = PUBLISHED_SIZE**2  # of the extractor's input at a time, which bounds memory


class FocalDetector:
    """Flags pixels inside M0 whose forensic features cluster away from the authentic ones of the same frame.

    Every frame that has a hole is resized, its features are taken from each extractor, normalised, brought to the
    first extractor's grid and concatenated; then frames are clustered one by one (:mod:`.clustering`). FOCAL has no
    opinion on single colour channels: D_n is M_n on all three.

    Args:
        device: where it computes.
        weights: ``"random"`` for untrained networks (seed 0, for cost only: attribute ``random_weights`` is True);
            a weight file, if there is one extractor; a folder that holds the official files; None for the registry's.
        extractors: ``"hrnet"``, ``"vit"`` or both; the first one's grid is used. The ViT takes about a minute a frame
            on one CPU core.
        size: side to which frames are resized for the HRNet; 0 to keep their size (rounded up to multiples of 32);
            None for the size the weights were made for, which is 1024 for the official ones. The ViT knows one size.
        clustering: ``"two-means"``, or ``"hdbscan"`` by scikit-learn, which CLIP-RL names.
        guide: how M0 guides: ``"seed"``: known pixels are authentic and clustering starts from M0; ``"gate"``: pixels
            are clustered as in FOCAL, and what lies outside M0 is left out afterwards.
        batch: frames that go through the extractors together; 0 for as many as have a million input pixels.

    Raises:
        MissingWeightsError, CorruptWeightsError: before any network is built, as far as can be seen.
        InputError: arguments that do not fit together.
    """

    def __init__(
        self,
        device: str | torch.device = "cpu",
        weights: str | Path | None = None,
        extractors: Sequence[str] = ("hrnet", "vit"),
        size: int | None = None,
        clustering: str = "two-means",
        guide: str = "seed",
        batch: int = 0,
    ) -> None:
        self.device = torch.device(device)
        self.extractors = _checked(extractors)
        for name, value, known in (("clustering", clustering, CLUSTERINGS), ("guide", guide, GUIDES)):
            if value not in known:
                raise InputError(f"unknown {name} {value!r} of FOCAL: use {' or '.join(map(repr, known))}")
        self.clustering, self.guide, self.batch = clustering, guide, whole_number(batch, "batch", 0, 10**6)
        self.name = "focal" if self.extractors == ("hrnet", "vit") else "focal_" + "_".join(self.extractors)
        self.name += "" if clustering == "two-means" else f"_{clustering}"
        self.name += "" if guide == "seed" else f"_{guide}"
        self.random_weights = weights == "random"
        files = {} if self.random_weights else _files(self.extractors, weights)
        metadata: dict[str, str] = {}
        for name, file in files.items():
            metadata |= load_safetensors(f"focal-{name}", file)[1]
        self.networks = build_seeded(lambda: nn.ModuleList(EXTRACTORS[name](metadata) for name in self.extractors))
        for name, network in zip(self.extractors, self.networks):
            if files:
                load_into(network, f"focal-{name}", files[name])
        self.networks.eval().requires_grad_(False).to(self.device)
        stored = metadata_number(metadata, "size", 0, 8192) if "size" in metadata else PUBLISHED_SIZE
        self.size = stored if size is None else size

    @torch.no_grad()
    def detect(self, repaired: Tensor, masks: Tensor) -> Detection:
        """See :class:`videoinpaint.protocols.Detector`. Frames without a hole cost nothing."""
        poor = masks.new_zeros(masks.shape)  # of no layout but the plain one can a flat view be written to
        frames, holes = repaired.flatten(0, 1), masks.flatten(0, 1)
        chosen = holes.flatten(1).any(1).nonzero().flatten()
        flat = poor.flatten(0, 1)
        for few in chosen.split(self._together(repaired)):
            flat[few] = self.score(frames[few], holes[few]).sigmoid() * holes[few]
        return Detection(poor, poor.expand(-1, -1, 3, -1, -1).clone())

    def score(self, frames: Tensor, holes: Tensor) -> Tensor:
        """Logits of being poor, ``(N, 1, H, W)``, of frames ``(N, 3, H, W)`` under holes ``(N, 1, H, W)``."""
        logits = guided_logits(self.features(frames), holes, self.clustering, self.guide)
        return F.interpolate(logits, size=frames.shape[-2:], mode="bilinear", align_corners=False)

    def features(self, frames: Tensor) -> Tensor:
        """Concatenated features ``(N, C, h, w)`` of frames ``(N, 3, H, W)`` in [0, 1], each extractor's of length 1."""
        maps = list(self._maps(frames))
        size = maps[0].shape[-2:]
        return torch.cat([maps[0], *(F.normalize(F.interpolate(m, size=size), dim=1) for m in maps[1:])], 1)

    def _maps(self, frames: Tensor) -> Iterator[Tensor]:
        for network in self.networks:
            yield unit_features(network, frames, self.size)

    def _together(self, frames: Tensor) -> int:
        """How many frames go through the networks at a time."""
        if self.batch:
            return self.batch
        side = PUBLISHED_SIZE if "vit" in self.extractors else self.size
        pixels = side**2 or frames.shape[-2] * frames.shape[-1]
        return max(1, _PIXELS // pixels)


def unit_features(extractor: nn.Module, frames: Tensor, size: int = 0) -> Tensor:
    """An extractor's features ``(N, C, h, w)``, each of unit length.

    Args:
        extractor: :class:`HRNetExtractor` or :class:`ViTExtractor`.
        frames: ``(N, 3, H, W)`` in [0, 1].
        size: side to which frames are resized; 0 to keep their size as nearly as the extractor can.
    """
    height, width = (size, size) if size else (frames.shape[-2], frames.shape[-1])
    accepted: tuple[int, int] = cast(Any, extractor).accepted_size(height, width)
    if tuple(frames.shape[-2:]) != accepted:
        frames = F.interpolate(frames, size=accepted, mode="bilinear", align_corners=False)
    return F.normalize(extractor(frames), dim=1)


def guided_logits(features: Tensor, holes: Tensor, clustering: str = "two-means", guide: str = "seed") -> Tensor:
    """Logits of being poor ``(N, 1, h, w)``: the difference of similarities to the two centres, over a temperature.

    Args:
        features: ``(N, C, h, w)``.
        holes: M0 ``(N, 1, H, W)`` of any size.
        clustering, guide: see :class:`FocalDetector`.
    """
    size = features.shape[-2:]
    pixels = F.normalize(features.flatten(2).mT, dim=-1)
    covered = shrink(holes[:, None], (size[0], size[1])).flatten(1)
    if clustering == "hdbscan":
        told = hdbscan_scores(pixels, covered, guided=guide == "seed")
    elif guide == "gate":
        forged = smaller_cluster(pixels).float()
        sums = torch.stack([1 - forged, forged], 1) @ pixels
        told = scores(pixels, F.normalize(sums, dim=-1))
    else:
        told = scores(pixels, two_centres(pixels, covered))
    return told.unflatten(1, size)[:, None] / TEMPERATURE


def focal_hrnet(
    device: str | torch.device = "cpu", weights: str | Path | None = None, size: int | None = None
) -> FocalDetector:
    """:class:`FocalDetector` with the HRNet alone."""
    return FocalDetector(device, weights, ("hrnet",), size)


def focal_hrnet_hdbscan(
    device: str | torch.device = "cpu", weights: str | Path | None = None, size: int | None = None
) -> FocalDetector:
    """:class:`FocalDetector` with the HRNet alone and HDBSCAN."""
    return FocalDetector(device, weights, ("hrnet",), size, clustering="hdbscan")


def focal_vit(device: str | torch.device = "cpu", weights: str | Path | None = None) -> FocalDetector:
    """:class:`FocalDetector` with the ViT alone."""
    return FocalDetector(device, weights, ("vit",))


def _checked(extractors: Sequence[str]) -> tuple[str, ...]:
    chosen = (extractors,) if isinstance(extractors, str) else tuple(extractors)
    if not chosen or len(set(chosen)) != len(chosen) or not set(chosen) <= set(EXTRACTORS):
        raise InputError(f"extractors must be one or more of {', '.join(EXTRACTORS)}, each once, got {extractors!r}")
    return chosen


def _files(extractors: tuple[str, ...], weights: str | Path | None) -> dict[str, Path]:
    """Where the weights of each extractor are; asks for all before any is loaded."""
    if weights is None:
        return {name: path_of(f"focal-{name}") for name in extractors}
    given = user_path(weights)
    if given.is_dir():
        return {name: path_of(f"focal-{name}", given / WEIGHTS[f"focal-{name}"].filename) for name in extractors}
    if len(extractors) > 1:
        raise InputError(f"{given} is one file, {' and '.join(extractors)} need two: name the folder that holds both")
    return {extractors[0]: path_of(f"focal-{extractors[0]}", given)}
