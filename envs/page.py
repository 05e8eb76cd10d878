"""Renders the environment's class docstring into its documentation page: ``python -m videoinpaint.envs.page FILE``."""

from __future__ import annotations

import inspect
import os
import sys
from pathlib import Path

import gymnasium

from videoinpaint.envs.env import VideoInpaintEnv

_HEAD = """\
# VideoInpaint

<!-- Written by `python -m videoinpaint.envs.page docs/environment.md` from the docstring of `VideoInpaintEnv`. -->

| | |
| --- | --- |
| Import | `import videoinpaint`, then `gymnasium.make("VideoInpaint-v0")` |
| The same in one line | `gymnasium.make("videoinpaint:VideoInpaint-v0")` |
| Action space | `Box(-1, 1, (5,), float32)` |
| Observation space | `Dict(frames: Box(0, 255, (3T, H, W), uint8), masks: Box(0, 255, (T, H, W), uint8))` |
| Registered ids | {ids} |

"""


def environment_page() -> str:
    """The page as Markdown."""
    specs = [spec for name, spec in sorted(gymnasium.registry.items()) if name.startswith("VideoInpaint")]
    ids = [f"`{spec.id}`" + (f" ({_arguments(spec.kwargs)})" if spec.kwargs else "") for spec in specs]
    return _HEAD.format(ids=", ".join(ids)) + inspect.getdoc(VideoInpaintEnv).strip() + "\n"  # type: ignore[union-attr]


def write_page(path: str | Path) -> Path:
    """Write the page; the file appears whole or not at all."""
    target = Path(path)
    partial = target.with_name(target.name + ".partial")
    partial.write_text(environment_page(), encoding="utf-8")
    os.replace(partial, target)
    return target


def _arguments(kwargs: dict[str, object]) -> str:
    return ", ".join(f"`{name}={value!r}`" for name, value in kwargs.items())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m videoinpaint.envs.page FILE")
    print(f"wrote {write_page(sys.argv[1])}")
