"""Messages between the verifier and a policy's process: JSON and raw arrays, length first. Nothing is unpickled.

The guest's side imports this before it is confined, so it needs NumPy alone.
"""

from __future__ import annotations

import json
import os
import select
import struct
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGEST = 2**30
"""Bytes of one message."""

_SIZE = struct.Struct(">II")  # of the JSON, of all arrays together
_TYPES = ("uint8", "float32")


class Channel:
    """One end of a pair of pipes.

    Args:
        reading: descriptor of what comes in.
        writing: descriptor of what goes out.
    """

    def __init__(self, reading: int, writing: int) -> None:
        self.reading, self.writing = reading, writing
        for one in (reading, writing):
            os.set_blocking(one, False)  # the other end may stop to read, or to write, at any byte

    def send(self, header: Mapping[str, Any], seconds: float | None = None, **arrays: NDArray[Any]) -> None:
        """Send one message.

        Args:
            header: anything JSON can hold.
            seconds: how long the other end may take to read it; None: for ever.
            arrays: uint8 or float32, of any shape.

        Raises:
            TimeoutError: the other end does not read.
            EOFError: it is closed.
        """
        told = {name: [str(array.dtype), list(array.shape)] for name, array in arrays.items()}
        text = json.dumps({"header": dict(header), "arrays": told}).encode()
        raw = b"".join(np.ascontiguousarray(array).tobytes() for array in arrays.values())
        left, ends = memoryview(_SIZE.pack(len(text), len(raw)) + text + raw), _end(seconds)
        while left:
            _wait(self.writing, select.POLLOUT, ends)
            try:
                left = left[os.write(self.writing, left) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise EOFError("the other end is closed") from error

    def receive(
        self, seconds: float | None = None, largest: int = LARGEST
    ) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """The next message: its header and its arrays.

        Args:
            seconds: how long it may take to arrive as a whole; None: for ever.
            largest: bytes that are read, at most.

        Raises:
            TimeoutError: it does not arrive.
            EOFError: the other end is closed.
            ValueError: it is no message of ours, or too large.
        """
        ends = _end(seconds)
        sizes = _SIZE.unpack(self._read(_SIZE.size, ends))
        if sum(sizes) > largest:
            raise ValueError(f"a message of {sum(sizes)} bytes, more than {largest}")
        try:
            content = json.loads(self._read(sizes[0], ends))
            header, told = dict(content["header"]), dict(content["arrays"])
        except (TypeError, KeyError, RecursionError) as error:
            raise ValueError("a message that is none") from error
        return header, _arrays(told, self._read(sizes[1], ends))

    def close(self) -> None:
        """Close both pipes."""
        for one in (self.reading, self.writing):
            os.close(one)

    def _read(self, count: int, ends: float | None) -> bytes:
        content = bytearray()
        while len(content) < count:
            _wait(self.reading, select.POLLIN, ends)
            try:
                part = os.read(self.reading, min(count - len(content), 2**20))
            except BlockingIOError:
                continue
            except OSError as error:
                raise EOFError("the other end is closed") from error
            if not part:
                raise EOFError("the other end is closed")
            content += part
        return bytes(content)


def _arrays(told: Mapping[str, Any], raw: bytes) -> dict[str, NDArray[Any]]:
    """Arrays out of the bytes behind a header that anybody may have written."""
    found: dict[str, NDArray[Any]] = {}
    start = 0
    for name, entry in told.items():
        try:
            kind, shape = entry
            sizes = tuple(shape)
        except (TypeError, ValueError) as error:
            raise ValueError("an array without type and shape") from error
        if kind not in _TYPES or len(sizes) > 8 or not all(type(n) is int and 0 <= n <= LARGEST for n in sizes):
            raise ValueError("an array of another type or shape")
        count = 1
        for size in sizes:
            count *= size
        end = start + count * np.dtype(kind).itemsize
        if end > len(raw):
            raise ValueError("an array that is cut off")
        found[str(name)] = np.frombuffer(raw[start:end], dtype=kind).reshape(sizes)
        start = end
    return found


def _end(seconds: float | None) -> float | None:
    return None if seconds is None else time.monotonic() + seconds


def _wait(descriptor: int, event: int, ends: float | None) -> None:
    left = None if ends is None else 1000 * (ends - time.monotonic())
    poll = select.poll()
    poll.register(descriptor, event)
    if (left is not None and left <= 0) or not poll.poll(left):
        raise TimeoutError
