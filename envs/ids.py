"""Environments by id: what an id registers, and many of it as one batch, with or without a vector entry point."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec, load_env_creator
from gymnasium.vector import AutoresetMode, VectorEnv

import videoinpaint  # noqa: F401 - registers the environments
from videoinpaint.errors import InputError, UnknownNameError
from videoinpaint.naming import check_names, plain
from videoinpaint.precision import check_precision
from videoinpaint.registration import ENVIRONMENTS
from videoinpaint.registry import check_trusted

_SHELL = {"self", "num_envs", "autoreset_mode", "max_episode_steps", "render_mode"}


def spec_of(env_id: str) -> EnvSpec:
    """What is registered under an id (``module:Id-v0`` imports the module first).

    Raises:
        UnknownNameError: nothing; the message lists this package's environments.
        InputError: the id comes from a file that is not trusted, see :func:`videoinpaint.registry.names_from`.
    """
    module, _, name = env_id.rpartition(":")
    try:
        if module:
            check_trusted(env_id)
            import_module(module)
        return gymnasium.spec(name)
    except (gymnasium.error.Error, ImportError) as error:
        ours = ", ".join(one.id for one in ENVIRONMENTS)
        raise UnknownNameError(f"no environment {env_id!r} is registered: use {ours}, or register it first") from error


def effective_kwargs(env_id: str, env_kwargs: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Every keyword argument that an environment gets: its own defaults, the id's, then those given, as JSON has them.

    Raises:
        UnknownNameError: the id is not registered.
    """
    spec = spec_of(env_id)
    parameters = _parameters(spec.entry_point)
    found = {name: p.default for name, p in parameters.items() if p.default is not p.empty and name not in _SHELL}
    return plain(found | spec.kwargs | dict(env_kwargs or {}))


def check_env(env_id: str, env_kwargs: Mapping[str, Any] | None = None) -> EnvSpec:
    """What an id registers, after a look at whether it takes these keyword arguments.

    Raises:
        UnknownNameError: the id is not registered.
        InputError: it does not take one of the arguments.
    """
    spec = spec_of(env_id)
    known: dict[str, Any] = {}
    for entry in (spec.entry_point, spec.vector_entry_point):
        known |= _parameters(entry)
    single = _parameters(spec.entry_point).values()
    if not any(p.kind is p.VAR_KEYWORD for p in single):
        names = [n for n, p in known.items() if p.kind is not p.VAR_KEYWORD and n not in ("self", "num_envs")]
        check_names(dict(env_kwargs or {}), names, env_id, "argument")
    return spec


def argument_of(env_id: str, env_kwargs: Mapping[str, Any], name: str) -> Any:
    """The value of an environment's argument: given, registered, or by default; None where it takes none of the name.

    Raises:
        UnknownNameError: the id is not registered.
    """
    spec = spec_of(env_id)
    known = _parameters(spec.entry_point)
    default = known[name].default if name in known else None
    return (dict(spec.kwargs) | dict(env_kwargs)).get(name, default)


def takes_in_batch(env_id: str, name: str) -> bool:
    """Whether an id's own vector form has an argument.

    Raises:
        UnknownNameError: the id is not registered.
    """
    return name in _parameters(spec_of(env_id).vector_entry_point)


def make_batch(
    env_id: str,
    num_envs: int,
    autoreset_mode: AutoresetMode = AutoresetMode.NEXT_STEP,
    env_kwargs: Mapping[str, Any] | None = None,
) -> VectorEnv:
    """Many environments of an id: its own vector form, or one after the other where it has none.

    Raises:
        UnknownNameError, InputError: see :func:`check_env`; and what the environment itself refuses.
    """
    spec = check_env(env_id, env_kwargs)
    kwargs: dict[str, Any] = dict(env_kwargs or {})
    if "autoreset_mode" in kwargs:
        raise InputError(
            f"autoreset_mode is {autoreset_mode.value!r} here: leave it out of the environment's arguments"
        )
    if spec.vector_entry_point is None:
        return gymnasium.make_vec(env_id, num_envs, "sync", vector_kwargs={"autoreset_mode": autoreset_mode}, **kwargs)
    return gymnasium.make_vec(env_id, num_envs, "vector_entry_point", autoreset_mode=autoreset_mode, **kwargs)


def with_offered(env_id: str, env_kwargs: Mapping[str, Any] | None, **offered: Any) -> dict[str, Any]:
    """The keyword arguments, and of those that are offered what the environment takes and has not been given.

    Raises:
        UnknownNameError: the id is not registered.
    """
    known = _parameters(spec_of(env_id).entry_point)
    return {name: value for name, value in offered.items() if name in known} | dict(env_kwargs or {})


def with_precision(env_id: str, env_kwargs: Mapping[str, Any] | None, precision: str) -> dict[str, Any]:
    """The keyword arguments with a precision that was asked for; "auto" leaves it to the environment.

    Raises:
        UnknownNameError: the id is not registered.
        InputError: the precision is unknown, or the environment takes none.
    """
    kwargs = dict(env_kwargs or {})
    if check_precision(precision) == "auto":
        return kwargs
    if "precision" not in _parameters(spec_of(env_id).entry_point):
        raise InputError(f"{env_id} takes no precision: leave {precision!r} out")
    return {"precision": precision} | kwargs


def _parameters(entry: Any) -> dict[str, inspect.Parameter]:
    if entry is None:
        return {}
    try:
        creator = load_env_creator(entry) if isinstance(entry, str) else entry
        return dict(inspect.signature(creator).parameters)
    except (ImportError, AttributeError) as error:
        raise InputError(f"the environment's entry point {entry!r} cannot be loaded: {error}") from error
