"""Reference returns of the registered environments, on their own held-out episodes, and scores between them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

FILE = "references.json"
"""In `videoinpaint.data`; written by ``python -m videoinpaint.benchmarks.policies.references``."""


@cache
def references() -> dict[str, Any]:
    """Per id: ``episodes``, ``best_fixed`` (its controls), per policy the mean ``return`` and ``quality_gain``, and in
    ``measured`` the ``settings`` of the command that measured them.
    """
    path = files("videoinpaint.data").joinpath(FILE)
    if not path.is_file():
        return {}
    whole = json.loads(path.read_text(encoding="utf-8"))
    return {env_id: {"measured": whole} | known for env_id, known in whole["environments"].items()}


def normalised_score(
    env_id: str,
    mean_return: float,
    env_kwargs: Mapping[str, Any] | None = None,
    seeds: Collection[int] | None = None,
) -> float | None:
    """``(R - random) / (oracle - random)``: 0 is a random policy, 1 an oracle that tries the controls in every state.

    None where there is no reference: for ids that are not this package's, and where the episodes are others: clips
    differ far more than policies, so that a mean over more or fewer of them says nothing here.

    Args:
        env_id: a registered environment.
        mean_return: over the held-out episodes that the references are of, seeds 0, 1, ...
        env_kwargs: arguments other than the registered ones; of these only `device` and `precision` may be given.
        seeds: of the episodes that `mean_return` is of; left out, they are taken to be those.
    """
    known = references().get(env_id)
    if known is None or set(env_kwargs or {}) - {"device", "precision"}:
        return None
    if seeds is not None and set(seeds) != set(range(known["episodes"])):
        return None
    low, high = (known["policies"][name]["return"]["mean"] for name in ("random", "oracle"))
    return (mean_return - low) / (high - low)


def reference_table(env_id: str) -> list[str]:
    """The references of one id as the lines of a Markdown table; empty where there are none."""
    known = references().get(env_id)
    if known is None:
        return []
    lines = [
        f"| {env_id}, {known['episodes']} episodes | return | score | quality gained | GFLOPs |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, row in sorted(known["policies"].items(), key=lambda item: -item[1]["quality_gain"]["mean"]):
        told = [f"{row['return']['mean']:.4f}", f"{normalised_score(env_id, row['return']['mean']):.2f}"]
        told += [f"{row['quality_gain']['mean']:.4f}", f"{row['gflops']:.0f}"]
        lines.append(f"| {name} | " + " | ".join(told) + " |")
    asked = known["measured"]["settings"]
    grid = "; ".join(f"{name} {', '.join(map(str, asked[name]))}" for name in ("heads", "fusion", "objectives"))
    return [*lines, "", f"(Grid: {grid}; the best fixed setting chosen on {asked['choice_episodes']} other episodes.)"]
