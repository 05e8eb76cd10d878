"""What all rooms' tests share: a room of their own.

Torch and OpenCV keep to one thread. Nothing is fetched: a connection to another machine fails,
and so does the test. Nothing is left behind: a test fails that writes outside the temporary folders. And nothing is
found that somebody else left: the cache of fetched weights is an empty folder. Every machine is alike: there is no GPU,
networks compute in single precision (test_precision.py asks for bfloat16), and a terminal is plain and wide.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import pytest
import torch
from hypothesis import HealthCheck, settings

from videoinpaint.errors import MissingWeightsError
from videoinpaint.weights import path_of

# The same examples in every run. Health checks judge the machine (too slow) and the version (too large), not the code.
settings.register_profile("alike", derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile("alike")

cv2.setNumThreads(1)
torch.set_num_threads(1)
os.environ |= {"CUDA_VISIBLE_DEVICES": "", "COLUMNS": "120"}
for _name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
    os.environ.pop(_name, None)

REPOSITORY = Path(__file__).resolve().parents[1]
HERE = {None, "", "localhost", "127.0.0.1", "::1", b"localhost"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
# What Python, pytest, hypothesis and matplotlib (its list of fonts) keep for later runs.
KEPT_BY_OTHERS = {"__pycache__", ".pytest_cache", ".hypothesis", "matplotlib"}
escapes: list[str] = []
"""What left the room since the last test began."""


def _is_outside(path: Any, rooms: tuple[str, ...]) -> bool:
    """Whether a path is in none of the folders, or in the repository (which may lie in a temporary folder itself)."""
    if isinstance(path, int):  # an open file
        return False
    place = os.path.realpath(os.fsdecode(path))
    if KEPT_BY_OTHERS.intersection(place.split(os.sep)) or place.startswith(rooms[0]):
        return False
    return place.startswith(str(REPOSITORY) + os.sep) or not place.startswith(rooms)


def _watch(rooms: tuple[str, ...]) -> Any:
    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "open" and args[2] & WRITING and _is_outside(args[0], rooms):
            escapes.append(f"wrote {os.fsdecode(args[0])}")
        elif event == "os.mkdir" and _is_outside(args[0], rooms) and not os.path.isdir(args[0]):
            escapes.append(f"made the folder {os.fsdecode(args[0])}")
        elif event == "os.rename" and _is_outside(args[1], rooms):
            escapes.append(f"moved a file to {os.fsdecode(args[1])}")
        elif event == "socket.getaddrinfo" and args[0] not in HERE:
            escapes.append(f"asked for the address of {args[0]}")
            raise OSError("no network in tests")
        elif event == "socket.connect" and isinstance(args[1], tuple) and args[1][0] not in HERE:
            escapes.append(f"connected to {args[1]}")
            raise OSError("no network in tests")

    return hook


@pytest.fixture(scope="session", autouse=True)
def _room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folders = (str(tmp_path_factory.getbasetemp()), tempfile.gettempdir(), "/dev", "/proc")
    sys.addaudithook(_watch(tuple(os.path.realpath(folder) + os.sep for folder in folders)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIDEOINPAINT_CACHE", str(tmp_path_factory.mktemp("cache")))
        # A model of Stable-Baselines3 without a logger makes a folder among the temporary files, and leaves it.
        patch.setenv("SB3_LOGDIR", str(tmp_path_factory.mktemp("sb3")))
        patch.setattr(torch.cpu, "get_capabilities", dict, raising=False)
        yield


@pytest.fixture(autouse=True)
def _nothing_escapes(_room: None) -> Iterator[None]:
    escapes.clear()
    yield
    assert not escapes, f"the test left its room: it {', it '.join(escapes)}"


@pytest.fixture
def escaped() -> list[str]:
    """What left the room since the test began; clear it where that was intended."""
    return escapes


@pytest.fixture
def repository() -> Path:
    """The folder that holds the tests."""
    return REPOSITORY


@pytest.fixture
def load_example() -> Callable[[str], ModuleType]:
    """Imports a file of ``examples/`` by its name."""

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, REPOSITORY / "examples" / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs VGG16 where it is not installed; `make` installs it."""
    if item.get_closest_marker("vgg16"):
        try:
            path_of("vgg16")
        except MissingWeightsError as error:
            pytest.skip(str(error))
