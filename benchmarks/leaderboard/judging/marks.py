"""The marks of a verification, given by playing: replayed, re-run, held-out."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videoinpaint.agents.policies.protocol import Observation, choose
from videoinpaint.benchmarks.leaderboard.judging.held_out import HeldOut, held_out_seeds, salt_hash
from videoinpaint.benchmarks.leaderboard.judging.measuring import Arena
from videoinpaint.benchmarks.leaderboard.judging.tolerance import TOLERANCES, differences, no_differences
from videoinpaint.benchmarks.leaderboard.sandbox.isolated import GuestError, IsolatedPolicy, Limits
from videoinpaint.benchmarks.leaderboard.submissions.actions import action_space_of, skips_in
from videoinpaint.benchmarks.leaderboard.submissions.entry import Entry
from videoinpaint.benchmarks.leaderboard.submissions.submission import Submission
from videoinpaint.benchmarks.protocol.frozen import FrozenSuite
from videoinpaint.errors import InputError
from videoinpaint.naming import one_line

MARKS = ("replayed", "re_run", "held_out")


@dataclass
class Finding:
    """What a verification found so far.

    Attributes:
        marks: by name.
        verdict: what is wrong, a sentence each; empty where nothing is.
        flags: what a reader should know.
        log: what was done and found, a line each.
        replayed: records of the suite's episodes as they were played here; empty without the mark.
        held_out: records of held-out episodes.
    """

    marks: dict[str, bool] = field(default_factory=lambda: dict.fromkeys(MARKS, False))
    verdict: list[str] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    replayed: list[dict[str, Any]] = field(default_factory=list)
    held_out: list[dict[str, Any]] = field(default_factory=list)

    def wrong(self, text: Any) -> None:
        """Add to the verdict and to the log."""
        self.verdict.append(one_line(text))
        self.log.append(one_line(text))


class Witness:
    """Plays recorded actions, and asks a policy at each of them what it would have done.

    Args:
        recorded: the actions of one episode, by cell where its environment has cells.
        policy: to ask; None: nobody.

    Attributes:
        apart: the largest difference between an action that was recorded and the policy's.
        failure: why the policy could not be asked any longer.
    """

    def __init__(self, recorded: Sequence[Any], policy: IsolatedPolicy | None) -> None:
        self.recorded, self.policy = recorded, policy
        self.apart = 0.0
        self.failure: GuestError | None = None
        self._next = 0

    def reset(self) -> None:
        """An episode begins."""
        self._next = 0
        if self.policy is not None:
            self.policy.reset()

    def act(self, observation: Observation) -> NDArray[np.float32]:
        """The next recorded action, ``(1, 5)``.

        Raises:
            InputError: there is none, though the episode goes on.
        """
        return self._next_beside(observation)

    def act_by_cell(self, observation: Observation, rows: int, columns: int) -> NDArray[np.float32]:
        """The next recorded action, ``(1, rows, columns, 5)``; see :meth:`act`."""
        return self._next_beside(observation)

    def _next_beside(self, observation: Observation) -> NDArray[np.float32]:
        if self._next == len(self.recorded):
            raise InputError(f"the episode goes on after the {len(self.recorded)} actions that were recorded")
        action = np.asarray([self.recorded[self._next]], dtype=np.float32)
        self._next += 1
        if self.policy is not None and self.failure is None:
            try:
                chosen = choose(self.policy, observation, action.shape[1:])
                self.apart = max(self.apart, float(np.abs(chosen - action).max()))
            except GuestError as error:
                self.failure = error
        return action


def give_marks(
    found: Finding,
    submission: Submission,
    suite: FrozenSuite,
    entry: Entry,
    episodes: list[dict[str, Any]],
    held_out: HeldOut | None,
    limits: Limits,
    done: Callable[[], Any],
) -> None:
    """Play what was recorded, the policy beside it, and the held-out episodes; what is found goes into `found`."""
    threads = min(submission.threads, os.cpu_count() or 1)
    if threads < submission.threads:
        found.log.append(f"{threads} threads of the {submission.threads} that it asks for, as this machine has no more")
    arena = Arena(suite, submission.precision, threads)
    policy = IsolatedPolicy(entry, limits, skips=skips_in(action_space_of(suite)))
    guest: IsolatedPolicy | None = None
    try:
        try:
            guest = policy.__enter__()
            found.log += policy.confinement
        except GuestError as error:
            found.wrong(error)
        alive = _replay(found, arena, episodes, guest, done)
        if held_out is not None and suite.by_name:
            found.log.append(f"no held-out episodes: everybody can have the clips of {suite.name}")
        elif held_out is not None:
            found.log.append(
                f"{held_out.count} held-out seeds of the salt whose sha256 is {salt_hash(held_out.salt)}, "
                "which is to have been published before"
            )
            if guest is not None and alive:
                _play_held_out(found, arena, guest, held_out, done)
    finally:
        policy.__exit__(None, None, None)
        arena.close()


def _replay(
    found: Finding, arena: Arena, episodes: list[dict[str, Any]], guest: IsolatedPolicy | None, done: Callable[[], Any]
) -> bool:
    """Give the marks replayed and re-run; returns whether the policy still acts."""
    largest, allowed = no_differences(), TOLERANCES[arena.precision]["action"]
    apart, same, played = 0.0, 0, []
    for episode in episodes:
        witness = Witness(episode["actions"], guest)
        try:
            again = arena.play(witness, episode["seed"], "")
        except InputError as error:
            found.wrong(f"seed {episode['seed']} cannot be replayed: {error}")
        else:
            off, wrong = differences(episode, again, arena.precision)
            largest = {kind: max(value, off[kind]) for kind, value in largest.items()}
            same += episode["observations"] == again["observations"]
            if not wrong:
                played.append(again)
            else:
                more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
                found.wrong(f"seed {episode['seed']} is not what was recorded: {wrong[0]}{more}")
        apart = max(apart, witness.apart)
        if witness.failure is not None:
            found.wrong(witness.failure)
            guest = None
        done()
    told = ", ".join(f"{kind or 'other numbers'} {value:.1e}" for kind, value in largest.items())
    found.log.append(f"replayed {len(episodes)} episodes, largest differences: {told}")
    found.log.append(f"{same} of {len(episodes)} episodes showed the very observations that were recorded")
    found.marks["replayed"] = len(played) == len(episodes)
    found.replayed = played if found.marks["replayed"] else []
    if guest is not None:
        found.log.append(f"the policy's actions differ from the recorded ones by {apart:.1e} at most")
        found.marks["re_run"] = apart <= allowed
        if apart > allowed:
            found.wrong(f"the policy does not choose the recorded actions: it is off by up to {apart:.3g}")
    return guest is not None


def _play_held_out(
    found: Finding, arena: Arena, guest: IsolatedPolicy, held_out: HeldOut, done: Callable[[], Any]
) -> None:
    for seed in held_out_seeds(held_out.salt, arena.suite, held_out.count):
        try:
            found.held_out.append(arena.play(guest, seed, ""))
        except GuestError as error:
            found.wrong(f"held-out: {error}")
            return
        done()
    found.marks["held_out"] = True
    found.log.append(f"the policy played {held_out.count} held-out episodes")
