"""Ctrl-C while modules are loading: the first thing that the package imports, so that the command line ends quietly."""

from __future__ import annotations

import os
import signal
import sys
from itertools import pairwise


def end_at_once(number: int, _: object) -> None:
    """A signal's handler that ends the process itself: while nothing is there that would have to be cleaned up.

    An exception would end up in the middle of a library that is loading, and torch's aborts then.
    """
    os.write(2, b"error: interrupted\n")  # nothing can be imported here, to colour it
    os._exit(128 + number)


def end_command_at_once() -> None:
    """Let Ctrl-C end the process at once if it is the command ``videoinpaint`` itself, which has just begun.

    Other programs, and the workers of a command, handle it as they like. The command line takes the handler back
    when all is loaded.
    """
    words = os.path.normpath(getattr(sys.modules["__main__"], "__file__", None) or "").split(os.sep)
    # Under "python -m", whose package is imported before the program has a file.
    as_module = sys.argv[:1] == ["-m"] and ("-m", "videoinpaint") in pairwise(sys.orig_argv)
    as_script = words[-1] == "videoinpaint" or "videoinpaint.exe" in words[-2:]  # of which the script is a part
    if (as_module or as_script) and signal.getsignal(signal.SIGINT) == signal.default_int_handler:
        signal.signal(signal.SIGINT, end_at_once)
