"""Methods and attributes of single environments in a batch, by the names that Gymnasium's vector environments give."""

from __future__ import annotations

from typing import Any

import numpy as np

from videoinpaint.errors import InputError

_EACH = ("get_state", "get_brief_state", "render", "np_random", "np_random_seed", "episodes", "get_wrapper_attr")
"""Methods and attributes of the batch that have one entry an environment."""
_SINGLE = {"action_space": "single_action_space", "observation_space": "single_observation_space"}
"""Attributes that the batch, which has its own of the name, has under another."""
OWN = ("reset", "step", "set_state", "close")
"""Methods that would change one environment of the batch."""


class Calls:
    """``call``, ``get_attr``, ``set_attr`` of `gymnasium.vector.SyncVectorEnv`, for a batch that shares its parts."""

    num_envs: int

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """A method called, or an attribute read, once an environment.

        They are the batch's; only states ("get_state", "get_brief_state"), pictures ("render"), generators
        ("np_random", "np_random_seed") and "episodes" differ between environments.

        Raises:
            InputError: a method that would change single environments.
            AttributeError: there is nothing of this name.
        """
        if name in OWN:
            raise InputError(f"{name}() of single environments of a batch: call the batch's own")
        found = getattr(self, name)
        if not callable(found):
            return self.get_attr(name)
        return self._each(name, found(*args, **kwargs))

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """An attribute, once an environment; the batch shares most, see :meth:`call`.

        Raises:
            AttributeError: there is nothing of this name.
        """
        found = getattr(self, _SINGLE.get(name, name))
        return (found,) * self.num_envs if callable(found) else self._each(name, found)

    def _each(self, name: str, found: Any) -> tuple[Any, ...]:
        """What a method gave, or an attribute is, by environment."""
        if name not in _EACH:
            return (found,) * self.num_envs
        return tuple(found) if found else (None,) * self.num_envs  # nothing to render, or no episode yet

    def get_wrapper_attr(self, name: str) -> tuple[Any, ...]:
        """As :meth:`get_attr`: nothing is wrapped here."""
        return self.get_attr(name)

    def has_wrapper_attr(self, name: str) -> bool:
        """Whether there is something of this name."""
        return hasattr(self, name)

    def set_attr(self, name: str, values: Any) -> None:
        """Set an attribute of the batch.

        Args:
            name: the attribute.
            values: one for all, or a list or tuple with one for each, which must be the same.

        Raises:
            InputError: other values for some of the environments, as they share it.
        """
        if isinstance(values, list | tuple):
            same = all(value is values[0] or bool(np.array_equal(value, values[0])) for value in values)
            if len(values) != self.num_envs or not same:
                raise InputError(f"the environments of a batch share {name!r}: give one value for all {self.num_envs}")
            values = values[0]
        setattr(self, _SINGLE.get(name, name), values)
