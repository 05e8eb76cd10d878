"""The episodes that environments are playing: what single and vector environments are shells around."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from gymnasium.utils import seeding
from numpy.typing import NDArray
from torch import Tensor

from videoinpaint.checks import seed_number
from videoinpaint.envs import snapshot
from videoinpaint.envs.core import Core, Outcome
from videoinpaint.envs.infos import TRUNCATED, Info
from videoinpaint.envs.observing import pictures
from videoinpaint.envs.rendering import SHOWN, draw
from videoinpaint.envs.states.batch import batch_size, join, take
from videoinpaint.envs.states.episodes import Episode, rewound
from videoinpaint.envs.states.shelf import Pile, make_shelf
from videoinpaint.protocols import State

Seen = tuple[Sequence[int], State]
"""Numbers of environments, and what agents see of them, in that order."""

Generator = tuple[np.random.Generator, int]
"""A generator and the seed that it was made with."""

_KEPT = ("shelf", "episodes", "done", "generators", "_maps")  # what a step or a reset changes
_OBSERVED = ("loop/repaired", "loop/masks")  # the entries of a state that agents see


@dataclass(frozen=True)
class Advanced:
    """One step of every environment; of those that were not stepped reward 0 and an empty info.

    Attributes:
        rewards: float64 ``(count,)``.
        terminated: bool ``(count,)``.
        truncated: bool ``(count,)``.
        infos: one dict an environment.
        seen: what agents see of those that were stepped.
    """

    rewards: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    infos: list[dict[str, Any]]
    seen: list[Seen] = field(default_factory=list)


class Running:
    """Of each environment the episode, its state between two steps, its generator, and whether it is over.

    Args:
        core: plays the episodes.
        count: environments.
    """

    def __init__(self, core: Core, count: int) -> None:
        self.core, self.count = core, count
        self.shelf = make_shelf(count, core.device)
        self.episodes: list[Episode] = []
        """Empty before the first reset."""
        self.done: NDArray[np.bool_] = np.ones(count, dtype=np.bool_)
        self.generators: list[Generator] = [seeding.np_random(None) for _ in range(count)]
        # For pictures, where controls may vary over the frame: the map that each environment's last step applied.
        self._maps: dict[int, NDArray[np.float32]] = {}

    @property
    def empty(self) -> bool:
        """Whether an environment has no episode yet."""
        return self.shelf.empty

    @contextmanager
    def undone(self) -> Iterator[None]:
        """Where the block fails, all environments stand where they stood before it: steps and resets as one."""
        before = {name: copy.copy(getattr(self, name)) for name in _KEPT}
        with rewound([generator for generator, _ in self.generators]):
            try:
                yield
            except BaseException:
                vars(self).update(before)
                raise

    def begin(
        self,
        which: Sequence[int],
        seeds: Sequence[int | None] | None = None,
        options: Sequence[dict[str, Any] | None] | None = None,
    ) -> tuple[Seen, list[dict[str, Any]]]:
        """Begin episodes in the environments `which`; whatever fails leaves everything as it was.

        Args:
            which: their numbers.
            seeds: one an environment (of all of them), None to draw it.
            options: one dict an environment (of all of them).

        Returns:
            what agents see of the environments in `which`, and their infos.

        Raises:
            InputError, UnknownNameError: a seed that is none, or options that name or hold nothing usable.
        """
        generators = list(self.generators)
        with rewound([generators[i][0] for i in which]):
            drawn, places = self._drawn(which, generators, seeds, options)
            groups = self.shelf.groups(range(len(drawn)))
            piles, told, seen = zip(*(self._begin([drawn[place] for place in group]) for group in groups), strict=True)
        episodes = [drawn[place] for place in places]
        begun = [info for infos in told for info in infos]
        self.shelf.store(which, piles, places)
        self.generators = generators
        table = dict(enumerate(self.episodes)) | dict(zip(which, episodes))
        self.episodes = [table[i] for i in range(self.count)]
        self._applied(which)
        self.done[list(which)] = False
        for i in which:
            self.core.expect(i, generators[i][0])
        # Environments that share an episode get an info each.
        infos = self.core.infos([copy.deepcopy(begun[place]) for place in places], episodes)
        return (which, _ordered(join(seen), places)), infos

    def _drawn(
        self,
        which: Sequence[int],
        generators: list[Generator],
        seeds: Sequence[int | None] | None,
        options: Sequence[dict[str, Any] | None] | None,
    ) -> tuple[list[Episode], list[int]]:
        """Episodes, and of each environment the place of its own among them; `generators` get those of given seeds.

        Equal episodes are drawn once: those of one seed, where all environments have the same options.
        """
        shared = options is None or not any(options) or all(asked is options[0] for asked in options)
        drawn: list[Episode] = []
        places: list[int] = []
        known: dict[int, int] = {}  # seed -> place
        for i in which:
            seed = None if seeds is None or seeds[i] is None else seed_number(seeds[i])
            if seed is not None:
                generators[i] = seeding.np_random(seed)
            own, asked = self.core.seed(generators[i][0], seed), options[i] if options else None
            if not shared or own not in known:
                known[own] = len(drawn)
                with _named([own]):
                    drawn.append(self.core.draw(own, asked))
            places.append(known[own])
        return drawn, places

    def _begin(self, episodes: list[Episode]) -> tuple[Pile, list[Info], State]:
        with _named([episode.seed for episode in episodes]):
            state = self.core.begin(episodes)
        return self.shelf.begun(state, episodes), self.core.begun_infos(state), pictures(state, "loop/")

    def step(self, actions: NDArray[np.float64], active: Sequence[int], limit: int | None = None) -> Advanced:
        """Step the environments `active`; the others keep their state. Whatever fails leaves all as they were.

        Args:
            actions: of all environments.
            active: numbers of those whose episodes are not over.
            limit: episodes are truncated after so many steps, unless they are over by then.

        Raises:
            InputError: actions of another shape, or not finite.
        """
        rewards, terminated = np.zeros(self.count), np.zeros(self.count, np.bool_)
        truncated = np.zeros(self.count, np.bool_)
        piles: list[Pile] = []
        seen: list[Seen] = []
        told: list[Info] = []
        applied: list[tuple[list[int], list[Info]]] = []
        for group in self.shelf.groups(active) if active else []:
            pile, outcome, iterations, picture = self._step(group, actions[group])
            piles.append(pile)
            seen.append((group, picture))
            applied.append((group, outcome.infos))
            rewards[group], terminated[group] = outcome.rewards, outcome.terminated
            if limit is not None:
                truncated[group] = (iterations >= limit) & ~outcome.terminated
            told += [info | ({"end": TRUNCATED} if truncated[i] else {}) for i, info in zip(group, outcome.infos)]
        infos = dict(zip(active, self.core.infos(told, [self.episodes[i] for i in active])))
        if active:
            self.shelf.store(active, piles)
        for group, ran in applied:
            self._applied(group, ran)
        self.done = np.where(np.isin(np.arange(self.count), active), terminated | truncated, self.done)
        return Advanced(rewards, terminated, truncated, [infos.get(i, {}) for i in range(self.count)], seen)

    def _step(self, group: list[int], actions: NDArray[np.float64]) -> tuple[Pile, Outcome, NDArray[np.int64], State]:
        before = self.shelf.opened(group)
        after, outcome = self.core.step(before, actions)
        # What was opened ends here: the next group finds its memory free.
        return self.shelf.stepped(group, before, after), outcome, after["iteration"].numpy(), pictures(after, "loop/")

    def observe(self, *seen: Seen) -> dict[str, Tensor]:
        """What agents see of all environments, as :func:`videoinpaint.envs.observing.pictures`.

        Args:
            seen: of some; what was seen last counts, and what was not is looked up.
        """
        known = {i for which, _ in seen for i in which}
        unseen = [i for i in range(self.count) if i not in known]
        groups = self.shelf.groups(unseen) if unseen else []
        rows = [(group, pictures(self.shelf.opened(group, _OBSERVED), "loop/")) for group in groups] + list(seen)
        numbers = [i for which, _ in rows for i in which]
        places = {i: place for place, i in enumerate(numbers)}
        return _ordered(join([part for _, part in rows]), [places[i] for i in range(self.count)])

    def draw(self, which: Sequence[int]) -> NDArray[np.uint8]:
        """The pictures of the environments `which`, ``(len(which), h, w, 3)``."""
        maps = np.stack([self._maps[i] for i in which]) if self.core.settings.varies else None
        return draw(self.shelf.opened(which, SHOWN), maps)

    def state(self, i: int) -> dict[str, Any]:
        """Everything that decides how the episode of environment `i` goes on; see :mod:`videoinpaint.envs.snapshot`."""
        return snapshot.save(
            self.core, self.shelf.opened([i]), self.episodes[i], bool(self.done[i]), *self.generators[i]
        )

    def brief_state(self, i: int) -> dict[str, Any]:
        """As :meth:`state`, packed, and without what the episode's seed gives again."""
        return snapshot.save_brief(
            self.core, self.shelf.packed(i), self.episodes[i], bool(self.done[i]), *self.generators[i]
        )

    def restore(self, states: Sequence[dict[str, Any]]) -> None:
        """Continue from one state an environment.

        Raises:
            InputError: a state of another version, or of an environment with other arguments.
        """
        restored = [snapshot.load(self.core, state) for state in states]
        piles = [self.shelf.begun(one.state, [one.episode], one.changed) for one in restored]
        self.shelf.store(range(self.count), piles)
        self.episodes = [one.episode for one in restored]
        self._applied(range(self.count))
        self.done = np.array([one.done for one in restored])
        self.generators = [one.generator for one in restored]

    def _applied(self, which: Sequence[int], infos: Sequence[Info] | None = None) -> None:
        """Keep the maps of a step's infos, one an environment of `which`; without infos forget theirs."""
        if self.core.settings.varies:
            unset = np.zeros(self.core.settings.action_shape, np.float32)
            self._maps |= {i: infos[k]["control_map"].copy() if infos else unset for k, i in enumerate(which)}


@contextmanager
def _named(seeds: Sequence[int]) -> Iterator[None]:
    """What fails in the block says of which episodes it was the beginning."""
    try:
        yield
    except Exception as error:
        error.add_note(f"That was the beginning of the episode of seed {' or '.join(map(str, seeds))}.")
        raise


def _ordered(state: State, places: Sequence[int]) -> State:
    """The episodes at `places`; the same tensors where that changes nothing."""
    return state if list(places) == list(range(batch_size(state))) else take(state, places)
