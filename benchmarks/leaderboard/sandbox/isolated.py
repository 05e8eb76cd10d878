"""A policy in a process of its own, as an ordinary policy: it sees observations, and nothing else of the verifier."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import sysconfig
import tempfile
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

import videoinpaint
from videoinpaint.agents.policies.protocol import Observation, check_actions, everywhere
from videoinpaint.benchmarks.leaderboard.sandbox.confinement import MEMORY, closed_to_others
from videoinpaint.benchmarks.leaderboard.sandbox.wire import Channel
from videoinpaint.benchmarks.leaderboard.submissions.entry import Entry
from videoinpaint.controls import clip_action
from videoinpaint.errors import InputError
from videoinpaint.naming import one_line

LOAD_SECONDS = 120.0
ACT_SECONDS = 30.0
_LARGEST_ANSWER = 2**20
_START = """
import sys
sys.path.append(sys.argv.pop())
from videoinpaint.benchmarks.leaderboard.sandbox.guest import main
main()
"""


class GuestError(InputError):
    """A policy that cannot be run, or that does not act; the message is the verdict."""


@dataclass(frozen=True)
class Limits:
    """What a policy may use.

    Attributes:
        load: seconds to start.
        act: seconds for an action.
        memory: bytes beyond what its process holds when it is loaded.
    """

    load: float = LOAD_SECONDS
    act: float = ACT_SECONDS
    memory: int = MEMORY


class IsolatedPolicy:
    """Runs a submission's policy in a process of its own; to be used in a ``with`` block.

    Each call of :meth:`reset` begins another episode. A policy that draws at random gets a seed that follows from the
    first observation, so that an episode's actions are the same whatever was played before it.

    Args:
        entry: what the policy is.
        limits: what it may use.
        skips: whether the environment takes actions that skip; else they are clipped to the fewest heads.

    Attributes:
        confinement: once it has started, what took place, a sentence each.
    """

    def __init__(self, entry: Entry, limits: Limits = Limits(), *, skips: bool = False) -> None:
        self.entry, self.limits, self.skips = entry, limits, skips
        self.name = entry.text
        self.confinement: list[str] = []
        self._begin = True
        self._stack = ExitStack()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> IsolatedPolicy:
        if os.name != "posix":
            raise InputError("policies of submissions run in a process of their own, which needs Linux or macOS")
        with ExitStack() as stack:
            closed = stack.enter_context(closed_to_others())
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="policy-")))
            folder.chmod(0o755)
            stack.callback(self._end)
            self._start(folder)
            self.confinement.insert(0, closed)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    def reset(self) -> None:
        """The next observation begins an episode."""
        self._begin = True

    def act(self, observation: Observation) -> NDArray[np.float32]:
        """See :class:`videoinpaint.agents.policies.protocol.Policy`.

        Raises:
            GuestError: no actions come back.
        """
        return self._chosen(observation, {}, (5,))

    def act_by_cell(self, observation: Observation, rows: int, columns: int) -> NDArray[np.float32]:
        """See :class:`videoinpaint.agents.policies.protocol.ActsByCell`: five numbers that come back are for all cells.

        Raises:
            GuestError: no actions come back.
        """
        return self._chosen(observation, {"cells": [rows, columns]}, (rows, columns, 5))

    def _chosen(self, observation: Observation, asked: dict[str, Any], shape: tuple[int, ...]) -> NDArray[np.float32]:
        arrays = {key: observation[key] for key in ("frames", "masks")}
        header: dict[str, Any] = {"begin": self._begin, **asked}
        if self._begin:
            content = hashlib.sha256(b"".join(np.ascontiguousarray(one).tobytes() for one in arrays.values()))
            header["seed"] = int.from_bytes(content.digest()[:4], "big")
        self._begin = False
        _, answer = self._ask(self.limits.act, "act", header, **arrays)
        try:
            actions = _whole(answer.get("actions"), len(arrays["masks"]), shape)
        except InputError as error:
            raise GuestError(str(error)) from error
        return clip_action(actions, self.skips)  # as the environment takes them

    def _start(self, folder: Path) -> None:
        job = self.entry.job(folder) | {"memory": self.limits.memory}
        root = str(Path(videoinpaint.__file__).parents[1])
        readable = [*installation(), str(folder), *([job["place"]] if job["place"] else [])]
        job |= {"folders": readable, "needed": [np.__file__, os.__file__, videoinpaint.__file__, *readable[-2:]]}
        # Of the parent's environment nothing is handed on.
        environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(folder),
            "LC_ALL": "C.UTF-8",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        environment |= {f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS")}
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", _START, root],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env=environment,
            close_fds=True,
            start_new_session=True,
            bufsize=0,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._channel = Channel(self._process.stdout.fileno(), self._process.stdin.fileno())
        header, _ = self._ask(self.limits.load, "start", job)
        self.confinement = [one_line(text) for text in header.get("confined", [])]
        self._answer(self.limits.load, "load")

    def _ask(
        self, seconds: float, what: str, header: dict[str, Any], **arrays: NDArray[Any]
    ) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        if self._process is None:
            raise GuestError(f"the policy {self.name} does not run")
        try:
            self._channel.send(header, seconds, **arrays)
        except EOFError:
            pass  # why it has gone is said by what it sent last, or by how it ended
        except TimeoutError as error:
            raise self._failed(f"did not {what} within {seconds:g} s") from error
        return self._answer(seconds, what)

    def _answer(self, seconds: float, what: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        try:
            header, arrays = self._channel.receive(seconds, _LARGEST_ANSWER)
        except TimeoutError as error:
            raise self._failed(f"did not {what} within {seconds:g} s") from error
        except EOFError as error:
            raise self._failed(f"{self._ending()} when it was to {what}") from error
        except ValueError as error:
            raise self._failed(f"answered with {error}") from error
        if "error" in header:
            raise self._failed(f"failed to {what}: {one_line(header['error'])[:400]}")
        return header, arrays

    def _failed(self, how: str) -> GuestError:
        self._end()
        return GuestError(f"the policy {self.name} {how}")

    def _ending(self) -> str:
        assert self._process is not None
        try:
            code = self._process.wait(5)
        except subprocess.TimeoutExpired:
            return "closed its pipe"
        if code >= 0:
            return f"ended with code {code}"
        with suppress(ValueError):
            return f"crashed ({signal.Signals(-code).name})"
        return f"crashed (signal {-code})"

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


def _whole(answer: NDArray[Any] | None, count: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Actions ``(count, *shape)`` out of what a policy answered, which may be the same for all cells."""
    if answer is not None and len(shape) == 3 and answer.shape == (count, 5):
        return everywhere(check_actions(answer, count), *shape[:2])
    return check_actions(answer, count, shape=shape)


def installation() -> list[str]:
    """Folders and files of the interpreter and its packages, those of this package among them, and the system's."""
    paths = sysconfig.get_paths()
    found = [sys.prefix, sys.base_prefix, *(paths[key] for key in ("stdlib", "platstdlib", "purelib", "platlib"))]
    found += ["/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/dev/null", "/dev/urandom"]
    root = Path(videoinpaint.__file__).parent
    rooms = [root, *root.iterdir()]  # which may be links
    for room in ("envs", "agents", "inpainters", "detectors", "benchmarks"):
        rooms += [Path(place) for place in _paths_of(room)]
    found += [str(room.resolve()) for room in rooms]
    return [path for path in dict.fromkeys(found) if os.path.exists(path)]


def _paths_of(room: str) -> list[str]:
    """Where a room lies: beside the package's other files, or where an editable installation says."""
    from importlib.util import find_spec

    spec = find_spec(f"videoinpaint.{room}")
    return list(spec.submodule_search_locations or []) if spec is not None else []
