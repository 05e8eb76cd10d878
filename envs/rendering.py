"""Pictures of an episode: corrupted | repaired | predicted mask | reference, labelled; and what was asked of cells."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from videoinpaint.controls import FUSION, HEADS, HIGH, LOW
from videoinpaint.errors import MissingPackageError
from videoinpaint.protocols import State

LABELS = ("corrupted", "repaired", "predicted mask", "reference")
SHOWN = ("loop/corrupted", "loop/repaired", "loop/masks", "reference")
"""The entries of a state that are drawn."""
BAR = 16
"""Height in pixels of the bar that holds the labels."""
_GAP = 2
_MAPPED = (("heads", HEADS, "{:.0f}"), ("fusion", FUSION, "{:.2f}"))
"""The controls whose maps are drawn, where they stand among the five, and how their values are written."""
_COLD, _WARM = np.array([30, 70, 200]), np.array([255, 170, 20])  # of the least and the greatest value


def draw(state: State, maps: NDArray[np.float32] | None = None, frame: int | None = None) -> NDArray[np.uint8]:
    """The four panels of one frame of every episode in a batch; with maps of controls two more, of heads and fusion.

    Args:
        state: of :class:`videoinpaint.envs.core.Core`.
        maps: ``(B, rows, columns, 5)`` in natural units, of the pass that made the repair; 0 where none did.
        frame: which one; None is the middle.

    Returns:
        uint8 ``(B, H + BAR, 4 W + 3 gaps, 3)``, with maps ``(B, H + BAR, 6 W + 5 gaps, 3)``.
    """
    which = state["reference"].shape[1] // 2 if frame is None else frame
    mask = state["loop/masks"][:, which].expand(-1, 3, -1, -1)
    reference = state["reference"][:, which].float() / 255
    floats = torch.stack([state["loop/corrupted"][:, which], state["loop/repaired"][:, which], mask, reference], 1)
    panels = floats.mul(255).round().clamp(0, 255).byte().permute(0, 1, 3, 4, 2).cpu().numpy()
    if maps is None:
        return np.stack([tile(list(images)) for images in panels])
    labels = LABELS + tuple(f"{name} {LOW[i]:g} .. {HIGH[i]:g}" for name, i, _ in _MAPPED)
    return np.stack(
        [
            tile([*images, *(mapped(images[1], cells[..., i], i, form) for _, i, form in _MAPPED)], labels)
            for images, cells in zip(panels, maps, strict=True)
        ]
    )


def mapped(image: NDArray[np.uint8], cells: NDArray[np.floating], control: int, form: str) -> NDArray[np.uint8]:
    """One control's values by cell over an image, or the image alone where no pass was made.

    Args:
        image: uint8 ``(H, W, 3)``.
        cells: ``(rows, columns)`` in natural units.
        control: where it stands among the five.
        form: how a value is written, such as ``"{:.0f}"``.
    """
    if not cells.any():
        return _darkened(image).astype(np.uint8)
    share = (cells - LOW[control]) / (HIGH[control] - LOW[control])
    return over_cells(image, share, [[form.format(value) for value in row] for row in cells])


def _darkened(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    return np.repeat(image.mean(2, keepdims=True) / 2, 3, 2)


def over_cells(image: NDArray[np.uint8], share: NDArray[np.floating], texts: list[list[str]]) -> NDArray[np.uint8]:
    """An image in dark grey under a colour for each cell, with its text where cells have room.

    Args:
        image: uint8 ``(H, W, 3)``.
        share: ``(rows, columns)``; 0 is blue, 1 orange.
        texts: as many.
    """
    grey = _darkened(image)
    (height, width), (rows, columns) = image.shape[:2], share.shape
    colours = (1 - share[..., None]) * _COLD + share[..., None] * _WARM
    row, column = np.arange(height) * rows // height, np.arange(width) * columns // width
    panel = Image.fromarray((0.5 * grey + 0.5 * colours[row][:, column]).clip(0, 255).astype(np.uint8))
    pen, font = ImageDraw.Draw(panel), ImageFont.load_default()
    for y, x in np.ndindex(rows, columns):
        text = texts[y][x]
        left, top, right, bottom = font.getbbox(text)
        if right - left + 2 < width // columns and bottom - top + 2 < height // rows:
            centre = (x + 0.5) * width / columns - (left + right) / 2, (y + 0.5) * height / rows - (top + bottom) / 2
            pen.text(centre, text, fill=(255, 255, 255), font=font)
    return np.asarray(panel)


def tile(images: list[NDArray[np.uint8]], labels: tuple[str, ...] = LABELS) -> NDArray[np.uint8]:
    """Images uint8 ``(H, W, 3)`` of one size side by side under a bar with their labels."""
    height, width = images[0].shape[:2]
    canvas = np.zeros((height + BAR, len(images) * (width + _GAP) - _GAP, 3), np.uint8)
    for index, image in enumerate(images):
        left = index * (width + _GAP)
        canvas[BAR:, left : left + width] = image
        canvas[:BAR, left : left + width] = _label(labels[index], width)
    return canvas


def _label(text: str, width: int) -> NDArray[np.uint8]:
    bar = Image.new("RGB", (width, BAR))
    ImageDraw.Draw(bar).text((2, 2), text, fill=(255, 255, 255), font=ImageFont.load_default())
    return np.asarray(bar)


class Display:
    """A pygame window that shows one picture after another.

    Args:
        fps: pictures a second at most.

    Raises:
        MissingPackageError: pygame is not installed.
    """

    def __init__(self, fps: int = 4) -> None:
        try:
            import pygame  # noqa: F401 - is it installed?
        except ImportError as error:
            raise MissingPackageError(
                "render_mode='human' needs the package pygame: pip install 'videoinpaint[human]', "
                "or use render_mode='rgb_array'"
            ) from error
        self.fps = fps
        self._screen: Any = None
        self._clock: Any = None

    def show(self, picture: NDArray[np.uint8]) -> None:
        """Show an image uint8 ``(h, w, 3)``; the window opens with the first one."""
        import pygame

        size = (picture.shape[1], picture.shape[0])
        if self._screen is None:
            # An accelerated window loads a graphics driver, and with it a copy of LLVM beside which triton, imported
            # later, has crashed.
            os.environ.setdefault("SDL_FRAMEBUFFER_ACCELERATION", "0")
            pygame.display.init()
            pygame.display.set_caption("videoinpaint")
            self._screen, self._clock = pygame.display.set_mode(size), pygame.time.Clock()
        self._screen.blit(pygame.surfarray.make_surface(picture.swapaxes(0, 1)), (0, 0))
        pygame.event.pump()
        pygame.display.flip()
        self._clock.tick(self.fps)

    def close(self) -> None:
        """Close the window; showing another picture opens a new one."""
        if self._screen is not None:
            import pygame

            pygame.display.quit()
            self._screen = self._clock = None

    def __getstate__(self) -> dict[str, Any]:
        # A window on a screen cannot be pickled; its copy opens its own.
        return {"fps": self.fps, "_screen": None, "_clock": None}
