"""The command line. Every subcommand is a module of its own, imported only when it is called for."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from videoinpaint.errors import InputWarning, VideoInpaintError
from videoinpaint.version import __version__

COMMANDS = {
    "inpaint": "repair a video: fill what a mask marks as missing",
    "demo": "train, evaluate and report in a few minutes, into runs/demo",
    "train": "train a policy by PPO",
    "evaluate": "compare policies and baselines on seeds that training never sees",
    "clips": "list and preview what a clip source yields",
    "weights": "list, fetch and verify network weights",
    "pretrain": "train the networks that ship with the package: inpainter, detector, aligner",
}
"""Subcommand -> what it does. Each is the module of that name, whose COMMAND tyro turns into an object with `run`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line (default: the process's own) and return its exit code: 0 done, 2 bad input, 130 interrupted.

    Raises:
        SystemExit: by the parser, after help (0) or unknown flags (2).
    """
    words = list(sys.argv[1:] if argv is None else argv)
    first = words[0] if words else "--help"
    if first in ("--version", "-V"):
        print(f"videoinpaint {__version__}")
        return 0
    if first in ("--help", "-h"):
        print(_overview())
        return 0
    if first not in COMMANDS:
        return _fail(f"unknown command {first!r}: use one of {', '.join(COMMANDS)} (see videoinpaint --help)")
    return _dispatch(first, words[1:])


def _dispatch(name: str, words: list[str]) -> int:
    import tyro

    # Plug-ins by "module:attribute" are looked for where the command is run, as `python -m` does.
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    module = import_module(f"videoinpaint.cli.{name}")
    # A flag that may be left out need not offer the word "None" as a value.
    config = (tyro.conf.DisallowNone,)
    command = tyro.cli(
        module.COMMAND, prog=f"videoinpaint {name}", description=module.__doc__, args=words, config=config
    )
    try:
        with _warnings_as_lines():
            command.run()
    except VideoInpaintError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return _fail("interrupted", code=130)
    return 0


@contextmanager
def _warnings_as_lines() -> Iterator[None]:
    """Show each `InputWarning` once, as one line."""
    told: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if not issubclass(category, InputWarning):
            usual(message, category, *place, **more)
        elif str(message) not in told:
            told.add(str(message))
            _print_line(f"warning: {message}", "yellow")

    with warnings.catch_warnings():
        warnings.simplefilter("always", InputWarning)
        usual, warnings.showwarning = warnings.showwarning, show
        yield


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {summary}" for name, summary in COMMANDS.items()]
    return "\n".join(
        [
            "usage: videoinpaint [--version] COMMAND ...",
            "",
            "Learning to repair video: a Gymnasium environment, its agents, and a video repair tool.",
            "",
            "commands:",
            *lines,
            "",
            "videoinpaint COMMAND --help explains one. New here? Run: videoinpaint demo",
        ]
    )


def _fail(message: str, code: int = 2) -> int:
    _print_line(f"error: {message}", "bold red")
    return code


def _print_line(text: str, style: str) -> None:
    """One line on stderr whatever the width of the terminal; brackets in file names are no markup."""
    from rich.console import Console

    line = " ".join(text.split()).encode(errors="backslashreplace").decode()
    Console(stderr=True).print(line, style=style, markup=False, highlight=False, soft_wrap=True)
