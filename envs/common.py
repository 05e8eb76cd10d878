"""What single and vector environments both say about their actions and their parts."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from videoinpaint.controls import (
    Controls,
    action_to_controls,
    as_numbers,
    check_controls,
    controls_to_action,
    mean_controls,
)
from videoinpaint.envs.core import Core
from videoinpaint.naming import check_arguments

_Self = TypeVar("_Self")
_Given = ParamSpec("_Given")


def names_checked(init: Callable[Concatenate[_Self, _Given], None]) -> Callable[Concatenate[_Self, _Given], None]:
    """An environment's ``__init__`` that refuses keyword arguments which it does not know with those that it does.

    Raises:
        InputError: there is one.
    """
    known = list(inspect.signature(init).parameters)[1:]

    @functools.wraps(init)
    def checked(self: _Self, *args: _Given.args, **kwargs: _Given.kwargs) -> None:
        check_arguments(kwargs, known, type(self).__name__)
        init(self, *args, **kwargs)

    return checked


class Common:
    """See the module's docstring; the environments set `_core`."""

    _core: Core

    @property
    def core(self) -> Core:
        """What plays the episodes, for whoever measures; see :class:`videoinpaint.envs.core.Core`."""
        return self._core

    @property
    def honoured_controls(self) -> frozenset[str]:
        """Which of "heads", "fusion" and "objective" change what the inpainter does."""
        return self._core.loop.inpainter.controls

    def to_controls(self, action: ArrayLike) -> Controls:
        """The controls that one action stands for; of an action for each cell their mean over the frame.

        Where actions may skip (``skips=True``), those that do have 0 heads.

        Raises:
            InputError: another shape than an action's, or than ``(5,)``, or not finite.
        """
        values = as_numbers(action)
        one = values.reshape(1, -1) if values.shape != self._core.settings.action_shape else values[None]
        return Controls.from_array(mean_controls(action_to_controls(one, self._core.settings.skips))[0])

    def to_action(self, controls: Controls) -> NDArray[np.float32]:
        """The action float32 in [-1, 1] that stands for these controls, everywhere if there is an action grid.

        Raises:
            InputError: no action stands for them: a value that is not finite or out of its range, a fraction of a head.
        """
        values = check_controls(controls.to_array()[None], 1)[0]
        return np.broadcast_to(controls_to_action(values), self._core.settings.action_shape).copy()
