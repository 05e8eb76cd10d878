"""Single pictures: listing, reading, cropping and scaling."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from videoinpaint.errors import InputError, warn

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".dpx"})

MAX_PIXELS = 1 << 26
"""Pixels of a picture at most: 8192x8192, twice an 8K frame. More is refused by the header, before memory is taken."""

# Formats in which one file may hold several pictures that are one sequence. (A JPEG of a phone may hold a second
# picture too, but that one is an addition to the first.)
_SEQUENCES = frozenset({"GIF", "PNG", "WEBP", "TIFF", "AVIF"})

_SIDEWAYS = (5, 6, 7, 8)  # orientations of EXIF


class UndecodableError(InputError):
    """A file that should be a picture is damaged, or none."""


def natural_key(path: Path) -> tuple[tuple[int, str], ...]:
    """Sorts numbers inside names by value: frame2 stands before frame10."""
    parts = re.split(r"(\d+)", path.name)
    return tuple((int(part), "") if index % 2 else (-1, part) for index, part in enumerate(parts))


def list_images(folder: Path) -> list[Path]:
    """The pictures directly in a folder, in natural order; hidden files and folders are passed over."""
    found = [p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".")]
    return sorted((path for path in found if not path.is_dir()), key=natural_key)


def numbers_of(paths: Sequence[Path]) -> list[int]:
    """The number of each picture of a series, the last one in its name; [] where the names are no such series."""
    found = [re.fullmatch(r"(.*?)(\d+)(\D*)", path.stem, re.DOTALL) for path in paths]
    if any(match is None for match in found) or len({match[1] for match in found if match}) != 1:
        return []
    return [int(match[2]) for match in found if match]


def missing_numbers(paths: Sequence[Path]) -> list[int]:
    """The numbers that a series of pictures skips, by its usual step; [] where it has no gap, or no usual step."""
    numbers = sorted(set(numbers_of(paths)))
    steps = Counter(np.diff(numbers).tolist())
    if len(steps) < 2:
        return []
    step, often = steps.most_common(1)[0]
    count = (numbers[-1] - numbers[0]) // step + 1 - len(numbers)
    if 2 * often < len(numbers) - 1 or not 0 < count <= len(numbers):
        return []
    return sorted(set(range(numbers[0], numbers[-1], step)) - set(numbers))


def check_once(paths: Sequence[Path], keys: Sequence[object], what: str) -> None:
    """Raise InputError where two pictures have one key, by which each should be a frame of its own.

    Args:
        paths: the pictures.
        keys: of each.
        what: a key is, for the message.
    """
    known: dict[object, Path] = {}
    for path, key in zip(paths, keys):
        if key in known:
            both = f"{known[key].name} and {path.name}"
            raise InputError(f"folder {path.parent} has two pictures of {what} {key}, {both}: leave one of them out")
        known[key] = path


def read_image(path: Path) -> NDArray[np.uint8]:
    """A picture as uint8 ``(H, W, 3)`` RGB, whatever its mode; what lies behind transparent pixels is shown.

    Raises:
        InputError: the file is missing, truncated, no picture, several pictures, or too large (`MAX_PIXELS`).
    """
    image = load_picture(path)
    if image.has_transparency_data and np.asarray(image.convert("RGBA"))[..., 3].min() < 255:
        warn(f"pictures in {path.parent} have transparency, which is not kept: what lies behind it is shown")
    return rgb(image, path)


def size_of(path: Path) -> tuple[int, int]:
    """``(height, width)`` of a picture as it is read, from its header where the format has one that can be read alone.

    Raises:
        InputError: as `read_image`, as far as the header tells.
    """
    if path.suffix.lower() == ".dpx":
        return _read_dpx(path).shape[:2]
    with _opened(path) as image:
        shown = _upright(image) if _on_its_side(image) else image
        return shown.height, shown.width


def load_picture(path: Path) -> Image.Image:
    """The only picture of a file, decoded, in its own mode, turned as its EXIF says.

    Raises:
        InputError: see `read_image`.
    """
    if path.suffix.lower() == ".dpx":
        return Image.fromarray(_read_dpx(path))
    with _opened(path) as image:
        count = _count(image)
        if count == 1:
            return _upright(image)
    raise InputError(f"{path} is a sequence of {count} pictures, not one: save the one that you mean, or a video")


def count_pictures(path: Path) -> int:
    """How many pictures a file holds: more than one in animated GIF, PNG, WebP and AVIF files, and in TIFF files of
    several pages.

    Raises:
        InputError: the file is missing, or no picture.
    """
    if path.suffix.lower() == ".dpx":
        return 1
    with _opened(path) as image:
        return _count(image)


def pictures_of(path: Path, start: int = 0) -> Iterator[Image.Image]:
    """The pictures of an animated file from one on, decoded, one in memory at a time.

    Raises:
        InputError: one of them cannot be read.
    """
    with _opened(path) as image:
        for index in range(start, _count(image)):
            with _named(path):
                image.seek(index)
                check_pixels(path, image.width * image.height)
                picture = _upright(image.copy())
            yield picture


def rgb(image: Image.Image, path: Path) -> NDArray[np.uint8]:
    """A decoded picture as uint8 ``(H, W, 3)``; white of 16 bits, or of 1.0 in floating point, is 255.

    Raises:
        InputError: its values have no known scale.
    """
    if image.mode[0] in "IF":
        grey = deep_grey(image, path)
        grey = ((grey.astype(np.uint32) + 128) // 257).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    with _named(path):
        return np.asarray(image.convert("RGB"))


def deep_grey(image: Image.Image, path: Path) -> NDArray[np.uint16]:
    """A grey picture of more than 8 bits a pixel as uint16 ``(H, W)``, 65535 = white.

    Raises:
        InputError: integers outside 0..65535, or floating point outside 0..1.
    """
    values = np.asarray(image)
    if image.mode == "F":
        if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
            raise InputError(f"{path} is a floating-point picture with values outside 0..1: save it as PNG of 16 bits")
        return np.rint(values * 65535).astype(np.uint16)
    if values.min() < 0 or values.max() > 65535:
        raise InputError(f"{path} is a picture of 32 bits with values outside 0..65535: save it as PNG of 16 bits")
    return values.astype(np.uint16)


def is_deep(path: Path) -> bool:
    """Whether a picture has more than the 8 bits a sample that `read_image` gives, by its header.

    Raises:
        InputError: as `size_of`.
    """
    if path.suffix.lower() == ".dpx":
        with path.open("rb") as file:
            file.seek(803)
            return file.read(1) > b"\x08"
    with _opened(path) as image:
        # Pillow calls colours of 16 bits RGB, as those of 8: how they are stored tells.
        stored = [part[0] if isinstance(part, tuple) and part else part for *_, part in getattr(image, "tile", ())]
        return image.mode[0] in "IF" or any(re.search(";16[BLN]", str(mode)) for mode in stored)


def _upright(image: Image.Image) -> Image.Image:
    """The picture itself, decoded, and turned as the camera was held; EXIF that is damaged turns nothing."""
    image.load()
    with suppress(Exception):
        ImageOps.exif_transpose(image, in_place=True)
    return image


def _on_its_side(image: Image.Image) -> bool:
    """Whether to turn a picture exchanges its height and width, by the header alone."""
    try:
        exif = Image.Image.getexif(image)  # that of PNG files decodes them, for EXIF behind the picture
        return exif.get(ExifTags.Base.Orientation, 1) in _SIDEWAYS
    except Exception:
        return False


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """A file's first picture, of which only the header is read."""
    with _named(path), warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the bound below is lower
        image = Image.open(path)
    with image:
        check_pixels(path, image.width * image.height)
        with _named(path):
            yield image


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Errors of the library, which are of any type where a file is damaged, as one that names the file."""
    try:
        yield
    except InputError:
        raise
    except Image.DecompressionBombError as error:
        raise InputError(_too_large(path, "far more")) from error
    except Exception as error:
        raise UndecodableError(f"cannot read picture {path}: {error}; save it again as PNG or JPEG") from error


def check_pixels(path: Path, pixels: int) -> None:
    """Raise InputError if a file's header announces larger pictures than are read."""
    if pixels > MAX_PIXELS:
        raise InputError(_too_large(path, str(pixels)))


def _too_large(path: Path, pixels: str) -> str:
    return f"{path} has {pixels} pixels, at most {MAX_PIXELS} (8192x8192) are read: make it smaller"


def _count(image: Image.Image) -> int:
    return int(getattr(image, "n_frames", 1)) if image.format in _SEQUENCES else 1


def _read_dpx(path: Path) -> NDArray[np.uint8]:
    """A DPX picture, by FFmpeg, as Pillow reads none. It gets an open file, for % in names means a pattern to it."""
    bound = {"max_pixels": str(MAX_PIXELS)}
    with _named(path), path.open("rb") as file, av.open(file, "r", format="dpx_pipe", options=bound) as container:
        frame: Any = next(container.decode(video=0))
        return np.asarray(frame.to_ndarray(format="rgb24"))


def resize_frames(frames: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Frames ``(T, H, W, C)`` or ``(T, H, W)`` cropped about the centre to the aspect, then scaled by area averaging.

    Enlarging interpolates linearly. Frames that have the asked size come back as they are.
    """
    if frames.shape[1:3] == (height, width):
        return frames
    frames = _centre_crop(frames, height, width)
    enlarges = frames.shape[1] < height or frames.shape[2] < width
    method = cv2.INTER_LINEAR if enlarges else cv2.INTER_AREA
    resized = [cv2.resize(np.ascontiguousarray(frame), (width, height), interpolation=method) for frame in frames]
    return np.stack(resized).reshape(len(frames), height, width, *frames.shape[3:]).astype(np.uint8, copy=False)


def resize_masks(masks: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Masks ``(T, H, W)`` in {0, 1} treated as `resize_frames` treats frames; a pixel is missing if half of it is.

    Where that would erase a thin mask, every touched pixel is missing instead.
    """
    if masks.shape[1:] == (height, width):
        return masks
    soft = resize_frames(masks * np.uint8(255), height, width)
    hard = soft >= 128
    lost = ~hard.any(axis=(1, 2), keepdims=True)
    return np.where(lost, soft > 0, hard).astype(np.uint8)


def _centre_crop(frames: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    rows, columns = frames.shape[1:3]
    keep_columns = min(columns, max(1, round(rows * width / height)))
    keep_rows = min(rows, max(1, round(columns * height / width)))
    top, left = (rows - keep_rows) // 2, (columns - keep_columns) // 2
    return frames[:, top : top + keep_rows, left : left + keep_columns]
