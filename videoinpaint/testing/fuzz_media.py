"""Pictures, videos and command lines for :mod:`videoinpaint.testing.fuzz`."""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from videoinpaint.cli import main
from videoinpaint.clips import read_masks, read_video
from videoinpaint.clips.files.video import VideoReader, VideoWriter, write_video
from videoinpaint.errors import InputError
from videoinpaint.testing.mutations import mutated_bytes, nonsense

LENGTH, HEIGHT, WIDTH = 3, 48, 64
FLAGS = (
    "--mask", "--invert", "--threshold", "--object", "--inpainter", "--weights", "--detector", "--propagator",
    "--save-masks", "--policy", "--iterations", "--window", "--reach", "--dilate", "--device", "--fps", "--codec",
    "--quality", "--lossless", "--no-audio", "--strict", "--output", "--resume", "--remove-residues", "--steps",
)  # fmt: skip
"""Of `videoinpaint inpaint`. A value that is huge may ask for work without end: see `_word`."""
GOOD = {
    "--detector": "none", "--propagator": "held", "--policy": "default", "--device": "cpu", "--codec": "ffv1",
    "--inpainter": "propagation", "--quality": "20", "--window": "2", "--reach": "1", "--dilate": "1",
    "--threshold": "9", "--fps": "5", "--iterations": "2", "--object": "1",
}  # fmt: skip
"""Values that are fine; for other flags the mask's path stands in."""


class Media:
    """Good pictures and videos, made once, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._names = itertools.count()

    def fresh(self, suffix: str = "") -> Path:
        """A path at which nothing is."""
        return self.folder / f"{next(self._names)}{suffix}"

    @functools.cached_property
    def frames(self) -> np.ndarray:
        """Three frames of noise that moves, ``(3, 48, 64, 3)``."""
        noise = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
        return np.stack([np.roll(noise, 2 * number, 1) for number in range(LENGTH)])

    @functools.cached_property
    def hole(self) -> np.ndarray:
        """A rectangle, ``(48, 64)`` in {0, 255}."""
        hole = np.zeros((HEIGHT, WIDTH), np.uint8)
        hole[16:30, 20:40] = 255
        return hole

    @functools.cached_property
    def pictures(self) -> dict[str, bytes]:
        """A mask in every format and mode that people use, by what the file is called."""
        grey = Image.fromarray(self.hole)
        clear = Image.merge("RGBA", [*Image.fromarray(self.frames[0]).split(), grey])
        made: dict[str, Image.Image] = {
            "grey.png": grey, "deep.png": Image.fromarray(self.hole.astype(np.uint16) * 257), "clear.png": clear,
            "palette.png": grey.convert("P"), "one.png": grey.convert("1"), "rgb.jpg": grey.convert("RGB"),
            "grey.tiff": grey, "rgb.bmp": grey.convert("RGB"), "clear.webp": clear,
        }  # fmt: skip
        for name, image in made.items():
            image.save(self.folder / name)
        moved = Image.fromarray(np.roll(self.hole, 3))
        grey.save(self.folder / "animated.gif", save_all=True, append_images=[moved, grey], duration=40)
        return {name: (self.folder / name).read_bytes() for name in [*made, "animated.gif"]}

    @functools.cached_property
    def videos(self) -> dict[str, bytes]:
        """The frames in several containers and codecs."""
        for name, codec in (("h264.mp4", "h264"), ("h264.mov", "h264"), ("h264.mkv", "h264"), ("ffv1.mkv", "ffv1")):
            with VideoWriter(self.folder / name, 25, codec=codec) as writer:
                writer.write(self.frames)
        names = ("h264.mp4", "h264.mov", "h264.mkv", "ffv1.mkv")
        return {name: (self.folder / name).read_bytes() for name in names}

    @functools.cached_property
    def repair(self) -> tuple[Path, Path]:
        """A lossless video and a mask's picture, both good."""
        video, mask = self.fresh(".mkv"), self.fresh(".png")
        write_video(video, self.frames, 10, lossless=True)
        Image.fromarray(self.hole).save(mask)
        return video, mask


def picture_case(bench: Media, rng: np.random.Generator) -> Any:
    """A damaged picture, read as a mask or as a frame of a folder; sometimes under the name of another format."""
    name = str(rng.choice(list(bench.pictures)))
    suffix = Path(name).suffix if rng.random() < 0.9 else str(rng.choice([".png", ".jpg", ".gif", ".mp4", ".dpx"]))
    folder = bench.fresh()
    folder.mkdir()
    try:
        (folder / f"001{suffix}").write_bytes(mutated_bytes(rng, bench.pictures[name]))
        if rng.random() < 0.5:
            return _as_masks(read_masks(folder / f"001{suffix}"))
        (folder / "002.png").write_bytes(bench.pictures["grey.png"])
        return _as_frames(read_video(folder)[0]) if rng.random() < 0.5 else _as_masks(read_masks(folder))
    finally:
        shutil.rmtree(folder)


def video_case(bench: Media, rng: np.random.Generator) -> Any:
    """A damaged video, read as a video or as masks."""
    name = str(rng.choice(list(bench.videos)))
    path = bench.fresh(Path(name).suffix if rng.random() < 0.9 else str(rng.choice([".webm", ".avi", ".ts", ".dv"])))
    path.write_bytes(mutated_bytes(rng, bench.videos[name]))
    try:
        if rng.random() < 0.3:
            return _as_masks(read_masks(path))
        reader = VideoReader(path, strict=bool(rng.random() < 0.5))
        return _as_frames(np.stack(list(reader.frames())))
    finally:
        path.unlink()


def flag_case(bench: Media, rng: np.random.Generator) -> Any:
    """`videoinpaint inpaint` with one to three flags that may be wrong; what it writes is read again.

    Raises:
        InputError: it ended with exit code 2; the message is what it printed.
        AssertionError: it ended otherwise, or with more than one line.
    """
    video, mask = bench.repair
    output = bench.fresh(str(rng.choice([".mkv", ".mp4", ".mov"])))
    words = [str(video), "--mask", str(mask), "--output", str(output), "--inpainter", "telea", "--detector", "none"]
    for _ in range(int(rng.integers(1, 4))):
        flag = str(rng.choice(FLAGS))
        words.append(flag)
        if rng.random() < 0.85:
            good = rng.random() < 0.4 or flag == "--iterations"  # a million of them are work without end
            words.append(GOOD.get(flag, str(mask)) if good else _word(rng))
    said, code = _run(["inpaint", *words], bench.folder)
    try:
        if code == 2:
            raise InputError(said)
        assert code == 0, f"exit code {code} of {words}"
        found = output if output.exists() else None
        return _as_frames(read_video(found)[0]) if found else said
    finally:
        output.unlink(missing_ok=True)
        shutil.rmtree(output.with_name(output.name + ".windows"), ignore_errors=True)


def _run(words: list[str], folder: Path) -> tuple[str, int]:
    """What a command line that is run in a folder says of an error, and its exit code."""
    errors = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
        try:
            code = main(words)
        except SystemExit as error:  # the parser's own refusal is a box of several lines
            return "refused by the parser", int(error.code or 0)
    lines = [line for line in errors.getvalue().splitlines() if not line.startswith("warning: ")]
    last = [number for number, line in enumerate(lines) if line.startswith("error: ")]
    return "\n".join(lines[last[0] :]) if last else "", code


def _word(rng: np.random.Generator) -> str:
    """A value of a flag as a shell can pass it, and of work that ends."""
    value = nonsense(rng)
    return str(min(value, 10**6) if isinstance(value, int) else value).replace("\0", "")


def _as_frames(frames: np.ndarray) -> np.ndarray:
    assert frames.dtype == np.uint8, frames.dtype
    assert frames.ndim == 4, frames.shape
    assert frames.shape[-1] == 3, frames.shape
    assert frames.size, frames.shape
    return frames


def _as_masks(masks: np.ndarray) -> np.ndarray:
    assert masks.ndim == 3, masks.shape
    assert masks.max(initial=0) <= 1, "a mask holds more than 0 and 1"
    return masks
