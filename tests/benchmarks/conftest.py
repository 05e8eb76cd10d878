"""Small fixtures: a studio pair that takes milliseconds."""

from __future__ import annotations

import pytest

from videoinpaint.benchmarks.protocol.suite import make_suite


@pytest.fixture(scope="session")
def small_suite():
    return make_suite("studio:easy", "stationary", num_frames=4, height=48, width=64, limit=2)


@pytest.fixture(scope="session")
def pair(small_suite):
    return next(iter(small_suite))
