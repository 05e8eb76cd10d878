"""A cache and a registry of their own for every test of weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from videoinpaint import weights
from videoinpaint.weights import terms


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache folder, and a registry that forgets what a test adds."""
    monkeypatch.setenv("VIDEOINPAINT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(weights, "WEIGHTS", dict(weights.WEIGHTS))
    monkeypatch.setattr(terms, "_announced", set())
    return tmp_path / "cache/weights"
