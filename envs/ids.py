"""What a registered id makes: its class, the arguments that it takes, and their values."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec, load_env_creator

import videoinpaint  # noqa: F401 - registers the environments
from videoinpaint.errors import InputError, UnknownNameError
from videoinpaint.registration import ENVIRONMENTS


def spec_of(env_id: str) -> EnvSpec:
    """The specification that an id registers.

    Raises:
        UnknownNameError: nobody registered it; the message lists this package's own.
    """
    try:
        return gymnasium.spec(env_id)
    except gymnasium.error.Error as error:
        known = ", ".join(one.id for one in ENVIRONMENTS)
        raise UnknownNameError(f"no environment {env_id!r} is registered: use {known}, or register it first") from error


def defaults_of(env_id: str) -> dict[str, Any]:
    """Every keyword argument with its value when ``gymnasium.make(env_id)`` is called without any.

    Raises:
        UnknownNameError: nobody registered the id.
    """
    spec = spec_of(env_id)
    parameters = inspect.signature(_creator(spec)).parameters.values()
    own = {p.name: p.default for p in parameters if p.default is not p.empty}
    return own | dict(spec.kwargs)


def check_arguments(env_id: str, names: Iterable[str] | Mapping[str, Any]) -> None:
    """Refuse arguments that the environment of an id does not take.

    Raises:
        UnknownNameError: nobody registered the id.
        InputError: names an argument and lists those that exist.
    """
    parameters = inspect.signature(_creator(spec_of(env_id))).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    unknown = [name for name in names if name not in parameters]
    if unknown:
        listed = ", ".join(parameters)
        raise InputError(f"{env_id} takes no {' and no '.join(map(repr, unknown))}: its arguments are {listed}")


def _creator(spec: EnvSpec) -> Any:
    return load_env_creator(spec.entry_point) if isinstance(spec.entry_point, str) else spec.entry_point
