"""What the networks' parity calls share."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor, nn

Fill = Callable[[nn.Module], nn.Module]
"""Fills a freshly built module, in place, with the fixture's weights."""


def watched(modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """What each module gives, by the name it is given here; empty until they run."""
    seen: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        return lambda _module, _inputs, output: seen.update({name: output})

    for name, module in modules.items():
        module.register_forward_hook(keep(name))
    return seen
