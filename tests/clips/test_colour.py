"""Samples outside the hole are the source's own; colours inside follow its matrix and range, rounded."""

import warnings
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from videoinpaint.clips import VideoReader, VideoWriter, read_video, write_video
from videoinpaint.clips.files.colour import paste, to_rgb
from videoinpaint.clips.files.planes import fitted, planar, samples
from videoinpaint.errors import InputWarning

BT709, BT601, BT2020, UNSPECIFIED = 1, 6, 9, 2
YCGCO, BT2020_CONSTANT, ICTCP = 8, 10, 14
LIMITED, FULL = 1, 2
WEIGHTS = {BT709: (0.2126, 0.0722), BT601: (0.299, 0.114), BT2020: (0.2627, 0.0593)}
HOLE = (slice(12, 27), slice(17, 38))  # odd borders: they cut through colour samples

# pixel format, codec, (matrix, range, primaries, transfer), size
SOURCES = [
    ("yuv420p", "libx264", (BT709, LIMITED, 1, 1), (48, 64)),
    ("yuv420p", "libx264", (BT601, LIMITED, 6, 6), (48, 64)),
    ("yuv420p", "ffv1", (UNSPECIFIED, 0, 2, 2), (48, 64)),
    ("yuv420p", "ffv1", (BT709, LIMITED, 1, 1), (49, 63)),
    ("yuv420p", "libx264", (BT709, FULL, 1, 1), (48, 64)),
    ("yuv422p10le", "libx264", (BT709, LIMITED, 1, 1), (48, 64)),
    ("yuv420p10le", "libx264", (BT2020, LIMITED, 9, 16), (48, 64)),
    ("yuv420p", "ffv1", (BT2020_CONSTANT, LIMITED, 9, 14), (48, 64)),
    ("yuv420p", "ffv1", (YCGCO, LIMITED, 1, 1), (48, 64)),
    ("yuv422p10le", "ffv1", (ICTCP, FULL, 9, 16), (48, 64)),
    ("yuv444p", "libx264", (BT709, LIMITED, 1, 1), (48, 64)),
    ("yuv411p", "ffv1", (BT601, LIMITED, 6, 6), (48, 64)),
    ("yuva420p", "ffv1", (BT709, LIMITED, 1, 1), (48, 64)),
    ("gray", "ffv1", (UNSPECIFIED, 0, 2, 2), (48, 64)),
    ("bgr0", "ffv1", (UNSPECIFIED, 0, 2, 2), (48, 64)),
    ("gbrp10le", "ffv1", (UNSPECIFIED, 0, 2, 2), (48, 64)),
]


def name(source: tuple[Any, ...]) -> str:
    return f"{source[0]}-{source[2][0]}-{source[3][1]}"


NAMES = [name(source) for source in SOURCES]
EIGHT_BITS = [source for source in SOURCES if source[0] in ("yuv420p", "yuv444p")]


def patches(path: Path, form: str, codec: str, tags: tuple[int, ...], size: tuple[int, int], count: int = 3) -> Path:
    """A lossless film of flat patches, each of 8x8 pixels, whose samples cover what the format can hold."""
    height, width = size
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10, options={"qp": "0"} if codec == "libx264" else {})
        stream.height, stream.width, stream.pix_fmt = height, width, form
        context = stream.codec_context
        context.colorspace, context.color_range, context.color_primaries, context.color_trc = tags
        for index in range(count):
            picture = planar(av.VideoFrame(width, height, form))
            draws = np.random.default_rng(index)
            for plane in samples(picture):
                top = 1 << picture.format.components[0].bits
                patch = -(-8 * plane.shape[0] // height), -(-8 * plane.shape[1] // width)
                count_of = -(-plane.shape[0] // patch[0]), -(-plane.shape[1] // patch[1])
                blocks = draws.integers(top // 16, top - top // 16, count_of)
                plane[:] = np.kron(blocks, np.ones(patch))[: plane.shape[0], : plane.shape[1]]
            picture = picture if picture.format.name == form else picture.reformat(format=form)
            picture.colorspace, picture.color_range = tags[0], tags[1]
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def decoded(path: Path) -> list[Any]:
    with av.open(str(path)) as container:
        return [planar(picture) for picture in container.decode(video=0)]


def repaired(source: Path, target: Path, colour: int, **options: Any) -> Path:
    """The film with its hole painted over, as a repair does."""
    reader = VideoReader(source)
    with VideoWriter(target, None, source=reader, **options) as writer:
        for frame in reader.frames():
            frame[HOLE] = colour
            writer.write(frame)
    return target


def touched(shape: tuple[int, int], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Which samples of a plane belong to a pixel of the hole."""
    hole = np.zeros(size, bool)
    hole[HOLE] = True
    down, across = -(-size[0] // shape[0]), -(-size[1] // shape[1])
    hole = np.pad(hole, ((0, -size[0] % down), (0, -size[1] % across)))
    return np.asarray(hole.reshape(shape[0], down, shape[1], across).any(axis=(1, 3)))


@pytest.mark.filterwarnings("ignore:.*(HDR|not known):videoinpaint.errors.InputWarning")
@pytest.mark.parametrize(("form", "codec", "tags", "size"), SOURCES, ids=NAMES)
def test_four_runs_change_no_sample_outside_the_hole(
    tmp_path: Path, form: str, codec: str, tags: tuple[int, ...], size: tuple[int, int]
) -> None:
    first = patches(tmp_path / "0.mkv", form, codec, tags, size)
    last = first
    for run in range(4):
        last = repaired(last, tmp_path / f"{run + 1}.mkv", 60 * run, lossless=True)
    before, after = decoded(first), decoded(last)
    assert len(before) == len(after) == 3
    for old, new in zip(before, after):
        assert new.format.name == old.format.name.replace("yuvj", "yuv")  # one and the same, with the range in the name
        for name in ("colorspace", "color_range", "color_primaries", "color_trc"):
            assert getattr(new, name) == getattr(old, name)
        for part, plane, other in zip(old.format.components, samples(old), samples(new)):
            outside = ~touched(plane.shape, size)
            np.testing.assert_array_equal(other[outside], plane[outside])
            assert part.is_alpha or (other[~outside] != plane[~outside]).mean() > 0.9
    inside = np.stack(list(VideoReader(last).frames()))[:, HOLE[0], HOLE[1]].astype(int)
    assert np.abs(inside[:, 4:-4, 4:-4] - 180).max() <= 2  # 8 bits of Y, U and V hold fewer colours than those of RGB


@pytest.mark.filterwarnings("ignore:.*not known:videoinpaint.errors.InputWarning")
@pytest.mark.parametrize(("form", "codec", "tags", "size"), EIGHT_BITS, ids=[name(source) for source in EIGHT_BITS])
def test_h264_is_given_the_same_samples(
    tmp_path: Path, form: str, codec: str, tags: tuple[int, ...], size: tuple[int, int]
) -> None:
    """With a quantiser of 0 x264 keeps 8-bit samples: those of formats that H.264 has are the source's."""
    first = patches(tmp_path / "0.mkv", form, codec, tags, size)
    last = first
    for run in range(4):
        last = repaired(last, tmp_path / f"{run + 1}.mp4", 60 * run, quality=0)
    for old, new in zip(decoded(first), decoded(last)):
        assert (new.colorspace, new.color_range) == (old.colorspace, old.color_range)
        for plane, other in zip(samples(old), samples(new)):
            outside = ~touched(plane.shape, size)
            np.testing.assert_array_equal(other[: plane.shape[0], : plane.shape[1]][outside], plane[outside])


@pytest.mark.parametrize("form", ["yuv422p10le", "yuv420p10le"])
def test_ten_bits_stay_ten_bits_without_a_bias(tmp_path: Path, form: str) -> None:
    first = patches(tmp_path / "0.mkv", form, "libx264", (BT709, LIMITED, 1, 1), (48, 64))
    last = first
    for run in range(4):
        last = repaired(last, tmp_path / f"{run + 1}.mp4", 128, quality=4)
    for old, new in zip(decoded(first), decoded(last)):
        assert new.format.name == form
        for plane, other in zip(samples(old), samples(new)):
            outside = ~touched(plane.shape, (48, 64))
            drift = other[outside].astype(float) - plane[outside]
            assert abs(drift.mean()) < 1  # of 1023; it was 6 a run, and encoders differ
            assert abs(drift).mean() < 2


def test_what_h264_lacks_is_said(tmp_path: Path) -> None:
    transparent = patches(tmp_path / "a.mkv", "yuva420p", "ffv1", (BT709, LIMITED, 1, 1), (48, 64))
    with pytest.warns(InputWarning, match="transparent"):
        repaired(transparent, tmp_path / "a.mp4", 0)
    tape = patches(tmp_path / "b.mkv", "yuv411p", "ffv1", (BT601, LIMITED, 6, 6), (48, 64))
    with pytest.warns(InputWarning, match="yuv411p"):
        repaired(tape, tmp_path / "b.mp4", 0)
    deep = patches(tmp_path / "c.mkv", "yuv420p12le", "ffv1", (BT709, LIMITED, 1, 1), (48, 64))
    with pytest.warns(InputWarning, match="12 bits"):
        repaired(deep, tmp_path / "c.mp4", 0)
    film = patches(tmp_path / "d.mkv", "yuv420p10le", "ffv1", (BT2020, LIMITED, 9, 16), (48, 64))
    with pytest.warns(InputWarning, match="PQ"):
        repaired(film, tmp_path / "d.mp4", 0)
    new = decoded(tmp_path / "d.mp4")[0]
    assert (new.format.name, new.color_trc, new.color_primaries) == ("yuv420p10le", 16, 9)


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
def test_every_codec_takes_what_it_lacks_in_another_form(tmp_path: Path, codec: str) -> None:
    for number, (form, matrix, said) in enumerate(
        [
            ("yuva420p", BT709, "transparent"),
            ("yuva444p", YCGCO, "not known"),
            ("yuv440p", YCGCO, "not known"),
            ("yuv410p", BT2020_CONSTANT, "resampled"),
            ("yuv444p", 0, ""),  # RGB, which Y, U and V are not
        ]
    ):
        film = patches(tmp_path / f"{number}.mkv", form, "ffv1", (matrix, LIMITED, 1, 1), (48, 64))
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            repaired(film, tmp_path / f"{number}.mp4", 0, codec=codec)
        assert said in " ".join(str(one.message) for one in told)
        for old, new in zip(VideoReader(film).frames(), VideoReader(tmp_path / f"{number}.mp4").frames()):
            outside = np.ones((48, 64), bool)
            outside[4:36, 8:48] = False
            assert abs(old[outside].astype(float) - new[outside]).mean() < 20


@pytest.mark.parametrize(
    ("size", "matrix"), [((576, 720), BT601), ((578, 720), BT709), ((720, 1280), BT709), ((534, 1280), BT709)]
)
def test_an_untagged_stream_is_read_by_its_size(tmp_path: Path, size: tuple[int, int], matrix: int) -> None:
    named = patches(tmp_path / "named.mkv", "yuv420p", "ffv1", (matrix, LIMITED, 1, 1), size, count=1)
    untagged = patches(tmp_path / "untagged.mkv", "yuv420p", "ffv1", (UNSPECIFIED, 0, 2, 2), size, count=1)
    np.testing.assert_array_equal(read_video(named)[0], read_video(untagged)[0])


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", WEIGHTS)
@pytest.mark.parametrize("form", ["yuv420p", "yuv444p", "yuv422p10le", "yuv420p12le"])
def test_conversions_round(form: str, matrix: int, full: bool) -> None:
    """Against arithmetic by definition, for greys and for colours; and there and back."""
    red, blue = WEIGHTS[matrix]
    greys = np.repeat(np.arange(0, 256, 3)[:, None], 3, axis=1)
    for colour in np.concatenate([greys, np.random.default_rng(0).integers(0, 256, (60, 3))]):
        picture = av.VideoFrame(16, 16, form)
        picture.colorspace, picture.color_range = matrix, FULL if full else LIMITED
        rgb = np.broadcast_to(colour.astype(np.uint8), (16, 16, 3))
        paste(picture, rgb, np.ones((16, 16), bool))
        bits = picture.format.components[0].bits
        luma = colour @ np.array([red, 1 - red - blue, blue]) / 255
        parts = luma, (colour[2] / 255 - luma) / (2 - 2 * blue), (colour[0] / 255 - luma) / (2 - 2 * red)
        unit, top = 1 << (bits - 8), (1 << bits) - 1
        middle = 1 << (bits - 1)
        wanted = [part * top if full else part * unit * scale for part, scale in zip(parts, (219, 224, 224))]
        offsets = [0 if full else 16 * unit, middle, middle]
        for plane, sample, offset in zip(samples(picture), wanted, offsets):
            assert np.abs(plane - np.clip(sample + offset, 0, top)).max() <= 0.501
        # Television's 8 bits have 220 levels for 256. More bits bring every colour back; all codes of 0..1023 pass
        # through 0..255 on their way, which greys do not feel.
        grey = np.ptp(colour) == 0
        error = np.abs(to_rgb(picture).astype(int) - colour).max()
        assert error <= (0 if (grey and full) or (bits > 8 and not full) else 1 if grey else 3)
    for level in range(0 if full else 16, 256 if full else 236):
        grey = av.VideoFrame(16, 16, form)
        grey.colorspace, grey.color_range = matrix, FULL if full else LIMITED
        for plane, sample in zip(samples(grey), (level * unit, middle, middle)):
            plane[:] = sample
        again = av.VideoFrame(16, 16, form)
        again.colorspace, again.color_range = grey.colorspace, grey.color_range
        paste(again, to_rgb(grey), np.ones((16, 16), bool))
        if bits == 8:
            np.testing.assert_array_equal(samples(again)[0], samples(grey)[0])


def test_writing_and_reading_alone_have_no_bias(tmp_path: Path) -> None:
    """Greys and colours of whole frames, four times through H.264."""
    frames = (
        np.random.default_rng(1).integers(0, 256, (3, 6, 8, 3)).repeat(16, axis=1).repeat(16, axis=2).astype(np.uint8)
    )
    frames[:, :, :64] = frames[:, :, :64, :1]
    found = frames
    for _ in range(4):
        write_video(tmp_path / "clip.mp4", found, 10, quality=4)
        found, _ = read_video(tmp_path / "clip.mp4")
    inner = (found.astype(float) - frames).reshape(3, 6, 16, 8, 16, 3)[:, :, 4:12, :, 4:12]
    assert abs(inner[:, :, :, :4].mean()) < 0.1  # greys
    assert abs(inner.mean(axis=(0, 1, 2, 3, 4))).max() < 0.5


def test_no_remedy_is_what_was_done(tmp_path: Path) -> None:
    video = tmp_path / "told.webm"
    with av.open(str(video), "w") as container:
        stream = container.add_stream("libvpx-vp9", rate=10)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuva420p"  # its decoder leaves transparency out
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 4), np.uint8), "rgba")))
        container.mux(stream.encode(None))
    for name, codec, told in (("a.mp4", "h264", "--lossless keeps"), ("a.mkv", "ffv1", "not decoded")):
        with pytest.warns(InputWarning, match=told) as warned:
            repaired(video, tmp_path / name, 0, codec=codec)
        assert ("--lossless" in str(warned[0].message)) == (codec != "ffv1")


@pytest.mark.parametrize(("centred", "border", "share"), [(0, 8, 0.25), (0, 9, 0.75), (1, 8, 0.0), (1, 9, 0.5)])
def test_a_colour_sample_is_the_mean_about_where_it_lies(centred: int, border: int, share: float) -> None:
    """On the left one of two columns, of three with weights 1, 2 and 1; between them, of both."""
    rgb = np.zeros((16, 16, 3), np.uint8)
    rgb[:, :border, 2], rgb[:, border:, 0] = 255, 255
    picture = av.VideoFrame(16, 16, "yuv420p")
    picture.colorspace, picture.color_range = BT709, LIMITED
    paste(picture, rgb, np.ones((16, 16), bool), bool(centred))
    for plane in samples(picture)[1:]:
        left, between, right = plane[4, [2, 4, 6]].astype(float)
        assert between == pytest.approx(share * left + (1 - share) * right, abs=0.6)


def test_differences_of_colour_are_counted_from_the_middle_of_all_codes() -> None:
    for form, other, sample, wanted in (("yuv420p", "yuv420p10le", 128, 512), ("yuv420p10le", "yuv420p", 515, 129)):
        picture = av.VideoFrame(16, 16, form)
        picture.color_range = FULL
        for plane in samples(picture):
            plane[:] = sample
        assert [np.unique(plane).tolist() for plane in samples(fitted(picture, other))[1:]] == [[wanted]] * 2
