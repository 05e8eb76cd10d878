"""``episodes.jsonl`` of a submission: what was played, a line an episode. See docs/leaderboard.md."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from videoinpaint import files
from videoinpaint.agents.evaluation.record import EpisodeRecord
from videoinpaint.benchmarks.leaderboard.submissions.actions import action_space_of, check_actions, check_fit
from videoinpaint.benchmarks.leaderboard.submissions.folder import EPISODES, HIGHEST, text_of
from videoinpaint.benchmarks.protocol.frozen import FrozenSuite
from videoinpaint.checks import is_number
from videoinpaint.errors import InputError
from videoinpaint.naming import check_names, one_line

_EPISODE = [one.name for one in fields(EpisodeRecord)]
_EPISODE += ["digest", *(name for name, value in vars(EpisodeRecord).items() if isinstance(value, property))]
_NEEDED = ("seed", "clip", "digest", "length", "episode_return", "actions", "rewards", "observations")
_NUMBERS = ("length", "episode_return", "quality_gain", "gflops", "gflops_begin", "gflops_detector", "gflops_total",
            "seconds_per_frame")  # fmt: skip
"""Of these a board takes means."""


def read_episodes(folder: Path, held: Mapping[str, bytes] | None = None) -> list[dict[str, Any]]:
    """The lines of ``episodes.jsonl``, each a record as :class:`EpisodeRecord` has it and the episode's digest.

    A last line that was cut off is left out.

    Args:
        folder: of the submission.
        held: its :func:`~videoinpaint.benchmarks.leaderboard.submissions.folder.contents`, which another process cannot
            change any more; else the file is read.

    Raises:
        InputError: a line is no such record.
    """
    file = folder / EPISODES
    lines = text_of(file, held).split("\n")[:-1]
    return [_episode(f"line {number} of {file}", line) for number, line in enumerate(lines, 1)]


def check_complete(episodes: Sequence[Mapping[str, Any]], suite: FrozenSuite) -> None:
    """See that every episode of a suite is there, once, and that no other is.

    Raises:
        InputError: one is missing, doubled, of another suite, has another clip or other pixels, or actions that are not
            those of the suite's environment.
    """
    space = action_space_of(suite)
    known = {one.seed: one for one in suite.episodes}
    seen: set[int] = set()
    for episode in episodes:
        frozen = known.get(episode["seed"])
        if frozen is None:
            raise InputError(f"{EPISODES} has an episode of seed {episode['seed']}, which suite {suite.name} has not")
        if frozen.seed in seen:
            raise InputError(f"{EPISODES} has the episode of seed {frozen.seed} more than once")
        if (episode["clip"], episode["digest"]) != (frozen.clip, frozen.digest):
            raise InputError(
                f"the episode of seed {frozen.seed} has another clip or other pixels than suite {suite.name} "
                f"({one_line(episode['clip'])} there, {frozen.clip} here)"
            )
        check_fit(episode, space, suite.env_id)
        seen.add(frozen.seed)
    if missing := [seed for seed in suite.seeds if seed not in seen]:
        raise InputError(
            f"{EPISODES} lacks the episodes of seeds {', '.join(map(str, missing))}: finish the evaluation"
        )


def append_episode(folder: Path, episode: Mapping[str, Any]) -> None:
    """Add one line, whole; what an interrupted run left of a line is removed first."""
    file = folder / EPISODES
    line = json.dumps(episode, allow_nan=False).encode() + b"\n"
    with files.writing(file), file.open("ab+") as stream:
        end = stream.tell()
        stream.seek(0)
        stream.truncate(stream.read().rfind(b"\n") + 1 if end else 0)
        stream.write(line)
        stream.flush()
        os.fsync(stream.fileno())


def check_episode(content: Any, where: str) -> None:
    """See that a value is an episode's record and digest, with all that a board reads of it.

    Args:
        content: as JSON has it.
        where: it stands, for the message.

    Raises:
        InputError: it is none.
    """
    if not isinstance(content, dict):
        raise InputError(f"{where} is no episode")
    check_names(list(content), _EPISODE, where, "key")
    if missing := [name for name in _NEEDED if name not in content]:
        raise InputError(f"{where} lacks {', '.join(missing)}")
    if type(content["seed"]) is not int or not isinstance(content["clip"], str):
        raise InputError(f"{where} has no seed or no clip")
    check_actions(content["actions"], where)
    if content["episode_return"] is None or not isinstance(content["rewards"], list):
        raise InputError(f"{where} has no return or no rewards")
    if wrong := [name for name in _NUMBERS if content.get(name) is not None and not _is_number(content[name])]:
        raise InputError(f"{where} has no number in {', '.join(wrong)}")
    measures, seen = content.get("measures", {}), content["observations"]
    if not isinstance(measures, dict) or not all(map(_is_number, measures.values())):
        raise InputError(f"the measures in {where} must be numbers by name")
    if not isinstance(seen, list) or not all(isinstance(one, str) for one in seen):
        raise InputError(f"the observations in {where} must be a list of hashes")


def _episode(where: str, line: str) -> dict[str, Any]:
    try:
        content = json.loads(line, parse_constant=_no_constant, parse_float=_bounded, parse_int=_bounded)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is no JSON of finite numbers ({one_line(error)[:100]})") from error
    check_episode(content, where)
    return content


def _is_number(value: Any) -> bool:
    return is_number(value, HIGHEST)


def _bounded(text: str) -> int | float:
    """A number as JSON has it; int where it is written as one.

    Raises:
        ValueError: it is larger than any that is meant, such as 1e999, which Python reads as infinite.
    """
    if len(text) > 40:
        raise ValueError(f"{text[:40]}... is too long for a number")
    value = int(text) if text.lstrip("-").isdigit() else float(text)
    if not -(2.0**63) <= value <= 2.0**63:
        raise ValueError(f"{text} is too large")
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")
