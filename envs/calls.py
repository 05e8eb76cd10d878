"""Methods and attributes of single environments in a batch, by the names that Gymnasium's vector environments give."""

from __future__ import annotations

from typing import Any

import numpy as np

from videoinpaint.errors import InputError

_EACH = ("get_state", "get_brief_state", "render")
"""Methods of the batch that give one result an environment."""
OWN = ("reset", "step", "set_state", "close")
"""Methods that would change one environment of the batch."""


class Calls:
    """``call``, ``get_attr``, ``set_attr`` of `gymnasium.vector.SyncVectorEnv`, for a batch that shares its parts."""

    num_envs: int

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """A method called, or an attribute read, once an environment; "get_state" and "render" differ between them.

        Raises:
            InputError: a method that would change single environments.
            AttributeError: there is nothing of this name.
        """
        if name in OWN:
            raise InputError(f"{name}() of single environments of a batch: call the batch's own")
        found = getattr(self, name)
        if not callable(found):
            return (found,) * self.num_envs
        result = found(*args, **kwargs)
        if name in _EACH:
            return (None,) * self.num_envs if result is None else tuple(result)
        return (result,) * self.num_envs

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """An attribute, once an environment; the batch shares it."""
        return (getattr(self, name),) * self.num_envs

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
        setattr(self, name, values)
