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

from numpy.typing import ArrayLike

from videoinpaint import files
from videoinpaint.agents.evaluation.run_record import machine, software
from videoinpaint.benchmarks.leaderboard.judging.held_out import HeldOut, salt_hash
from videoinpaint.benchmarks.leaderboard.judging.marks import MARKS, Finding, give_marks
from videoinpaint.benchmarks.leaderboard.judging.measuring import score_name
from videoinpaint.benchmarks.leaderboard.judging.tolerance import (
    MOVED,
    TOLERANCES,
)
from videoinpaint.benchmarks.leaderboard.sandbox.confinement import OPEN
from videoinpaint.benchmarks.leaderboard.sandbox.isolated import Limits
from videoinpaint.benchmarks.leaderboard.submissions.folder import contents, hash_of
from videoinpaint.benchmarks.leaderboard.submissions.recorded import check_complete, check_episode, read_episodes
from videoinpaint.benchmarks.leaderboard.submissions.submission import (
    Submission,
    check_versions,
    entry_of,
    read_submission,
    suite_of,
)
from videoinpaint.benchmarks.protocol.frozen import FrozenSuite
from videoinpaint.benchmarks.protocol.statistics import mean_known, middle_difference
from videoinpaint.benchmarks.protocol.suite_references import HIGH, ranked_by, suite_references
from videoinpaint.errors import InputError, VideoInpaintError
from videoinpaint.naming import one_line

FORMAT = "videoinpaint-verification-2"
FILE = "verification.json"
LARGEST = 2**28
"""Bytes of a verification, with thousands of held-out episodes."""


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
    episodes: list[dict[str, Any]] = []
    told: str | None = None
    try:
        held = contents(folder)  # once: what is hashed is what is looked at, whatever happens to the folder meanwhile
        submission = read_submission(folder, held)
        known = suite if isinstance(suite, FrozenSuite) else suite(submission)
        told, episodes = hash_of(held), read_episodes(folder, held)
        if known.by_name and known.name == submission.suite:
            check_complete(episodes, known)  # names the clip that is another in another copy
        check_versions(submission, known)
        check_complete(episodes, known)
        entry = entry_of(submission, folder)
        found.flags += _suspicious(episodes)
        found.log.append(f"{len(episodes)} episodes of suite {known.name}, digest {known.digest}, all there once")
        give_marks(found, submission, known, entry, episodes, held_out, limits, done)
        found.flags += _moved(found.replayed or episodes, known, earlier)
        found.flags += _beyond_the_oracle(found.replayed, known) if found.replayed else []
        if entry.is_code and OPEN in found.log:
            found.flags.append("its code could read files of whoever verified (no Landlock there): see the log")
    except VideoInpaintError as error:
        found.wrong(error)
    except Exception as error:  # what nobody thought of in one submission must not keep others from being looked at
        found.marks, found.replayed = dict.fromkeys(MARKS, False), []
        found.wrong(f"it cannot be looked at to the end ({type(error).__name__}: {error})")
    return _result(found, folder.name, submission, known, held_out, told)


def write_verification(path: Path, verification: Mapping[str, Any]) -> Path:
    """Write it, whole or not at all."""
    return files.write_json(path, dict(verification), indent=1)


def read_verification(path: Path) -> dict[str, Any]:
    """A verification that was written.

    Raises:
        InputError: it is none.
    """
    if path.is_symlink() or not path.is_file() or path.stat().st_size > LARGEST:
        raise InputError(f"{path} is missing, a link, or too large for a verification: verify the submission again")
    found = files.read_json(path, "a verification")
    if found.get("format") != FORMAT or not _is_whole(found):
        raise InputError(f"{path} is no verification of this version: verify the submission again")
    return found


def earlier_verification(path: Path) -> dict[str, Any] | None:
    """A verification that is about to be replaced; None where there is none that can be read."""
    try:
        return read_verification(path) if path.exists() else None
    except InputError:
        return None


def _is_whole(found: Mapping[str, Any]) -> bool:
    """Whether what is read of a verification is there, and of its kind."""
    marks, there = found.get("marks"), found.get("held_out")
    texts = (found.get("flags"), found.get("log"), found.get("verdict"))
    return (
        isinstance(marks, dict)
        and set(marks) == set(MARKS)
        and all(isinstance(given, bool) for given in marks.values())
        and all(isinstance(lines, list) and all(isinstance(line, str) for line in lines) for lines in texts)
        and isinstance(found.get("submission"), str | None)
        and isinstance(found.get("score"), float | int | None)
        and isinstance(there, dict)
        and isinstance(there.get("salt_sha256"), str | None)
        and all(map(_are_episodes, (there.get("episodes"), found.get("replayed"))))
    )


def _are_episodes(there: Any) -> bool:
    """Whether a value is a list of episodes' records, each of another seed."""
    if not isinstance(there, list):
        return False
    try:
        for one in there:
            check_episode(one, "an episode")
    except InputError:
        return False
    return len({one["seed"] for one in there}) == len(there)


def ranked(verification: Mapping[str, Any] | None) -> bool:
    """Whether a submission has a place: the numbers are right, they are the policy's, and where it was to play episodes
    that nobody knew before, it did.
    """
    if verification is None:
        return False
    marks, asked = verification["marks"], verification["held_out"]["salt_sha256"] is not None
    return bool(marks["replayed"] and marks["re_run"] and (marks["held_out"] or not asked))


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
    return mean_known([episode.get(score_name(suite)) for episode in episodes])


def _result(
    found: Finding, folder: str, submission: Submission | None, suite: FrozenSuite | None, held_out: HeldOut | None,
    told: str | None,
) -> dict[str, Any]:  # fmt: skip
    # Of a track, whose clips everybody can have, there are no held-out episodes.
    salt = None if held_out is None or (suite is not None and suite.by_name) else salt_hash(held_out.salt)
    return {
        "format": FORMAT,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "name": folder if submission is None else one_line(submission.name),
        "submission": told,
        "suite": None if suite is None else {"name": suite.name, "env_id": suite.env_id, "digest": suite.digest},
        "software": software(),
        "machine": machine(),
        "tolerances": TOLERANCES["float32" if submission is None else submission.precision],
        "marks": found.marks,
        "verdict": found.verdict,
        "flags": found.flags,
        "log": found.log,
        "score": _mean(found.replayed, suite) if found.replayed and suite is not None else None,
        "replayed": found.replayed,
        "held_out": {"salt_sha256": salt, "episodes": found.held_out},
    }
