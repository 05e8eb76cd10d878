"""What single and vector environments both say about actions, the maps of controls they apply, and length."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
from gymnasium.envs.registration import EnvSpec
from numpy.typing import ArrayLike, NDArray

from videoinpaint.controls import Controls, action_to_controls, as_numbers, controls_to_action, mean_controls
from videoinpaint.envs.core import Core
from videoinpaint.envs.infos import Info
from videoinpaint.envs.rendering import SHOWN, draw
from videoinpaint.envs.shelf import Shelf


class ControlMap:
    """See the module's docstring; the environments set `_core`, `_shelf` and `_maps`."""

    _core: Core
    _shelf: Shelf
    _spec: EnvSpec | None = None
    _maps: dict[int, NDArray[np.float32]]
    """For pictures, where controls may vary over the frame: the map that each environment's last step applied."""

    def _applied(self, which: Sequence[int], infos: Sequence[Info] | None = None) -> None:
        """Keep the maps of a step's infos, one an environment of `which`; without infos forget theirs."""
        if self._core.settings.varies:
            unset = np.zeros(self._core.settings.action_shape, np.float32)
            self._maps |= {i: infos[k]["control_map"].copy() if infos else unset for k, i in enumerate(which)}

    def _draw(self, which: Sequence[int]) -> NDArray[np.uint8]:
        """The pictures of these environments."""
        maps = np.stack([self._maps[i] for i in which]) if self._core.settings.varies else None
        return draw(self._shelf.opened(which, SHOWN), maps)

    @property
    def spec(self) -> EnvSpec | None:
        """What was registered, with the length that these episodes have at most."""
        return self._spec

    @spec.setter
    def spec(self, spec: EnvSpec | None) -> None:
        # Told, not enforced: episodes end by themselves, and a registered limit would cut those of a larger number of
        # iterations.
        self._spec = copy.copy(spec)
        if self._spec is not None and self._spec.max_episode_steps is None:
            self._spec.max_episode_steps = int(self._core.settings.max_iterations)

    @property
    def honoured_controls(self) -> frozenset[str]:
        """Which of "heads", "fusion" and "objective" change what the inpainter does."""
        return self._core.loop.inpainter.controls

    def to_controls(self, action: ArrayLike) -> Controls:
        """The controls that one action stands for; of an action for each cell their mean over the frame.

        Raises:
            InputError: another shape than an action's, or than ``(5,)``, or not finite.
        """
        values = as_numbers(action)
        one = values.reshape(1, -1) if values.shape != self._core.settings.action_shape else values[None]
        return Controls.from_array(mean_controls(action_to_controls(one))[0])

    def to_action(self, controls: Controls) -> NDArray[np.float32]:
        """The action float32 in [-1, 1] that stands for these controls, everywhere if there is an action grid."""
        return np.broadcast_to(controls_to_action(controls.to_array()), self._core.settings.action_shape).copy()
