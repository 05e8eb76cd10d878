"""A cache and a registry of their own for every test of weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from videoinpaint import weights
from videoinpaint.weights import terms


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Iterator[Path]:
    """An empty cache folder, and a registry that forgets what a test adds."""
    monkeypatch.setenv("VIDEOINPAINT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(terms, "_announced", set())
    with mock.patch.dict(weights.WEIGHTS):
        yield tmp_path / "cache/weights"
