"""What a video file holds beside its picture is in the repaired one too, or a warning names it."""

import io
import warnings
from contextlib import nullcontext
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from videoinpaint.clips import VideoReader, VideoWriter, write_video
from videoinpaint.clips.files.borrowed import turn
from videoinpaint.errors import InputError, InputWarning

RATE = 25
MATRICES = {
    "quarter": (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30),
    "half": (-65536, 0, 0, 0, -65536, 0, 0, 0, 1 << 30),
    "three quarters": (0, -65536, 0, 65536, 0, 0, 0, 0, 1 << 30),
    "mirror": (-65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30),
}


def film(
    path: Path, *, sound: tuple[str, ...] = (), subtitles: bool = False, chapters: bool = False,
    stamps: list[int] | None = None, matrix: tuple[int, ...] = (), aspect: Fraction | None = None,
    interlaced: str = "", codec: str = "libx264", attachment: bool = False, sound_from: int = 0, seconds: int = 1,
) -> Path:  # fmt: skip
    """A file as cameras and editors make it; `stamps` and `sound_from` are in units of a 1000th second."""
    stamps = [40 * index for index in range(12)] if stamps is None else stamps
    options = {"flags": "+ildct+ilme", "x264-params": f"{interlaced}=1"} if interlaced else {}
    with av.open(str(path), "w") as container:
        picture = container.add_stream(codec, rate=RATE, options=options)
        if matrix:
            turn(picture, matrix)
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        picture.codec_context.time_base = picture.time_base = Fraction(1, 1000)
        if aspect is not None:
            picture.codec_context.sample_aspect_ratio = aspect
        tracks = [container.add_stream(name, rate=48000) for name in sound]
        for track, language in zip(tracks, ("eng", "fra", "spa")):
            track.metadata["language"] = language
        text = av.open(io.BytesIO(b"1\n00:00:00,080 --> 00:00:00,240\nHello\n\n"), format="srt")
        words = container.add_stream_from_template(text.streams[0]) if subtitles else None
        if attachment:
            container.add_attachment("font.ttf", "font/ttf", b"letters" * 20)
        container.metadata.update(title="A title", artist="Somebody", comment="Seen in spring")
        container.metadata["creation_time"] = "2014-07-19T15:30:00.000000Z"
        if chapters:
            one = {"id": 1, "start": 0, "end": 200, "time_base": Fraction(1, 1000), "metadata": {"title": "First"}}
            two = {"id": 2, "start": 200, "end": 480, "time_base": Fraction(1, 1000), "metadata": {"title": "Second"}}
            container.set_chapters([one, two])
        for index, stamp in enumerate(stamps):
            frame = np.random.default_rng(index).integers(0, 256, (6, 8, 3)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
            shown = av.VideoFrame.from_ndarray(frame, "rgb24")
            shown.pts, shown.time_base = stamp, Fraction(1, 1000)
            container.mux(picture.encode(shown))
        for track in tracks:
            tone = (np.sin(np.arange(48000 * seconds) / 20) * 8000).astype(np.int16)[None]
            samples = av.AudioFrame.from_ndarray(np.repeat(tone, 2, axis=1), "s16", "stereo")
            samples.sample_rate, samples.pts, samples.time_base = 48000, 48 * sound_from, Fraction(1, 48000)
            container.mux(track.encode(samples))
        for stream in (picture, *tracks):
            container.mux(stream.encode(None))
        if words is not None:
            for packet in text.demux():
                if packet.size:
                    packet.stream = words
                    container.mux(packet)
        text.close()
    return path


def copied(source: Path, target: Path, **options: Any) -> Path:
    reader = VideoReader(source)
    with VideoWriter(target, options.pop("fps", None), source=reader, **options) as writer:
        for frame in reader.frames():
            frame[:10, :10] = 0
            writer.write(frame)
    return target


def contents(path: Path) -> dict[str, Any]:
    """Everything beside the picture itself."""
    with av.open(str(path)) as container:
        packets: dict[int, list[bytes]] = {}
        stamps: dict[int, list[float]] = {}
        for packet in container.demux():
            if packet.size and packet.stream.type != "video":
                packets.setdefault(packet.stream_index, []).append(bytes(packet))
                stamps.setdefault(packet.stream_index, []).append(round(float(packet.pts * packet.time_base), 3))
        streams = [stream for stream in container.streams if stream.type in ("audio", "subtitle", "attachment")]
        tags = {key.lower(): value for key, value in container.metadata.items()}
        return {
            "streams": [(s.type, s.codec_context.codec.canonical_name if s.codec_context else s.name) for s in streams],
            "languages": [stream.language for stream in streams if stream.type == "audio"],
            "packets": [packets.get(stream.index) for stream in streams],
            "stamps": [stamps.get(stream.index) for stream in streams],
            "tags": {key: tags.get(key) for key in ("title", "artist", "comment", "creation_time")},
            "chapters": [
                (float(c["start"] * c["time_base"]), float(c["end"] * c["time_base"]), c["metadata"]["title"])
                for c in container.chapters()
            ],
        }


def times(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [round(float(picture.pts * picture.time_base), 4) for picture in container.decode(video=0)]


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize(
    ("source", "target"), [("mp4", "mp4"), ("mov", "mov"), ("mp4", "mov"), ("mkv", "mkv"), ("mkv", "mp4")]
)
def test_sound_chapters_and_tags_are_copied(tmp_path: Path, source: str, target: str, lossless: bool) -> None:
    old = film(tmp_path / f"in.{source}", sound=("aac", "aac"), chapters=True)
    new = copied(old, tmp_path / ("out.mkv" if lossless else f"out.{target}"), lossless=lossless)
    before, after = contents(old), contents(new)
    assert before["languages"] == ["eng", "fra"]
    stamps = before.pop("stamps"), after.pop("stamps")
    assert after == before
    np.testing.assert_allclose(stamps[1], stamps[0], atol=0.0011)
    assert times(new) == times(old)


@pytest.mark.parametrize("channels", [1, 2, 6, 9])
@pytest.mark.parametrize("source", ["mkv", "avi"])
@pytest.mark.parametrize("target", ["mkv", "mov", "mp4"])
def test_plain_samples_of_sound_that_say_no_layout(tmp_path: Path, source: str, channels: int, target: str) -> None:
    old = tmp_path / f"in.{source}"
    with av.open(str(old), "w") as container:
        picture = container.add_stream("mpeg4", rate=RATE)
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        track = container.add_stream("pcm_s16le", rate=48000)
        track.layout = f"{channels} channels"
        for _ in range(12):
            container.mux(picture.encode(av.VideoFrame(64, 48, "yuv420p")))
        samples = av.AudioFrame(format="s16", layout=f"{channels} channels", samples=4800)
        samples.sample_rate = 48000
        container.mux(track.encode(samples))
        for stream in (picture, track):
            container.mux(stream.encode(None))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", InputWarning)
        new = copied(old, tmp_path / f"out.{target}")
    before, after = contents(old), contents(new)
    sound = [b"".join(packets) for packets in after["packets"]]
    assert sound == ([b"".join(packets) for packets in before["packets"]] if not told else [])
    assert bool(told) == (target == "mp4" and channels > 8)


@pytest.mark.parametrize("source", ["mkv", "mp4"])
@pytest.mark.parametrize("target", ["mkv", "mp4"])
def test_a_second_picture_keeps_the_order_of_its_frames(tmp_path: Path, source: str, target: str) -> None:
    old = tmp_path / f"in.{source}"
    with av.open(str(old), "w") as container:
        streams = [container.add_stream("libx264", rate=RATE) for _ in range(2)]
        for stream, scale in zip(streams, (2, 1)):
            stream.width, stream.height, stream.pix_fmt = 48 * scale, 32 * scale, "yuv420p"
        for index in range(12):
            for stream in streams:
                grey = np.full((stream.height, stream.width, 3), 20 * index, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, "rgb24")))
        for stream in streams:
            container.mux(stream.encode(None))
    new = copied(old, tmp_path / f"out.{target}", lossless=target == "mkv")

    def shown(path: Path) -> list[tuple[float, float]]:
        with av.open(str(path)) as container:
            frames = list(container.decode(video=1))
            return [(float(frame.pts * frame.time_base), float(frame.to_ndarray().mean())) for frame in frames]

    np.testing.assert_allclose(shown(new), shown(old), atol=0.0011)
    assert VideoReader(new).info == VideoReader(old).info  # the larger one is still the one that is meant


def test_subtitles_and_attachments_where_they_fit(tmp_path: Path) -> None:
    old = film(tmp_path / "in.mkv", subtitles=True, attachment=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert contents(copied(old, tmp_path / "out.mkv"))["streams"] == contents(old)["streams"]
    assert contents(tmp_path / "out.mkv")["packets"] == contents(old)["packets"]
    with pytest.warns(InputWarning, match=r"out\.mp4 cannot hold subtitles \(subrip\), an attachment .* write \.mkv"):
        copied(old, tmp_path / "out.mp4")
    assert contents(tmp_path / "out.mp4")["streams"] == []


def test_subtitles_and_chapters_of_mp4_stay_in_mp4(tmp_path: Path) -> None:
    old = film(tmp_path / "in.mp4", sound=("aac",), chapters=True)
    new = copied(copied(old, tmp_path / "once.mp4"), tmp_path / "twice.mp4")
    with av.open(str(old)) as first, av.open(str(new)) as second:  # the stream of chapters is made anew, not doubled
        assert [s.type for s in second.streams] == [s.type for s in first.streams] == ["video", "audio", "data"]


def test_audio_may_be_left_out(tmp_path: Path) -> None:
    old = film(tmp_path / "in.mp4", sound=("aac",), chapters=True)
    kept = contents(copied(old, tmp_path / "out.mp4", audio=False))
    assert kept["streams"] == []
    assert len(kept["chapters"]) == 2


def test_every_frame_keeps_its_time(tmp_path: Path) -> None:
    """Also where frames are not evenly spaced, and where the picture begins after the sound."""
    uneven = [480, 520, 560, 680, 800, 920, 930, 1000, 1400, 1480]
    old = film(tmp_path / "in.mp4", sound=("aac",), stamps=uneven)
    assert times(old) == [stamp / 1000 for stamp in uneven]
    for name in ("out.mp4", "out.mov", "out.mkv"):
        assert times(copied(old, tmp_path / name)) == times(old)
    assert times(copied(old, tmp_path / "lossless.mkv", lossless=True)) == times(old)


def test_a_rate_of_ones_own_leaves_sound_out(tmp_path: Path) -> None:
    old = film(tmp_path / "in.mp4", sound=("aac",))
    with pytest.warns(InputWarning, match="other times.*left out"):
        new = copied(old, tmp_path / "out.mp4", fps=10)
    assert np.allclose(np.diff(times(new)), 0.1)
    assert contents(new)["streams"] == []
    assert contents(new)["tags"]["title"] == "A title"


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
def test_tags_of_a_makers_own_are_kept(tmp_path: Path, suffix: str) -> None:
    old = film(tmp_path / "in.mkv")
    with av.open(str(old)) as plain, av.open(str(tmp_path / "phone.mkv"), "w") as phone:
        stream = phone.add_stream_from_template(plain.streams.video[0], opaque=True)
        phone.metadata.update(
            {"title": "A title", "com.apple.quicktime.make": "Maker", "location": "+10.0000+020.0000/"}
        )
        for packet in plain.demux(video=0):
            if packet.size:
                packet.stream = stream
                phone.mux(packet)
    assert VideoReader(tmp_path / "phone.mkv").fps == RATE  # whose copied header says 1000
    with av.open(str(copied(tmp_path / "phone.mkv", tmp_path / f"out.{suffix}"))) as container:
        tags = {key.lower(): value for key, value in container.metadata.items()}
    assert (tags["title"], tags["com.apple.quicktime.make"]) == ("A title", "Maker")
    assert tags["location"] == "+10.0000+020.0000/"


@pytest.mark.parametrize("name", MATRICES)
@pytest.mark.parametrize(
    ("suffix", "codec"), [("mp4", "h264"), ("mov", "h264"), ("mkv", "h264"), ("mkv", "ffv1"), ("mp4", "hevc")]
)
def test_turned_pictures_stay_turned(tmp_path: Path, name: str, suffix: str, codec: str) -> None:
    old = film(tmp_path / "in.mp4", matrix=MATRICES[name])
    reader = VideoReader(old)
    assert (reader.height, reader.width) == ((64, 48) if "quarter" in name else (48, 64))
    new = VideoReader(copied(old, tmp_path / f"out.{suffix}", codec=codec))
    assert new.index.matrix[:5] == reader.index.matrix[:5] == MATRICES[name][:5]
    before, after = reader.read(0, 1)[0].astype(int), new.read(0, 1)[0].astype(int)
    assert before.shape == after.shape
    assert after[2:6, 2:6].max() < 30  # painted in the corner that is shown top left
    assert np.abs(after - before)[16:].mean() < 6
    with av.open(str(old)) as container:
        degrees = next(container.decode(video=0)).rotation
        stored = next(container.decode(video=0)).to_ndarray(format="rgb24").astype(int)
    if name != "mirror":
        assert (
            np.abs(
                np.rot90(stored, degrees // 90).mean(axis=2)[8:-8:16, 8:-8:16] - before.mean(axis=2)[8:-8:16, 8:-8:16]
            ).mean()
            < 90
        )


@pytest.mark.parametrize(
    ("suffix", "codec"), [("mp4", "h264"), ("mov", "h264"), ("mkv", "h264"), ("mkv", "ffv1"), ("mkv", "hevc")]
)
@pytest.mark.parametrize("aspect", [Fraction(64, 45), Fraction(8, 9)])
def test_pixels_keep_their_shape(tmp_path: Path, suffix: str, codec: str, aspect: Fraction) -> None:
    old = film(tmp_path / "in.mp4", aspect=aspect)
    new = copied(copied(old, tmp_path / f"once.{suffix}", codec=codec), tmp_path / f"twice.{suffix}", codec=codec)
    with av.open(str(new)) as container:
        assert container.streams.video[0].sample_aspect_ratio == aspect
        assert next(container.decode(video=0)).rotation == 0


@pytest.mark.parametrize(("first", "order"), [("tff", 2), ("bff", 3)])
def test_fields_stay_fields(tmp_path: Path, first: str, order: int) -> None:
    old = film(tmp_path / "in.mp4", interlaced=first)
    for name, codec in (("out.mp4", "h264"), ("out.mkv", "h264"), ("out.mkv", "ffv1")):
        with av.open(str(copied(old, tmp_path / name, codec=codec))) as container:
            pictures = list(container.decode(video=0))
            assert all(picture.interlaced_frame for picture in pictures)
            assert container.streams.video[0].codec_context.field_order == order
    with pytest.warns(InputWarning, match="interlaced"):
        copied(old, tmp_path / "out.mp4", codec="hevc")


def test_odd_sizes_are_padded_and_told_beside_the_comment(tmp_path: Path) -> None:
    old = tmp_path / "in.mkv"
    with av.open(str(old), "w") as container:
        container.metadata["comment"] = "Seen in spring"
        picture = container.add_stream("ffv1", rate=RATE)
        picture.width, picture.height, picture.pix_fmt = 63, 49, "yuv420p"
        for index in range(4):
            frame = np.full((49, 63, 3), 20 + 50 * index, np.uint8)
            container.mux(picture.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(picture.encode(None))
    for source, name in ((old, "once.mp4"), (tmp_path / "once.mp4", "twice.mp4"), (tmp_path / "twice.mp4", "last.mkv")):
        new = copied(source, tmp_path / name, lossless=name == "last.mkv")
        assert contents(new)["tags"]["comment"] == "Seen in spring videoinpaint:size=63x49"
        frames = VideoReader(new).read(0, 4)
        assert frames.shape == (4, 49, 63, 3)
        assert np.abs(frames[:, 20:, 20:].astype(int) - VideoReader(old).read(0, 4)[:, 20:, 20:]).max() <= 3


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
@pytest.mark.parametrize("form", ["gif", "rgb"])
def test_colours_of_odd_size_become_samples_of_even_size(tmp_path: Path, form: str, codec: str) -> None:
    pictures = [np.full((65, 67, 3), 20 + 50 * index, np.uint8) for index in range(3)]
    old = tmp_path / ("in.gif" if form == "gif" else "in.mkv")
    if form == "gif":
        first, *rest = [Image.fromarray(picture).quantize(64) for picture in pictures]
        first.save(old, save_all=True, append_images=rest, duration=80)
    else:
        write_video(old, pictures, 12.5, lossless=True)
    new = copied(old, tmp_path / "out.mp4", codec=codec)
    frames = VideoReader(new).read(0, 3)
    assert frames.shape == (3, 65, 67, 3)
    assert np.abs(frames[:, 24:].astype(int) - np.stack(pictures)[:, 24:]).max() <= 6
    assert times(new) == [0, 0.08, 0.16]


def test_the_clock_of_a_broadcast_begins_at_zero(tmp_path: Path) -> None:
    """Players would wait for hours; what belongs together stays together."""
    late = [3_600_000 + 40 * index for index in range(12)]
    old = film(tmp_path / "in.mkv", stamps=late)
    assert times(old)[0] == 3600
    with pytest.warns(InputWarning, match="begins at 3600 s"):
        assert np.allclose(times(copied(old, tmp_path / "out.mp4")), np.arange(12) * 0.04)


def joined(path: Path, *parts: tuple[int, int], sound: bool = True) -> Path:
    """Recordings end to end in one file, each with a clock of its own: (first time stamp in ms, number of frames)."""
    content = b""
    for start, count in parts:
        stamps = [start + 40 * index for index in range(count)]
        part = path.with_suffix(f".{len(content)}.ts")
        content += film(part, sound=("aac",) if sound else (), stamps=stamps, sound_from=start).read_bytes()
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("target", ["mp4", "mkv"])
@pytest.mark.parametrize("starts", [(0, 0), (400, 0), (0, 500_000), (500_000, 0), (0, 200, 0)])
def test_a_clock_that_jumps_goes_on_for_picture_and_sound(tmp_path: Path, starts: tuple[int, ...], target: str) -> None:
    old = joined(tmp_path / "in.ts", *[(start, 26) for start in starts])
    with pytest.warns(InputWarning) as told:
        new = copied(old, tmp_path / f"out.{target}")
    messages = [str(one.message) for one in told]
    assert len([message for message in messages if "jumps at 1.04 s" in message]) == 1
    assert not [message for message in messages if "packets are damaged" in message]
    shown, heard = np.array(times(new)), np.array(contents(new)["stamps"][0])
    assert len(shown) == 26 * len(starts)
    assert np.allclose(np.diff(shown), 0.04, atol=0.0011)
    assert len(heard) == len(contents(old)["stamps"][0])
    parts = heard.reshape(len(starts), -1)
    assert np.allclose(parts[1:, 1] - parts[:-1, 1], 1.04, atol=0.03)
    assert np.allclose(heard[1] - shown[0], parts[-1, 1] - shown[-26], atol=0.03)
    reader = VideoReader(new)
    assert reader.fps == pytest.approx(25)


def test_a_jump_without_a_repeated_stamp_mixes_no_frames(tmp_path: Path) -> None:
    """The second part's stamps lie between those of the first: sorted, its frames would alternate with the others."""
    old = joined(tmp_path / "in.ts", (0, 26), (20, 13), sound=False)
    with pytest.warns(InputWarning, match="the clock of .* jumps"):
        reader = VideoReader(old)
    assert len(reader) == 39
    frames = reader.read(0, 39)
    assert np.array_equal(reader.read(30, 3), frames[30:33])
    assert np.abs(frames[26:].astype(int) - frames[:13]).mean() < 6
    with pytest.raises(InputError, match="strict"):
        VideoReader(old, strict=True)


def test_a_long_pause_is_no_jump_where_the_sound_goes_on(tmp_path: Path) -> None:
    stamps = [0, 40, 80, 30_000, 30_040, 30_080]
    old = film(tmp_path / "in.ts", sound=("aac",), stamps=stamps, seconds=31)
    with warnings.catch_warnings():
        warnings.simplefilter("error", InputWarning)
        new = copied(old, tmp_path / "out.mkv")
    assert np.allclose(np.diff(times(new)), [0.04, 0.04, 29.92, 0.04, 0.04], atol=0.002)


def test_what_a_codec_refuses_is_said_before_the_work(tmp_path: Path) -> None:
    old = film(tmp_path / "in.mp4")
    writer = VideoWriter(tmp_path / "out.mp4", 500, source=VideoReader(old), codec="av1")  # it writes 240 at most
    with pytest.raises(InputError, match="libsvtav1 cannot write"):
        writer.__enter__()
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]
    with pytest.raises(InputError, match="unknown codec"):
        VideoWriter(tmp_path / "out.mp4", 25, codec="xvid")
    for width, fits in ((48, False), (49, True), (50, True)):  # x265 would write past the end of its memory
        narrow = VideoWriter(tmp_path / "out.mp4", 25, codec="hevc")
        with nullcontext() if fits else pytest.raises(InputError, match="50 pixels and more in width"):
            narrow.write(np.zeros((1, 96, width, 3), np.uint8))
        narrow.discard()


def test_more_frames_than_the_source_has_are_refused(tmp_path: Path) -> None:
    reader = VideoReader(film(tmp_path / "in.mp4"))
    writer = VideoWriter(tmp_path / "out.mp4", None, source=reader)
    writer.write(reader.read(0, 12))
    with pytest.raises(InputError, match="12 frames"):
        writer.write(reader.read(0, 1))
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize(("orientation", "corner"), [(1, (0, 0)), (3, (-1, -1)), (6, (0, -1)), (8, (-1, 0))])
def test_pictures_of_a_camera_that_say_how_it_was_held_are_turned(
    tmp_path: Path, orientation: int, corner: tuple[int, int]
) -> None:
    picture, encoded, exif = np.zeros((48, 64, 3), np.uint8), io.BytesIO(), Image.Exif()
    picture[:16, :16] = 255
    exif[0x112] = orientation
    Image.fromarray(picture).save(encoded, "JPEG", exif=exif)
    path = tmp_path / "camera.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for number in range(3):
            packet = av.Packet(encoded.getvalue())
            packet.stream, packet.pts, packet.dts, packet.time_base = stream, number, number, Fraction(1, 10)
            container.mux(packet)
    frames = VideoReader(path).read(0, 3)
    assert frames.shape[1:3] == ((48, 64) if orientation in (1, 3) else (64, 48))
    lit = frames[0, ..., 0] > 128
    assert lit[corner]
    assert lit.sum() == pytest.approx(256, abs=40)
    again = VideoReader(copied(path, tmp_path / "out.mkv", codec="ffv1")).read(0, 1)[0]
    assert np.array_equal(again[24:], frames[0, 24:])  # below what the copy is painted over
