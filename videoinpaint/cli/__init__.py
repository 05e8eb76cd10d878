"""The command line. Every subcommand is a module of its own, imported only when it is called for."""

from __future__ import annotations

import errno
import os
import select
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import fields, is_dataclass, replace
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any, TextIO

from videoinpaint.errors import InputWarning, VideoInpaintError
from videoinpaint.interrupts import end_at_once
from videoinpaint.version import __version__

COMMANDS = {
    "inpaint": "repair a video: fill what a mask marks as missing",
    "demo": "train, evaluate and report in a few minutes, into runs/demo",
    "train": "train a policy by PPO",
    "evaluate": "compare policies and baselines on seeds that training never sees",
    "bench": "run a table or figure of the papers, measured beside printed, with a verdict",
    "bank": "begin episodes once and keep them, so that a training only reads them",
    "trials": "try settings on training episodes, and fit a policy to what was best where",
    "leaderboard": "measure a policy on a frozen suite, verify submissions, rank them, show them as a page",
    "clips": "list and preview what a clip source yields",
    "weights": "list, fetch and verify network weights",
    "pretrain": "train the networks that ship with the package: inpainter, detector, aligner",
}
"""Subcommand -> what it does. Each is the module of that name, whose COMMAND tyro turns into an object with `run`."""


_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)

_SIGPIPE = 13
"""The signal that ends a command whose output nobody reads; Python ignores it, and Windows has none."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line (default: the process's own) and return its exit code.

    0 is done, 2 bad input, a plug-in that fails or a disk that refuses, 128 + N ended by signal N: 130 by Ctrl-C, 143
    by SIGTERM, 129 by SIGHUP, and 141 where nobody reads what is printed.

    Raises:
        SystemExit: by the parser, after help (0) or unknown flags (2).
    """
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        try:
            return _run(words)
        finally:
            _flush()  # here, and not when Python ends, so that what goes wrong with it is caught
    except VideoInpaintError as error:
        return _fail(str(error))
    except OSError as error:
        if isinstance(error, BrokenPipeError) and _readers_left():
            return 128 + _SIGPIPE
        if error.filename is None and error.errno not in _DISK:
            raise
        remedy = "make room, or name another place" if error.errno in _DISK else "name another file or folder"
        return _fail(f"{error.filename or 'the disk'}: {error.strerror}; {remedy}")
    except KeyboardInterrupt as error:
        number = error.number if isinstance(error, _Ended) else signal.SIGINT
        return _fail("; ".join(["interrupted", *getattr(error, "__notes__", ())]), code=128 + number)


def _run(words: list[str]) -> int:
    first = words[0] if words else "--help"
    if first in ("--version", "-V"):
        print(f"videoinpaint {__version__}")
        return 0
    if first in ("--help", "-h"):
        print(_overview())
        return 0
    if first not in COMMANDS:
        return _fail(f"unknown command {first!r}: use one of {', '.join(COMMANDS)} (see videoinpaint --help)")
    if (empty := _empty(words)) is not None:
        return _fail(
            f"an empty word stands {empty}, as a variable leaves that is not set: give a value, or leave it out"
        )
    # A thread that waits for another one should sleep: spinning takes the core that the other one needs, where another
    # process keeps the rest busy. OpenMP reads this once, when torch is imported, which is only after this.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    _dispatch(first, words[1:])
    return 0


def _empty(words: list[str]) -> str | None:
    """Where the first word without a letter stands; None where there is none. As a path it would be this folder."""
    for before, word in pairwise(words):
        if not word.strip() or (word.startswith("--") and word.endswith("=")):
            return f"after {word.strip() or before}"
    return None


def _dispatch(name: str, words: list[str]) -> None:
    # Plug-ins by "module:attribute" are looked for where the command is run, as `python -m` does.
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    with _interrupts_at_once():
        import tyro

        module = import_module(f"videoinpaint.cli.{name}")
    # A flag that may be left out need not offer the word "None" as a value.
    config = (tyro.conf.DisallowNone,)
    words = getattr(module, "PREPARED", list)(words)
    command = tyro.cli(
        module.COMMAND, prog=f"videoinpaint {name}", description=module.__doc__, args=words, config=config
    )
    with _warnings_as_lines(), _signals_as_interrupts():
        _resolved(command).run()


def _resolved(flags: Any) -> Any:
    """Flags with ``~`` resolved in every path: here, so that no command can forget one.

    Raises:
        InputError: a path can name no file.
    """
    from videoinpaint.files import user_path

    if isinstance(flags, Path):
        return user_path(flags)
    if isinstance(flags, tuple):
        return tuple(map(_resolved, flags))
    if is_dataclass(flags) and not isinstance(flags, type):
        return replace(flags, **{field.name: _resolved(getattr(flags, field.name)) for field in fields(flags)})
    return flags


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # closed by whoever started this
            stream.flush()


def _readers_left() -> bool:
    """Whether nobody reads stdout or stderr any more, as after ``| head``; what is still to be said goes nowhere then.

    A pipe to another process may break, too: that is an error like any other.
    """
    left = [stream.fileno() for stream in (sys.stdout, sys.stderr) if stream is not None and _is_left(stream)]
    for number in left:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)
    return bool(left)


def _is_left(stream: TextIO) -> bool:
    try:
        watch = select.poll()
        watch.register(stream.fileno(), 0)  # errors are told in any case
        return bool(watch.poll(0))
    except (AttributeError, OSError, ValueError):  # Windows has no poll; a notebook's stream is no file
        return False


class _Ended(KeyboardInterrupt):
    """A signal asks the process to end: what cleans up after Ctrl-C cleans up after this."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by signal {number}")
        self.number = number


@contextmanager
def _handled(end: Callable[[int, Any], None], usual: Any, *names: str) -> Iterator[None]:
    """Let a function handle signals within the block, those that it or what is usual handles until then."""
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        numbers = []  # Python lets only the main thread set handlers
    caught = [number for number in numbers if signal.getsignal(number) in (usual, end)]
    for number in caught:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in caught:
            signal.signal(number, usual)


def _interrupts_at_once() -> AbstractContextManager[None]:
    """Let Ctrl-C end the process itself while modules load, and interrupt the work from then on."""
    return _handled(end_at_once, signal.default_int_handler, "SIGINT")


def _signals_as_interrupts() -> AbstractContextManager[None]:
    """Let SIGTERM and SIGHUP interrupt the work as Ctrl-C does, where nobody handles or ignores (nohup) them."""
    here = os.getpid()

    def end(number: int, _: Any) -> None:
        if os.getpid() != here:  # a worker that was forked: it has nothing to clean up
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        raise _Ended(number)

    return _handled(end, signal.SIG_DFL, "SIGTERM", "SIGHUP")


@contextmanager
def _warnings_as_lines() -> Iterator[None]:
    """Show each `InputWarning` once, as one line.

    Gymnasium's advice to take the newest version of an id is left out: v0 is the paper's reward, and asked for as such.
    """
    told: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if not issubclass(category, InputWarning):
            usual(message, category, *place, **more)
        elif str(message) not in told:
            told.add(str(message))
            _print_line(f"warning: {message}", "yellow")

    with warnings.catch_warnings():
        warnings.simplefilter("always", InputWarning)
        warnings.filterwarnings("ignore", r".*The environment VideoInpaint.* is out of date", DeprecationWarning)
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
