import tracemalloc
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from videoinpaint.clips import VideoReader, VideoWriter, make_clips, probe, read_video, write_video
from videoinpaint.errors import InputError

Save = Callable[..., Path]
Frames = NDArray[np.uint8]


def encode(path: Path, frames: Frames, codec: str, pixels: str = "yuv420p", **options: str) -> Path:
    """Write with any codec, as other people's tools do."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=12, options=options)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], pixels
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode(None))
    return path


def numbered(count: int, height: int = 48, width: int = 64) -> Frames:
    """Frames whose grey level tells their number, even after lossy coding."""
    levels = (np.arange(count) % 24) * 10 + 10
    return np.broadcast_to(levels[:, None, None, None].astype(np.uint8), (count, height, width, 3)).copy()


def numbers(frames: Frames) -> list[int]:
    return [round((float(frame.mean()) - 10) / 10) for frame in frames]


@settings(max_examples=12, deadline=None)
@given(count=st.integers(1, 5), height=st.integers(32, 51), width=st.integers(32, 51), seed=st.integers(0, 9))
def test_lossless_round_trip(
    tmp_path_factory: pytest.TempPathFactory, count: int, height: int, width: int, seed: int
) -> None:
    frames = np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), np.uint8)
    path = tmp_path_factory.mktemp("video") / "clip.mkv"
    write_video(path, frames, 7.5, lossless=True)
    found, fps = read_video(path)
    np.testing.assert_array_equal(found, frames)
    assert fps == pytest.approx(7.5)


@pytest.mark.parametrize(("height", "width"), [(48, 64), (49, 64), (48, 65), (33, 35)])
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_lossy_round_trip_keeps_size_length_rate_and_colours(
    tmp_path: Path, frames: Frames, height: int, width: int, suffix: str
) -> None:
    flat = np.empty((10, height, width, 3), np.uint8)
    flat[:] = (200, 40, 90)
    path = tmp_path / f"clip{suffix}"
    write_video(path, flat, 29.97)
    found, fps = read_video(path)
    assert found.shape == flat.shape
    assert fps == pytest.approx(29.97, abs=0.01)
    assert np.abs(found.astype(int) - flat).max() <= 3
    assert list(tmp_path.iterdir()) == [path]


def test_lossy_video_is_close_and_plays_everywhere(tmp_path: Path, frames: Frames) -> None:
    write_video(tmp_path / "clip.mp4", frames, 24)
    found, _ = read_video(tmp_path / "clip.mp4")
    assert np.abs(found.astype(int) - frames).mean() < 12
    with av.open(str(tmp_path / "clip.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")


def test_better_quality_is_closer(tmp_path: Path, frames: Frames) -> None:
    errors = []
    for quality in (5, 45):
        write_video(tmp_path / "clip.mp4", frames, 24, quality=quality)
        errors.append(np.abs(read_video(tmp_path / "clip.mp4")[0].astype(int) - frames).mean())
    assert errors[0] < errors[1]


CODECS = [
    (".mp4", "libx264", {"g": "5", "bf": "2"}),
    (".mkv", "libx264", {"g": "7", "bf": "3"}),
    (".avi", "mpeg4", {"g": "6"}),
    (".webm", "libvpx", {"g": "8", "auto-alt-ref": "1", "lag-in-frames": "10"}),
    (".webm", "libvpx-vp9", {"g": "8"}),
    (".mov", "mjpeg", {}),
    (".ts", "libx264", {"g": "6"}),
    (".h264", "libx264", {"g": "6"}),
]


@pytest.mark.parametrize(("suffix", "codec", "options"), CODECS, ids=[c + s for s, c, _ in CODECS])
def test_every_window_of_every_container_is_the_right_one(
    tmp_path: Path, suffix: str, codec: str, options: dict[str, str]
) -> None:
    if codec not in av.codecs_available:
        pytest.skip(f"{codec} is not in this build of PyAV")
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    path = encode(tmp_path / f"clip{suffix}", numbered(23), codec, pixels, **options)
    reader = VideoReader(path)
    assert len(reader) == 23
    assert (reader.height, reader.width) == (48, 64)
    for start in (0, 4, 5, 6, 11, 20):
        assert numbers(reader.read(start, 3)) == [start, start + 1, start + 2]
    assert numbers(reader.read(2, 5, 4)) == [2, 6, 10, 14, 18]
    assert numbers(np.stack(list(reader.frames(19)))) == [19, 20, 21, 22]


def test_windows_cover_the_clip_with_the_asked_overlap(tmp_path: Path, save_video: Save) -> None:
    reader = VideoReader(save_video(tmp_path / "clip.mkv", numbered(11)))
    found = [(start, numbers(frames)) for start, frames in reader.windows(4, 1)]
    assert found == [(0, [0, 1, 2, 3]), (3, [3, 4, 5, 6]), (6, [6, 7, 8, 9]), (9, [9, 10])]
    assert [(s, len(f)) for s, f in reader.windows(20)] == [(0, 11)]
    assert [(s, len(f)) for s, f in reader.windows(11)] == [(0, 11)]
    with pytest.raises(InputError, match="overlap"):
        reader.windows(4, 4)


def test_memory_is_bounded_by_the_window(tmp_path: Path) -> None:
    frame = np.zeros((1, 120, 216, 3), np.uint8)
    write_video(tmp_path / "long.mp4", (frame for _ in range(400)), 25)
    reader = VideoReader(tmp_path / "long.mp4")
    tracemalloc.start()
    count = sum(len(frames) for _, frames in reader.windows(8, 2))
    reader.read(300, 8)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count > 400
    assert peak < 40 * frame.nbytes


def test_reading_a_part_and_a_folder(tmp_path: Path, frames: Frames, save_video: Save, save_frames: Save) -> None:
    for path in (save_video(tmp_path / "clip.mkv", frames), save_frames(tmp_path / "folder", frames)):
        np.testing.assert_array_equal(read_video(path)[0], frames)
        np.testing.assert_array_equal(read_video(path, start=3)[0], frames[3:])
        np.testing.assert_array_equal(read_video(path, start=1, count=4, stride=2)[0], frames[1:9:2])
        np.testing.assert_array_equal(read_video(path, stride=5)[0], frames[::5])
        with pytest.raises(InputError, match="12 frames, but 13"):
            read_video(path, count=13)


def test_probe(tmp_path: Path, frames: Frames, save_video: Save) -> None:
    info = probe(save_video(tmp_path / "clip.mkv", frames, 12.5))
    assert (info.frames, info.height, info.width) == (12, 48, 64)
    assert info.fps == pytest.approx(12.5)


def test_video_is_a_clip_source(tmp_path: Path, frames: Frames, save_video: Save) -> None:
    source = make_clips(str(save_video(tmp_path / "clip.mkv", frames)))
    assert source.names() == ["clip.mkv"]
    np.testing.assert_array_equal(source.load("clip.mkv", 4, 48, 64, 5).frames, frames[5:9])


@pytest.mark.parametrize(
    ("suffix", "codec", "options"),
    [
        (".mp4", "libx264", {}),
        (".mp4", "libx264", {"movflags": "faststart"}),
        (".mkv", "libx264", {}),
        (".webm", "libvpx-vp9", {}),
        (".avi", "mpeg4", {}),
    ],
)
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_truncated_video_is_refused_when_it_is_opened(
    tmp_path: Path, suffix: str, codec: str, options: dict[str, str], kept: float
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (30, 48, 64, 3), np.uint8)
    path = tmp_path / f"clip{suffix}"
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=12)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for frame in noise:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode(None))
    assert len(VideoReader(path)) == 30
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(InputError, match=rf"clip\{suffix}.*ffmpeg"):
        make_clips(path)


@pytest.mark.parametrize("content", [b"", b"not a video at all", bytes(range(256)) * 20])
def test_unreadable_video_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    for read in (probe, read_video, make_clips):
        with pytest.raises(InputError, match=r"clip\.mp4"):
            read(path)


def test_missing_video_and_sound_without_picture(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no video file"):
        probe(tmp_path / "none.mp4")
    with av.open(str(tmp_path / "sound.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
    with pytest.raises(InputError, match="no video stream"):
        probe(tmp_path / "sound.wav")


def test_video_of_one_frame_is_no_clip(tmp_path: Path, frames: Frames, save_video: Save) -> None:
    with pytest.raises(InputError, match="single frame"):
        make_clips(save_video(tmp_path / "clip.mkv", frames[:1]))


@pytest.mark.parametrize(
    ("name", "fps", "options"),
    [
        ("clip.txt", 24, {}),
        ("clip", 24, {}),
        ("clip.mp4", 0, {}),
        ("clip.mp4", float("nan"), {}),
        ("clip.mp4", 24, {"lossless": True}),
        ("clip.mp4", 24, {"quality": 60}),
        ("missing/clip.mp4", 24, {}),
    ],
)
def test_bad_output_is_refused_before_anything_is_written(
    tmp_path: Path, frames: Frames, name: str, fps: float, options: dict
) -> None:
    with pytest.raises(InputError):
        write_video(tmp_path / name, frames, fps, **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("bad", ["dtype", "shape", "size", "nothing"])
def test_nothing_is_left_behind_after_an_error(tmp_path: Path, frames: Frames, bad: str) -> None:
    parts: dict[str, list[NDArray]] = {
        "dtype": [frames[:3], frames[3:4].astype(np.float32)],
        "shape": [frames[:3], frames[3, :, :, 0]],
        "size": [frames[:3], frames[3:4, :40]],
        "nothing": [],
    }
    with pytest.raises(InputError):
        write_video(tmp_path / "clip.mp4", iter(parts[bad]), 24)
    assert not list(tmp_path.iterdir())


def test_interrupted_writer_keeps_the_old_file(tmp_path: Path, frames: Frames) -> None:
    path = tmp_path / "clip.mp4"
    write_video(path, frames, 24)
    old = path.read_bytes()

    def interrupt() -> None:
        with VideoWriter(path, 24) as writer:
            writer.write(frames[:6])
            assert path.read_bytes() == old
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupt()
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


def test_writer_takes_frames_and_windows_and_closes_once(tmp_path: Path, frames: Frames) -> None:
    writer = VideoWriter(tmp_path / "clip.mkv", 24, lossless=True)
    writer.write(frames[0])
    writer.write(frames[1:5])
    writer.close()
    writer.close()
    np.testing.assert_array_equal(read_video(tmp_path / "clip.mkv")[0], frames[:5])
    with pytest.raises(InputError, match="closed"):
        writer.write(frames)
    assert (tmp_path / "clip.mkv").exists()
