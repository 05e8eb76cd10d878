"""Names for parts: built-in, from installed plug-ins (entry points), or by ``module:attribute``."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from videoinpaint.errors import InputError, PluginError, UnknownNameError, VideoInpaintError, warn
from videoinpaint.naming import is_stable, stable_name
from videoinpaint.plugins import told

_UNTRUSTED: ContextVar[tuple[str, frozenset[str]] | None] = ContextVar("untrusted", default=None)


@contextmanager
def names_from(file: Any, trusted: Collection[str] = ()) -> Iterator[None]:
    """Within the block names may come from a data file: none of them is imported unless it is trusted.

    Built-in names, and those of installed plug-ins, stay usable.

    Args:
        file: where they come from, for the message.
        trusted: ``module:attribute`` strings that somebody asked for by a flag.
    """
    token = _UNTRUSTED.set((str(file), frozenset(trusted)))
    try:
        yield
    finally:
        _UNTRUSTED.reset(token)


def check_trusted(spec: str) -> None:
    """Look before ``module:...`` is imported.

    Raises:
        InputError: the name comes from a file, and nobody asked for it.
    """
    untrusted = _UNTRUSTED.get()
    if untrusted is not None and spec not in untrusted[1]:
        raise InputError(
            f"{untrusted[0]} names code of its own, {spec!r}, which would run: if you trust it, add --trust {spec}"
        )


class Registry:
    """Lazily imported factories by name.

    Args:
        kind: what is registered, singular ("inpainter").
        builtin: name -> ``"module:attribute"`` of a factory.
        group: the entry-point group of installed plug-ins; None for ``videoinpaint.<kind>s``.
        methods: that every part must have.
    """

    def __init__(
        self, kind: str, builtin: Mapping[str, str], group: str | None = None, methods: Sequence[str] = ()
    ) -> None:
        self.methods = tuple(methods)
        self.kind = kind
        self.group = group or f"videoinpaint.{kind}s"
        self._builtin = dict(builtin)
        self._told: set[str] = set()

    @property
    def builtin(self) -> list[str]:
        """Names that this package brings, sorted."""
        return sorted(self._builtin)

    def names(self) -> list[str]:
        """Every known name, built-in and installed, sorted."""
        return sorted({*self._builtin, *(point.name for point in entry_points(group=self.group))})

    def find(self, spec: str) -> Any:
        """What a name or a ``module:attribute`` string stands for: a factory, or a finished part.

        Raises:
            UnknownNameError: nothing answers to the name; the message lists what does.
            PluginError: the module of a plug-in fails when it is imported.
        """
        known = [self._builtin[spec]] if spec in self._builtin else []
        # To list what is installed takes milliseconds. No plug-in takes a built-in name: one look, to warn, is enough.
        if not known or spec not in self._told:
            known += [
                point.value.split("[")[0].strip() for point in entry_points(group=self.group) if point.name == spec
            ]
        if known:
            self._tell_several(spec, list(dict.fromkeys(known)))
            return _imported(known[0], self.kind)
        if ":" in spec:
            return load_object(spec, self.kind)
        raise UnknownNameError(
            f"unknown {self.kind} {spec!r}: use one of {', '.join(self.names())}, or 'module:attribute' for your own"
        )

    def _tell_several(self, name: str, known: Sequence[str]) -> None:
        """Warn once where several parts have one name; the first is used, and a built-in one comes first."""
        if len(known) > 1 and name not in self._told:
            others = ", ".join(map(repr, known[1:]))
            warn(f"several parts answer to {self.kind} {name!r}: {known[0]!r} is used, not {others}")
        self._told.add(name)

    def make(self, spec: Any, chosen: Mapping[str, Any] | None = None, **offered: Any) -> Any:
        """Build a named part from a name, or check one that is there already.

        Args:
            spec: a name, ``"module:attribute"`` of a factory or of a part, a factory, or the part itself.
            chosen: arguments that somebody asked for: a part that does not take them refuses them.
            offered: arguments that a factory gets if it takes them.

        Raises:
            UnknownNameError: nothing answers to the name.
            InputError: an argument that was chosen is not taken, or the part lacks a method or a stable name.
            PluginError: a plug-in fails while it is imported or built.
        """
        chosen = chosen or {}
        factory = self.find(spec) if isinstance(spec, str) else spec
        shown = repr(stable_name(spec))
        if is_factory(factory, self.methods):
            for name in chosen:
                if not takes(factory, name):
                    raise InputError(f"the {self.kind} {shown} takes no {name}: leave {name} out")
            part = call_plugin(stable_name(spec), self.kind, factory, **offered, **chosen)
        elif chosen:
            names = ", ".join(chosen)
            raise InputError(f"the {self.kind} {shown} is built already: give {names} to its constructor instead")
        else:
            part = factory
        if missing := [name for name in self.methods if not callable(getattr(part, name, None))]:
            raise InputError(f"{shown} is no {self.kind}: it has no method {', '.join(missing)}")
        _check_name(part, self.kind, shown)
        return part


def load_object(spec: str, what: str = "object") -> Any:
    """The object behind ``"module:attribute"``; the attribute may have dots.

    Raises:
        UnknownNameError: there is no such module, or no such attribute in it.
        PluginError: the module is there and fails when it is imported.
        InputError: the name comes from a file that is not trusted, see :func:`names_from`.
    """
    check_trusted(spec)
    return _imported(spec, what)


def _imported(spec: str, what: str) -> Any:
    module, _, attribute = spec.partition(":")
    cannot = f"cannot load {what} {spec!r}"
    if not module or module.startswith(".") or not attribute:
        raise UnknownNameError(f"{cannot}: write 'module:attribute'")
    try:
        found: Any = import_module(module)
    except VideoInpaintError:
        raise
    except (Exception, SystemExit) as error:  # a module that is a script may end the process
        if isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}."):
            raise UnknownNameError(f"{cannot}: {error}; install it, or run where Python finds it") from error
        raise PluginError(f"{cannot}: importing {module} fails: {told(error, module)}") from error
    try:
        return functools.reduce(getattr, attribute.split("."), found)
    except AttributeError as error:
        raise UnknownNameError(f"{cannot}: {error}") from error


def is_factory(found: Any, methods: Sequence[str]) -> bool:
    """Whether what a name stands for makes a part, and is none: a class, or a callable without any of its methods.

    A finished part may be callable, too: every network is.
    """
    return inspect.isclass(found) or (callable(found) and not any(hasattr(found, name) for name in methods))


def takes(factory: Callable[..., Any], name: str) -> bool:
    """Whether a factory can be called with an argument of this name."""
    try:
        parameters = inspect.signature(factory).parameters
    except (TypeError, ValueError):  # some builtins do not say
        return False
    by_name = {key for key, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    return name in by_name or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def call_with_known(factory: Callable[..., Any], **offered: Any) -> Any:
    """Call a factory with those of the offered arguments that it takes: a plug-in need not know of all."""
    return factory(**{name: value for name, value in offered.items() if takes(factory, name)})


def call_plugin(spec: str, what: str, factory: Callable[..., Any], **offered: Any) -> Any:
    """`call_with_known`, where an error inside a factory is told as that of ``spec``.

    Raises:
        VideoInpaintError: as the factory raised it.
        PluginError: the factory raised something else, which is chained.
    """
    try:
        return call_with_known(factory, **offered)
    except VideoInpaintError:
        raise
    except (Exception, SystemExit) as error:
        reason = told(error, getattr(factory, "__module__", ""))
        raise PluginError(f"the {what} {spec!r} cannot be built: {reason}") from error


def _check_name(part: Any, kind: str, shown: str) -> None:
    name = getattr(part, "name", None)
    if not is_stable(name):
        raise InputError(
            f"the {kind} {shown} needs a name, a string that is the same in every run (no memory address), got {name!r}"
        )
