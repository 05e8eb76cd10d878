"""Signals that would cut a training's step in two wait for its end."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Any


class HeldBack:
    """Within the block the first SIGINT, SIGTERM or SIGHUP waits for :meth:`let_go`; a second one acts at once.

    So a step is never cut in two. Only handlers written in Python can wait (those of Ctrl-C, of the command line, and a
    caller's own): what the system does by itself, and what is ignored, stays. Outside of the main thread, where Python
    handles no signals, nothing changes.

    Attributes:
        waits: whether one has come.
    """

    def __init__(self) -> None:
        self.waits = False
        self._number = 0
        self._usual: dict[int, Any] = {}
        self._process = os.getpid()

    def __enter__(self) -> HeldBack:
        if threading.current_thread() is threading.main_thread():
            numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
            self._usual = {number: signal.getsignal(number) for number in numbers if callable(signal.getsignal(number))}
            self._hold()
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()
        self._act()

    def let_go(self) -> None:
        """Do now what a signal asked for that has waited: the handler's exception, as a rule.

        A caller's handler may also return; then the next signal waits again.
        """
        self._restore()
        self._act()
        self._hold()

    def _act(self) -> None:
        if self.waits:
            self.waits = False
            self._usual[self._number](self._number, None)

    def _hold(self) -> None:
        for number in self._usual:
            signal.signal(number, self._wait)

    def _restore(self) -> None:
        for number, handler in self._usual.items():
            signal.signal(number, handler)

    def _wait(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:  # a worker that was forked: its steps are nobody's
            self._usual[number](number, frame)
            return
        self.waits, self._number = True, number
        self._restore()
