"""The studio: layered scenes from photographs that scikit-image installs. Nothing to download, any number of clips.

A scene is a background photograph under a moving camera, rippled by its own motion and crossed by a drifting texture,
with one to three sprites cut from other photographs, under changing light. Everything in it is a closed formula of time
and of the clip's seed, by arithmetic that every machine does alike (`exact`, `raster`, `draws`).
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from videoinpaint.checks import check_sides
from videoinpaint.clips.studio import exact, shapes
from videoinpaint.clips.studio.config import SUITES, StudioConfig
from videoinpaint.clips.studio.draws import Draws
from videoinpaint.clips.studio.layers import Background, Pixels, Sprite, Texture, pick, wave
from videoinpaint.clips.types import Clip
from videoinpaint.errors import UnknownNameError

LISTED = 1000
"""`Studio.names` lists seeds 0..999; `Studio.sample` never draws those, so that they stay unseen in training."""

_NAME = re.compile(r"studio-(?P<suite>[\w.]+)-(?P<seed>[0-9]{6,10})")


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


class _Scene:
    """All layers of one clip at one frame size; `draw` composes them at one time."""

    def __init__(self, config: StudioConfig, draws: Draws, height: int, width: int) -> None:
        # One stream of random numbers per layer: more sprites do not change the background.
        backdrop, texture, light, count, *actors = draws.spawn(4 + 16)
        unit = width / shapes.UNIT_WIDTH
        self.background = Background(config, backdrop, height, width)
        self.texture = Texture(config, texture, height, width, unit)
        number = round(pick(count, config.sprites))
        self.sprites = [Sprite(config, actors[i], height, width, unit) for i in range(number)]
        size = pick(light, config.lighting)
        self.light = wave(light, 0.6 * size)
        self.slope = wave(light, 0.4 * size)
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
