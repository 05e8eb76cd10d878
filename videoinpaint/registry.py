"""Names for parts: built-in, from installed plug-ins (entry points), or by ``module:attribute``."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from videoinpaint.errors import UnknownNameError


class Registry:
    """Lazily imported factories by name.

    Args:
        kind: what is registered, singular ("inpainter"); the entry-point group is ``videoinpaint.<kind>s``.
        builtin: name -> ``"module:attribute"`` of a factory.
    """

    def __init__(self, kind: str, builtin: dict[str, str]) -> None:
        self.kind = kind
        self.group = "videoinpaint." + (kind[:-1] + "ies" if kind.endswith("y") else kind + "s")
        self._builtin = dict(builtin)

    def names(self) -> list[str]:
        """Every known name, built-in and installed, sorted."""
        return sorted({*self._builtin, *(point.name for point in entry_points(group=self.group))})

    def factory(self, spec: str) -> Callable[..., Any]:
        """The factory behind a name or a ``module:attribute`` string.

        Raises:
            UnknownNameError: nothing answers to the name; the message lists what does.
        """
        if spec in self._builtin:
            return _load(self._builtin[spec])
        for point in entry_points(group=self.group):
            if point.name == spec:
                return point.load()
        if ":" in spec:
            try:
                return _load(spec)
            except (ImportError, AttributeError) as error:
                raise UnknownNameError(f"cannot load {self.kind} {spec!r}: {error}") from error
        raise UnknownNameError(
            f"unknown {self.kind} {spec!r}: use one of {', '.join(self.names())}, or 'module:attribute' for your own"
        )

    def make(self, spec: Any, **kwargs: Any) -> Any:
        """Build from a name; anything that is not a string is taken to be the part itself."""
        return self.factory(spec)(**kwargs) if isinstance(spec, str) else spec


def _load(target: str) -> Any:
    module, _, attribute = target.partition(":")
    found: Any = import_module(module)
    for part in attribute.split("."):
        found = getattr(found, part)
    return found
