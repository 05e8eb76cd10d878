"""The published networks reduced in depth, width and size: the same code, other numbers in the constructors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from torch import nn

from videoinpaint.inpainters.published import PublishedInpainter
from videoinpaint.inpainters.published.dstt.inpainter import DSTTInpainter
from videoinpaint.inpainters.published.dstt.network import DSTT
from videoinpaint.inpainters.published.e2fgvi.feature_propagation import FeaturePropagation
from videoinpaint.inpainters.published.e2fgvi.inpainter import E2FGVIHQInpainter
from videoinpaint.inpainters.published.e2fgvi.network import E2FGVI
from videoinpaint.inpainters.published.fuseformer.inpainter import FuseFormerInpainter
from videoinpaint.inpainters.published.fuseformer.network import FuseFormer
from videoinpaint.inpainters.published.geometry import Geometry
from videoinpaint.inpainters.published.layers.encoder import HierarchicalEncoder, decoder, stem
from videoinpaint.inpainters.published.layers.soft_split import (
    KERNEL,
    PADDING,
    STRIDE,
    SoftComposition,
    SoftSplit,
)
from videoinpaint.inpainters.published.propainter import recurrent_propagation
from videoinpaint.inpainters.published.propainter.inpainter import ProPainterInpainter
from videoinpaint.inpainters.published.propainter.network import ProPainter
from videoinpaint.inpainters.published.sizes import Sizes
from videoinpaint.inpainters.published.sttn.inpainter import STTNInpainter
from videoinpaint.inpainters.published.sttn.network import STTN

SMALL = (48, 96)
CHANNELS, DIM = 32, 128  # of features and of tokens; 128 and 512 in the published networks
WIDTHS = (CHANNELS,) * 5


def narrowed(network: Any, channels: int = 3, **composition: Any) -> Any:
    """A network of soft splits whose frames, of so many channels, become features of `CHANNELS`."""
    network.encoder, network.decoder = HierarchicalEncoder(channels, WIDTHS), decoder(CHANNELS)
    network.ss, network.sc = SoftSplit(CHANNELS, DIM), SoftComposition(CHANNELS, DIM, **composition)
    return network


class SmallSTTN(STTNInpainter):
    geometry = Geometry(fixed=SMALL)
    calibration_size = SMALL
    feature_channels = CHANNELS
    random_gain = 1.0  # with the published gain so narrow a network paints next to nothing

    def build(self) -> dict[str, nn.Module]:
        network = STTN(CHANNELS, depth=1)
        network.encoder = nn.Sequential(*stem(), nn.Conv2d(256, CHANNELS, 1))
        return {"main": network}


class SmallDSTT(DSTTInpainter):
    geometry = Geometry(fixed=SMALL)
    calibration_size = SMALL
    feature_channels = CHANNELS

    def build(self) -> dict[str, nn.Module]:
        network = DSTT(DIM, hidden=DIM, depth=2)
        network.hier_enc, network.decoder = HierarchicalEncoder(256, WIDTHS, with_stem=False), decoder(CHANNELS)
        network.patch2vec = nn.Conv2d(CHANNELS, DIM, KERNEL, STRIDE, PADDING)
        network.vec2patch = SoftComposition(CHANNELS, DIM, bias=None)
        return {"main": network}


class SmallFuseFormer(FuseFormerInpainter):
    geometry = Geometry(fixed=SMALL)
    calibration_size = SMALL
    feature_channels = CHANNELS

    def build(self) -> dict[str, nn.Module]:
        network = FuseFormer(DIM, hidden=98, depth=1, size=SMALL)
        return {"main": narrowed(network, bias="map", size=network.feature_size)}


class SmallE2FGVI(E2FGVIHQInpainter):
    calibration_size = (60, 108)
    feature_channels = CHANNELS

    def build(self) -> dict[str, nn.Module]:
        network = narrowed(E2FGVI(hq=True, sizes=Sizes(1, DIM, 98)))
        network.feat_prop_module = FeaturePropagation(CHANNELS)
        return {"main": network}


class SmallProPainter(ProPainterInpainter):
    calibration_size = (48, 64)
    flow_iterations = 2
    feature_channels = CHANNELS

    def build(self) -> dict[str, nn.Module]:
        network = narrowed(ProPainter(Sizes(2, DIM, 98)), channels=5)
        network.feat_prop_module = recurrent_propagation.FeaturePropagation(CHANNELS)
        return super().build() | {"main": network}


KINDS: dict[str, type[PublishedInpainter]] = {
    "sttn": SmallSTTN, "dstt": SmallDSTT, "fuseformer": SmallFuseFormer, "e2fgvi_hq": SmallE2FGVI,
    "propainter": SmallProPainter,
}  # fmt: skip


@pytest.fixture(scope="session")
def reduced() -> dict[str, type[PublishedInpainter]]:
    """The reduced inpainters, yet to be built."""
    return KINDS


@pytest.fixture(scope="session")
def parts() -> Callable[[str], PublishedInpainter]:
    """Each reduced inpainter with random weights, built once."""
    built: dict[str, PublishedInpainter] = {}

    def part(name: str) -> PublishedInpainter:
        if name not in built:
            built[name] = KINDS[name](weights="random")
        return built[name]

    return part
