"""The samples of a picture as arrays, and the same picture in another pixel format with every sample kept that fits."""

from __future__ import annotations

from typing import Any

import av
import cv2
import numpy as np
from av.codec.codec import find_best_pix_fmt_of_list
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

EXACT = (
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
    | Interpolation.BITEXACT
)
"""Without these flags swscale truncates: every conversion darkens by half a level, and 10-bit ones by two."""

FULL = 2  # FFmpeg's number for samples that use all codes, not those of television (16..235)

_PLANAR = {
    "nv12": "yuv420p", "nv21": "yuv420p", "nv16": "yuv422p", "nv24": "yuv444p", "yuyv422": "yuv422p",
    "uyvy422": "yuv422p", "yvyu422": "yuv422p", "p010le": "yuv420p10le", "p016le": "yuv420p16le",
    "p210le": "yuv422p10le", "y210le": "yuv422p10le", "monow": "gray", "monob": "gray", "bgra": "gbrap", "ya8": "gray",
    "rgba": "gbrap", "argb": "gbrap", "abgr": "gbrap", "rgb48le": "gbrp16le", "bgr48le": "gbrp16le",
    "rgb48be": "gbrp16le", "rgba64le": "gbrap16le", "rgba64be": "gbrap16le", "bgra64le": "gbrap16le",
}  # fmt: skip
"""Packed formats, and the planar ones that hold the same samples."""

_SWSCALE = (0, 1, 2, 4, 5, 6, 7, 9)
"""FFmpeg's numbers of the matrices that its own swscale converts by."""

_DESCRIPTION = ("pts", "time_base", "colorspace", "color_range", "color_primaries", "color_trc")


def is_full(picture: Any) -> bool:
    """Whether samples use all codes (0..255), not those of television (16..235)."""
    return bool(picture.color_range == FULL or picture.format.name.startswith(("yuvj", "gray", "mono")))


def has_alpha(form: Any) -> bool:
    """Whether a pixel format holds transparency."""
    return any(part.is_alpha for part in form.components)


def planar(picture: Any) -> Any:
    """The picture with its samples in one plane for each component, in the order of this machine's bytes."""
    name = picture.format.name
    if picture.format.is_big_endian:
        name = name.removesuffix("be") + "le"
    name = _PLANAR.get(name, name if picture.format.is_planar or name.startswith("gray") else "gbrp")
    return converted(picture, name)


def converted(picture: Any, name: str) -> Any:
    """The picture as swscale converts it without changing range or matrix; time stamps and flags stay."""
    if picture.format.name == name:
        return picture
    codes = picture.color_range or None
    result = picture.reformat(
        format=name, src_color_range=codes, dst_color_range=codes, interpolation=EXACT, threads=1, **_same(picture)
    )
    result.colorspace = picture.colorspace
    return result


def _same(picture: Any) -> dict[str, int]:
    """A matrix for both sides of a conversion that needs none, where swscale would stumble over the picture's own."""
    return {} if picture.colorspace in _SWSCALE else {"src_colorspace": 5, "dst_colorspace": 5}


def copied(picture: Any) -> Any:
    """A picture of the same samples, colours and time in memory of its own."""
    copy = av.VideoFrame(picture.width, picture.height, picture.format.name)
    _tell(copy, picture)
    for new, old in zip(copy.planes, picture.planes):
        rows = [np.frombuffer(memoryview(plane), np.uint8).reshape(-1, abs(plane.line_size)) for plane in (new, old)]
        rows[1] = rows[1][::-1] if old.line_size < 0 else rows[1]
        width = min(rows[0].shape[1], rows[1].shape[1])
        rows[0][: new.height, :width] = rows[1][: new.height, :width]
    return copy


def _tell(new: Any, old: Any) -> None:
    """Say of a picture what another one says of itself; one that was made here has no time yet."""
    for name in _DESCRIPTION:
        value = getattr(old, name)
        if value is not None:
            setattr(new, name, value)


def samples(picture: Any) -> list[NDArray[Any]]:
    """For each component (Y, U, V or R, G, B, then alpha) its samples as an array ``(h, w)`` in the picture's memory.

    Args:
        picture: in a planar format (see `planar`).
    """
    found = []
    for part in picture.format.components:
        plane, dtype = picture.planes[part.plane], np.dtype(np.uint16 if part.bits > 8 else np.uint8)
        rows = np.frombuffer(plane, dtype).reshape(-1, abs(plane.line_size) // dtype.itemsize)
        rows = rows[::-1] if plane.line_size < 0 else rows
        found.append(rows[: part.height, : part.width])
    return found


def format_for(codec: str, picture: Any) -> str:
    """The pixel format in which an encoder keeps most of a planar picture.

    H.264, HEVC and AV1 take colours as Y, U and V, with half the colour samples where the source has R, G and B,
    because that plays everywhere.
    """
    form = picture.format
    offered = [entry.name for entry in av.codec.Codec(codec, "w").video_formats or []]
    refused = form.is_rgb or form.name.startswith("gray") or has_alpha(form)  # by most players, or by x265 itself
    if form.name in offered and (codec == "ffv1" or not refused):
        return form.name
    plain = form.name.replace("yuvj", "yuv")
    if plain in offered and codec == "ffv1":
        return plain
    if codec == "ffv1" and form.is_rgb and form.components[0].bits == 8:
        return "bgra" if has_alpha(form) else "bgr0"
    deep = form.components[0].bits > 8
    if codec != "ffv1" and (form.is_rgb or form.name.startswith("gray")):
        return "yuv420p10le" if deep and "yuv420p10le" in offered else "yuv420p"
    kept = [name for name in offered if name.startswith(("yuv", "gbr")) and not name.startswith("yuvj")]
    if codec != "ffv1":
        kept = [name for name in kept if name.startswith("yuv4")]
    best, _ = find_best_pix_fmt_of_list(kept, form.name, has_alpha(form))
    return str(best.name if best else kept[0])


def fitted(picture: Any, name: str) -> Any:
    """A planar picture of Y, U and V in another such format. Samples are copied; fewer bits round, fewer colour samples
    are means, more of them are interpolated. Time stamp, field order and side data stay.
    """
    if picture.format.name == name:
        return picture
    full, old = is_full(picture), samples(picture)
    result = converted(picture, name)
    result.color_range = FULL if full else picture.color_range
    bits = picture.format.components[0].bits, result.format.components[0].bits
    for number, (part, new) in enumerate(zip(result.format.components, samples(result))):
        chroma = number in (1, 2) and len(result.format.components) > 2
        if chroma and len(old) < 3:  # grey
            new[:] = 1 << (bits[1] - 1)
        elif not part.is_alpha or number < len(old):
            new[:] = _requantised(_resized(old[number], new.shape), *bits, full, chroma)
    return result


def padded(picture: Any, width: int, height: int) -> Any:
    """A planar picture with its last columns and rows repeated until it has this size."""
    if (picture.width, picture.height) == (width, height):
        return picture
    result = av.VideoFrame(width, height, picture.format.name)
    _tell(result, picture)
    for new, old in zip(samples(result), samples(picture)):
        new[:] = np.pad(old, [(0, new.shape[0] - old.shape[0]), (0, new.shape[1] - old.shape[1])], mode="edge")
    return result


def _resized(plane: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    if plane.shape == shape:
        return plane
    fewer = shape[0] <= plane.shape[0] and shape[1] <= plane.shape[1]
    method = cv2.INTER_AREA if fewer else cv2.INTER_LINEAR
    return cv2.resize(plane.astype(np.float32), (shape[1], shape[0]), interpolation=method)


def _requantised(plane: NDArray[Any], bits: int, wanted: int, full: bool, chroma: bool) -> NDArray[Any]:
    """Samples of so many bits as samples of another number of bits, rounded to nearest."""
    if bits == wanted:
        return plane if plane.dtype.kind == "u" else np.rint(plane)
    top = (1 << wanted) - 1
    scale = top / ((1 << bits) - 1) if full else 2.0 ** (wanted - bits)
    old, new = (1 << (bits - 1), 1 << (wanted - 1)) if chroma else (0, 0)
    return np.clip(np.floor((plane.astype(np.float64) - old) * scale + new + 0.5), 0, top)
