"""Published networks in the loop, reduced in depth and size: the same code, other numbers in the constructors."""

from __future__ import annotations

import pytest
import torch

import videoinpaint  # noqa: F401 - registers the environments
from videoinpaint.benchmarks.published_order import plain_pass
from videoinpaint.controls import Controls
from videoinpaint.inpainters.dstt.inpainter import DSTTInpainter
from videoinpaint.inpainters.dstt.network import DSTT
from videoinpaint.inpainters.e2fgvi.inpainter import E2FGVIHQInpainter
from videoinpaint.inpainters.fuseformer.inpainter import FuseFormerInpainter
from videoinpaint.inpainters.fuseformer.network import FuseFormer
from videoinpaint.inpainters.propainter.inpainter import ProPainterInpainter
from videoinpaint.inpainters.published.geometry import Geometry
from videoinpaint.inpainters.sttn.inpainter import STTNInpainter
from videoinpaint.inpainters.sttn.network import STTN
from videoinpaint.testing import check_inpainter

SMALL = (48, 96)
FULL = Controls(heads=12, fusion=0.5).to_array()[None]


class SmallSTTN(STTNInpainter):
    geometry = Geometry(fixed=SMALL)
    calibration_size = SMALL

    def build(self):
        return {"main": STTN(depth=1)}


class SmallDSTT(DSTTInpainter):
    geometry = Geometry(fixed=SMALL)
    calibration_size = SMALL

    def build(self):
        return {"main": DSTT(hidden=512, depth=2)}


class SmallFuseFormer(FuseFormerInpainter):
    geometry = Geometry(fixed=SMALL)
    calibration_size = SMALL

    def build(self):
        return {"main": FuseFormer(hidden=490, depth=1, size=SMALL)}


class SmallE2FGVI(E2FGVIHQInpainter):
    calibration_size = (60, 108)

    def build(self):
        networks = super().build()
        networks["main"].transformer = networks["main"].transformer[:1]
        return networks


class SmallProPainter(ProPainterInpainter):
    calibration_size = (48, 64)
    flow_iterations = 2

    def build(self):
        networks = super().build()
        networks["main"].transformers.transformer = networks["main"].transformers.transformer[:2]
        return networks


REDUCED = {
    "sttn": SmallSTTN, "dstt": SmallDSTT, "fuseformer": SmallFuseFormer, "e2fgvi_hq": SmallE2FGVI,
    "propainter": SmallProPainter,
}  # fmt: skip


@pytest.fixture(scope="module")
def parts():
    """Each reduced inpainter, built once."""
    built: dict = {}

    def part(name):
        return built.setdefault(name, REDUCED[name](weights="random"))

    return part


def clip(length, height, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    scene = torch.rand(1, 3, height // 8 + 1, width // 8 + 2 + length // 2, generator=generator)
    scene = torch.nn.functional.interpolate(scene, scale_factor=8, mode="bicubic").clamp(0, 1)
    frames = torch.stack([scene[..., :height, 3 * t : 3 * t + width] for t in range(length)], 1)
    holes = torch.zeros(1, length, 1, height, width)
    holes[..., height // 4 : 3 * height // 4, width // 3 : width // 2] = 1
    return torch.where(holes > 0, torch.tensor(128 / 255), frames), holes


@pytest.mark.parametrize("name", REDUCED)
def test_the_rules_of_inpainters_hold(parts, name):
    check_inpainter(parts(name), num_frames=3)


@pytest.mark.parametrize("name", REDUCED)
def test_the_first_pass_is_the_published_order(parts, name):
    part = parts(name)
    height, width = (128, 136) if name == "propainter" else (60, 108) if name == "e2fgvi_hq" else SMALL
    frames, holes = clip(7 if name == "propainter" else 13, height, width)
    ours = part.refine(part.begin(frames, holes), frames, holes, FULL).frames
    plain = plain_pass(part, frames, holes)
    inside = holes.expand_as(frames) > 0
    assert (ours - plain)[inside].abs().max() < 1e-4
    assert ours[inside].std() > 0.01  # something was painted
    cut = plain_pass(part, frames, holes, truncate=True)
    assert (ours - cut)[inside].abs().max() < 1.01 / 255
