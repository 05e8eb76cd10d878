"""The photographs that the studio's scenes are made of, and their random colour gradings."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from videoinpaint.clips.files.images import read_image
from videoinpaint.clips.studio import exact, raster
from videoinpaint.clips.studio.config import PHOTOGRAPHS
from videoinpaint.clips.studio.draws import Draws
from videoinpaint.errors import InputError

_LARGEST = 800


@lru_cache(maxsize=64)
def photograph(name: str) -> raster.Packed:
    """A photograph of scikit-image or a file, packed, read once per process, at most 800 pixels on its longer side.

    Raises:
        InputError: a photograph of scikit-image is missing, or its pixels are not the known ones.
    """
    image = raster.pack(_installed(name) if name in PHOTOGRAPHS else read_image(Path(name)))
    scale = _LARGEST / max(image.shape)
    if scale < 1:
        image = raster.scaled(image, scale)
    image.setflags(write=False)
    return image


def _installed(name: str) -> NDArray[np.uint8]:
    spec = find_spec("skimage")
    roots = spec.submodule_search_locations if spec else None
    path = Path(next(iter(roots or [""]))) / "data" / name
    if not path.is_file():
        raise InputError(f"the studio needs {path}, which scikit-image installs: reinstall scikit-image")
    image = read_image(path)
    if digest_of(image) != PHOTOGRAPHS[name]:
        raise InputError(
            f"{path} is not the photograph that scikit-image 0.22 to 0.26 installs, and every clip would differ from "
            "other machines': reinstall scikit-image in one of these versions, and pillow"
        )
    return image


def digest_of(image: NDArray[np.uint8]) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of a picture's size and pixels."""
    return hashlib.sha256(f"{image.shape}".encode() + image.tobytes()).hexdigest()[:16]


@dataclass(frozen=True)
class Grading:
    """A random colour grading and handedness: a few photographs become many.

    Attributes:
        mix: int64 ``(3, 3)``, what each channel takes of each, in 1/4096.
        curve: int64 (256,), brightness after gamma.
        mirrored: left and right are exchanged.
    """

    mix: NDArray[np.int64]
    curve: NDArray[np.int64]
    mirrored: bool

    @staticmethod
    def drawn(draws: Draws) -> Grading:
        """A random one."""
        mix = np.eye(3) + draws.uniforms(-0.18, 0.18, 9).reshape(3, 3)
        mix = mix / (mix[:, :1] + mix[:, 1:2] + mix[:, 2:]) * draws.uniforms(0.8, 1.2, 3)[:, None]
        gamma = exact.exp(draws.uniform(-0.35, 0.35))
        curve = np.zeros(256)
        curve[1:] = 255 * exact.exp(gamma * exact.log(np.arange(1, 256) / 255))
        # The curve is cut down to whole levels; a hair is added, so that what is whole in truth stays.
        levels = np.floor(curve + 1e-9).astype(np.int64)
        return Grading(np.rint(4096 * mix).astype(np.int64), levels, draws.random() < 0.5)

    def apply(self, image: raster.Packed) -> raster.Packed:
        """A packed picture in other colours, perhaps mirrored."""
        red, green, blue = raster.lanes(image[:, ::-1] if self.mirrored else image)
        graded = np.zeros(image.shape, np.int64)
        for lane, (of_red, of_green, of_blue) in enumerate(self.mix):
            mixed = (red * of_red + green * of_green + blue * of_blue + 2048) >> 12
            graded |= self.curve.take(np.clip(mixed, 0, 255)) << lane * raster.LANE
        return graded
