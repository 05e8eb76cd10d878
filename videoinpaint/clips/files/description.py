"""What a video says of its picture, said again of the picture that is written; what cannot be said is warned of."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import av
import av.logging

from videoinpaint.clips.files.borrowed import turn
from videoinpaint.clips.files.colour import is_read_by_another
from videoinpaint.clips.files.companions import described
from videoinpaint.clips.files.decoding import side_data_of
from videoinpaint.clips.files.orientation import Matrix
from videoinpaint.clips.files.planes import FULL, has_alpha, is_full, planar, samples
from videoinpaint.errors import warn

_HDR = {16: "PQ", 18: "HLG"}  # FFmpeg's numbers of transfer curves
_UNSPECIFIED = 2  # FFmpeg's number of no matrix
_FIELDS = (2, 3, 4, 5)  # FFmpeg's numbers of field orders
_TOP_FIRST, _BOTTOM_FIRST = 2, 3
_LOCATION = re.compile(r"\((?:[^()]*, )?(topleft|bottomleft|left|center|top|bottom)\)")


def describe(
    stream: Any, form: str, container: Any, old: Any, first: Any, matrix: Matrix, path: Path, final: Path
) -> bool:
    """Set up a video stream that is to hold the pictures of another one.

    Args:
        stream: the new stream, not yet open.
        form: its pixel format.
        container, old: the file that is repaired and its stream.
        first: its first picture.
        matrix: its display matrix.
        path, final: the names of the two files.

    Returns:
        whether colour samples lie in the middle between two columns of pixels.
    """
    context = stream.codec_context
    if matrix:
        turn(stream, matrix)
    stream.pix_fmt = form
    stream.width, stream.height = _whole(first, form, stream.codec.name)
    if old.sample_aspect_ratio:
        context.sample_aspect_ratio = old.sample_aspect_ratio
    for name in ("colorspace", "color_primaries", "color_trc", "color_range"):
        setattr(context, name, getattr(first, name))
    recoloured = first.format.is_rgb and form.startswith("yuv")
    if recoloured:
        context.colorspace = context.color_primaries = context.color_trc = context.color_range = 1
    elif form.startswith("yuv"):
        context.color_range = FULL if is_full(first) else context.color_range
        context.colorspace = context.colorspace or _UNSPECIFIED
    location = _chroma_location(container, old)
    if location and form.startswith("yuv4") and not recoloured:
        stream.options["chroma_sample_location"] = location
    _keep_fields(stream, old, first, path, final)
    _warn_of_losses(form, old, first, path, final, "" if stream.codec.name == "ffv1" else "--lossless keeps")
    stream.metadata.update(described(old.metadata))
    stream.disposition = old.disposition
    return location in ("", "center", "top", "bottom") and not recoloured


def _whole(picture: Any, form: str, encoder: str) -> tuple[int, int]:
    """Width and height in whole colour samples, which encoders other than FFV1 want."""
    if encoder == "ffv1":
        return picture.width, picture.height
    shape = av.VideoFormat(form, 16, 16)
    across, down = 16 // shape.chroma_width(), 16 // shape.chroma_height()
    return -(-picture.width // across) * across, -(-picture.height // down) * down


def _keep_fields(stream: Any, old: Any, first: Any, path: Path, final: Path) -> None:
    """Pictures of two fields each stay that where the encoder can say so."""
    order = old.codec_context.field_order
    if not first.interlaced_frame and order not in _FIELDS:
        stream.codec_context.field_order = order
        return
    order = order if order in _FIELDS else _BOTTOM_FIRST if old.codec_context.name == "dvvideo" else _TOP_FIRST
    encoder = stream.codec.name
    if encoder not in ("libx264", "ffv1") or (encoder == "libx264" and first.height % 4):
        warn(f"{path} is interlaced, which {final} cannot say: written as progressive; use --codec h264 or --lossless")
        return
    stream.codec_context.field_order = order
    if encoder == "libx264":
        stream.options["flags"] = "+ildct+ilme"
        # The orders 3 and 4 show the bottom field first; x264 is not told that by the order.
        stream.options["x264-params"] = "bff=1" if order in (_BOTTOM_FIRST, 4) else "tff=1"


def _warn_of_losses(form: str, old: Any, first: Any, path: Path, final: Path, kept_by: str) -> None:
    """Warn of what is not written; `kept_by` begins what to do about it, where there is such a thing."""
    new, before = av.VideoFormat(form, 64, 64), av.VideoFormat(planar(first).format.name, 64, 64)
    if not has_alpha(new) and (_is_transparent(first) or old.metadata.get("alpha_mode") == "1"):
        why = f"which {final} cannot hold: left out; {kept_by} what is decoded" if kept_by else "which is not decoded"
        warn(f"{path} is transparent in parts, {why}")
    bits = before.components[0].bits, new.components[0].bits
    if bits[1] < bits[0]:
        remedy = f"; {kept_by} them" if kept_by else ""
        warn(f"{path} has {bits[0]} bits a sample, {final} can hold {bits[1]}: rounded{remedy}")
    if not before.is_rgb and len(before.components) > 2:
        chroma = [(shape.chroma_width(), shape.chroma_height()) for shape in (before, new)]
        if chroma[0] != chroma[1]:
            warn(f"{path} has colours as {before.name}, {final} as {form}: brightness is kept, colours are resampled")
    if is_read_by_another(first):
        warn(f"{path} has colours by a matrix that is not known: kept so, but the hole may be filled in other colours")
    if first.color_trc in _HDR:
        warn(f"{path} is HDR ({_HDR[first.color_trc]}): kept so, but what fills the hole has 8 bits of precision")
    if side_data_of(first).keys() & {
        "MASTERING_DISPLAY_METADATA",
        "CONTENT_LIGHT_LEVEL",
        "DYNAMIC_HDR_PLUS",
        "DOVI_METADATA",
    }:
        warn(f"{path} describes the display it was mastered on: left out of {final}, its HDR colours stay")


def _is_transparent(picture: Any) -> bool:
    if picture.format.has_palette or not has_alpha(picture.format):
        return False
    form = planar(picture)
    bits = form.format.components[-1].bits
    return bool(has_alpha(form.format) and samples(form)[-1].min() < (1 << bits) - 1)


def _chroma_location(container: Any, stream: Any) -> str:
    """Where colour samples lie, which libav tells in words alone, and only to those who want to hear everything."""
    before = av.logging.get_level()
    av.logging.set_level(av.logging.VERBOSE)
    av.logging.set_libav_level(av.logging.VERBOSE)
    try:
        lines = container.dumps_format().splitlines()
    finally:
        av.logging.set_libav_level(av.logging.INFO)
        av.logging.set_level(before)
    start = f"Stream #0:{stream.index}"
    line = next((line for line in lines if line.strip().startswith((f"{start}[", f"{start}(", f"{start}:"))), "")
    found = _LOCATION.search(line)
    return "" if found is None else found[1]
