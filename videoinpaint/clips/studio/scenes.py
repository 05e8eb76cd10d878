"""The studio: layered scenes from photographs that scikit-image installs. Nothing to download, any number of clips.

A scene is a background photograph under a moving camera, rippled by its own motion and crossed by a drifting texture,
with one to three sprites cut from other photographs, under changing light. Everything in it is a closed formula of time
and of the clip's seed, by arithmetic that every machine does alike (`exact`, `raster`, `draws`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from videoinpaint.checks import check_sides
from videoinpaint.clips.studio import exact, raster, shapes
from videoinpaint.clips.studio.config import SUITES, Range, StudioConfig
from videoinpaint.clips.studio.draws import Draws
from videoinpaint.clips.studio.photographs import Grading, photograph
from videoinpaint.clips.types import Clip
from videoinpaint.errors import UnknownNameError

LISTED = 1000
"""`Studio.names` lists seeds 0..999; `Studio.sample` never draws those, so that they stay unseen in training."""

_NAME = re.compile(r"studio-(?P<suite>[\w.]+)-(?P<seed>[0-9]{6,10})")

Floats = NDArray[np.float64]
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
        return self.load(self.clip_name(Draws(rng).whole(LISTED, 1_000_000)), num_frames, height, width)

    def load(self, name: str, num_frames: int, height: int, width: int, start: int = 0) -> Clip:
        """The frames ``start .. start + num_frames`` of a clip; scenes never end.

        Raises:
            UnknownNameError: the name is not one of this suite's.
            InputError: a size is out of bounds.
        """
        check_sides(num_frames, height, width)
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
    scene = _Scene(config, Draws.seeded(seed, 0x5CE2E), height, width)
    frames = np.empty((len(times), height, width, 3), np.uint8)
    objects = np.zeros((len(times), height, width), np.uint8)
    for index, time in enumerate(times):
        frames[index], objects[index] = scene.draw(float(time))
    return frames, objects


def _pick(draws: Draws, bounds: Range) -> float:
    # Exactly one draw whatever the bounds: the scene of a seed keeps its other attributes when one range changes.
    return draws.uniform(float(bounds[0]), float(bounds[1]))


@dataclass(frozen=True)
class _Wave:
    """``size * sin(rate * t + phase)``."""

    size: float
    rate: float
    phase: float

    def __call__(self, time: float) -> float:
        return self.size * float(exact.sin(self.rate * time + self.phase))


def _wave(draws: Draws, size: float) -> _Wave:
    return _Wave(size, draws.uniform(0.05, 0.2), draws.uniform(0, shapes.TURN))


class _Scene:
    """All layers of one clip at one frame size; `draw` composes them at one time."""

    def __init__(self, config: StudioConfig, draws: Draws, height: int, width: int) -> None:
        # One stream of random numbers per layer: more sprites do not change the background.
        backdrop, texture, light, count, *actors = draws.spawn(4 + 16)
        unit = width / shapes.UNIT_WIDTH
        self.background = _Background(config, backdrop, height, width)
        self.texture = _Texture(config, texture, height, width, unit)
        number = round(_pick(count, config.sprites))
        self.sprites = [_Sprite(config, actors[i], height, width, unit) for i in range(number)]
        size = _pick(light, config.lighting)
        self.light = _wave(light, 0.6 * size)
        self.slope = _wave(light, 0.4 * size)
        tilt = light.uniform(0, shapes.TURN)
        x, y = (2 * np.arange(extent) / max(1, extent - 1) - 1 for extent in (width, height))
        self.plane = exact.cos(tilt) * x + (exact.sin(tilt) * y)[:, None]

    def draw(self, time: float) -> tuple[Pixels, Pixels]:
        frame = self.background.draw(time, self.texture)
        mask = np.zeros(frame.shape[1:], np.uint8)
        for sprite in self.sprites:
            sprite.paint(time, frame, mask)
        frame *= 1 + self.light(time) + self.slope(time) * self.plane
        return np.rint(np.clip(frame, 0, 255)).astype(np.uint8).transpose(1, 2, 0), mask


class _Background:
    """The photograph that the camera moves over."""

    def __init__(self, config: StudioConfig, draws: Draws, height: int, width: int) -> None:
        unit = width / shapes.UNIT_WIDTH
        image = photograph(draws.pick(config.photographs))
        grading = Grading.drawn(draws)
        # The photograph is 1.4 to 2.4 times as large as the frame: one photograph gives close and distant views.
        cover = draws.uniform(1.4, 2.4) * max(height / image.shape[0], width / image.shape[1])
        self.image = grading.apply(raster.scaled(image, cover))
        rows, columns = self.image.shape
        # The camera starts well inside and heads for the middle, so that it seldom sees the mirrored border.
        x0, y0 = (draws.uniform(inner / 2, outer - inner / 2) for inner, outer in ((width, columns), (height, rows)))
        speed = _pick(draws, config.camera_speed) * unit
        self.path = shapes.random_path(draws, x0, y0, speed, towards=(columns / 2, rows / 2))
        self.zoom = _wave(draws, _pick(draws, config.camera_zoom))
        self.turn = _wave(draws, math.pi / 180 * _pick(draws, config.camera_rotation))
        x, y = np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64)[:, None]
        self.grid = (x - (width - 1) / 2, y - (height - 1) / 2)
        self.ripples = _ripples(draws, x, y, _pick(draws, config.background_motion) * unit, unit)

    def draw(self, time: float, texture: _Texture) -> Floats:
        """The background and the texture upon it, ``(3, H, W)`` in 0..255."""
        centre_x, centre_y = self.path.at(np.array([time]))[0]
        scale, angle = exact.exp(-self.zoom(time)), self.turn(time)
        cos, sin = scale * exact.cos(angle), scale * exact.sin(angle)
        x, y = self.grid
        shift_x, shift_y = self.ripples(time)
        map_x = (cos * x + centre_x) - sin * y + shift_x
        map_y = (cos * y + centre_y) + sin * x + shift_y
        frame = look_up(self.image, map_x, map_y)
        return texture.paint(time, frame, map_x, map_y)


def _ripples(
    draws: Draws, x: Floats, y: Floats, size: float, unit: float
) -> Callable[[float], tuple[Floats | float, Floats | float]]:
    """Displacement fields in pixels: two plane waves per axis, travelling in random directions."""
    lengths, angles = draws.uniforms(25, 70, 4) * unit, draws.uniforms(0, shapes.TURN, 4)
    rates, phases = draws.uniforms(0.2, 0.6, 4), draws.uniforms(0, shapes.TURN, 4)
    if size == 0:
        return lambda time: (0.0, 0.0)
    fields = [
        shapes.TURN / length * (exact.cos(angle) * x + exact.sin(angle) * y) + phase
        for length, angle, phase in zip(lengths, angles, phases)
    ]
    waves = [(size / 2 * exact.sin(field), size / 2 * exact.cos(field)) for field in fields]

    def displace(time: float) -> tuple[Floats, Floats]:
        # sin(field + rate t), by the sum formula: the fields are computed once for all frames.
        turns = [(exact.cos(rate * time), exact.sin(rate * time)) for rate in rates]
        now = [sine * cos + cosine * sin for (sine, cosine), (cos, sin) in zip(waves, turns)]
        return now[0] + now[1], now[2] + now[3]

    return displace


class _Texture:
    """Patches of a second photograph that drift over the background and move with the camera."""

    def __init__(self, config: StudioConfig, draws: Draws, height: int, width: int, unit: float) -> None:
        speed = _pick(draws, config.texture_speed) * unit
        self.visible = speed > 0
        if not self.visible:
            return
        image = photograph(draws.pick(config.photographs))
        grading = Grading.drawn(draws)
        self.path = shapes.random_path(draws, 0.0, 0.0, speed)
        self.image = grading.apply(raster.scaled(image, max(height / image.shape[0], width / image.shape[1]) * 1.2))
        noise = raster.blurred(draws.normals(24 * 24).reshape(24, 24), 2.0)
        middle = exact.mean(noise.flat)
        deviation = math.sqrt(exact.mean(((noise - middle) * (noise - middle)).flat))
        patches = raster.enlarged(noise / deviation, *self.image.shape)
        self.cover = np.rint(255 * np.clip(0.4 + 1.6 * patches, 0, 0.85)).astype(np.int64)

    def paint(self, time: float, frame: Floats, map_x: Floats, map_y: Floats) -> Floats:
        if not self.visible:
            return frame
        x, y = self.path.at(np.array([time]))[0]
        places = raster.Places(self.image.shape, map_x - x, map_y - y)
        alpha = places.look_up(self.cover) * (1 / (255 * raster.WEIGHT))
        frame += alpha * (_channels(places.look_up(self.image)) - frame)
        return frame


class _Sprite:
    """A soft-edged piece of a photograph that moves, turns and breathes."""

    def __init__(self, config: StudioConfig, draws: Draws, height: int, width: int, unit: float) -> None:
        radius = _pick(draws, config.sprite_size) * unit
        image = photograph(draws.pick(config.photographs))
        grading = Grading.drawn(draws)
        side = max(8, int(4 * radius))
        tile = cut(draws, image, side, max(side / min(image.shape), draws.uniform(0.4, 0.9) * unit))
        alpha = np.zeros((side, side), np.uint8)
        raster.fill(alpha, shapes.random_outline(draws) * radius + side / 2)
        soft = np.rint(255 * raster.blurred(alpha.astype(np.float64), max(0.5, 0.8 * unit))).astype(np.int64)
        # One pixel of nothing around it, which goes on for ever.
        self.tile, self.alpha = np.pad(grading.apply(tile), 1, mode="edge"), np.pad(soft, 1)
        self.middle = side / 2 + 1
        rows, columns = np.nonzero(self.alpha)
        ends = [
            (float(index.min()) - 1 - self.middle, float(index.max()) + 1 - self.middle) for index in (columns, rows)
        ]
        self.corners = np.array([(x, y) for x in ends[0] for y in ends[1]])
        x, y = draws.uniform(0.1 * width, 0.9 * width), draws.uniform(0.1 * height, 0.9 * height)
        self.path = shapes.random_path(draws, x, y, _pick(draws, config.sprite_speed) * unit)
        self.turn, self.breath = _wave(draws, 0.25), _wave(draws, 0.08)
        self.size = (width, height)

    def paint(self, time: float, frame: Floats, mask: Pixels) -> None:
        """Blend the sprite into the frame ``(3, H, W)`` and add it to the mask, both in place."""
        spot = self.path.at(np.array([time]))[0]
        x, y = (float(shapes.fold(spot[i : i + 1], 0, self.size[i])[0]) for i in (0, 1))
        scale, angle = exact.exp(self.breath(time)), self.turn(time)
        corners = shapes.rotate(self.corners, -angle) * scale + (x, y)
        box = tuple(
            slice(max(0, math.floor(corners[:, i].min())), min(extent, math.ceil(corners[:, i].max()) + 1))
            for i, extent in ((1, mask.shape[0]), (0, mask.shape[1]))
        )
        if any(part.start >= part.stop for part in box):
            return
        across = np.arange(box[1].start, box[1].stop) - x
        down = (np.arange(box[0].start, box[0].stop) - y)[:, None]
        cos, sin = exact.cos(angle) / scale, exact.sin(angle) / scale
        map_x, map_y = cos * across - sin * down + self.middle, sin * across + cos * down + self.middle
        places = raster.Places(self.alpha.shape, map_x, map_y, mirrored=False)
        alpha = places.look_up(self.alpha)
        part = frame[:, box[0], box[1]]
        part += alpha * (1 / (255 * raster.WEIGHT)) * (_channels(places.look_up(self.tile)) - part)
        mask[box] |= (2 * alpha > 255 * raster.WEIGHT).view(np.uint8)


def cut(draws: Draws, image: raster.Packed, side: int, scale: float) -> raster.Packed:
    """A random square of a packed picture that is scaled; it is enlarged further if its sides are shorter than that."""
    while min(raster.scaled_size(image.shape, scale)) < side:
        scale *= 1.01
    top, left = (draws.below(extent - side + 1) for extent in raster.scaled_size(image.shape, scale))
    return raster.scaled(image, scale, (top, left, side, side))


def look_up(image: raster.Packed, x: Floats, y: Floats) -> Floats:
    """Channels ``(3, H, W)`` in 0..255 of a packed picture at places between its pixels; the border is mirrored."""
    return _channels(raster.Places(image.shape, x, y).look_up(image))


def _channels(values: raster.Packed) -> Floats:
    channels = np.empty((3, *values.shape))
    for channel, lane in zip(channels, raster.lanes(values)):
        np.multiply(lane, 1 / raster.WEIGHT, out=channel)
    return channels
