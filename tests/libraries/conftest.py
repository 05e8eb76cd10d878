"""Other people's libraries with the environments: `make libraries` installs them and runs these tests.

Elsewhere they are skipped, one library at a time.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import gymnasium
import pytest

import videoinpaint  # noqa: F401 - registers the environments


@pytest.fixture(scope="session", autouse=True)
def _no_token_at_home() -> Iterator[None]:
    """Ray writes a token into the home folder at its first start, unless it is told one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        yield


@pytest.fixture
def small() -> dict[str, Any]:
    """Keyword arguments of a real environment of milliseconds a step."""
    return {"num_frames": 2, "height": 48, "width": 64, "inpainter": "telea", "detector": "none", "device": "cpu"}


@pytest.fixture
def env(small: dict[str, Any]) -> gymnasium.Env:
    """`VideoInpaint-v1`, small."""
    return gymnasium.make("VideoInpaint-v1", **small)
