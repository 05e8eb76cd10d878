"""What PyAV cannot say of a stream that it writes: how it is turned, and in Matroska the shape of its pixels."""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.bitstream import BitStreamFilterContext

from videoinpaint.clips.files.orientation import Matrix

HALF_TURN: Matrix = (-65536, 0, 0, 0, -65536, 0, 0, 0, 1 << 30)

_UNKNOWN_LEVEL = -99
_TAGS = {"libx264": b"avc1", "libx265": b"hvc1", "ffv1": b"FFV1"}


def turn(stream: Any, matrix: Matrix) -> None:
    """Give a new stream a display matrix.

    PyAV can only copy one from another stream, so one is made that has it: the parameters of a tiny film, whose header
    is rewritten.
    """
    encoder, film = stream.codec.name, io.BytesIO()
    own = encoder not in _TAGS  # AV1, which is not recognised by its tag alone
    with av.open(film, "w", format="mp4" if own else "mov") as container:
        tiny = container.add_stream(encoder if own else "mjpeg", rate=25)
        tiny.width, tiny.height, tiny.pix_fmt = 64, 64, "yuv420p" if own else "yuvj420p"
        container.mux(tiny.encode(av.VideoFrame(64, 64, tiny.pix_fmt)))
        container.mux(tiny.encode(None))
    data = bytearray(film.getvalue() if own else film.getvalue().replace(b"jpeg", _TAGS[encoder]))
    place = data.index(b"tkhd") + 44
    data[place : place + 36] = struct.pack(">9i", *matrix)
    context = stream.codec_context
    rate, tag = context.framerate, context.codec_tag
    with av.open(io.BytesIO(bytes(data))) as container:
        BitStreamFilterContext("null", in_stream=container.streams.video[0], out_stream=stream)
    context.framerate, context.codec_tag = rate, tag
    context.level, context.bit_rate, context.extradata = _UNKNOWN_LEVEL, 0, None


def shape_pixels(path: Path, aspect: Fraction, width: int, height: int) -> None:
    """Write the aspect of pixels into a Matroska file whose picture was given a `HALF_TURN`, in place of that turn.

    The muxer takes the aspect from where PyAV does not reach, and without it writes that the unit of the size on
    display is unknown (54B2). The turn (7670) takes exactly the room of a size on display (54B0, 54BA) and a void (EC).
    """
    shape = (aspect * width / height).limit_denominator(1 << 15)
    with path.open("r+b") as file:
        head = file.read(1 << 16)
        unit, half_turn = head.find(b"\x54\xb2\x81\x04"), head.find(b"\x76\x70\x8b\x76\x75\x88")
        if unit < 0 or half_turn < 0 or shape.numerator >= 1 << 16:
            return
        file.seek(unit + 3)
        file.write(b"\x03")  # the size on display is a ratio
        file.seek(half_turn)
        width_and_height = struct.pack(
            ">2sBH2sBH", b"\x54\xb0", 0x82, shape.numerator, b"\x54\xba", 0x82, shape.denominator
        )
        file.write(width_and_height + b"\xec\x82\0\0")
