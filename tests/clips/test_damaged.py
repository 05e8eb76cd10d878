"""Files that are damaged, cut or odd: read as far as they can be, with one warning, or refused with one line."""

import warnings
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from videoinpaint.clips import VideoReader, VideoWriter, write_video
from videoinpaint.errors import InputError, InputWarning

COUNT = 24


def frame(index: int, height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    """A noisy picture whose mean tells its number."""
    noise = np.random.default_rng(index).integers(-6, 7, (height, width, 3))
    return (noise + 10 * (index % COUNT) + 10).astype(np.uint8)


def numbers(frames: Any) -> list[int]:
    return [round((float(picture.mean()) - 10) / 10) for picture in frames]


def encoded(path: Path, sizes: tuple[tuple[int, int], ...] = ((48, 64),), **options: str) -> list[Any]:
    """Packets of H.264 films of these sizes, each of 24 frames, by PyAV from the file `path`, which is written."""
    packets = []
    for height, width in sizes:
        with av.open(str(path), "w") as container:
            stream = container.add_stream(
                "libx264", rate=25, options={"g": "8", "bf": "0", "qp": "4", "sc_threshold": "0", **options}
            )
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            for index in range(COUNT):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame(index, height, width), "rgb24")))
            container.mux(stream.encode(None))
        with av.open(str(path)) as container:
            packets.append([bytes(packet) for packet in container.demux(video=0) if packet.size])
    return packets


def zeroed(path: Path, index: int) -> Path:
    """A film one of whose packets is zeros, so that its frame cannot be decoded."""
    (packets,) = encoded(path)
    content = path.read_bytes()
    assert content.count(packets[index]) == 1
    path.write_bytes(content.replace(packets[index], bytes(len(packets[index]))))
    return path


def repainted(reader: VideoReader, path: Path) -> None:
    with VideoWriter(path, None, source=reader, lossless=True) as writer:
        for picture in reader.frames():
            picture[:10, :10] = 0
            writer.write(picture)


@pytest.fixture(autouse=True)
def _told() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", InputWarning)
        yield


def film(path: Path, last: int = 1) -> Path:
    """Motion JPEG at 10 frames a second, whose last picture lasts that many frames."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for index in range(COUNT):
            for packet in stream.encode(av.VideoFrame.from_ndarray(frame(index), "rgb24")):
                packet.duration = 1 if index < COUNT - 1 else last
                container.mux(packet)
    return path


@pytest.mark.parametrize("name", ["film.mkv", "film.avi"])
def test_pictures_that_a_damaged_file_lost_are_told(tmp_path: Path, name: str) -> None:
    path = film(tmp_path / name)
    assert len(VideoReader(path)) == COUNT
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes([0x55]) * (len(content) - middle))
    with pytest.warns(InputWarning, match=r"film.* has pictures for .* s, and says for 2\.40: what cannot be read"):
        assert len(VideoReader(path)) < COUNT - 5
    with pytest.raises(InputError, match="strict"):
        VideoReader(path, strict=True)


@pytest.mark.parametrize("name", ["film.mkv", "film.avi"])
def test_a_last_picture_that_lasts_is_no_damage(tmp_path: Path, name: str) -> None:
    assert len(VideoReader(film(tmp_path / name, last=30), strict=True)) == COUNT


@pytest.mark.parametrize("index", [7, 15, 23])
def test_an_undecodable_frame_shows_the_one_before(tmp_path: Path, index: int) -> None:
    reader = VideoReader(zeroed(tmp_path / "film.mp4", index))
    wanted = [*range(index), index - 1, *range(index + 1, COUNT)]
    with pytest.warns(InputWarning, match=f"^frame {index} of .*film.mp4 cannot be decoded"):
        assert numbers(reader.frames()) == wanted
    for start in (index, index - 2, 0):  # from wherever one reads
        with pytest.warns(InputWarning, match=f"frame {index} "):
            assert numbers(reader.read(start, index + 1 - start)) == wanted[start : index + 1]
    with pytest.raises(InputError, match=rf"frame {index} .*strict"):
        VideoReader(tmp_path / "film.mp4", strict=True)
    VideoReader(zeroed(tmp_path / "other.mp4", 7))  # opening alone needs the first frame only


def test_a_concealed_frame_is_repaired_and_keeps_its_time(tmp_path: Path) -> None:
    reader = VideoReader(zeroed(tmp_path / "film.mp4", 15))
    with pytest.warns(InputWarning) as told:
        repainted(reader, tmp_path / "out.mkv")
    assert len(told) == 1
    repaired = VideoReader(tmp_path / "out.mkv")
    assert len(repaired) == COUNT
    found = repaired.read(0, COUNT)
    assert (found[:, :8, :8] < 16).all()
    np.testing.assert_array_equal(found[15], found[14])


def test_a_recording_that_starts_between_key_frames(tmp_path: Path) -> None:
    encoded(tmp_path / "whole.ts")
    with av.open(str(tmp_path / "whole.ts")) as whole:
        places = [packet.pos for packet in whole.demux(video=0) if packet.size]
    content = (tmp_path / "whole.ts").read_bytes()
    (tmp_path / "late.ts").write_bytes(content[: 3 * 188] + content[places[3] :])  # with the tables of programmes
    with pytest.warns(InputWarning, match="starts between key frames: its first 5 frames"):
        reader = VideoReader(tmp_path / "late.ts")
    assert numbers(reader.frames()) == list(range(8, COUNT))
    assert numbers(reader.read(3, 2)) == [11, 12]
    with pytest.raises(InputError, match="between key frames"):
        VideoReader(tmp_path / "late.ts", strict=True)


def test_lost_packets_are_a_warning(tmp_path: Path) -> None:
    encoded(tmp_path / "film.ts", crf="1")
    content = bytearray((tmp_path / "film.ts").read_bytes())
    middle = len(content) // 188 // 2 * 188
    del content[middle : middle + 3 * 188]
    (tmp_path / "film.ts").write_bytes(content)
    with pytest.warns(InputWarning, match="lost packets"):
        reader = VideoReader(tmp_path / "film.ts")
    assert len(reader) in (COUNT - 1, COUNT)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert len(list(reader.frames())) == len(reader)


def test_a_size_that_changes_is_scaled_to_the_first(tmp_path: Path) -> None:
    for name, size in (("a", (48, 64)), ("b", (32, 48))):
        encoded(tmp_path / f"{name}.h264", (size,))
    (tmp_path / "film.h264").write_bytes((tmp_path / "a.h264").read_bytes() + (tmp_path / "b.h264").read_bytes())
    reader = VideoReader(tmp_path / "film.h264")
    with pytest.warns(InputWarning, match="changes its size to 48x32 at frame 24") as told:
        frames = np.stack(list(reader.frames()))
    assert len(told) == 1
    assert frames.shape == (2 * COUNT, 48, 64, 3)
    assert numbers(frames) == [*range(COUNT)] * 2


def test_names_that_look_like_addresses(tmp_path: Path) -> None:
    for name in ("12:30 a.mp4", "pipe:1.mkv", "[film] (100%d).mp4", "-dash.mp4"):
        write_video(tmp_path / name, np.stack([frame(index) for index in range(3)]), 25)
        reader = VideoReader(tmp_path / name)
        with VideoWriter(tmp_path / f"new {name}", None, source=reader) as writer:
            writer.write(reader.read(0, 3))
        assert numbers(VideoReader(tmp_path / f"new {name}").frames()) == [0, 1, 2]


def test_digital_video_of_one_frame_and_of_more(tmp_path: Path) -> None:
    for count in (1, 5):
        with av.open(str(tmp_path / "tape.dv"), "w", format="dv") as container:
            stream = container.add_stream("dvvideo", rate=Fraction(30000, 1001))
            stream.width, stream.height, stream.pix_fmt = 720, 480, "yuv411p"
            for index in range(count):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame(index, 480, 720), "rgb24")))
            container.mux(stream.encode(None))
        reader = VideoReader(tmp_path / "tape.dv")
        assert numbers(reader.frames()) == list(range(count))
        assert reader.fps == pytest.approx(29.97, abs=0.01)


def test_a_gif_of_one_picture_is_a_film_of_one_frame(tmp_path: Path) -> None:
    Image.fromarray(frame(4)).save(tmp_path / "still.gif")
    assert numbers(VideoReader(tmp_path / "still.gif").frames()) == [4]


@pytest.mark.parametrize("lost", [1, 2, 50, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("suffix", [".gif", ".webm", ".mkv", ".avi"])
def test_what_was_cut_off_is_refused_however_little_it_was(tmp_path: Path, suffix: str, lost: float) -> None:
    path = tmp_path / f"film{suffix}"
    frames = [frame(index) for index in range(COUNT)]
    if suffix == ".gif":
        pictures = [Image.fromarray(picture) for picture in frames]
        pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=40)
    else:
        with av.open(str(path), "w") as container:
            stream = container.add_stream({".webm": "libvpx-vp9", ".avi": "mpeg4"}.get(suffix, "libx264"), rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for picture in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
            container.mux(stream.encode(None))
    assert len(VideoReader(path)) == COUNT
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - int(lost if lost >= 1 else lost * len(whole))])
    with pytest.raises(InputError, match=r"truncated|cannot read"):
        VideoReader(path)


def test_tags_in_no_known_script_pass_through(tmp_path: Path) -> None:
    write_video(tmp_path / "film.mkv", np.stack([frame(index) for index in range(3)]), 25)
    with av.open(str(tmp_path / "film.mkv")) as old, av.open(str(tmp_path / "odd.mkv"), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0], opaque=True)
        new.metadata["title"] = "A title to be spoilt"
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = stream
                new.mux(packet)
    content = (tmp_path / "odd.mkv").read_bytes()
    (tmp_path / "odd.mkv").write_bytes(content.replace(b"A title to be spoilt", b"Caf\xe9 au lait, so bad"))
    reader = VideoReader(tmp_path / "odd.mkv")
    with VideoWriter(tmp_path / "new.mkv", None, source=reader, lossless=True) as writer:
        writer.write(reader.read(0, 3))
    assert b"Caf\xe9 au lait, so bad" in (tmp_path / "new.mkv").read_bytes()


def test_an_unknown_codec_is_one_line(tmp_path: Path) -> None:
    write_video(tmp_path / "film.mkv", np.stack([frame(index) for index in range(3)]), 25, lossless=True)
    content = (tmp_path / "film.mkv").read_bytes()
    (tmp_path / "film.mkv").write_bytes(content.replace(b"V_FFV1", b"V_NONE"))
    with pytest.raises(InputError, match=r"film\.mkv") as problem:
        VideoReader(tmp_path / "film.mkv")
    assert "\n" not in str(problem.value)


@pytest.mark.parametrize("fps", [20000, 1000.5, 0.001, 1e-30, float("inf"), -1])
def test_absurd_rates_are_refused(tmp_path: Path, fps: float) -> None:
    with pytest.raises(InputError, match="fps must lie in"):
        write_video(tmp_path / "film.mp4", np.zeros((2, 48, 64, 3), np.uint8), fps)
