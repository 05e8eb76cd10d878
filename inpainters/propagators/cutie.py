"""Cutie (Cheng et al., CVPR 2024) as a mask propagator: the `rf-cutie` package, an extra, with its official weights."""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from videoinpaint.errors import CorruptWeightsError, MissingPackageError
from videoinpaint.inpainters.propagators.common import check_target
from videoinpaint.weights import build_seeded, load_tensors, path_of

MD5 = "a6071de6136982e396851903ab4c083a"
"""Of the official ``cutie-base-mega.pth``, as the package states it; it states no sha256."""

_TUNED = ("mask_encoder", "pixel_fuser", "object_transformer", "object_summarizer", "mask_decoder")
_BUILDING = threading.Lock()


class CutiePropagator:
    """Cutie's base model with its authors' evaluation settings, one target, memory every five frames."""

    name = "cutie"

    def __init__(
        self, device: str | torch.device = "cpu", weights: str | None = None, longest: int = 864, seed: int = 0
    ) -> None:
        """Build the network.

        Args:
            device: where it computes.
            weights: a file of your own, ``"random"`` for the untrained network (to try the path and its cost; its masks
                mean nothing); None for the registry's ``cutie``.
            longest: longer sides are reduced to this many pixels before the network sees them, and masks enlarged.
            seed: of random weights.

        Raises:
            MissingPackageError: the package is not installed; the message says how to install it.
            MissingWeightsError, CorruptWeightsError.
        """
        self.device, self.longest = torch.device(device), longest
        self._config = _configuration()
        self.random_weights = weights == "random"
        tensors = None if self.random_weights else _official(weights)
        self.network = _network(self._config, tensors, seed).to(self.device).eval()

    def start(self, frames: Tensor, first: Tensor) -> CutieTracker:
        """Describe all frames; see :class:`videoinpaint.protocols.MaskPropagator`."""
        target = check_target(frames, first)
        return CutieTracker(
            self.network, self._config, frames.detach().float().to(self.device), target.float().to(self.device),
            self.longest,
        )  # fmt: skip


class CutieTracker:
    """One clip. What depends on the picture alone is computed once; memory, reading and decoding carry gradients.

    The network belongs to the propagator: its clips share it, so that tuning on one changes the others too.

    Args:
        network, config: see :class:`CutiePropagator`.
        frames: ``(T, 3, H, W)``.
        target: ``(1, H, W)`` in {0, 1}.
        longest: see :class:`CutiePropagator`.
    """

    def __init__(self, network: nn.Module, config: Any, frames: Tensor, target: Tensor, longest: int) -> None:
        self._network, self._config, self._target, self._longest = network, config, target, longest
        self._frames = frames
        self._pictures: dict[int, tuple[Any, ...]] = {}

    def masks(self) -> Tensor:
        """``(T, 1, H, W)`` in [0, 1]; see :class:`videoinpaint.protocols.Tracker`."""
        from cutie.inference.inference_core import InferenceCore

        features = _Pictures(self._network, self._pictures)
        config = self._config.copy()
        sides, scale = self._frames.shape[-2:], self._longest / max(self._frames.shape[-2:])
        if scale < 1:  # the package's limit is one of the shorter side
            config.max_internal_size = max(16, round(min(sides) * scale))
        # A small first frame has fewer places than the package means to read from.
        config.top_k = min(config.top_k, math.prod(math.ceil(int(side * min(scale, 1)) / 16) for side in sides))
        core = InferenceCore(self._network, cfg=config, image_feature_store=features)
        masks = [self._target]
        for index, frame in enumerate(self._frames):
            if index == 0:
                core.step(frame, self._target, idx_mask=False)
            else:
                masks.append(core.step(frame, end=index == len(self._frames) - 1)[1:2].clamp(0, 1))
        return torch.stack(masks)

    def parameters(self) -> list[nn.Parameter]:
        """Those of the mask encoder, the reading of memory and the decoder; the picture encoder stays frozen."""
        return [p for part in _TUNED for p in getattr(self._network, part).parameters()]


class _Pictures:
    """Stands in for the package's store of features: keeps what the frozen picture encoder made, without gradients."""

    def __init__(self, network: Any, kept: dict[int, tuple[Any, ...]]) -> None:
        self._network, self._kept = network, kept

    def _of(self, index: int, image: Tensor) -> tuple[Any, ...]:
        if index not in self._kept:
            with torch.no_grad():
                scales, pixels = self._network.encode_image(image)
                self._kept[index] = (scales, pixels, *self._network.transform_key(scales[0]))
        return self._kept[index]

    def get_features(self, index: int, image: Tensor) -> tuple[Any, ...]:
        return self._of(index, image)[:2]

    def get_key(self, index: int, image: Tensor) -> tuple[Any, ...]:
        return self._of(index, image)[2:]

    def delete(self, index: int) -> None:
        """Nothing: the next call of `masks` uses the features again."""


def _configuration() -> Any:
    """The package's own evaluation settings, read without its command-line machinery."""
    try:
        import cutie
        from omegaconf import OmegaConf
    except ImportError as error:
        raise MissingPackageError(
            "the propagator 'cutie' needs the package rf-cutie: pip install 'videoinpaint[cutie]'"
        ) from error
    folder = Path(next(iter(cutie.__path__))) / "config"
    config: Any = OmegaConf.load(folder / "eval_config.yaml")
    config.pop("defaults", None)
    config.pop("hydra", None)
    config.model = OmegaConf.load(folder / "model" / "base.yaml")
    config.use_long_term, config.mem_every = False, 5
    return config


def _network(config: Any, tensors: dict[str, Tensor] | None, seed: int) -> nn.Module:
    from cutie.model.cutie import CUTIE

    with _nothing_downloaded():
        network: nn.Module = build_seeded(lambda: CUTIE(config), seed)
    if tensors is not None:
        _load(network, tensors)
    return network


def _load(network: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Strictly, but for the auxiliary heads, which only training uses."""
    wanted = network.state_dict()
    for key, value in wanted.items():
        if key not in tensors and not key.startswith("aux_computer."):
            raise CorruptWeightsError(f"the weights 'cutie' lack {key} {tuple(value.shape)}: fetch them again")
        if key in tensors and tensors[key].shape != value.shape:
            shapes = f"{tuple(tensors[key].shape)}, the network needs {tuple(value.shape)}"
            raise CorruptWeightsError(f"in the weights 'cutie', {key} has shape {shapes}: take cutie-base-mega.pth")
    network.load_state_dict({key: value for key, value in tensors.items() if key in wanted}, strict=False)


def _official(weights: str | None) -> dict[str, Tensor]:
    path = path_of("cutie", weights)
    if weights is None and (found := hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()) != MD5:
        raise CorruptWeightsError(f"{path} has md5 {found}, expected {MD5}: delete it and get it again")
    return load_tensors("cutie", path)


@contextmanager
def _nothing_downloaded() -> Iterator[None]:
    """The package asks for ImageNet weights whenever it builds its encoders; its own weights replace them anyway."""
    from cutie.model.utils import resnet

    originals = {name: getattr(resnet, name) for name in ("resnet18", "resnet50")}

    def untrained(name: str) -> Any:
        return lambda pretrained=False, **options: originals[name](pretrained=False, **options)

    with _BUILDING:
        try:
            for name in originals:
                setattr(resnet, name, untrained(name))
            yield
        finally:
            for name, original in originals.items():
                setattr(resnet, name, original)
