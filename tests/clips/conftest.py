"""Tiny clips on disk."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from videoinpaint.clips import Clip, ObjectMasks, Studio, write_video

REAL = Path(__file__).resolve().parents[3] / "shared" / "clips"


@pytest.fixture(scope="session")
def frames() -> NDArray[np.uint8]:
    """Twelve frames of 48x64, all different."""
    return Studio().load("studio-mixed-000003", 12, 48, 64).frames


@pytest.fixture
def save_frames() -> Callable[..., Path]:
    """Write frames, or masks, as numbered pictures into a folder."""

    def save(folder: Path, pictures: NDArray[np.uint8], suffix: str = ".png") -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for index, picture in enumerate(pictures):
            Image.fromarray(picture).save(folder / f"{index:05d}{suffix}")
        return folder

    return save


@pytest.fixture
def save_video() -> Callable[..., Path]:
    """Write frames without loss, so that what is read can be compared bit for bit."""

    def save(path: Path, pictures: NDArray[np.uint8], fps: float = 10.0) -> Path:
        write_video(path, pictures, fps, lossless=True)
        return path

    return save


def _real(folder: str) -> Path:
    """Real clips beside the project, which are never part of it: what they show is shown by made ones as well."""
    if not REAL.is_dir():
        pytest.skip("no ../shared/clips here")
    return REAL / folder


@pytest.fixture(params=["made", "real"])
def footage(
    request: pytest.FixtureRequest, tmp_path: Path, save_frames: Callable[..., Path], frames: NDArray[np.uint8]
) -> Path:
    """A folder of clips as users have them: pictures that lost something, and an H.264 film."""
    if request.param == "real":
        return _real("eval")
    for name, pictures in (("walk", frames), ("street", frames[::-1])):
        save_frames(tmp_path / "footage" / name, pictures, ".jpg")
    write_video(tmp_path / "footage" / "film.mp4", frames, 25)
    return tmp_path / "footage"


@pytest.fixture(params=["made", "real"])
def outlines(request: pytest.FixtureRequest, tmp_path: Path, save_frames: Callable[..., Path]) -> Path:
    """A folder of sequences of object masks, pictures of 0 and 255."""
    if request.param == "real":
        return _real("masks/object")
    for seed in range(3):
        clip = Clip(np.zeros((24, 60, 108, 3), np.uint8), "clip", None, 0)
        masks = ObjectMasks().sample(np.random.default_rng(seed), clip)
        save_frames(tmp_path / "outlines" / str(seed), masks * np.uint8(255))
    return tmp_path / "outlines"
