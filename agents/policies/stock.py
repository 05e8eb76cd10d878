"""Policies of stock Stable-Baselines3 as files, so that they can be measured beside those of this package."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.policies import ActorCriticPolicy, MultiInputActorCriticPolicy
from torch import Tensor, nn

from videoinpaint.agents.policies.protocol import Observation, everywhere
from videoinpaint.checks import check_extent, whole_number
from videoinpaint.envs.actions import action_space, check_action_space
from videoinpaint.errors import CorruptWeightsError, InputError
from videoinpaint.weights import build_seeded

NAME = "MultiInputPolicy"
"""What Stable-Baselines3 calls the network, of its own sizes."""

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "tanh": nn.Tanh, "relu": nn.ReLU, "elu": nn.ELU, "silu": nn.SiLU, "leaky_relu": nn.LeakyReLU, "gelu": nn.GELU,
}  # fmt: skip
"""What may stand between the layers behind the pictures, with PyTorch's own settings; by default tanh."""

_LAYERS = {"pi": [64, 64], "vf": [64, 64]}  # Stable-Baselines3's own net_arch: widths before the action and the value
_MOST_LAYERS, _WIDEST = 32, 65536
_CONVOLUTIONS = ((8, 4), (4, 2), (3, 1))  # kernels and strides of the convolutions with which it looks at pictures
_FRAMES = "features_extractor.extractors.frames."
_SAME = ("observation_space", "normalize_images", "squash_output", "use_sde")  # what layers do not show


class StockPolicy:
    """A ``MultiInputPolicy`` of Stable-Baselines3 that acts: its mean action, clipped to its action space.

    Unlike the networks of this package it fits one size of clips and one action grid.

    Args:
        network: over ``frames`` and ``masks``.
        training: what the file says about its training.
        device: where it computes.
    """

    def __init__(
        self, network: ActorCriticPolicy, training: Mapping[str, Any] | None = None, device: str | torch.device = "cpu"
    ) -> None:
        self.network = network.to(torch.device(device))
        self.network.set_training_mode(False)
        self.training = dict(training or {})

    @property
    def trained_grid(self) -> tuple[int, ...] | None:
        """Rows and columns of its actions; None where it acts for frames as a whole."""
        return tuple(self.network.action_space.shape or ())[:-1] or None

    @property
    def by_cell(self) -> bool:
        """Whether it may choose otherwise from cell to cell."""
        return self.trained_grid is not None

    def act(self, observation: Observation) -> NDArray[np.float32]:
        """See :class:`videoinpaint.agents.policies.protocol.Policy`.

        Raises:
            InputError: frames of another size, or it chooses for a grid.
        """
        if self.by_cell:
            raise InputError(f"this policy was trained to act on a grid of {self._told(1, 1)}")
        return self._mean_action(observation)

    def act_by_cell(self, observation: Observation, rows: int, columns: int) -> NDArray[np.float32]:
        """See :class:`videoinpaint.agents.policies.protocol.ActsByCell`.

        Raises:
            InputError: frames of another size, or another grid.
        """
        if not self.by_cell:
            return everywhere(self.act(observation), rows, columns)
        if self.trained_grid != (rows, columns):
            raise InputError(f"this policy was trained to act on a grid of {self._told(rows, columns)}")
        return self._mean_action(observation)

    def _told(self, rows: int, columns: int) -> str:
        own = "x".join(map(str, self.trained_grid or ()))
        return f"{own} cells, not {rows}x{columns}: play it in its own environment"

    def _mean_action(self, observation: Observation) -> NDArray[np.float32]:
        space = self.network.observation_space
        assert isinstance(space, spaces.Dict)
        seen = {key: np.asarray(observation[key]) for key in ("frames", "masks")}
        for key, value in seen.items():
            if value.ndim != 4 or value.shape[1:] != space[key].shape:
                told = f"{key} (B, {', '.join(map(str, space[key].shape or ()))}), got {value.shape}"
                raise InputError(f"this policy takes clips of the size that it was trained on: {told}")
        return self.network.predict(seen, deterministic=True)[0]


def told_of(network: ActorCriticPolicy) -> str:
    """What a file says of such a network.

    Raises:
        InputError: it is another policy of Stable-Baselines3, or one that :func:`stock_network` would not make again
            as it is: of other sizes or activations, or over other observations or actions than an environment's own.
    """
    space = network.observation_space
    if type(network) is not MultiInputActorCriticPolicy or not isinstance(space, spaces.Dict):
        raise InputError(f"of stock policies only {NAME} can be saved, got {type(network).__name__}")
    skips = check_action_space(network.action_space, "a policy that is saved")
    sizes = {key: list(box.shape or ()) for key, box in space.items()}
    grid = list(network.action_space.shape or ())[:-1]
    told = json.dumps({"stock": NAME, **sizes, "grid": grid, "skips": skips} | _layers_told(network))
    try:
        again = stock_network(told, network.state_dict(), "this network")
    except CorruptWeightsError as error:
        raise InputError(_unlike("observations, or features_extractor_kwargs")) from error
    if differing := [name for name in _SAME if getattr(network, name) != getattr(again, name)]:
        raise InputError(_unlike(", ".join(differing)))
    if str(network) != str(again):  # every layer, with its sizes
        raise InputError(_unlike("layers: features_extractor_kwargs or policy_kwargs that replace layers"))
    return told


def _layers_told(network: ActorCriticPolicy) -> dict[str, Any]:
    """net_arch and activation_fn, where they are not Stable-Baselines3's own: all other files stay as they were."""
    arch = network.net_arch
    parts = (
        {part: arch.get(part, []) for part in _LAYERS} if isinstance(arch, Mapping) else dict.fromkeys(_LAYERS, arch)
    )
    activation = next((name for name, kind in ACTIVATIONS.items() if kind is network.activation_fn), None)
    if activation is None:
        raise InputError(_unlike("activation_fn"))
    try:
        layers = {part: _widths(list(widths)) for part, widths in parts.items()}
    except (InputError, TypeError) as error:
        raise InputError(_unlike("net_arch")) from error
    told: dict[str, Any] = {} if layers == _LAYERS else {"net_arch": layers}
    return told if activation == "tanh" else told | {"activation": activation}


def _widths(layers: Any) -> list[int]:
    """The widths of layers.

    Raises:
        InputError: they are none.
    """
    if not isinstance(layers, list) or len(layers) > _MOST_LAYERS:
        raise InputError(f"net_arch is a list of up to {_MOST_LAYERS} widths")
    return [whole_number(width, "net_arch", 1, _WIDEST) for width in layers]


def _unlike(what: str) -> str:
    return (
        f"a file says of a {NAME} the sizes of its clips, net_arch as widths and activation_fn as one of "
        f"{', '.join(ACTIVATIONS)}, and this one has other {what}: train it without policy_kwargs for these, on "
        "VideoInpaint's own observations"
    )


def stock_network(told: str, tensors: Mapping[str, Tensor], name: str) -> ActorCriticPolicy:
    """The network that a file tells of, untrained. The global generator is left as it was.

    Args:
        told: as of :func:`told_of`.
        tensors: the file's; nothing larger than they are is made.
        name: of the file.

    Raises:
        CorruptWeightsError: it tells of no such network, or of one of other sizes than its tensors.
    """
    try:
        sizes = json.loads(told)
        (length, height, width), grid = sizes["masks"], tuple(sizes["grid"])
        if sizes["stock"] != NAME or sizes["frames"] != [3 * length, height, width] or len(grid) not in (0, 2):
            raise ValueError(f"it tells of {told[:200]}")
        check_extent(length, height, width, least=(1, 36))  # the convolutions take no fewer pixels
        for side in grid:
            whole_number(side, "grid", 1, 64)
        first, last = tensors[_FRAMES + "cnn.0.weight"].shape[1], tensors[_FRAMES + "linear.0.weight"].shape[1]
        if (first, last) != (3 * length, _flattened(height, width)):
            raise ValueError(f"its tensors are not of {length} frames of {width}x{height}")
        told_layers, activation = sizes.get("net_arch", _LAYERS), ACTIVATIONS[sizes.get("activation", "tanh")]
        layers = {part: _widths(told_layers[part]) for part in _LAYERS}
        for part, owner in (("pi", "policy"), ("vf", "value")):
            held = [tensors[f"mlp_extractor.{owner}_net.{2 * i}.weight"].shape[0] for i in range(len(layers[part]))]
            if held != layers[part]:
                raise ValueError(f"its tensors are not of net_arch {layers}")
    except (ValueError, TypeError, KeyError, IndexError, RecursionError, InputError) as error:
        raise CorruptWeightsError(f"{name} is no stock policy ({error}): train it again") from error
    actions = action_space((*grid, 5), skips=bool(sizes.get("skips")))
    seen: dict[str, spaces.Space[Any]] = {
        key: spaces.Box(0, 255, tuple(sizes[key]), np.uint8) for key in ("frames", "masks")
    }
    return build_seeded(
        lambda: MultiInputActorCriticPolicy(
            spaces.Dict(seen), actions, lambda _: 0.0, net_arch=layers, activation_fn=activation
        )
    )


def _flattened(height: int, width: int) -> int:
    """How many numbers the convolutions make of a picture."""
    for kernel, stride in _CONVOLUTIONS:
        height, width = (height - kernel) // stride + 1, (width - kernel) // stride + 1
    return 64 * height * width
