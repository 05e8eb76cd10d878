"""What the studio can vary, and its graded suites."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from videoinpaint.errors import InputError

Range = tuple[float, float]

PHOTOGRAPHS = {
    "astronaut.png": "7605af19ba2b9758",
    "brick.png": "99a19145a42e52da",
    "camera.png": "bf98e824a0e89e0e",
    "chelsea.png": "2a48da897e30584d",
    "coffee.png": "013a8175a6f60538",
    "coins.png": "8b1c53f5b1e77771",
    "grass.png": "4893a5041b9268d1",
    "gravel.png": "53724b7da1e0a011",
    "ihc.png": "d5e9af0ebdb1dc92",
    "motorcycle_left.png": "6a51b16e82babbaf",
    "motorcycle_right.png": "2d3f65989e244a9e",
}
"""Photographs that scikit-image's installation holds, none of which is ever downloaded, and digests of their pixels.

All are PNG files: unlike JPEG, every decoder gives the same pixels.
"""


@dataclass(frozen=True)
class StudioConfig:
    """Every attribute of a studio scene. A pair is a range that each clip draws from; equal ends fix the value.

    Lengths and speeds are in pixels of a frame 216 wide; they scale with the frame. The same seed under two
    configurations gives the same scene, with only the configured attributes changed.

    Attributes:
        camera_speed: pan, pixels a frame.
        camera_zoom: largest relative change of scale, 0.1 = 10 %.
        camera_rotation: largest turn, degrees.
        background_motion: amplitude of the ripples that move the background, pixels; 0 leaves it rigid.
        texture_speed: speed of a second texture that drifts across parts of the background, pixels a frame; 0: no such
            layer.
        sprites: number of moving objects (rounded).
        sprite_size: radius of a moving object, pixels.
        sprite_speed: speed of a moving object on the screen, pixels a frame.
        lighting: largest relative change of brightness, 0.1 = 10 %.
        hole_area: fraction of the frame that is missing; still holes go beyond it, by up to a half.
        moving_holes: share of clips whose hole moves, 0..1.
        hole_speed: speed of a hole that moves, pixels a frame.
        photographs: what to build scenes from: names of ``PHOTOGRAPHS``, or paths of image files.
    """

    camera_speed: Range = (0.0, 4.0)
    camera_zoom: Range = (0.0, 0.12)
    camera_rotation: Range = (0.0, 3.0)
    background_motion: Range = (0.0, 2.0)
    texture_speed: Range = (0.0, 1.5)
    sprites: Range = (1.0, 3.0)
    sprite_size: Range = (12.0, 30.0)
    sprite_speed: Range = (0.5, 5.0)
    lighting: Range = (0.0, 0.15)
    hole_area: Range = (0.08, 0.2)
    moving_holes: float = 0.4
    hole_speed: Range = (0.5, 4.0)
    photographs: tuple[str, ...] = tuple(PHOTOGRAPHS)

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "photographs":
                _check_photographs(value)
            elif field.name == "moving_holes":
                _check_range(field.name, (value, value), 1.0)
            else:
                _check_range(field.name, value, _HIGHEST.get(field.name, float("inf")))


# Above these the studio cannot keep its promises: a hole must leave something known, a scene must stay a scene.
_HIGHEST = {"hole_area": 0.6, "sprites": 16.0, "lighting": 0.9, "camera_zoom": 0.5, "camera_rotation": 45.0}


def _check_photographs(names: tuple[str, ...]) -> None:
    if not names:
        raise InputError("StudioConfig.photographs is empty: name at least one")
    unknown = sorted(name for name in set(names) - set(PHOTOGRAPHS) if not Path(name).is_file())
    if unknown:
        choice = f"an image file or one of {', '.join(PHOTOGRAPHS)}"
        raise InputError(f"StudioConfig.photographs: unknown {unknown}; name {choice}")


def _check_range(name: str, value: Range, highest: float) -> None:
    if not (len(value) == 2 and 0 <= value[0] <= value[1] <= highest):
        raise InputError(f"StudioConfig.{name} must be (low, high) with 0 <= low <= high <= {highest}, got {value}")


SUITES: dict[str, StudioConfig] = {
    "mixed": StudioConfig(),
    "easy": StudioConfig(
        camera_speed=(0.5, 2.0),
        camera_zoom=(0.0, 0.03),
        camera_rotation=(0.0, 1.0),
        background_motion=(0.0, 0.0),
        texture_speed=(0.0, 0.0),
        sprites=(1.0, 1.0),
        sprite_speed=(0.5, 2.0),
        lighting=(0.0, 0.03),
        hole_area=(0.06, 0.12),
        moving_holes=0.2,
    ),
    "hard": StudioConfig(
        camera_speed=(0.5, 3.0),
        background_motion=(1.5, 3.0),
        texture_speed=(1.0, 3.0),
        sprites=(2.0, 3.0),
        sprite_speed=(1.0, 5.0),
        lighting=(0.08, 0.2),
        hole_area=(0.08, 0.18),
    ),
    "fast": StudioConfig(
        camera_speed=(5.0, 10.0),
        camera_zoom=(0.03, 0.15),
        camera_rotation=(1.0, 5.0),
        background_motion=(0.0, 1.0),
        texture_speed=(0.0, 0.0),
        sprite_speed=(5.0, 10.0),
        hole_area=(0.08, 0.18),
        hole_speed=(3.0, 8.0),
    ),
    "large": StudioConfig(camera_speed=(0.5, 4.0), hole_area=(0.25, 0.4)),
}
"""The graded suites: static background, dynamic background, fast motion, large holes; "mixed" is the default."""
