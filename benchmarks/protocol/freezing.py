"""Freezing suites: the command that writes the file of those that ship.

    python -m videoinpaint.benchmarks.protocol.freezing --output videoinpaint/data/suites.json

A suite that is in the file already and whose pixels or arguments would change is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videoinpaint.benchmarks.protocol import tables
from videoinpaint.benchmarks.protocol.envelope import PROTOCOL
from videoinpaint.benchmarks.protocol.flags import Measuring
from videoinpaint.benchmarks.protocol.frozen import freeze, parsed, shipped
from videoinpaint.errors import InputError
from videoinpaint.registration import ENVIRONMENTS

EPISODES = 24
"""Of a suite that ships: seeds 0, 1, ..., which training never draws."""

_MIXED = ",".join(f"studio:{kind}" for kind in ("easy", "hard", "fast", "large"))
SOURCES: dict[str, dict[str, Any]] = {
    "studio-easy-v1": {"clips": "studio:easy", "masks": "studio:easy"},
    "studio-hard-v1": {"clips": "studio:hard", "masks": "studio:hard"},
    "studio-fast-v1": {"clips": "studio:fast", "masks": "studio:fast"},
    "studio-large-v1": {"clips": "studio:large", "masks": "studio:large"},
    "studio-mixed-v1": {"clips": f"studio,{_MIXED}", "masks": "mixed"},
    "one-shot-v1": {"clips": "one_shot"},
}
"""What a suite's environment is made with, beyond what the id registers."""


@dataclass(frozen=True, kw_only=True)
class Freeze(Measuring):
    """Which suites are written."""

    episodes: int = EPISODES
    """Of each suite that is new."""
    output: Path | None = None
    """Write the suites here, as JSON."""


def run(flags: Freeze) -> dict[str, Any]:
    """Freeze every suite for every environment that can play it.

    Raises:
        InputError: a suite that was frozen before has other pixels, or other arguments, now.
    """
    suites: dict[str, Any] = {}
    for name, kwargs in SOURCES.items():
        for env_id in (one.id for one in ENVIRONMENTS if ("OneShot" in one.kind) == name.startswith("one-shot")):
            known = shipped().get(name, {}).get(env_id)
            if known is not None and known["env_kwargs"] != kwargs:
                raise InputError(f"suite {name} of {env_id} was frozen with other arguments: give it another version")
            suite = (
                freeze(name, env_id, kwargs, range(flags.episodes)) if known is None else parsed(name, env_id, known)
            )
            if known is not None:
                suite.check_pixels()
            entry = {"env_kwargs": kwargs, "episodes": [[e.seed, e.clip, e.digest] for e in suite.episodes]}
            suites.setdefault(name, {})[env_id] = entry
    return {"protocol": dict(PROTOCOL), "suites": suites}


def report(results: Any) -> None:
    """Print each suite's digest."""
    rows = [
        [name, env_id, str(len(entry["episodes"])), parsed(name, env_id, entry).digest]
        for name, by_env in results["suites"].items()
        for env_id, entry in by_env.items()
    ]
    tables.show("frozen suites", ["suite", "environment", "episodes", "digest"], rows)


if __name__ == "__main__":
    tables.main(Freeze, run, report, __doc__ or "")
