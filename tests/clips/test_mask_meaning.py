"""What marks the hole in mask files of every make. The hole is a disc of about a tenth of the frame."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from videoinpaint.clips import Clip, make_masks, open_masks, read_mask, read_masks
from videoinpaint.clips.masks.meaning import holes_in
from videoinpaint.errors import InputError

Save = Callable[..., Path]
Pixels = NDArray[Any]

ROWS, COLUMNS = np.mgrid[:48, :64]
DISTANCE = np.hypot(ROWS - 24, COLUMNS - 20)
HOLE = (DISTANCE < 10).astype(np.uint8)
WHITE = HOLE * np.uint8(255)
NOISE = np.random.default_rng(0).integers(0, 4, HOLE.shape).astype(np.uint8)
PICTURE = np.random.default_rng(1).integers(20, 250, (*HOLE.shape, 3)).astype(np.uint8)


def rgba(colours: Pixels, alpha: Pixels) -> Pixels:
    return np.dstack([np.broadcast_to(colours, (*HOLE.shape, 3)), alpha]).astype(np.uint8)


def jpeg(pixels: Pixels) -> Pixels:
    """The pixels as a JPEG leaves them: with ringing at edges."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=60)
    return np.asarray(Image.open(file))


def palette(index: Pixels, colours: list[tuple[int, int, int]], **info: Any) -> Image.Image:
    image = Image.fromarray(index.astype(np.uint8))
    image.putpalette([value for colour in colours for value in colour])
    image.info.update(info)
    return image


OBJECTS = HOLE + HOLE * (COLUMNS > 20)  # 0, 1 and 2
DAVIS = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0)]

UNDERSTOOD = {
    "0 and 255": WHITE,
    "0 and 1": HOLE,
    "booleans": HOLE.astype(bool),
    "0 and 127": HOLE * np.uint8(127),
    "a background of 1": np.maximum(WHITE, 1),
    "a background of noise": np.maximum(WHITE, NOISE),
    "TV range": 16 + HOLE * np.uint8(219),
    "16 bits": HOLE * np.uint16(65535),
    "8 bits in 16": HOLE * np.uint16(255),
    "0 and 1 in 16 bits": HOLE * np.uint16(1),
    "floating point": HOLE.astype(np.float32),
    "RGB": np.dstack([WHITE] * 3),
    "red": np.dstack([WHITE, 0 * WHITE, 0 * WHITE]),
    "white, alpha is the mask": rgba(np.uint8(255), WHITE),
    "red paint on nothing": np.dstack([WHITE, 0 * WHITE, 0 * WHITE, WHITE]),
    "half-transparent red paint": np.dstack([WHITE, 0 * WHITE, 0 * WHITE, HOLE * np.uint8(90)]),
    "black, the hole is transparent": rgba(np.uint8(0), 255 - WHITE),
    "a picture with the hole erased": rgba(PICTURE, 255 - WHITE),
    "opaque alpha": rgba(np.dstack([WHITE] * 3), np.full_like(WHITE, 255)),
    "nearly opaque alpha": rgba(np.dstack([WHITE] * 3), 255 - NOISE),
    "grey and alpha": np.dstack([np.full_like(WHITE, 255), WHITE]),
    "a palette, white first": palette(1 - HOLE, [(255, 255, 255), (0, 0, 0)]),
    "a palette, black first": palette(HOLE, [(0, 0, 0), (255, 255, 255)]),
    "a palette, colours unused": palette(5 - HOLE, [(9, 200, 3)] * 4 + [(250, 250, 250), (0, 0, 0)]),
    "a palette, red first": palette(1 - HOLE, [(200, 0, 0), (0, 0, 0)]),
    "a palette of objects": palette(OBJECTS, DAVIS),
    "a palette that is not set": palette(OBJECTS, [(value, value, value) for value in range(256)]),
    "a palette, black is transparent": palette(HOLE, [(0, 0, 0), (255, 255, 255)], transparency=0),
    "CMYK": Image.fromarray(np.dstack([WHITE] * 3)).convert("CMYK"),
}


@pytest.mark.parametrize("kind", UNDERSTOOD)
def test_every_make_of_mask_is_understood(kind: str, tmp_path: Path) -> None:
    made = UNDERSTOOD[kind]
    image = made if isinstance(made, Image.Image) else Image.fromarray(made)
    path = tmp_path / ("mask.tiff" if image.mode in ("CMYK", "F") else "mask.png")
    image.save(path)
    np.testing.assert_array_equal(read_mask(path), HOLE)
    assert open_masks(path, 5).coverage.share == pytest.approx(HOLE.mean())
    np.testing.assert_array_equal(open_masks(path, invert=True).read(0, 1)[0], 1 - HOLE)
    clip = Clip(np.zeros((3, 48, 64, 3), np.uint8), "clip")
    np.testing.assert_array_equal(make_masks(path).sample(np.random.default_rng(0), clip), [HOLE] * 3)


@pytest.mark.parametrize("name", ["mask.png", "mask.bmp", "mask.jpg", "mask.webp", "mask.tif", "mask.gif"])
def test_soft_edges_and_ringing_end_at_half(name: str, tmp_path: Path) -> None:
    feathered = np.clip(127.5 + (10 - DISTANCE) * 25, 0, 255).astype(np.uint8)
    for pixels in (feathered, jpeg(WHITE), WHITE):
        Image.fromarray(pixels).save(tmp_path / name)
        assert (read_mask(tmp_path / name) != HOLE).sum() <= 12  # of 305, with JPEG twice


AMBIGUOUS = {
    "black and white with transparency": (np.dstack([WHITE, WHITE, WHITE, PICTURE[..., 0]]), "which of them"),
    "an object cut out": (rgba(PICTURE, WHITE), "--invert"),
    "black paint on nothing": (rgba(np.uint8(0), WHITE), "--invert"),
    "an eraser on white": (rgba(np.uint8(255), 255 - WHITE), "--invert"),
    "a palette without black": (palette(OBJECTS, DAVIS[1:]), "background"),
    "a palette with a black object": (palette(OBJECTS, DAVIS[::-1][:2] + DAVIS[:1]), "background"),
    "numbers of objects in grey": (OBJECTS, "--object"),
    "nothing but noise": (NOISE, "nearly black"),
    "32 bits": (HOLE.astype(np.int32) * 10**9, "32 bits"),
}


@pytest.mark.parametrize("kind", AMBIGUOUS)
def test_what_can_be_read_in_two_ways_is_refused(kind: str, tmp_path: Path) -> None:
    made, told = AMBIGUOUS[kind]
    path = tmp_path / "mask.tiff" if kind == "32 bits" else tmp_path / "mask.png"
    (made if isinstance(made, Image.Image) else Image.fromarray(made)).save(path)
    with pytest.raises(InputError, match=told) as error:
        open_masks(path)
    assert str(path) in str(error.value)
    with pytest.raises(InputError, match=told):
        make_masks(path)


@pytest.mark.parametrize("kind", ["an object cut out", "black paint on nothing", "an eraser on white"])
def test_inverting_settles_which_part_is_meant(kind: str, tmp_path: Path) -> None:
    Image.fromarray(AMBIGUOUS[kind][0]).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_masks(tmp_path / "mask.png", invert=True)[0], HOLE)


def test_threshold_and_object(tmp_path: Path) -> None:
    steps = Image.fromarray(np.repeat(np.array([[0, 40, 100, 200]], np.uint8), 4, axis=0))
    steps.save(tmp_path / "grey.png")
    palette(OBJECTS, DAVIS).save(tmp_path / "palette.png")
    Image.fromarray(OBJECTS).save(tmp_path / "numbers.png")

    def row(threshold: int | None) -> list[int]:
        return read_masks(tmp_path / "grey.png", threshold=threshold)[0, 0].tolist()

    assert [row(None), row(0), row(40), row(199)] == [[0, 0, 0, 1], [0, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1]]
    for name in ("palette.png", "numbers.png"):
        found = read_masks(tmp_path / name, object_id=2)[0]
        np.testing.assert_array_equal(found, OBJECTS == 2)
        np.testing.assert_array_equal(read_masks(tmp_path / name, object_id=2, invert=True)[0], OBJECTS != 2)
        with pytest.raises(InputError, match="no object 7: its values are 0, 1, 2"):
            open_masks(tmp_path / name, object_id=7)
    np.testing.assert_array_equal(read_masks(tmp_path / "numbers.png", threshold=0)[0], HOLE)
    source = make_masks(tmp_path / "palette.png", object_id=1)
    found = source.sample(np.random.default_rng(0), Clip(np.zeros((1, 48, 64, 3), np.uint8), "clip"))
    np.testing.assert_array_equal(found[0], OBJECTS == 1)
    with pytest.raises(InputError, match=r"0\.\.254"):
        open_masks(tmp_path / "grey.png", threshold=255)
    with pytest.raises(InputError, match="exclude"):
        open_masks(tmp_path / "grey.png", threshold=1, object_id=1)
    with pytest.raises(InputError, match="'square'"):
        make_masks("square", invert=True)


def moving() -> NDArray[np.uint8]:
    """Masks of a disc that appears, moves, and goes: the first and the last are empty."""
    discs = [np.hypot(ROWS - 24, COLUMNS - 10 - 4 * time) < 8 for time in range(8)]
    discs[0] = discs[-1] = np.zeros_like(discs[0])
    return np.array(discs).astype(np.uint8)


@pytest.mark.parametrize(("kind", "soft"), [("float32", [0, 0.4, 0.6, 1]), ("uint8", [0, 100, 200, 255])])
def test_soft_masks_in_arrays_end_at_half(kind: str, soft: list[float]) -> None:
    assert holes_in(np.array(soft, kind)).tolist() == [False, False, True, True]


def test_a_sequence_is_judged_as_a_whole(tmp_path: Path, save_frames: Save) -> None:
    noise = np.random.default_rng(0).integers(0, 4, moving().shape).astype(np.uint8)
    folder = save_frames(tmp_path / "noisy", np.maximum(moving() * np.uint8(255), noise))
    sequence = open_masks(folder, 8)
    np.testing.assert_array_equal(sequence.read(0, 8), moving())
    np.testing.assert_array_equal(sequence.read(1, 3, stride=2), moving()[1:7:2])
    np.testing.assert_array_equal(list(sequence.frames()), moving())
    assert (sequence.coverage.frames, sequence.coverage.total, sequence.coverage.full) == (6, 8, 0)
    assert sequence.coverage.share == pytest.approx(moving()[1:-1].mean())
    assert str(sequence.coverage).endswith("in 6 of 8 frames")
    erased = [rgba(PICTURE, 255 - mask * np.uint8(255)) for mask in moving()]
    np.testing.assert_array_equal(read_masks(save_frames(tmp_path / "erased", np.array(erased)), 8), moving())


def test_numbered_objects_of_a_sequence(tmp_path: Path) -> None:
    """Frames in which only a grey of the palette occurs are still numbers of objects."""
    colours = [*DAVIS, (128, 128, 128)]
    numbers = moving() * np.array([1, 1, 4, 4, 2, 3, 1, 1], np.uint8)[:, None, None]
    for index, picture in enumerate(numbers):
        palette(picture, colours).save(tmp_path / f"{index}.png")
    np.testing.assert_array_equal(read_masks(tmp_path, 8), moving())
    np.testing.assert_array_equal(read_masks(tmp_path, 8, object_id=4), (numbers == 4).astype(np.uint8))
    assert open_masks(tmp_path, object_id=4).coverage.frames == 2


@pytest.mark.parametrize(("black", "white"), [(0, 255), (0, 127), (0, 60), (16, 235), (3, 130)])
def test_a_mask_video_of_any_brightness(black: int, white: int, tmp_path: Path, save_video: Save) -> None:
    pixels = np.where(moving() > 0, np.uint8(white), np.uint8(black))
    path = save_video(tmp_path / "mask.mkv", np.repeat(pixels[..., None], 3, axis=3))
    np.testing.assert_array_equal(read_masks(path, 8, 48, 64), moving())
    assert open_masks(path).coverage.frames == 6


@pytest.mark.parametrize(("colour", "erased"), [(255, False), (0, True)])
def test_a_mask_video_with_transparency(colour: int, erased: bool, tmp_path: Path) -> None:
    with av.open(str(tmp_path / "mask.mov"), "w") as container:
        stream = container.add_stream("qtrle", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "argb"
        for mask in moving():
            alpha = np.where((mask > 0) != erased, 255, 0).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(rgba(np.uint8(colour), alpha), "rgba")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    np.testing.assert_array_equal(read_masks(tmp_path / "mask.mov", 8, 48, 64), moving())
    np.testing.assert_array_equal(open_masks(tmp_path / "mask.mov").read(2, 2), moving()[2:4])


def test_a_mask_video_that_marks_nothing_is_not_filled(tmp_path: Path, save_video: Save) -> None:
    path = save_video(tmp_path / "mask.mkv", np.stack([np.dstack([NOISE] * 3)] * 4))
    with pytest.raises(InputError, match="nearly black"):
        open_masks(path)
    with pytest.raises(InputError, match="save their masks as pictures"):
        open_masks(path, object_id=1)


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp", ".tiff", ".avif"])
def test_animated_pictures_are_mask_videos(suffix: str, tmp_path: Path) -> None:
    if suffix not in Image.registered_extensions():
        pytest.skip("this Pillow writes none")
    path = tmp_path / f"mask{suffix}"
    first, *rest = [Image.fromarray(mask * np.uint8(255)) for mask in moving()]
    options = {".webp": {"lossless": True}, ".avif": {"quality": 100}}.get(suffix, {})
    first.save(path, save_all=True, append_images=rest, **options)
    sequence = open_masks(path, 8, 48, 64)
    np.testing.assert_array_equal(sequence.read(0, 8), moving())
    np.testing.assert_array_equal(sequence.read(5, 2), moving()[5:7])
    with pytest.raises(InputError, match="8 frames, the clip has 9"):
        open_masks(path, 9)
    folder = tmp_path / "folder"
    folder.mkdir()
    for index in range(2):
        first.save(folder / f"{index}.png", save_all=True, append_images=rest)
    with pytest.raises(InputError, match="sequence of"):
        open_masks(folder)


@pytest.mark.parametrize(("suffix", "codec"), [(".ts", "mpeg2video"), (".wmv", "wmv2"), (".y4m", "wrapped_avframe")])
def test_mask_videos_of_rarer_kinds(suffix: str, codec: str, tmp_path: Path) -> None:
    with av.open(str(tmp_path / f"mask{suffix}"), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for mask in moving():
            frame = np.repeat(mask[..., None] * np.uint8(255), 3, axis=2)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24").reformat(format="yuv420p")))
        container.mux(stream.encode(None))
    masks = open_masks(tmp_path / f"mask{suffix}", 8, 48, 64).read(0, 8)
    assert (masks != moving()).mean() < 0.02
    (tmp_path / f"none{suffix}").write_bytes(b"neither a picture nor a video")
    with pytest.raises(InputError, match="cannot read video"):
        open_masks(tmp_path / f"none{suffix}", 8)


def test_one_frame_of_an_animation_is_a_still_mask(tmp_path: Path) -> None:
    Image.fromarray(WHITE).save(tmp_path / "mask.gif")
    np.testing.assert_array_equal(read_masks(tmp_path / "mask.gif", 24), [HOLE] * 24)


def test_pictures_that_do_not_belong_together(tmp_path: Path) -> None:
    for name, odd in {
        "size": WHITE[:-1],
        "depth": WHITE.astype(np.uint16),
        "transparency": rgba(PICTURE, WHITE),
    }.items():
        (tmp_path / name).mkdir()
        Image.fromarray(WHITE).save(tmp_path / name / "0.png")
        Image.fromarray(odd).save(tmp_path / name / "1.png")
    with pytest.raises(InputError, match=r"1\.png has size 64x47"):
        open_masks(tmp_path / "size")
    with pytest.raises(InputError, match=r"1\.png has 16 bits"):
        open_masks(tmp_path / "depth")
    with pytest.raises(InputError, match="some have none"):
        open_masks(tmp_path / "transparency")


def test_gaps_are_named(tmp_path: Path, save_frames: Save) -> None:
    folder = save_frames(tmp_path / "masks", np.stack([WHITE] * 24))
    for index in (5, 6):
        (folder / f"{index:05d}.png").unlink()
    with pytest.raises(InputError, match="numbers 5 and 6 are missing"):
        open_masks(folder, 24)
    (folder / "00010.png").unlink()
    with pytest.raises(InputError, match="numbers 5, 6 and 10 are missing"):
        open_masks(folder, 24)
    every_fifth = save_frames(tmp_path / "fifth", np.stack([WHITE] * 4))
    for index in (3, 2, 1):
        (every_fifth / f"{index:05d}.png").rename(every_fifth / f"{5 * index:05d}.png")
    with pytest.raises(InputError, match="the clip has 5: give"):
        open_masks(every_fifth, 5)
