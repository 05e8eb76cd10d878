"""Where the states of running episodes lie between two steps: as they are, or packed.

A few episodes lie as one batch and are stepped at once: a step works on their tensors in any case, so that packing them
would save little and cost a tenth of a step. Of more, a few at a time are opened, stepped and packed again: an
environment then takes a fraction of its state, and the working memory of a step does not grow with the batch. What an
episode began with is packed once, or comes packed from a bank; after a step only what changed is. On a GPU, where
packing would have to look at values, any batch lies as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch

from videoinpaint.device import may_look
from videoinpaint.envs.batch import join, put, take, unstacked
from videoinpaint.envs.episodes import Episode
from videoinpaint.envs.packing import Packed, bases_of, pack, unpack
from videoinpaint.errors import InputError
from videoinpaint.protocols import State

AT_ONCE = 4
"""Episodes that are begun or stepped together on a CPU: more would not be faster."""

Pile = Any
"""Episodes of one group, ready to be stored."""


class Shelf(Protocol):
    """The states of the episodes of some environments. What lies on it is never written to."""

    @property
    def empty(self) -> bool:
        """Whether an environment has no episode yet."""
        ...

    def groups(self, which: Sequence[int]) -> list[list[int]]:
        """Numbers, in groups that are best begun or stepped together."""
        ...

    def opened(self, which: Sequence[int], names: Collection[str] | None = None) -> State:
        """The states of the environments `which` as one batch; with `names` only these entries.

        Raises:
            InputError: they cannot form one batch, as a part's state depends on more than the clip's size.
        """
        ...

    def begun(self, state: State, episodes: Sequence[Episode], changed: Collection[str] = ()) -> Pile:
        """A group of episodes in the state in which they begin, but for the entries that have changed since."""
        ...

    def stepped(self, which: Sequence[int], before: State, after: State) -> Pile:
        """What was opened of the group `which` after a step; entries that are the same object did not change."""
        ...

    def packed(self, which: int) -> Packed:
        """The state of one environment; of an episode that its seed gives again only what changed, if that is known."""
        ...

    def store(self, which: Sequence[int], piles: Sequence[Pile], order: Sequence[int] | None = None) -> None:
        """Put episodes in place of those of the environments `which`.

        Args:
            which: environments.
            piles: groups of episodes, one after the other.
            order: for every environment the number of its episode; None: one each, in order.
        """
        ...


def make_shelf(count: int, device: torch.device) -> Shelf:
    """A shelf for the episodes of so many environments."""
    packed = count > AT_ONCE and may_look(torch.empty(0, device=device))
    return PackedShelf(count) if packed else DenseShelf(count)


@dataclass(frozen=True)
class Lying:
    """An episode, packed; `changed` are the entries that are no more what they were when it began."""

    episode: Episode
    packed: Packed
    changed: frozenset[str]


class PackedShelf:
    """See the module's description; a :class:`Shelf`."""

    def __init__(self, count: int) -> None:
        self._lying: list[Lying | None] = [None] * count

    @property
    def empty(self) -> bool:
        """See :class:`Shelf`."""
        return None in self._lying

    @property
    def nbytes(self) -> int:
        """What lies here, clips included; an episode that several environments began together counts once."""
        there = {id(one): one for one in self._lying if one is not None}.values()
        return sum(one.packed.nbytes + sum(t.nbytes for t in one.episode.tensors().values()) for one in there)

    def groups(self, which: Sequence[int]) -> list[list[int]]:
        """See :class:`Shelf`."""
        return [list(which[start : start + AT_ONCE]) for start in range(0, len(which), AT_ONCE)]

    def opened(self, which: Sequence[int], names: Collection[str] | None = None) -> State:
        """See :class:`Shelf`."""
        lying = self._at(which)
        try:
            return unpack([one.packed for one in lying], [bases_of(one.episode.tensors()) for one in lying], names)
        except RuntimeError as error:
            raise InputError(f"these states cannot form one batch: {error}") from error

    def begun(self, state: State, episodes: Sequence[Episode], changed: Collection[str] = ()) -> list[Lying]:
        """See :class:`Shelf`."""
        piled = []
        for one, episode in zip(unstacked(state), episodes, strict=True):
            packed = episode.packed or pack(one, bases_of(episode.tensors()))
            piled.append(Lying(replace(episode, begun=None, packed=None), packed, frozenset(changed)))
        return piled

    def stepped(self, which: Sequence[int], before: State, after: State) -> list[Lying]:
        """See :class:`Shelf`."""
        changed = {name: tensor for name, tensor in after.items() if tensor is not before.get(name)}
        return [
            Lying(old.episode, pack(new, bases_of(old.episode.tensors()), old.packed), old.changed | changed.keys())
            for old, new in zip(self._at(which), unstacked(changed), strict=True)
        ]

    def packed(self, which: int) -> Packed:
        """See :class:`Shelf`."""
        (lying,) = self._at([which])
        return lying.packed.part(lying.changed) if lying.episode.seeded else lying.packed

    def store(self, which: Sequence[int], piles: Sequence[list[Lying]], order: Sequence[int] | None = None) -> None:
        """See :class:`Shelf`."""
        there = [one for pile in piles for one in pile]
        for i, place in zip(which, range(len(there)) if order is None else order, strict=True):
            self._lying[i] = there[place]

    def _at(self, which: Sequence[int]) -> list[Lying]:
        return [one for i in which if (one := self._lying[i]) is not None]


@dataclass(frozen=True)
class Open:
    """Episodes as one batch; `told` says of each what it is about, and which entries have changed since it began."""

    state: State
    told: list[tuple[Episode, frozenset[str]]]


class DenseShelf:
    """One batch of tensors; a :class:`Shelf`."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._open: Open | None = None

    @property
    def empty(self) -> bool:
        """See :class:`Shelf`."""
        return self._open is None

    def groups(self, which: Sequence[int]) -> list[list[int]]:
        """See :class:`Shelf`."""
        return [list(which)]

    def opened(self, which: Sequence[int], names: Collection[str] | None = None) -> State:
        """See :class:`Shelf`."""
        assert self._open is not None
        wanted = {name: tensor for name, tensor in self._open.state.items() if names is None or name in names}
        return wanted if len(which) == self._count else take(wanted, which)

    def begun(self, state: State, episodes: Sequence[Episode], changed: Collection[str] = ()) -> Open:
        """See :class:`Shelf`."""
        return Open(state, [(replace(one, begun=None, packed=None), frozenset(changed)) for one in episodes])

    def stepped(self, which: Sequence[int], before: State, after: State) -> Open:
        """See :class:`Shelf`."""
        assert self._open is not None
        changed = {name for name, tensor in after.items() if tensor is not before.get(name)}
        return Open(after, [(episode, old | changed) for episode, old in (self._open.told[i] for i in which)])

    def packed(self, which: int) -> Packed:
        """See :class:`Shelf`."""
        assert self._open is not None
        episode, changed = self._open.told[which]
        state = self.opened([which], changed if episode.seeded else None)
        return pack({name: tensor.cpu() for name, tensor in state.items()}, bases_of(episode.tensors()))

    def store(self, which: Sequence[int], piles: Sequence[Open], order: Sequence[int] | None = None) -> None:
        """See :class:`Shelf`."""
        state, told = join([pile.state for pile in piles]), [one for pile in piles for one in pile.told]
        if order is not None:
            told = [told[place] for place in order]
            state = state if list(order) == list(range(len(order))) else take(state, order)
        if self._open is None or len(which) == self._count:
            self._open = Open(state, told)
        else:
            places = dict(zip(which, told, strict=True))
            there = [places.get(i, one) for i, one in enumerate(self._open.told)]
            self._open = Open(put(self._open.state, which, state), there)
