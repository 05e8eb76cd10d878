"""Pictures of every mode, size and name."""

from __future__ import annotations

import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import ExifTags, Image

from videoinpaint.clips import ImageFolder, make_clips, make_masks, open_masks, read_image
from videoinpaint.clips.files.images import missing_numbers, natural_key
from videoinpaint.clips.files.video import VideoReader
from videoinpaint.errors import InputError, InputWarning, UnknownNameError

RAMP = np.repeat(np.arange(0, 256, 4, dtype=np.uint8)[None], 32, axis=0)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_deep_grey_keeps_its_shades(suffix: str, tmp_path: Path) -> None:
    for index in range(3):
        Image.fromarray(RAMP.astype(np.uint16) * 257).save(tmp_path / f"{index}{suffix}")
    frames = ImageFolder(tmp_path).read(0, 3)
    np.testing.assert_array_equal(frames, np.broadcast_to(RAMP[None, ..., None], (3, 32, 64, 3)))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I", "F", "I;16B"])
def test_every_mode_is_read(mode: str, tmp_path: Path) -> None:
    pixels = np.where(RAMP > 100, 255, 0).astype(np.uint8)
    if mode == "F":
        image = Image.fromarray(pixels.astype(np.float32) / 255)
    elif mode in ("I", "I;16B"):
        image = Image.fromarray(pixels.astype(np.int32 if mode == "I" else ">u2") * 257)
    else:
        image = Image.fromarray(pixels).convert(mode)
    image.save(tmp_path / "picture.tiff")
    np.testing.assert_allclose(read_image(tmp_path / "picture.tiff"), np.repeat(pixels[..., None], 3, 2), atol=2)


def test_dpx_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a%d.dpx"
    with path.open("wb") as file, av.open(file, "w", format="image2pipe") as container:
        stream = container.add_stream("dpx", rate=1)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "gbrp10be"
        frame = av.VideoFrame.from_ndarray(np.repeat(RAMP[..., None], 3, 2), "rgb24")
        container.mux([*stream.encode(frame), *stream.encode(None)])
    np.testing.assert_allclose(read_image(path).astype(int), np.repeat(RAMP[..., None], 3, 2), atol=1)
    assert open_masks(path).coverage.share == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tiff", ".webp"])
@pytest.mark.parametrize(("orientation", "turn"), [(3, Image.Transpose.ROTATE_180), (6, Image.Transpose.ROTATE_90)])
def test_pictures_are_turned_as_the_camera_was_held(
    suffix: str, orientation: int, turn: Image.Transpose, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    upright = np.where((RAMP > 100)[..., None], 255, 0).astype(np.uint8).repeat(3, 2)
    Image.fromarray(upright).transpose(turn).save(tmp_path / f"0{suffix}", exif=exif, lossless=True, quality=95)
    np.testing.assert_allclose(read_image(tmp_path / f"0{suffix}"), upright, atol=8)
    assert ImageFolder(tmp_path).check_size() == upright.shape[:2]
    masks = open_masks(tmp_path / f"0{suffix}", 1, *upright.shape[:2])
    np.testing.assert_array_equal(masks.read(0, 1)[0], upright[..., 0] > 0)


def test_damaged_exif_turns_nothing(tmp_path: Path) -> None:
    Image.fromarray(RAMP).save(tmp_path / "0.jpg", exif=b"Exif\0\0nonsense", quality=95)
    np.testing.assert_allclose(read_image(tmp_path / "0.jpg")[..., 0], RAMP, atol=8)


@pytest.mark.parametrize("suffix", [".tiff", ".webp"])
def test_several_pictures_in_a_file_are_no_video(suffix: str, tmp_path: Path) -> None:
    pictures = [Image.fromarray(np.roll(RAMP, index, 1)) for index in range(3)]
    pictures[0].save(tmp_path / f"pages{suffix}", save_all=True, append_images=pictures[1:])
    with pytest.raises(InputError, match="a sequence of 3 pictures: save them as PNG files in a folder"):
        VideoReader(tmp_path / f"pages{suffix}")


def test_animations_and_damage_are_named(tmp_path: Path) -> None:
    picture = Image.fromarray(RAMP)
    picture.save(tmp_path / "moving.webp", save_all=True, append_images=[Image.fromarray(RAMP[:, ::-1].copy())])
    with pytest.raises(InputError, match=r"moving\.webp is a sequence of 2 pictures"):
        read_image(tmp_path / "moving.webp")
    picture.save(tmp_path / "whole.png")
    content = (tmp_path / "whole.png").read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(content[: rng.integers(8, len(content))])
        damaged[int(rng.integers(8, len(damaged) + 1)) - 1] ^= 255
        (tmp_path / "damaged.png").write_bytes(damaged)
        with suppress(InputError):  # any other error fails
            assert read_image(tmp_path / "damaged.png").dtype == np.uint8


def bomb(path: Path, width: int = 16000, height: int = 16000) -> Path:
    """A GIF of a few bytes that claims to be large."""
    size = struct.pack("<HH", width, height)
    head = b"GIF89a" + size + b"\x80\0\0" + bytes(3) + b"\xff\xff\xff"
    path.write_bytes(head + b",\0\0\0\0" + size + b"\0" + b"\x02\x02\x4c\x01\0;")
    return path


def test_sizes_are_bounded_before_memory_is_taken(tmp_path: Path) -> None:
    gif = bomb(tmp_path / "bomb.gif")
    Image.new("1", (12000, 12000)).save(tmp_path / "bomb.png")
    code = (
        "import sys\n"
        "from videoinpaint.clips import VideoReader, open_masks, read_image\n"
        "from videoinpaint.errors import InputError\n"
        "from videoinpaint.memory import peak_bytes\n"
        "before = peak_bytes()\n"
        "for open_it in (open_masks, VideoReader, read_image):\n"
        "    for path in sys.argv[1:]:\n"
        "        if open_it is VideoReader and path.endswith('.png'): continue\n"
        "        try: open_it(__import__('pathlib').Path(path))\n"
        "        except InputError as error: print(error)\n"
        "print(peak_bytes() - before)\n"
    )
    words = [sys.executable, "-c", code, str(gif), str(tmp_path / "bomb.png")]
    *told, grown = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(told) == 5
    assert all("bomb" in line and "67108864" in line for line in told)
    assert int(grown) < 200e6


@pytest.mark.parametrize("name", ["1²2.png", "٣.png", "½.png", "a" * 200 + "1.png", "1:2.png", "100%d.png"])
def test_names_are_no_trouble(name: str, tmp_path: Path) -> None:
    for folder, pixels in (("frames", RAMP), ("masks", np.where(RAMP > 100, 255, 0).astype(np.uint8))):
        (tmp_path / folder).mkdir()
        Image.fromarray(pixels).save(tmp_path / folder / name)
        Image.fromarray(pixels).save(tmp_path / folder / f"0{name}")
    assert len(make_clips(tmp_path / "frames").load("frames", 2, 32, 64).frames) == 2
    assert len(open_masks(tmp_path / "masks", 2)) == 2


@pytest.mark.parametrize("path", ["~nouser-at-all/x.png", "x" * 300 + ".png", "a\0b"])
def test_impossible_paths_are_one_error(path: str) -> None:
    for read in (open_masks, ImageFolder):
        with pytest.raises(InputError, match=r"no folder|no mask|names no file"):
            read(path)
    for make in (make_clips, make_masks):
        with pytest.raises((InputError, UnknownNameError)):
            make(path)


def test_numbers_in_names(tmp_path: Path) -> None:
    def names(*stems: str) -> list[Path]:
        return [Path(f"{stem}.png") for stem in stems]

    assert [path.stem for path in sorted(names("f10", "f2", "f²"), key=natural_key)] == ["f2", "f10", "f²"]
    assert missing_numbers(names("f1", "f2", "f4", "f5", "f6")) == [3]
    assert missing_numbers(names("0", "10", "30", "40")) == [20]
    assert missing_numbers(names("a1", "a2", "b4")) == []
    assert missing_numbers(names("7", "1000000", "90000000000")) == []
    assert missing_numbers(names("1")) == missing_numbers([]) == []


def numbered(folder: Path, count: int) -> Path:
    folder.mkdir()
    for index in range(count):
        Image.fromarray(np.full((32, 64, 3), 20 * (index + 1), np.uint8)).save(folder / f"{index:04d}.png")
    return folder


@pytest.mark.parametrize("lost", [0, 2, 3])
@pytest.mark.parametrize("content", ["cut", "text"])
def test_a_picture_that_cannot_be_decoded_shows_the_one_before(tmp_path: Path, lost: int, content: str) -> None:
    path = numbered(tmp_path / "frames", 4) / f"{lost:04d}.png"
    path.write_bytes(path.read_bytes()[:60] if content == "cut" else b"no picture")
    beside = lost - 1 if lost else 1
    folder = ImageFolder(tmp_path / "frames", strict=False)
    assert folder.check_size() == (32, 64)
    with pytest.warns(InputWarning, match=f"frame {lost}: .*{lost:04d}.png") as told:
        assert folder.read(lost, 1)[0, 0, 0, 0] == 20 * (beside + 1)
    assert len(told) == 1
    shown = [beside if index == lost else index for index in range(4)]  # a second warning would be an error
    assert folder.read(0, 4)[:, 0, 0, 0].tolist() == [20 * (index + 1) for index in shown]
    with pytest.raises(InputError, match=f"{lost:04d}.png: .*strict"):
        ImageFolder(tmp_path / "frames", strict=True)


def test_a_folder_without_any_whole_picture_is_refused(tmp_path: Path) -> None:
    for path in numbered(tmp_path / "frames", 2).iterdir():
        path.write_bytes(b"no picture")
    folder = ImageFolder(tmp_path / "frames", strict=False)
    for read in (folder.check_size, lambda: folder.read(0, 2)):
        with pytest.raises(InputError, match=r"0000\.png"):
            read()


def test_a_name_that_two_pictures_have_is_refused_and_folders_are_passed_over(tmp_path: Path) -> None:
    folder = numbered(tmp_path / "frames", 4)
    (folder / "sub.png").mkdir()
    assert len(ImageFolder(folder)) == 4
    Image.fromarray(RAMP).save(folder / "0002.jpg")
    for read in (ImageFolder, open_masks):
        with pytest.raises(InputError, match=r"0002\.jpg and 0002\.png"):
            read(folder)
