"""Frozen suites: lists of episodes with a digest of every pixel, so that two laboratories measure the same.

A suite is named and versioned, ``studio-easy-v1``, and belongs to an environment, at the size which that id registers.
Nothing of a version ever changes: a change that moves one pixel of one clip needs another version.
What makes the file that ships is :mod:`videoinpaint.benchmarks.protocol.freezing`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videoinpaint.checks import check_extent
from videoinpaint.clips import make_clips, make_masks
from videoinpaint.envs.ids import check_env, effective_kwargs
from videoinpaint.envs.states.episodes import Episode, EpisodeSource
from videoinpaint.errors import InputError, UnknownNameError
from videoinpaint.files import user_path
from videoinpaint.registration import DEFAULT_ID

FILE = "suites.json"
"""In `videoinpaint.data`."""


@dataclass(frozen=True)
class FrozenEpisode:
    """One episode: ``reset(seed=seed, options=suite.options(episode))`` begins it.

    Attributes:
        seed: its own.
        clip: the clip's name.
        digest: see :func:`episode_digest`.
        num_frames: of the clip; None: as many as the suite's environment has.
    """

    seed: int
    clip: str
    digest: str
    num_frames: int | None = None


@dataclass(frozen=True)
class FrozenSuite:
    """A named list of episodes of one environment.

    Attributes:
        name: with its version.
        env_id: a registered environment.
        env_kwargs: what `gymnasium.make` gets beyond the id.
        episodes: in order.
        by_name: clips are taken by their names, from their first frames on; else the seed draws them.
        data: of a suite whose clips do not ship: the folder, wherever it is; it does not count for the digest.
    """

    name: str
    env_id: str
    env_kwargs: dict[str, Any] = field(hash=False)
    episodes: tuple[FrozenEpisode, ...]
    by_name: bool = False
    data: str = ""

    @property
    def seeds(self) -> list[int]:
        """Of all episodes, in order."""
        return [episode.seed for episode in self.episodes]

    @property
    def digest(self) -> str:
        """16 hex digits over everything that makes the suite: two results with the same were measured on the same."""
        lines = [self.name, self.env_id, json.dumps(without_data(self.env_kwargs, self.data), sort_keys=True)]
        lines += [f"{one.seed} {one.clip} {one.digest}" for one in self.episodes]
        lines += ["by name"] if self.by_name else []
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]

    def episode(self, seed: int) -> FrozenEpisode:
        """The episode of a seed; one that the suite has not, where seeds draw the clips, is of its kind.

        Raises:
            InputError: there is none.
        """
        known = {one.seed: one for one in self.episodes}
        if self.by_name and seed not in known:
            raise InputError(f"suite {self.name} has no episode of seed {seed}")
        return known.get(seed, FrozenEpisode(seed, "", ""))

    def first(self, count: int) -> FrozenSuite:
        """The suite's first episodes alone; it has another digest, so that nobody takes it for the whole.

        Raises:
            InputError: fewer than one, or more than there are.
        """
        if not 1 <= count <= len(self.episodes):
            there = len(self.episodes)
            raise InputError(f"suite {self.name} has {there} episodes: ask for 1 to {there}, got {count}")
        return replace(self, episodes=self.episodes[:count])

    def kwargs(self, episode: FrozenEpisode) -> dict[str, Any]:
        """What an episode's environment is made with; where clips have their own lengths, the clip alone is there."""
        if episode.num_frames is None:
            return dict(self.env_kwargs)
        alone = f"{self.env_kwargs['clips']}[{episode.seed}:{episode.seed + 1}]"
        return self.env_kwargs | {"clips": alone, "num_frames": episode.num_frames}

    def options(self, episode: FrozenEpisode) -> dict[str, Any]:
        """Of an episode's reset."""
        return {"clip": episode.clip} if self.by_name else {}

    def as_dict(self) -> dict[str, Any]:
        """What a result says about the suite that it was measured on."""
        return {"name": self.name, "env_id": self.env_id, "digest": self.digest, "episodes": len(self.episodes)}

    def drawn(self, seeds: Sequence[int]) -> Iterator[Episode]:
        """Episodes of the suite's kind, from its sources as they are today; of a suite by name, its own alone."""
        sources: dict[int | None, EpisodeSource] = {}
        for seed in seeds:
            one = self.episode(seed)
            shared = None if one.num_frames is None else seed
            if shared not in sources:
                sources[shared] = episode_source(self.env_id, self.kwargs(one))
            yield sources[shared].draw(np.random.default_rng(0), seed, self.options(one))

    def check_pixels(self) -> None:
        """Draw every episode and compare it with its digest.

        Raises:
            InputError: pixels differ from those that were frozen.
        """
        for frozen, drawn in zip(self.episodes, self.drawn(self.seeds)):
            if episode_digest(drawn) != frozen.digest:
                other = "name another copy of the clips, --data ROOT"
                remedy = other if self.data else "use the package version that froze it"
                raise InputError(
                    f"episode {frozen.seed} of suite {self.name} ({frozen.clip}) has other pixels here than when the "
                    f"suite was frozen: results would compare with nobody's; {remedy}"
                )


def suite_names() -> list[str]:
    """Of the suites that ship."""
    return list(shipped())


def suite_env_ids(name: str) -> list[str]:
    """The environments for which a suite was frozen.

    Raises:
        UnknownNameError: no suite of this name ships.
    """
    if name not in shipped():
        raise UnknownNameError(f"no suite {name!r}: use one of {', '.join(suite_names())}")
    return list(shipped()[name])


def frozen_suite(name: str, env_id: str = DEFAULT_ID) -> FrozenSuite:
    """A suite that ships.

    Args:
        name: one of :func:`suite_names`.
        env_id: for which environment.

    Raises:
        UnknownNameError: there is no such suite, or it was not frozen for this environment.
    """
    if env_id not in (known := suite_env_ids(name)):
        raise UnknownNameError(f"suite {name} has no episodes for {env_id}: it has some for {', '.join(known)}")
    return parsed(name, env_id, shipped()[name][env_id])


def freeze(name: str, env_id: str, env_kwargs: dict[str, Any], seeds: Sequence[int]) -> FrozenSuite:
    """A suite out of what the sources give today."""
    source = episode_source(env_id, env_kwargs)
    drawn = (source.draw(np.random.default_rng(0), seed, None) for seed in seeds)
    return FrozenSuite(
        name, env_id, env_kwargs, tuple(FrozenEpisode(one.seed, one.clip, episode_digest(one)) for one in drawn)
    )


DATA = "{data}"
"""Stands in written suites for the folder that holds the clips."""


def without_data(env_kwargs: Mapping[str, Any], data: str) -> dict[str, Any]:
    """Arguments as they are written down, the same wherever the clips are."""
    return {k: v.replace(data, DATA) if data and isinstance(v, str) else v for k, v in env_kwargs.items()}


def episode_source(env_id: str, env_kwargs: dict[str, Any]) -> EpisodeSource:
    """What draws an environment's episodes, without the environment's networks.

    Raises:
        InputError, UnknownNameError: the sources, or the id, are unknown.
    """
    kwargs = effective_kwargs(env_id, env_kwargs)
    shape = (kwargs["num_frames"], kwargs["height"], kwargs["width"])
    check_extent(*shape)
    followed_by = kwargs.get("propagator")
    masks = make_masks(kwargs["masks"]) if followed_by is None else make_masks("stationary")  # of which it takes none
    return EpisodeSource(make_clips(kwargs["clips"]), masks, shape, followed_by)


def episode_digest(episode: Episode) -> str:
    """The first 16 hex digits of the SHA-256 of an episode's frames, its holes and, one-shot, of what is observed."""
    content = hashlib.sha256()
    parts: list[NDArray[np.uint8] | None] = [episode.frames, episode.holes, episode.observed]
    for part in parts:
        if part is not None:
            content.update(repr(part.shape).encode())
            content.update(np.ascontiguousarray(part).data)
    return content.hexdigest()[:16]


@cache
def shipped(file: str = FILE) -> dict[str, Any]:
    """Every suite that ships, by name and environment, as a file of the package's data holds it."""
    path = files("videoinpaint.data").joinpath(file)
    return dict(json.loads(path.read_text(encoding="utf-8"))["suites"]) if path.is_file() else {}


def parsed(name: str, env_id: str, entry: dict[str, Any], data: str = "") -> FrozenSuite:
    """A suite out of what a file holds of it; `data` is where the clips are, if they are anybody's own."""
    episodes = tuple(FrozenEpisode(int(one[0]), one[1], one[2], *one[3:4]) for one in entry["episodes"])
    kwargs = {k: v.replace(DATA, data) if isinstance(v, str) else v for k, v in entry["env_kwargs"].items()}
    return FrozenSuite(name, env_id, kwargs, episodes, bool(entry.get("by_name", False)), data)


def written(suite: FrozenSuite) -> dict[str, Any]:
    """A suite as its file holds it, without the folder of its clips."""
    rows = [[one.seed, one.clip, one.digest, *filter(None, [one.num_frames])] for one in suite.episodes]
    found = {"env_kwargs": without_data(suite.env_kwargs, suite.data), "episodes": rows}
    return found | ({"by_name": True} if suite.by_name else {})


def holds_own_clips(path: str | Path) -> bool:
    """Whether a file is there and holds a suite of clips that do not ship."""
    try:
        suites = json.loads(user_path(path).read_text(encoding="utf-8"))["suites"]
        found = [entry["env_kwargs"] for by_env in suites.values() for entry in by_env.values()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False  # `suite_of_file` says what is wrong with it
    return any(_of_own_clips(env_kwargs) for env_kwargs in found)


def _of_own_clips(env_kwargs: Mapping[str, Any]) -> bool:
    return DATA in json.dumps(env_kwargs)


def _check_rows(rows: Any) -> None:
    """Raise ValueError unless these are episodes as :func:`written` has them."""
    kinds = (int, str, str, int)
    if (
        not rows
        or not all(3 <= len(row) <= 4 and all(type(one) is kind for one, kind in zip(row, kinds)) for row in rows)
        or len({row[0] for row in rows}) < len(rows)
    ):
        raise ValueError("episodes are a list of [seed, clip, digest] with seeds that differ")


def suite_of_file(path: str | Path, env_id: str, data: str = "") -> FrozenSuite:
    """A suite that ``python -m videoinpaint.benchmarks.protocol.tracks --suite ... --output FILE`` wrote.

    Args:
        path: of the file, which holds one suite.
        env_id: for which environment.
        data: the folder that holds the clips.

    Raises:
        InputError: it is no such file, or it needs the folder.
        UnknownNameError: it has no episodes for this environment.
    """
    try:
        ((name, by_env),) = json.loads(user_path(path).read_text(encoding="utf-8"))["suites"].items()
        if env_id not in by_env:
            raise UnknownNameError(f"{path} has no episodes for {env_id}: it has some for {', '.join(by_env)}")
        if _of_own_clips(by_env[env_id]["env_kwargs"]) and not data:
            raise InputError(f"suite {name} of {path} is about clips of your own copy: name its folder, --data ROOT")
        _check_rows(by_env[env_id]["episodes"])
        suite = parsed(str(name), env_id, by_env[env_id], data)
        check_env(env_id, suite.env_kwargs)
        return suite
    except (InputError, UnknownNameError):
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path} holds no frozen suite ({error!r})") from error
