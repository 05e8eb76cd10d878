"""Rows of a board before anything is computed: verified runs of one method, or a reference of the suite."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videoinpaint.benchmarks.leaderboard.judging.marks import MARKS
from videoinpaint.benchmarks.leaderboard.judging.measuring import score_name
from videoinpaint.benchmarks.leaderboard.judging.verification import FILE, ranked, read_verification
from videoinpaint.benchmarks.leaderboard.submissions.folder import contents, hash_of
from videoinpaint.benchmarks.leaderboard.submissions.recorded import check_complete, read_episodes
from videoinpaint.benchmarks.leaderboard.submissions.submission import Submission, check_versions, read_submission
from videoinpaint.benchmarks.protocol.frozen import FrozenSuite
from videoinpaint.errors import InputError
from videoinpaint.naming import one_line

Scores = dict[int, float]
"""By seed of the episode."""


@dataclass(frozen=True)
class Run:
    """One training of a method, or the only run of what was not trained.

    Attributes:
        folder: of the submission.
        submission: what it says.
        episodes: those of the suite, as they were submitted.
        verification: of the submission as it is now; None where nobody verified it.
    """

    folder: Path
    submission: Submission
    episodes: list[dict[str, Any]]
    verification: dict[str, Any] | None

    @property
    def marks(self) -> dict[str, bool]:
        """By name."""
        return dict.fromkeys(MARKS, False) if self.verification is None else self.verification["marks"]

    @property
    def public(self) -> list[dict[str, Any]]:
        """Episodes of the suite: as whoever verified replayed them; as they were submitted without that mark."""
        return self.verification["replayed"] if self.verification and self.marks["replayed"] else self.episodes

    @property
    def held_out(self) -> list[dict[str, Any]]:
        """Held-out episodes; none where the mark was not given."""
        return self.verification["held_out"]["episodes"] if self.verification and self.marks["held_out"] else []

    @property
    def salt(self) -> str | None:
        """The hash of the salt behind them."""
        return self.verification["held_out"]["salt_sha256"] if self.verification and self.held_out else None


@dataclass(frozen=True)
class Row:
    """One entry of the board.

    Attributes:
        name: of the method, or of the reference.
        runs: one a training seed; none for a reference.
        reference: episodes of a reference that ships with the suite.
        score: which entry of an episode is ranked by.
        held_out: seeds of the held-out episodes that the board is about; empty where it is about the suite's.
    """

    name: str
    runs: tuple[Run, ...]
    reference: tuple[dict[str, Any], ...]
    score: str
    held_out: tuple[int, ...]

    @property
    def ranked(self) -> bool:
        """Whether every run is verified well enough, and played the held-out episodes where the board is about them."""
        return bool(self.runs) and all(ranked(run.verification) and self.has_played(run) for run in self.runs)

    def has_played(self, run: Run) -> bool:
        """Whether a run has all of the held-out episodes that the board is about."""
        return {one["seed"] for one in run.held_out}.issuperset(self.held_out)

    @property
    def by_held_out(self) -> bool:
        """Whether held-out episodes count here: those that every run played."""
        return bool(self.held_out and self.runs) and all(map(self.has_played, self.runs))

    @cached_property
    def episodes(self) -> list[tuple[int | None, bool, dict[str, Any]]]:
        """Training seed, whether held out, and the record, of every episode."""
        found: list[tuple[int | None, bool, dict[str, Any]]] = [(None, False, one) for one in self.reference]
        for run in self.runs:
            seed = run.submission.training_seed
            found += [(seed, False, one) for one in run.public]
            found += [(seed, True, one) for one in run.held_out]
        return found

    @cached_property
    def counted(self) -> list[list[dict[str, Any]]]:
        """Each run's episodes that count here: held-out ones where the board is about them."""
        if self.by_held_out:
            return [[one for one in run.held_out if one["seed"] in self.held_out] for run in self.runs]
        return [run.public for run in self.runs] or [list(self.reference)]

    @cached_property
    def by_run(self) -> list[Scores]:
        """Each run's scores of the episodes that count here."""
        return [_scores(episodes, self.score) for episodes in self.counted]

    @cached_property
    def public(self) -> list[Scores]:
        """Each run's scores of the suite's own episodes."""
        return [_scores(run.public, self.score) for run in self.runs] or [_scores(self.reference, self.score)]

    def matrix(self) -> NDArray[np.float64]:
        """Scores of the episodes that count here, ``(runs, clips)``."""
        return matrix_of(self.by_run)

    def measured(self, name: str) -> NDArray[np.float64] | None:
        """A metric of the episodes that count here, ``(runs, clips)``; None where an episode lacks it."""
        if not all(name in one.get("measures", {}) for episodes in self.counted for one in episodes):
            return None
        return matrix_of([{one["seed"]: one["measures"][name] for one in episodes} for episodes in self.counted])

    def against(self, other: Row) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Both rows' scores on the episodes that count and both have; else on the suite's own."""
        mine, theirs = self.by_run, other.by_run
        shared = set(mine[0]).intersection(*mine, *theirs)
        if not shared:
            mine, theirs = self.public, other.public
            shared = set(mine[0]).intersection(*mine, *theirs)
        if not shared:
            raise InputError(f"{one_line(self.name)} and {one_line(other.name)} played no episode in common")
        return matrix_of(mine, shared), matrix_of(theirs, shared)


def read_run(folder: Path, suite: FrozenSuite, verification: Path | None = None) -> Run:
    """A submission with its verification.

    Args:
        folder: of the submission.
        suite: another than those that ship.
        verification: its file; by default ``verification.json`` in the folder.

    Raises:
        InputError: the submission is malformed or incomplete, or changed after it was verified.
    """
    held = contents(folder)
    submission = read_submission(folder, held)
    episodes = read_episodes(folder, held)
    check_versions(submission, suite)
    check_complete(episodes, suite)
    score = score_name(suite)
    if any(one.get(score) is None for one in episodes):
        raise InputError(f"an episode of {folder} has no {score}, by which this suite is ranked: evaluate it anew")
    file = verification or folder / FILE
    found = read_verification(file) if file.exists() else None
    if found is not None and found["submission"] != hash_of(held):
        raise InputError(f"{folder} changed after it was verified, or was not verified as a whole: verify it again")
    run = Run(folder, submission, episodes, found)
    if {one["seed"]: one.get(score) is None for one in run.public} != dict.fromkeys(suite.seeds, False):
        raise InputError(f"{file} has not the {score} of every episode as it was replayed: verify {folder} again")
    if any(one.get(score) is None for one in run.held_out):
        raise InputError(f"{file} has a held-out episode without {score}: verify {folder} again")
    return run


def normal(found: Sequence[Mapping[str, Any]], suite: FrozenSuite, score: str) -> tuple[dict[str, Any], ...]:
    """Episodes of a shipped reference under the names that records have.

    Raises:
        InputError: they are not those of the suite, or have no score.
    """
    clips = {one.seed: one.clip for one in suite.episodes}
    if sorted(one["seed"] for one in found) != sorted(clips):
        raise InputError(f"a reference of suite {suite.name} has other episodes than the suite: measure it again")
    named = []
    for one in found:
        told = {"clip": clips[one["seed"]], "episode_return": one["return"], "length": one["iterations"]}
        parts = [one.get(part) for part in ("gflops_begin", "gflops", "gflops_detector")]
        told["gflops_total"] = None if None in parts else sum(parts)
        named.append(told | dict(one))
        if named[-1].get(score) is None:
            raise InputError(f"a reference episode of seed {one['seed']} has no {score}")
    return tuple(named)


def _scores(episodes: Sequence[Mapping[str, Any]], score: str) -> Scores:
    return {one["seed"]: float(one[score]) for one in episodes}


def matrix_of(scores: Sequence[Scores], seeds: Collection[int] | None = None) -> NDArray[np.float64]:
    """``(runs, clips)``: a row a run, the clips in the order of their seeds; those of `seeds`, else all."""
    return np.array([[run[seed] for seed in sorted(scores[0] if seeds is None else seeds)] for run in scores])
