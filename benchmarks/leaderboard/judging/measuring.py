"""`evaluate`: a policy plays a suite, in a process of its own, and the episodes become a submission's folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from videoinpaint import files
from videoinpaint.agents.evaluation.episodes import evaluate, make_evaluation_env
from videoinpaint.agents.evaluation.record import EpisodeRecord
from videoinpaint.agents.policies.protocol import Policy
from videoinpaint.benchmarks.leaderboard.sandbox.isolated import IsolatedPolicy
from videoinpaint.benchmarks.leaderboard.submissions.actions import action_space_of, skips_in
from videoinpaint.benchmarks.leaderboard.submissions.entry import FORMS, kind_of, parse_entry
from videoinpaint.benchmarks.leaderboard.submissions.folder import DESCRIPTION, EPISODES, README
from videoinpaint.benchmarks.leaderboard.submissions.recorded import append_episode, check_complete, read_episodes
from videoinpaint.benchmarks.leaderboard.submissions.submission import (
    Submission,
    check_versions,
    entry_of,
    read_submission,
    write_submission,
)
from videoinpaint.benchmarks.protocol.envelope import plain, set_threads
from videoinpaint.benchmarks.protocol.frozen import FrozenSuite, episode_digest
from videoinpaint.benchmarks.protocol.suite_references import ranked_by
from videoinpaint.benchmarks.protocol.tracks import size_of
from videoinpaint.envs.ids import with_offered
from videoinpaint.envs.observing import frames_of
from videoinpaint.errors import InputError
from videoinpaint.weights.hashes import sha256


@dataclass
class Arena:
    """A suite's environment, which plays one episode after the other: a batch of one, on the CPU.

    Where clips have lengths of their own, another is made for each.

    Args:
        suite: whose kind of episodes are played.
        precision: float32 or bfloat16.
        threads: of torch and OpenCV.
    """

    suite: FrozenSuite
    precision: str = "float32"
    threads: int = 1
    _env: VectorEnv | None = field(default=None, repr=False)
    _kwargs: dict[str, Any] = field(default_factory=dict, repr=False)

    def play(self, policy: Policy, seed: int, name: str) -> dict[str, Any]:
        """One episode's record as JSON has it, and the digest of its pixels."""
        env, options = self._at(seed)
        record: EpisodeRecord = evaluate(policy, seeds=[seed], env=env, name=name, options=options)[0]
        base: Any = env.unwrapped
        return plain(record.as_dict()) | {"digest": episode_digest(base.episodes[0])}

    def _at(self, seed: int) -> tuple[VectorEnv, dict[str, Any]]:
        """The environment of an episode, and the options with which it is reset."""
        episode = self.suite.episode(seed)
        kwargs = with_offered(self.suite.env_id, self.suite.kwargs(episode), device="cpu")
        if self._env is None or self._kwargs != kwargs:
            self.close()
            set_threads(self.threads)
            self._env = make_evaluation_env(1, self.suite.env_id, kwargs, self.precision)
            self._kwargs = kwargs
        return self._env, self.suite.options(episode)

    def show(self, seed: int, actions: Sequence[Any]) -> dict[str, NDArray[np.uint8]]:
        """What recorded actions lead to: reference, damaged and repaired frames, uint8 ``(T, H, W, 3)`` each.

        Five numbers are an action of all cells, where actions are by cell.
        """
        env, options = self._at(seed)
        observation, _ = env.reset(seed=[seed], options=options)  # type: ignore[arg-type]  # Gymnasium's type lacks lists
        base: Any = env.unwrapped
        found = {"reference": base.episodes[0].frames, "damaged": frames_of(observation["frames"][0])}
        for action in actions:
            taken = np.broadcast_to(np.asarray(action, dtype=np.float32), env.action_space.shape or ())
            observation = env.step(taken)[0]
        return found | {"repaired": frames_of(observation["frames"][0])}

    def close(self) -> None:
        """Close the environment."""
        if self._env is not None:
            self._env.close()
            self._env = None


def score_name(suite: FrozenSuite) -> str:
    """What policies are ranked by, as records call it; see `ranked_by`."""
    return "episode_return" if ranked_by(suite.env_id) == "return" else "quality_gain"


def prepare(
    folder: Path, policy: str | None, suite: FrozenSuite, about: Mapping[str, Any], precision: str, threads: int
) -> Submission:
    """Make a submission's folder, or see that the one that is there is for these very settings.

    Args:
        folder: of the submission.
        policy: a form of `entry`, or the path of a file or of a training's folder; None: what the folder says.
        suite: to play.
        about: further keys of ``submission.yml``; None for those not given.
        precision: of the environment.
        threads: of the environment.

    Raises:
        InputError: the folder holds other settings or another policy, or the policy cannot be run.
    """
    given = {key: value for key, value in about.items() if value is not None}
    if (folder / DESCRIPTION).exists():
        known = read_submission(folder)
        asked = given | {"precision": precision, "threads": threads}
        asked |= {"suite": suite.name, "env_id": suite.env_id, "size": _size(suite), "suite_digest": suite.digest}
        if policy is not None:
            asked["policy"] = _text_of(policy)
        changed = replace(known, **asked)
        differing = [key for key in asked if getattr(known, key) != getattr(changed, key)]
        source = None if policy is None else _source(policy)
        if source is not None and known.weights and sha256(source) not in known.weights.values():
            differing.append("policy")
        if differing:
            raise InputError(f"{folder} holds a submission with another {', '.join(differing)}: name another folder")
        check_versions(known, suite)
        if not known.weights:
            known = replace(known, weights=parse_entry(known.policy, folder).hashes())
            write_submission(folder, known)
        entry_of(known, folder)
        return known
    if policy is None:
        raise InputError(f"{folder} has no {DESCRIPTION}: name a policy")
    if (folder / EPISODES).exists():
        raise InputError(f"{folder} has {EPISODES} without {DESCRIPTION}: name another folder")
    return _made(folder, policy, suite, given, precision, threads)


def run(
    folder: Path,
    submission: Submission,
    suite: FrozenSuite,
    done: Callable[[], Any] = lambda: None,
) -> list[dict[str, Any]]:
    """Play what the folder lacks of a suite, an episode at a time; each is kept as soon as it is over.

    Args:
        folder: of the submission.
        submission: what it says.
        suite: to play.
        done: called after every episode, those that were there too.

    Raises:
        InputError: the folder's episodes are not those of the suite, or another process plays into it.
        GuestError: the policy does not act.
    """
    with files.locked(folder, f"another evaluation plays into {folder}: wait for it"):
        there = read_episodes(folder) if (folder / EPISODES).exists() else []
        check_complete(there, replace(suite, episodes=_played(there, suite)))
        missing = [seed for seed in suite.seeds if seed not in {one["seed"] for one in there}]
        for _ in there:
            done()
        if missing:
            digests = {one.seed: one.digest for one in suite.episodes}
            arena = Arena(suite, submission.precision, submission.threads)
            skips = skips_in(action_space_of(suite))
            with IsolatedPolicy(entry_of(submission, folder), skips=skips) as policy, _closing(arena):
                for seed in missing:
                    episode = arena.play(policy, seed, submission.name)
                    if episode["digest"] != digests[seed]:
                        suite.check_pixels()
                    append_episode(folder, episode)
                    done()
        episodes = read_episodes(folder)
        check_complete(episodes, suite)
        if not (folder / README).exists():
            files.write_text(folder / README, _readme(submission))
    return episodes


def _played(there: list[dict[str, Any]], suite: FrozenSuite) -> Any:
    seeds = {one["seed"] for one in there}
    return tuple(one for one in suite.episodes if one.seed in seeds)


def _made(
    folder: Path, policy: str, suite: FrozenSuite, given: dict[str, Any], precision: str, threads: int
) -> Submission:
    text = _text_of(policy)
    source = _source(policy)
    if source is not None:
        kind_of(source)
    else:
        parse_entry(text, folder)
    place = folder / text.partition(":")[2]
    if source is not None and place.exists() and sha256(place) != sha256(source):
        raise InputError(f"{place} is another policy, which would be lost: name another folder")
    with files.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if source is not None and not place.exists():
        files.write_bytes(place, source.read_bytes())
    entry = parse_entry(text, folder)
    name = text.partition(":")[2] if source is None else folder.name
    about = {"name": name, "method": given.get("name", name), "authors": "not stated", "licence": "not stated"} | given
    submission = Submission(
        **about,
        policy=text,
        env_id=suite.env_id,
        suite=suite.name,
        suite_digest=suite.digest,
        size=_size(suite),
        weights=entry.hashes(),
        precision=precision,
        threads=threads,
    )
    write_submission(folder, submission)
    return read_submission(folder)


def _size(suite: FrozenSuite) -> dict[str, int]:
    size = size_of(suite)
    return {} if size is None else asdict(size)


def _source(policy: str) -> Path | None:
    """The file behind what the command line names; None for a form that names none."""
    if policy.startswith(("builtin:", "fixed:", "package:")):
        return None
    path = files.user_path(policy.removeprefix("file:"))
    path = path / "policy.safetensors" if path.is_dir() else path
    if not path.is_file():
        raise InputError(f"no policy at {policy}: name a file, a training's folder, or {FORMS}")
    return path


def _text_of(policy: str) -> str:
    source = _source(policy)
    return policy if source is None else f"file:policy{source.suffix}"


def _readme(submission: Submission) -> str:
    told = "\n".join(f"- {key}: {value}" for key, value in asdict(submission).items() if key != "weights")
    return f"# {submission.name}\n\nA submission to the leaderboard of videoinpaint.\n\n{told}\n"


@contextmanager
def _closing(arena: Arena) -> Iterator[None]:
    try:
        yield
    finally:
        arena.close()
