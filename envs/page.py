"""Renders an environment's class docstring into its documentation page: ``python -m videoinpaint.envs.page FILE``.

A file named ``one_shot.md`` gets the page of the one-shot environment, any other that of `VideoInpaint`.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import gymnasium

from videoinpaint.envs.env import VideoInpaintEnv
from videoinpaint.envs.one_shot import VideoInpaintOneShotEnv
from videoinpaint.envs.references import reference_table
from videoinpaint.files import write_text

PAGES: dict[str, type[VideoInpaintEnv]] = {"environment.md": VideoInpaintEnv, "one_shot.md": VideoInpaintOneShotEnv}
"""Names of pages, and the environments that they document."""

_HEAD = """\
# {title}

<!-- Written by `python -m videoinpaint.envs.page docs/{file}` from the docstring of `{env}`. -->

| | |
| --- | --- |
| Import | `import videoinpaint`, then `gymnasium.make("{title}-v1")` |
| The same in one line | `gymnasium.make("videoinpaint:{title}-v1")` |
| Action space | `Box(-1, 1, (5,), float32)`; with an action grid `(rows, columns, 5)`, and see Skipping |
| Observation space | `Dict(frames: Box(0, 255, (3T, H, W), uint8), masks: Box(0, 255, (T, H, W), uint8))` |
| Registered ids | {ids} |

"""


_REFERENCES = """\
## Reference returns

For each id as registered, on held-out episodes (seeds 0, 1, ...), sorted by quality gained, highest first; GFLOPs are
the mean of an episode's passes. The score of a return R is (R - random) / (oracle - random). The best fixed setting was
chosen on other seeds; the oracle sees the true video. Both search the grid given below each table, so scores of
different ids are not comparable. `python -m videoinpaint.benchmarks.policies.references --output FILE` measures them,
with `--env-ids`, `--episodes`, `--choice-episodes`, `--heads`, `--fusion` and `--objectives` as the table says.
"""


def environment_page(file: str = "environment.md") -> str:
    """The page of this name, as Markdown."""
    env = PAGES.get(file, VideoInpaintEnv)
    entry = f"videoinpaint.envs:{env.__name__}"
    specs = [spec for _, spec in sorted(gymnasium.registry.items()) if spec.entry_point == entry]
    ids = [f"`{spec.id}`" + (f" ({_arguments(spec.kwargs)})" if spec.kwargs else "") for spec in specs]
    head = _HEAD.format(title=env.__name__.removesuffix("Env"), file=file, env=env.__name__, ids=", ".join(ids))
    tables = [reference_table(spec.id) for spec in specs]
    measured = [_REFERENCES, *("\n".join(lines) + "\n" for lines in tables if lines)] if any(tables) else []
    return "\n".join([head + (inspect.getdoc(env) or "").strip() + "\n", *measured])


def write_page(path: str | Path) -> Path:
    """Write the page; the file appears whole or not at all."""
    target = Path(path)
    return write_text(target, environment_page(target.name))


def _arguments(kwargs: dict[str, object]) -> str:
    return ", ".join(f"`{name}={value!r}`" for name, value in kwargs.items())


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit("usage: python -m videoinpaint.envs.page FILE")
    print(f"wrote {write_page(sys.argv[1])}")
