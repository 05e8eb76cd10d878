"""The studio: layered scenes from photographs that scikit-image installs. Nothing to download, any number of clips.

A scene is a background photograph under a moving camera, rippled by its own motion and crossed by a drifting texture,
with one to three sprites cut from other photographs, under changing light. Everything in it is a closed formula of time
and of the clip's seed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path as FilePath

import cv2
import numpy as np
from numpy.typing import NDArray

from videoinpaint.clips.files.images import read_image
from videoinpaint.clips.studio import shapes
from videoinpaint.clips.studio.config import PHOTOGRAPHS, SUITES, Range, StudioConfig
from videoinpaint.clips.types import Clip
from videoinpaint.errors import InputError, UnknownNameError

LISTED = 1000
"""`Studio.names` lists seeds 0..999; `Studio.sample` never draws those, so that they stay unseen in training."""

_LARGEST_PHOTO = 800
_NAME = re.compile(r"studio-(?P<suite>[\w.]+)-(?P<seed>\d{6,10})")

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]


class Studio:
    """A clip source of synthetic scenes.

    Args:
        config: what scenes look like; a suite's name or a `StudioConfig`.
        suite: the name that stands in the clips' names; by default the suite's own, or "custom".
    """

    def __init__(self, config: str | StudioConfig = "mixed", suite: str | None = None) -> None:
        if isinstance(config, str):
            suite = suite or config
            config = suite_config(config)
        self.config = config
        self.suite = suite or "custom"
        self.name = "studio" if self.suite == "mixed" else f"studio:{self.suite}"

    def clip_name(self, seed: int) -> str:
        """The name of the clip with this seed."""
        return f"studio-{self.suite}-{seed:06d}"

    def names(self) -> list[str]:
        """The names of the first thousand seeds; `load` accepts every other seed as well."""
        return [self.clip_name(seed) for seed in range(LISTED)]

    def sample(self, rng: np.random.Generator, num_frames: int, height: int, width: int) -> Clip:
        """A clip of a random seed, from the million or so that `names` does not list."""
        return self.load(self.clip_name(int(rng.integers(LISTED, 1_000_000))), num_frames, height, width)

    def load(self, name: str, num_frames: int, height: int, width: int, start: int = 0) -> Clip:
        """The frames ``start .. start + num_frames`` of a clip; scenes never end.

        Raises:
            UnknownNameError: the name is not one of this suite's.
        """
        seed = seed_of(name, self.suite)
        if seed is None:
            raise UnknownNameError(f"unknown clip {name!r}: clips of {self.name} are named {self.clip_name(123)!r}")
        times = np.arange(start, start + num_frames, dtype=np.float64)
        frames, objects = render(self.config, seed, times, height, width)
        return Clip(frames, name, objects, start)


def suite_config(name: str) -> StudioConfig:
    """The configuration of a suite.

    Raises:
        UnknownNameError: no suite has this name.
    """
    if name not in SUITES:
        raise UnknownNameError(f"unknown studio suite {name!r}: use one of {', '.join(SUITES)}")
    return SUITES[name]


def seed_of(name: str, suite: str | None = None) -> int | None:
    """The seed in a studio clip's name; None if it is no such name, or of another suite than the given one."""
    match = _NAME.fullmatch(name)
    if match is None or (suite is not None and match["suite"] != suite):
        return None
    return int(match["seed"])


def render(
    config: StudioConfig, seed: int, times: NDArray[np.float64], height: int, width: int
) -> tuple[Pixels, Pixels]:
    """Frames uint8 ``(T, H, W, 3)`` and the sprites' mask uint8 ``(T, H, W)`` of one scene at the given times."""
    scene = _Scene(config, np.random.default_rng([seed, 0x5CE2E]), height, width)
    frames = np.empty((len(times), height, width, 3), np.uint8)
    objects = np.zeros((len(times), height, width), np.uint8)
    for index, time in enumerate(times):
        frames[index], objects[index] = scene.draw(float(time))
    return frames, objects


@lru_cache(maxsize=64)
def _photograph(name: str) -> Pixels:
    """A photograph of scikit-image or a file, decoded once per process, at most 800 pixels on its longer side."""
    path = FilePath(name)
    if name in PHOTOGRAPHS:
        spec = find_spec("skimage")
        roots = spec.submodule_search_locations if spec else None
        path = FilePath(next(iter(roots or [""]))) / "data" / name
        if not path.is_file():
            raise InputError(f"the studio needs {path}, which scikit-image installs: reinstall scikit-image")
    image = read_image(path)
    scale = _LARGEST_PHOTO / max(image.shape[:2])
    if scale < 1:
        image = scaled(image, scale)
    image.setflags(write=False)
    return image


def _pick(rng: np.random.Generator, bounds: Range) -> float:
    # Exactly one draw whatever the bounds: the scene of a seed keeps its other attributes when one range changes.
    return float(bounds[0] + rng.random() * (bounds[1] - bounds[0]))


def graded(rng: np.random.Generator, name: str) -> Pixels:
    """A photograph with a random colour grading and handedness: a few photographs become many."""
    mix = np.eye(3) + rng.uniform(-0.18, 0.18, (3, 3))
    mix = mix / mix.sum(axis=1, keepdims=True) * rng.uniform(0.8, 1.2, (3, 1))
    gamma = np.exp(rng.uniform(-0.35, 0.35))
    curve = (255 * (np.arange(256) / 255) ** gamma).astype(np.uint8)
    mirrored = rng.random() < 0.5
    image = cv2.LUT(cv2.transform(_photograph(name), mix), curve)
    return np.ascontiguousarray(image[:, ::-1] if mirrored else image, dtype=np.uint8)


@dataclass(frozen=True)
class _Wave:
    """``size * sin(rate * t + phase)``."""

    size: float
    rate: float
    phase: float

    def __call__(self, time: float) -> float:
        return float(self.size * np.sin(self.rate * time + self.phase))


def _wave(rng: np.random.Generator, size: float) -> _Wave:
    return _Wave(size, float(rng.uniform(0.05, 0.2)), float(rng.uniform(0, 2 * np.pi)))


class _Scene:
    """All layers of one clip at one frame size; `draw` composes them at one time."""

    def __init__(self, config: StudioConfig, rng: np.random.Generator, height: int, width: int) -> None:
        # One stream of random numbers per layer: more sprites do not change the background.
        backdrop, texture, light, count, *actors = rng.spawn(4 + 16)
        unit = width / shapes.UNIT_WIDTH
        self.background = _Background(config, backdrop, height, width)
        self.texture = _Texture(config, texture, height, width, unit)
        number = round(_pick(count, config.sprites))
        self.sprites = [_Sprite(config, actors[i], height, width, unit) for i in range(number)]
        size = _pick(light, config.lighting)
        self.light = _wave(light, 0.6 * size)
        self.slope = _wave(light, 0.4 * size)
        tilt = light.uniform(0, 2 * np.pi)
        y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
        self.plane = (np.float32(np.cos(tilt)) * x + np.float32(np.sin(tilt)) * y)[..., None]

    def draw(self, time: float) -> tuple[Pixels, Pixels]:
        frame = self.background.draw(time, self.texture)
        mask = np.zeros(frame.shape[:2], np.uint8)
        for sprite in self.sprites:
            sprite.paint(time, frame, mask)
        frame *= 1 + np.float32(self.light(time)) + np.float32(self.slope(time)) * self.plane
        return np.rint(np.clip(frame, 0, 255)).astype(np.uint8), mask


class _Background:
    """The photograph that the camera moves over."""

    def __init__(self, config: StudioConfig, rng: np.random.Generator, height: int, width: int) -> None:
        unit = width / shapes.UNIT_WIDTH
        image = graded(rng, str(rng.choice(config.photographs)))
        # The photograph is 1.4 to 2.4 times as large as the frame: one photograph gives close and distant views.
        cover = rng.uniform(1.4, 2.4) * max(height / image.shape[0], width / image.shape[1])
        self.image = scaled(image, cover)
        rows, columns = self.image.shape[:2]
        # The camera starts well inside and heads for the middle, so that it seldom sees the mirrored border.
        x0, y0 = rng.uniform((width / 2, height / 2), (columns - width / 2, rows - height / 2))
        speed = _pick(rng, config.camera_speed) * unit
        self.path = shapes.random_path(rng, x0, y0, speed, towards=(columns / 2, rows / 2))
        self.zoom = _wave(rng, _pick(rng, config.camera_zoom))
        self.turn = _wave(rng, np.deg2rad(_pick(rng, config.camera_rotation)))
        y, x = np.mgrid[:height, :width].astype(np.float32)
        self.grid = (x - (width - 1) / 2, y - (height - 1) / 2)
        self.ripples = _ripples(rng, x, y, _pick(rng, config.background_motion) * unit, unit)

    def draw(self, time: float, texture: _Texture) -> Floats:
        centre_x, centre_y = self.path.at(np.array([time]))[0]
        scale, angle = np.exp(-self.zoom(time)), self.turn(time)
        cos, sin = np.float32(scale * np.cos(angle)), np.float32(scale * np.sin(angle))
        x, y = self.grid
        shift_x, shift_y = self.ripples(time)
        map_x = cos * x - sin * y + (shift_x + np.float32(centre_x))
        map_y = sin * x + cos * y + (shift_y + np.float32(centre_y))
        frame = look_up(self.image, map_x, map_y).astype(np.float32)
        return texture.paint(time, frame, map_x, map_y)


def _ripples(
    rng: np.random.Generator, x: Floats, y: Floats, size: float, unit: float
) -> Callable[[float], tuple[Floats, Floats]]:
    """Displacement fields in pixels: two plane waves per axis, travelling in random directions."""
    lengths, angles = rng.uniform(25, 70, 4) * unit, rng.uniform(0, 2 * np.pi, 4)
    rates, phases = rng.uniform(0.2, 0.6, 4), rng.uniform(0, 2 * np.pi, 4)
    still = (np.zeros((), np.float32), np.zeros((), np.float32))
    if size == 0:
        return lambda time: still
    fields = [
        (2 * np.pi / length * (np.cos(angle) * x + np.sin(angle) * y) + phase).astype(np.float32)
        for length, angle, phase in zip(lengths, angles, phases)
    ]

    def displace(time: float) -> tuple[Floats, Floats]:
        waves = [np.float32(size / 2) * np.sin(field + np.float32(rate * time)) for field, rate in zip(fields, rates)]
        return waves[0] + waves[1], waves[2] + waves[3]

    return displace


class _Texture:
    """Patches of a second photograph that drift over the background and move with the camera."""

    def __init__(self, config: StudioConfig, rng: np.random.Generator, height: int, width: int, unit: float) -> None:
        speed = _pick(rng, config.texture_speed) * unit
        self.strength = 0.0 if speed == 0 else 1.0
        image = graded(rng, str(rng.choice(config.photographs)))
        self.image = scaled(image, max(height / image.shape[0], width / image.shape[1]) * 1.2)
        self.path = shapes.random_path(rng, 0.0, 0.0, speed)
        noise = cv2.GaussianBlur(rng.normal(size=(24, 24)).astype(np.float32), (0, 0), 2.0)
        patches = cv2.resize(noise / noise.std(), self.image.shape[1::-1], interpolation=cv2.INTER_CUBIC)
        self.cover = np.clip(0.4 + 1.6 * patches, 0, 0.85).astype(np.float32)

    def paint(self, time: float, frame: Floats, map_x: Floats, map_y: Floats) -> Floats:
        if self.strength == 0:
            return frame
        x, y = self.path.at(np.array([time]))[0]
        map_x, map_y = map_x - np.float32(x), map_y - np.float32(y)
        alpha = look_up(self.cover, map_x, map_y)[..., None]
        return frame + np.asarray(alpha * (look_up(self.image, map_x, map_y) - frame), np.float32)


class _Sprite:
    """A soft-edged piece of a photograph that moves, turns and breathes."""

    def __init__(self, config: StudioConfig, rng: np.random.Generator, height: int, width: int, unit: float) -> None:
        radius = _pick(rng, config.sprite_size) * unit
        image = graded(rng, str(rng.choice(config.photographs)))
        side = max(8, int(4 * radius))
        image = scaled(image, max(side / min(image.shape[:2]), rng.uniform(0.4, 0.9) * unit))
        top, left = (int(rng.integers(0, max(1, extent - side + 1))) for extent in image.shape[:2])
        self.tile = np.ascontiguousarray(image[top : top + side, left : left + side])
        alpha = np.zeros(self.tile.shape[:2], np.uint8)
        shapes.fill(alpha, shapes.random_outline(rng) * radius + side / 2, 255)
        self.alpha = cv2.GaussianBlur(alpha, (0, 0), max(0.5, 0.8 * unit))
        self.middle = (self.tile.shape[1] / 2, self.tile.shape[0] / 2)
        x, y = rng.uniform((0.1 * width, 0.1 * height), (0.9 * width, 0.9 * height))
        self.path = shapes.random_path(rng, x, y, _pick(rng, config.sprite_speed) * unit)
        self.turn, self.breath = _wave(rng, 0.25), _wave(rng, 0.08)
        self.size = (width, height)

    def paint(self, time: float, frame: Floats, mask: Pixels) -> None:
        """Blend the sprite into the frame and add it to the mask, both in place."""
        width, height = self.size
        spot = self.path.at(np.array([time]))
        x, y = shapes.fold(spot[:, 0], 0, width)[0], shapes.fold(spot[:, 1], 0, height)[0]
        affine = cv2.getRotationMatrix2D(self.middle, np.rad2deg(self.turn(time)), np.exp(self.breath(time)))
        affine[:, 2] += (x - self.middle[0], y - self.middle[1])
        alpha = cv2.warpAffine(self.alpha, affine, self.size)
        colour = cv2.warpAffine(self.tile, affine, self.size)
        frame += alpha[..., None] * np.float32(1 / 255) * (colour - frame)
        mask |= (alpha > 127).view(np.uint8)


def scaled(image: Pixels, scale: float) -> Pixels:
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=method), dtype=np.uint8)


def look_up(image: NDArray, map_x: Floats, map_y: Floats) -> NDArray:
    return cv2.remap(image, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
