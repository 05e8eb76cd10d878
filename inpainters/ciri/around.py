"""CIRI around a published network, from its adapter and from weight files: building, storing, reading."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from videoinpaint.errors import CorruptWeightsError, warn
from videoinpaint.files import user_path
from videoinpaint.inpainters.ciri.published import OneShotPublished
from videoinpaint.inpainters.published import plan
from videoinpaint.inpainters.published.adapter import PublishedInpainter
from videoinpaint.inpainters.published.dstt.inpainter import DSTTInpainter
from videoinpaint.inpainters.published.e2fgvi.inpainter import E2FGVIHQInpainter, E2FGVIInpainter
from videoinpaint.inpainters.published.fuseformer.inpainter import FuseFormerInpainter
from videoinpaint.inpainters.published.propainter.inpainter import ProPainterInpainter
from videoinpaint.inpainters.published.sizes import stored_sizes
from videoinpaint.inpainters.published.work import Pass
from videoinpaint.protocols import State
from videoinpaint.weights import ORIGIN, handed_on, load_into, load_safetensors, save_safetensors, terms_of

ADAPTERS: dict[str, type[PublishedInpainter]] = {
    "dstt": DSTTInpainter,
    "fuseformer": FuseFormerInpainter,
    "e2fgvi": E2FGVIInpainter,
    "e2fgvi_hq": E2FGVIHQInpainter,
    "propainter": ProPainterInpainter,
}
"""Networks that CIRI can stand around, by name."""

MARK = "ciri"  # in the metadata of files that are trained here: the network's name


class OneShotProPainter(OneShotPublished):
    """ProPainter, whose encoder also sees the hole and what propagation leaves of it, and attends where holes are.

    The frames stay as they are, target included; flows, their completion and the propagation of features know the
    hole. Propagated pixels are not put into the frames: there CIRI inactivates features instead.

    Args:
        part: the adapter; flow completion and RAFT belong to it and are not trained.
        learned, attention: see :class:`OneShotPublished`.
    """

    def __init__(self, part: PublishedInpainter, learned: bool = False, attention: bool = True) -> None:
        super().__init__(part.networks["main"], part.geometry, learned, attention)
        self.others = nn.ModuleDict({name: network for name, network in part.networks.items() if name != "main"})
        self._part = part

    def _encode(self, frames: Tensor, channels: Tensor | None = None) -> Tensor:
        beside = torch.zeros_like(frames[:, :, :2]) if channels is None else channels
        entering = torch.cat([frames, beside], 2)
        return cast(nn.Module, self.network.encoder)(entering.flatten(0, 1)).unflatten(0, frames.shape[:2])

    def prepare(self, observed: Tensor, holes: Tensor) -> State:
        """Flows in both directions, completed, and what propagation leaves unfilled of the dilated holes."""
        frames, dilated = self.geometry.to_network(observed) * 2 - 1, self.geometry.mask_to_network(holes)
        length = frames.shape[1]
        # As in the adapter a single frame is doubled, so that it has flow; what belongs to the second is then dropped.
        seen = (frames, dilated) if length > 1 else (frames.repeat(1, 2, 1, 1, 1), dilated.repeat(1, 2, 1, 1, 1))
        made = self._part.prepare(*seen)
        flows = {name: made[name][:, : length - 1] for name in ("flows_forward", "flows_backward")}
        return flows | {"unfilled": made["unfilled"][:, :length], "dilated": dilated}

    def encode_masked(self, frames: Tensor, prepared: State) -> Tensor:
        """See :class:`OneShotPublished`."""
        return self._encode(frames, torch.cat([prepared["dilated"], prepared["unfilled"] * prepared["dilated"]], 2))

    def _transform(self, features: Tensor, window: plan.Window, prepared: State, fusion: Tensor) -> Tensor:
        return self._part.transform(_pass_over(prepared, fusion), features, window)

    def pattern(self, prepared: State) -> Hashable:
        """Which windows of tokens touch the hole: these attend to more than themselves."""
        work = _pass_over(prepared, prepared["dilated"].new_zeros(1))
        windows = plan.published_windows(work.holes.shape[1])
        return tuple(self._part.pattern(work, window)[0] for window in windows)


def _pass_over(prepared: State, fusion: Tensor) -> Pass:
    """A pass of the adapter over a whole clip, of which only the hole is looked at here."""
    return Pass(prepared, prepared["dilated"], prepared["dilated"], fusion, True)


def around(part: PublishedInpainter, learned: bool, attention: bool = True) -> OneShotPublished:
    """The model around an adapter's network, which is used and not copied."""
    if isinstance(part, ProPainterInpainter):
        return OneShotProPainter(part, learned, attention)
    return OneShotPublished(part.networks["main"], part.geometry, learned, attention)


def save_around(model: OneShotPublished, part: PublishedInpainter, output: Path) -> Path:
    """Write a trained model with the sizes of its network; :func:`load_around` reads it.

    What began with weights under a licence stays under it, which is told when the file is read.
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    attention = str(int(model.inactivation.attention))
    told = part.sizes.as_metadata() | {MARK: part.name, "attention": attention} | handed_on(*part.terms)
    return save_safetensors(output, tensors, told | {ORIGIN: "videoinpaint pretrain"})


def load_around(
    name: str, device: str | torch.device, weights: str | None
) -> tuple[OneShotPublished, PublishedInpainter]:
    """The model around a network, and the adapter.

    Args:
        name: of the network, one of `ADAPTERS`.
        device: where it computes.
        weights: a file of :func:`save_around`; else what the adapter takes, and nothing of the inactivation is
            trained: features are compared as they are. An `InputWarning` says so of a file.

    Raises:
        MissingWeightsError, CorruptWeightsError: among them a file of another network.
    """
    adapter = ADAPTERS[name]
    path = None if weights is None else user_path(weights)
    if path is None or path.suffix != ".safetensors" or not path.is_file():
        part = adapter(device, weights)
        return around(part, learned=False), part
    metadata = load_safetensors(name, path)[1]
    if MARK not in metadata:
        part = adapter(device, path)
        warn(
            f"{path} holds the network alone: the inactivation of ciri_{name} is untrained and compares features as "
            f"they are; `videoinpaint pretrain one-shot --arch {name} --init FILE` trains it"
        )
        return around(part, learned=False), part
    if metadata[MARK] != name:
        raise CorruptWeightsError(f"{path} holds CIRI around {metadata[MARK]}: take ciri_{metadata[MARK]}")
    part = adapter(device, sizes=stored_sizes(name, path))
    model = around(part, learned=True, attention=metadata.get("attention", "1") == "1")
    load_into(cast(nn.Module, model), name, path)
    part.random_weights, part.terms = False, (terms_of(name, path),)
    return model, part
