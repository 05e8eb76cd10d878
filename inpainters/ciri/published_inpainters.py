"""CIRI around published networks, behind the inpainter protocols."""

from __future__ import annotations

from functools import partial
from typing import ClassVar, cast

import torch
from numpy.typing import NDArray
from torch import Tensor

from videoinpaint.controls import HEADS
from videoinpaint.inpainters.ciri.around import load_around
from videoinpaint.inpainters.ciri.inpainter import CIRIInpainter
from videoinpaint.inpainters.ciri.model import OneShotModel, Scene
from videoinpaint.inpainters.ciri.published import OneShotPublished
from videoinpaint.inpainters.published.cost import Meter
from videoinpaint.inpainters.published.layers.heads import count_heads, heads_of
from videoinpaint.protocols import Refinement, State


class AroundPublished(CIRIInpainter):
    """CIRI around a published network, at the size at which that works.

    ``weights`` is a file by ``videoinpaint pretrain one-shot --arch``; or what the network itself takes, by default its
    official weights from the cache (`videoinpaint weights`): nothing of the inactivation is then trained, so that it
    compares features as they are, as published, and takes the mean of prediction and attention.
    """

    around: ClassVar[str]
    controls = frozenset({"heads"})
    regional: frozenset[str] = frozenset()  # one number of heads for the whole frame

    def build(self, weights: str | None) -> OneShotModel:
        """See :class:`CIRIInpainter`."""
        model, part = load_around(self.around, self.device, weights)
        self.random_weights, self._meter = part.random_weights, Meter()
        return model

    def heads_run(self, control: float) -> int:
        """See :class:`videoinpaint.protocols.CountsHeads`."""
        return count_heads(control, heads_of(cast(OneShotPublished, self.model).network))

    @torch.no_grad()
    def refine(self, state: State, repaired: Tensor, masks: Tensor, controls: NDArray) -> Refinement:
        """See :class:`videoinpaint.protocols.Inpainter`: clip by clip, as each runs with its own number of heads."""
        values = torch.from_numpy(controls).to(self.device)
        frames, gflops = [], []
        for item in range(len(repaired)):
            one = slice(item, item + 1)
            scene = Scene.from_state({name: tensor[one] for name, tensor in state.items()})
            paint = partial(self.model.paint, scene, repaired[one], masks[one], values[one])
            pattern = cast(OneShotPublished, self.model).pattern(scene.prepared)
            kind = (self.heads_run(float(values[item, HEADS])), repaired.shape[1:], pattern)
            painted, spent = self._meter.run(kind, 1, paint)
            frames.append(painted[0])
            gflops.append(spent)
        return Refinement(torch.cat(frames).clamp(0, 1), torch.tensor(gflops, dtype=torch.float64))


class CIRIDSTTInpainter(AroundPublished):
    """CIRI around DSTT."""

    name, around = "ciri_dstt", "dstt"


class CIRIFuseFormerInpainter(AroundPublished):
    """CIRI around FuseFormer."""

    name, around = "ciri_fuseformer", "fuseformer"


class CIRIE2FGVIInpainter(AroundPublished):
    """CIRI around E2FGVI, which also honours ``fusion``."""

    name, around = "ciri_e2fgvi", "e2fgvi"
    controls = frozenset({"heads", "fusion"})


class CIRIE2FGVIHQInpainter(AroundPublished):
    """CIRI around E2FGVI-HQ, at the frames' own size; it also honours ``fusion``."""

    name, around = "ciri_e2fgvi_hq", "e2fgvi_hq"
    controls = frozenset({"heads", "fusion"})


class CIRIProPainterInpainter(AroundPublished):
    """CIRI around ProPainter, at the frames' size rounded down to multiples of 8; it also honours ``fusion``."""

    name, around = "ciri_propainter", "propainter"
    controls = frozenset({"heads", "fusion"})
