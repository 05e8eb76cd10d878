"""`verify`: what of a submission is true. Marks are given by playing, and no flag leaves a check out.

*replayed*: the recorded actions give every recorded number again, within ``TOLERANCES``. *re-run*: the policy, in a
process of its own, chooses the recorded actions where it sees what they lead to. *held-out*: it plays episodes that
nobody knew before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from videoinpaint import files
from videoinpaint.agents.evaluation.run_record import machine, software
from videoinpaint.benchmarks.leaderboard.held_out import salt_hash
from videoinpaint.benchmarks.leaderboard.isolated import Limits
from videoinpaint.benchmarks.leaderboard.marks import MARKS, Finding, HeldOut, give_marks
from videoinpaint.benchmarks.leaderboard.measuring import score_name
from videoinpaint.benchmarks.leaderboard.submission import (
    Submission,
    check_complete,
    check_versions,
    entry_of,
    folder_hash,
    read_episodes,
    read_submission,
    suite_of,
)
from videoinpaint.benchmarks.leaderboard.tolerance import (
    MOVED,
    TOLERANCES,
)
from videoinpaint.benchmarks.protocol.frozen import FrozenSuite
from videoinpaint.benchmarks.protocol.statistics import middle_difference
from videoinpaint.benchmarks.protocol.suite_references import HIGH, ranked_by, suite_references
from videoinpaint.errors import InputError, VideoInpaintError
from videoinpaint.naming import one_line

FORMAT = "videoinpaint-verification-1"
FILE = "verification.json"


def verify(
    folder: Path,
    *,
    held_out: HeldOut | None = None,
    suite: FrozenSuite | Callable[[Submission], FrozenSuite] = suite_of,
    earlier: Mapping[str, Any] | None = None,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    done: Callable[[], Any] = lambda: None,
) -> dict[str, Any]:
    """Verify one submission; whatever is wrong with it becomes its verdict.

    Args:
        folder: of the submission.
        held_out: episodes to play beyond the suite's.
        suite: that it must have played, or what finds the one that a submission names.
        earlier: an earlier verification of it.
        limits: of the policy's process.
        done: called after every episode that was played.

    Returns:
        the verification as JSON has it.
    """
    found = Finding()
    submission: Submission | None = None
    known: FrozenSuite | None = None
    try:
        submission = read_submission(folder)
        known = suite if isinstance(suite, FrozenSuite) else suite(submission)
        if known.by_name and known.name == submission.suite:
            check_complete(read_episodes(folder), known)  # names the clip that is another in another copy
        check_versions(submission, known)
        episodes = read_episodes(folder)
        check_complete(episodes, known)
        entry = entry_of(submission, folder)
    except VideoInpaintError as error:
        found.wrong(error)
    else:
        found.flags += _suspicious(episodes)
        found.log.append(f"{len(episodes)} episodes of suite {known.name}, digest {known.digest}, all there once")
        give_marks(found, submission, known, entry, episodes, held_out, limits, done)
        found.flags += _moved(episodes, known, earlier)
        found.flags += _beyond_the_oracle(episodes, known) if found.marks["replayed"] else []
    return _result(found, folder, submission, known, held_out)


def write_verification(path: Path, verification: Mapping[str, Any]) -> Path:
    """Write it, whole or not at all."""
    return files.write_json(path, dict(verification), indent=1)


def read_verification(path: Path) -> dict[str, Any]:
    """A verification that was written.

    Raises:
        InputError: it is none.
    """
    found = files.read_json(path, "a verification")
    if found.get("format") != FORMAT or set(found.get("marks", {})) != set(MARKS):
        raise InputError(f"{path} is no verification of this version: verify the submission again")
    return found


def ranked(marks: Mapping[str, bool]) -> bool:
    """Whether marks are enough for a place: the numbers are right, and they are the policy's."""
    return marks["replayed"] and (marks["re_run"] or marks["held_out"])


def _suspicious(episodes: Sequence[Mapping[str, Any]]) -> list[str]:
    """Episodes that are copies of each other under other seeds."""
    seen = Counter(tuple(map(str, one["observations"])) for one in episodes)
    doubled = sum(count for count in seen.values() if count > 1)
    return [f"{doubled} episodes are copies of each other"] if doubled else []


def too_good(scores: ArrayLike, oracle: ArrayLike) -> list[str]:
    """A flag for what is better than a search that sees the true video, by the whole paired interval.

    Args:
        scores: ``(clips,)`` or ``(training seeds, clips)``.
        oracle: the beam oracle's on the same clips.
    """
    above = middle_difference(scores, oracle)["low"] > 0
    return ["statistically too good: better than the beam oracle, which sees the true video"] if above else []


def _beyond_the_oracle(episodes: Sequence[Mapping[str, Any]], suite: FrozenSuite) -> list[str]:
    known = suite_references(suite)
    if known is None:
        return []
    oracle = {one["seed"]: one[ranked_by(suite.env_id)] for one in known["policies"][HIGH]["episodes"]}
    return too_good([one[score_name(suite)] for one in episodes], [oracle[one["seed"]] for one in episodes])


def _moved(episodes: Sequence[Mapping[str, Any]], suite: FrozenSuite, earlier: Mapping[str, Any] | None) -> list[str]:
    before = (earlier or {}).get("score")
    now = _mean(episodes, suite)
    if before is None or now is None or abs(now - before) <= MOVED:
        return []
    return [f"the mean score moved from {before:.4f} to {now:.4f} since an earlier verification"]


def _mean(episodes: Sequence[Mapping[str, Any]], suite: FrozenSuite) -> float | None:
    scores = [episode.get(score_name(suite)) for episode in episodes]
    return float(np.mean([float(one) for one in scores if one is not None])) if None not in scores else None


def _result(
    found: Finding, folder: Path, submission: Submission | None, suite: FrozenSuite | None, held_out: HeldOut | None
) -> dict[str, Any]:
    score = None
    if found.marks["replayed"] and suite is not None:
        score = _mean(read_episodes(folder), suite)
    return {
        "format": FORMAT,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "name": folder.name if submission is None else one_line(submission.name),
        "submission": folder_hash(folder) if submission is not None and suite is not None else None,
        "suite": None if suite is None else {"name": suite.name, "env_id": suite.env_id, "digest": suite.digest},
        "software": software(),
        "machine": machine(),
        "tolerances": TOLERANCES["float32" if submission is None else submission.precision],
        "marks": found.marks,
        "verdict": found.verdict,
        "flags": found.flags,
        "log": found.log,
        "score": score,
        "held_out": {
            "salt_sha256": None if held_out is None else salt_hash(held_out.salt),
            "episodes": found.held_out,
        },
    }
