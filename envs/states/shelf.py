"""Where the states of running episodes lie between two steps: packed, in part or as a whole, or as they are.

On a CPU, what an episode began with is packed once, or comes packed from a bank. Of a few environments only entries lie
packed that take little so and are quickly unpacked; what a step changes stays as it is, as packing everything cost a
tenth of a step. Of more environments everything is packed, and a few at a time are opened, stepped and packed again: an
environment then takes a fraction of its state, and the working memory of a step does not grow with the batch. On a GPU,
where packing would have to look at values, any batch lies as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch

from videoinpaint.device import may_look
from videoinpaint.envs.states.batch import join, put, take, unstacked
from videoinpaint.envs.states.episodes import Episode
from videoinpaint.envs.states.packing import Packed, bases_of, pack, unpack
from videoinpaint.errors import InputError
from videoinpaint.protocols import State

AT_ONCE = 4
"""Episodes that are begun or stepped together on a CPU: more would not be faster."""

LIGHT = 0.2
"""Of a few environments, entries lie packed that take less than this share so: content traced into holes does, the
features of the reference, half of them zero, do not."""

Pile = Any
"""Episodes of one group, ready to be stored."""


class Shelf(Protocol):
    """The states of the episodes of some environments. What lies on it is never written to, and a shallow copy of it
    keeps what lay there when it was made."""

    @property
    def empty(self) -> bool:
        """Whether an environment has no episode yet."""
        ...

    @property
    def nbytes(self) -> int:
        """What lies here, clips included."""
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
    packed = may_look(torch.empty(0, device=device))
    return PackedShelf(count, tight=count > AT_ONCE) if packed else DenseShelf(count)


@dataclass(frozen=True)
class Lying:
    """An episode between two steps.

    Attributes:
        episode: what it is about.
        packed: entries of its state.
        changed: the entries that are no more what they were when it began.
        plain: the other entries, as they are.
    """

    episode: Episode
    packed: Packed
    changed: frozenset[str]
    plain: State = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """What it takes, the clip included."""
        return self.packed.nbytes + _nbytes(self.plain) + _nbytes(self.episode.tensors())


class PackedShelf:
    """See the module's description; a :class:`Shelf`.

    Args:
        count: environments.
        tight: everything is packed, also what a step changes.
    """

    def __init__(self, count: int, *, tight: bool) -> None:
        self._lying: list[Lying | None] = [None] * count
        self._tight = tight
        self._like: Packed | None = None  # not tight: which entries lie packed and what on, by the first episode

    @property
    def empty(self) -> bool:
        """See :class:`Shelf`."""
        return None in self._lying

    @property
    def nbytes(self) -> int:
        """See :class:`Shelf`; an episode that several environments began together counts once."""
        return sum(one.nbytes for one in {id(one): one for one in self._lying if one is not None}.values())

    def groups(self, which: Sequence[int]) -> list[list[int]]:
        """See :class:`Shelf`."""
        return [list(which[start : start + AT_ONCE]) for start in range(0, len(which), AT_ONCE)]

    def opened(self, which: Sequence[int], names: Collection[str] | None = None) -> State:
        """See :class:`Shelf`."""
        lying = self._at(which)
        bases = [bases_of(one.episode.tensors()) for one in lying]
        wanted = [one.packed.layout.keys() & (one.packed.layout.keys() if names is None else names) for one in lying]
        # What a step has changed is packed no more, but still is of episodes that have just begun.
        shared = frozenset(wanted[0]).intersection(*wanted)
        rest = [
            _named(one.plain, names) | unpack([one.packed], [base], more - shared)
            for one, base, more in zip(lying, bases, wanted, strict=True)
        ]
        try:
            return unpack([one.packed for one in lying], bases, shared) | join(rest)
        except RuntimeError as error:
            raise InputError(f"these states cannot form one batch: {error}") from error

    def begun(self, state: State, episodes: Sequence[Episode], changed: Collection[str] = ()) -> list[Lying]:
        """See :class:`Shelf`."""
        piled = []
        for one, episode in zip(unstacked(state), episodes, strict=True):
            told = replace(episode, begun=None, packed=None)
            if self._tight:
                packed = episode.packed or pack(one, bases_of(episode.tensors()))
                piled.append(Lying(told, packed, frozenset(changed)))
            else:
                packed = self._packed_in_part(one, episode)
                plain = {name: tensor for name, tensor in one.items() if name not in packed.layout}
                piled.append(Lying(told, packed, frozenset(changed), plain))
        return piled

    def _packed_in_part(self, state: State, episode: Episode) -> Packed:
        """The entries that were light in the first episode, built on what they were built on there."""
        bases = bases_of(episode.tensors())
        if self._like is None:
            whole = episode.packed or pack(state, bases)
            first = whole.part(whole.light(LIGHT))
            self._like = replace(first, kept={})
            return first
        if episode.packed is not None:
            return episode.packed.part(self._like.layout)
        light = {name: tensor for name, tensor in state.items() if name in self._like.layout}
        return pack(light, bases, self._like).part(light)

    def stepped(self, which: Sequence[int], before: State, after: State) -> list[Lying]:
        """See :class:`Shelf`."""
        changed = {name: tensor for name, tensor in after.items() if tensor is not before.get(name)}
        piled = []
        for old, new in zip(self._at(which), unstacked(changed), strict=True):
            if self._tight:
                packed, plain = pack(new, bases_of(old.episode.tensors()), old.packed), old.plain
            else:
                packed, plain = old.packed.part(old.packed.layout.keys() - changed.keys()), old.plain | new
            piled.append(Lying(old.episode, packed, old.changed | changed.keys(), plain))
        return piled

    def packed(self, which: int) -> Packed:
        """See :class:`Shelf`."""
        (lying,) = self._at([which])
        if self._tight:
            return lying.packed.part(lying.changed) if lying.episode.seeded else lying.packed
        state = self.opened([which], lying.changed if lying.episode.seeded else None)
        return pack(state, bases_of(lying.episode.tensors()))

    def store(self, which: Sequence[int], piles: Sequence[list[Lying]], order: Sequence[int] | None = None) -> None:
        """See :class:`Shelf`."""
        there = [one for pile in piles for one in pile]
        lying = list(self._lying)  # a copy of this shelf keeps what lay on it
        for i, place in zip(which, range(len(there)) if order is None else order, strict=True):
            lying[i] = there[place]
        self._lying = lying

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

    @property
    def nbytes(self) -> int:
        """See :class:`Shelf`."""
        there = [] if self._open is None else [self._open.state, *(one.tensors() for one, _ in self._open.told)]
        return sum(map(_nbytes, there))

    def groups(self, which: Sequence[int]) -> list[list[int]]:
        """See :class:`Shelf`."""
        return [list(which)]

    def opened(self, which: Sequence[int], names: Collection[str] | None = None) -> State:
        """See :class:`Shelf`."""
        assert self._open is not None
        wanted = _named(self._open.state, names)
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


def _named(state: State, names: Collection[str] | None) -> State:
    return {name: tensor for name, tensor in state.items() if names is None or name in names}


def _nbytes(state: State) -> int:
    """Of all tensors; one that stands for several entries counts once."""
    return sum({id(tensor): tensor.nbytes for tensor in state.values()}.values())
