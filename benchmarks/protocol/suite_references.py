"""What reference policies reach on frozen suites, and scores between them: 0 is a random policy, 1 the beam oracle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from videoinpaint.agents.evaluation.record import EpisodeRecord
from videoinpaint.benchmarks.protocol.episodes import episode_return
from videoinpaint.benchmarks.protocol.frozen import FrozenSuite, shipped
from videoinpaint.envs.ids import effective_kwargs
from videoinpaint.errors import InputError

FILE = "suite_references.json"
"""In `videoinpaint.data`; written by ``python -m videoinpaint.benchmarks.policies.references --suites ...``."""

LOW, HIGH = "random", "beam oracle"
POLICIES = (LOW, "best fixed", "random search", "greedy oracle", HIGH)


def ranked_by(env_id: str) -> str:
    """What policies are ranked by: "return", or "quality_gain" where the action weighs the reward.

    There a return can be raised without a better repair.

    Raises:
        UnknownNameError: the id is not registered.
    """
    return "return" if effective_kwargs(env_id).get("reward_weights") == "fixed" else "quality_gain"


def ranked_score(env_id: str) -> Callable[[EpisodeRecord], float]:
    """An episode's number under :func:`ranked_by`.

    Raises:
        UnknownNameError: the id is not registered.
    """
    return episode_return if ranked_by(env_id) == "return" else quality_gain


def quality_gain(record: EpisodeRecord) -> float:
    """The quality of the final repair minus the damaged clip's.

    Raises:
        InputError: the environment does not tell it.
    """
    if record.quality_gain is None:
        raise InputError(f"the environment of policy {record.policy!r} does not tell the quality of a repair")
    return record.quality_gain


def suite_references(suite: FrozenSuite) -> dict[str, Any] | None:
    """What was measured on a whole suite that ships: ``policies`` by name, ``best_fixed``, ``random_search``, how.

    None where nothing was measured, or on other episodes.
    """
    known = shipped(FILE).get(suite.name, {}).get(suite.env_id)
    if known is None or known["digest"] != suite.digest or not set(POLICIES) <= set(known["policies"]):
        return None
    return dict(known)


def suite_score(suite: FrozenSuite, mean: float) -> float | None:
    """``(mean - random) / (beam oracle - random)`` of a mean under :func:`ranked_by`; None without references."""
    known = suite_references(suite)
    if known is None:
        return None
    key = ranked_by(suite.env_id)
    low, high = (known["policies"][name][key]["mean"] for name in (LOW, HIGH))
    return float((mean - low) / (high - low))
