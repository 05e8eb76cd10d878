"""How long pictures of a repaired video are shown: as long as those of the video itself."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from videoinpaint.clips.files.video import VideoReader, VideoWriter

LASTS = (100, 100, 300, 100, 500)  # milliseconds
UNIT = Fraction(1, 1000)


def encoded(path: Path, frames: NDArray[np.uint8], form: str, lasts: Sequence[int] = LASTS) -> Path:
    """Frames as a lossless video in a pixel format, each shown for so many milliseconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], form
        stream.codec_context.time_base = UNIT
        stream.codec_context.flags |= av.codec.context.Flags.frame_duration
        for index, last in enumerate(lasts):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frames[index]), "rgb24").reformat(format=form)
            picture.pts, picture.duration, picture.time_base = sum(lasts[:index]), last, UNIT
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def repaired(video: Path, output: Path, **flags: str) -> list[tuple[float, float]]:
    """When the pictures of a video that was written anew begin, and how long they are shown, seconds."""
    reader = VideoReader(video)
    with VideoWriter(output, None, source=reader, **flags) as writer:
        for frame in reader.frames():
            writer.write(frame)
    with av.open(str(output)) as container:
        return [
            (float((frame.pts or 0) * (frame.time_base or UNIT)), float(frame.duration * (frame.time_base or UNIT)))
            for frame in container.decode(video=0)
        ]


@pytest.mark.parametrize(("form", "width"), [("yuv420p", 64), ("bgr0", 64), ("yuv420p", 63)])
@pytest.mark.parametrize("codec", ["h264", "av1"])
def test_the_last_picture_is_shown_as_long_as_before(
    form: str, width: int, codec: str, frames: NDArray[np.uint8], tmp_path: Path
) -> None:
    video = encoded(tmp_path / "in.mkv", frames[:, :, :width], form)
    shown = repaired(video, tmp_path / "out.mkv", codec=codec)
    np.testing.assert_allclose(shown[-1], (0.6, 0.5), atol=0.002)


def test_pictures_without_time_stamps_are_shown_for_one_period_each(frames: NDArray[np.uint8], tmp_path: Path) -> None:
    video = tmp_path / "raw.h264"
    with av.open(str(video), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24")))
        container.mux(stream.encode(None))
    for codec in ("h264", "ffv1"):
        shown = repaired(video, tmp_path / f"{codec}.mkv", codec=codec)
        np.testing.assert_allclose(shown[-1], (11 / 25, 1 / 25), atol=0.002)


def length(path: Path) -> float:
    """Seconds, as a player reads them from the file's head."""
    with av.open(str(path)) as container:
        return (container.duration or 0) / av.time_base


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
@pytest.mark.parametrize(
    "lasts",
    [
        (100,) * 11 + (2000,),
        (2000,) + (100,) * 11,
        (100,) * 9 + (1000,) * 3,
        (100,) * 11 + (10,),
        (40,) * 80 + (1000,) * 2,  # more than an encoder looks ahead
        (700,),
        (100, 900),
        (100, 300, 900),
    ],
    ids=["last", "first", "late", "short", "many", "one", "two", "three"],
)
def test_mp4_is_as_long_as_the_video(
    lasts: tuple[int, ...], codec: str, frames: NDArray[np.uint8], tmp_path: Path
) -> None:
    # Encoders put pictures into another order, and .mp4 keeps durations in that one.
    video = encoded(tmp_path / "in.mkv", np.concatenate([frames] * 7), "yuv420p", lasts)
    for name in ("out.mp4", "again.mp4", "back.mkv"):
        shown = repaired(video, tmp_path / name, codec=codec)
        np.testing.assert_allclose([begin for begin, _ in shown], np.cumsum([0, *lasts[:-1]]) / 1000, atol=0.001)
        np.testing.assert_allclose(shown[-1][1], lasts[-1] / 1000, atol=0.002)
        np.testing.assert_allclose(length(tmp_path / name), sum(lasts) / 1000, atol=0.002)
        video = tmp_path / name
