"""`videoinpaint inpaint` leaves alone what was not marked."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from videoinpaint.cli import main

Fails = Callable[..., str]
CHEAP = ("--inpainter", "telea", "--detector", "none", "--policy", "heads4", "--iterations", "1", "--device", "cpu")


def inpaint(*words: str | Path) -> int:
    return main(["inpaint", *(str(word) for word in words), *CHEAP])


@pytest.fixture
def patches(tmp_path: Path) -> Path:
    """Flat patches of 10 bits, BT.709, unevenly spaced in time, with sound."""
    path = tmp_path / "patches.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"qp": "0"})
        sound = container.add_stream("aac", rate=48000)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv422p10le"
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = context.color_range = 1
        context.time_base = stream.time_base = Fraction(1, 1000)
        container.metadata["title"] = "Patches"
        for index, stamp in enumerate((0, 40, 80, 200, 320, 440)):
            picture = av.VideoFrame(64, 48, "yuv422p10le")
            for number, plane in enumerate(picture.planes):
                levels = np.random.default_rng(number).integers(64, 940, (6, 8)).repeat(8, axis=0)
                across = plane.width // 8
                rows = np.frombuffer(memoryview(plane), np.uint16).reshape(plane.height, -1)
                rows[:, : plane.width] = levels.repeat(across, axis=1) + index
            picture.pts, picture.time_base = stamp, Fraction(1, 1000)
            container.mux(stream.encode(picture))
        tone = av.AudioFrame.from_ndarray(np.zeros((1, 48000), np.int16), "s16", "stereo")
        tone.sample_rate = 48000
        container.mux(sound.encode(tone))
        for track in (stream, sound):
            container.mux(track.encode(None))
    return path


def planes(path: Path) -> tuple[list[list[NDArray[np.uint16]]], list[float], list[str]]:
    """Samples, times and kinds of streams."""
    with av.open(str(path)) as container:
        kinds = [stream.type for stream in container.streams]
        pictures = list(container.decode(video=0))
    found = []
    for picture in pictures:
        assert (picture.format.name, picture.colorspace, picture.color_range) == ("yuv422p10le", 1, 1)
        flat = [np.frombuffer(memoryview(plane), np.uint16).reshape(plane.height, -1) for plane in picture.planes]
        found.append([rows[:, : plane.width] for rows, plane in zip(flat, picture.planes)])
    return found, [round(float(picture.pts * picture.time_base), 3) for picture in pictures], kinds


def test_four_runs_drift_nowhere(patches: Path, mask: Path, hole: NDArray[np.uint8], tmp_path: Path) -> None:
    last = patches
    for run in range(4):
        output = tmp_path / f"{run}.mkv"
        assert inpaint(last, "--mask", mask, "--output", output, "--lossless") == 0
        last = output
    before, after = planes(patches), planes(last)
    assert after[1:] == before[1:]
    for old, new in zip(before[0], after[0]):
        for one, other in zip(old, new):
            outside = hole.reshape(48, one.shape[1], -1).max(axis=2) == 0
            np.testing.assert_array_equal(other[outside], one[outside])
            assert (other[~outside] != one[~outside]).any()


def test_h264_does_not_drift_either(patches: Path, mask: Path, hole: NDArray[np.uint8], tmp_path: Path) -> None:
    last = patches
    for run in range(4):
        assert inpaint(last, "--mask", mask, "--output", tmp_path / f"{run}.mp4", "--quality", "4") == 0
        last = tmp_path / f"{run}.mp4"
    before, after = planes(patches), planes(last)
    assert after[1:] == before[1:]
    luma = np.stack([new[0].astype(int) - old[0] for old, new in zip(before[0], after[0])])
    assert abs(luma[:, hole == 0].mean()) < 0.2  # of 1023; it was 6 a run


def test_flags(patches: Path, mask: Path, tmp_path: Path, fails: Fails, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out.mp4"
    assert inpaint(patches, "--mask", mask, "--output", output, "--no-audio") == 0
    assert planes(output)[2] == ["video"]
    assert inpaint(patches, "--mask", mask, "--output", output, "--codec", "hevc", "--quality", "30") == 0
    with av.open(str(output)) as container:
        assert [stream.codec_context.name for stream in container.streams] == ["hevc", "aac"]
    assert capsys.readouterr().err == ""

    def line(*words: str) -> str:
        return fails("inpaint", patches, "--mask", mask, "--output", output, *CHEAP, *words)

    assert "unknown codec" in line("--codec", "xvid")
    assert "end the name in .mkv" in line("--codec", "ffv1")
    assert "0..51" in line("--quality", "52")
    assert "0.01..1000" in line("--fps", "20000")


def test_a_frame_that_cannot_be_decoded(
    patches: Path, mask: Path, tmp_path: Path, fails: Fails, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, and the work is done; or, with --strict, one line and no work."""
    with av.open(str(patches)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    content = patches.read_bytes()
    patches.write_bytes(content.replace(packets[-1], bytes(len(packets[-1]))))
    output = tmp_path / "out.mkv"
    strict = fails("inpaint", patches, "--mask", mask, "--output", output, *CHEAP, "--strict")
    assert "cannot be decoded" in strict
    assert not output.exists()
    assert inpaint(patches, "--mask", mask, "--output", output, "--lossless") == 0
    shown = capsys.readouterr().err
    assert shown.startswith("warning: frame ")
    assert shown.count("cannot be decoded") == 1
    assert len(planes(output)[0]) == 6


@pytest.mark.parametrize(("suffix", "bits"), [(".png", 16), (".tif", 16), (".dpx", 10), (".png", 8), (".dpx", 8)])
def test_a_folder_of_deep_pictures_says_what_is_lost(
    suffix: str, bits: int, mask: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, codec = tmp_path / "frames", {".png": "png", ".tif": "tiff", ".dpx": "dpx"}[suffix]
    form = {16: "rgb48be" if suffix == ".png" else "rgb48le", 10: "gbrp10be", 8: "rgb24"}[bits]
    folder.mkdir()
    for index in range(2):
        encoder = av.CodecContext.create(codec, "w")
        encoder.width, encoder.height, encoder.pix_fmt = 64, 48, form  # type: ignore[attr-defined]
        encoder.time_base = Fraction(1, 25)
        picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 40 + index, np.uint8), "rgb24").reformat(format=form)
        packets = [*encoder.encode(picture), *encoder.encode(None)]  # type: ignore[attr-defined]
        (folder / f"{index}{suffix}").write_bytes(b"".join(map(bytes, packets)))
    assert inpaint(folder, "--mask", mask, "--output", tmp_path / "out.mkv", "--lossless") == 0
    assert ("more than 8 bits a sample" in " ".join(capsys.readouterr().err.split())) == (bits > 8)
