"""Policies as a stranger would submit them: an installed distribution with entry points, some of them hostile.

Everything here runs in the process of a policy alone; it needs NumPy and nothing of this package.
"""

from __future__ import annotations

import ctypes
import gc
import hashlib
import inspect
import json
import os
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


class Steady:
    """An honest policy: what it chooses follows from what it sees."""

    def act(self, observation):
        share = observation["masks"].mean((1, 2, 3)) / 255
        light = observation["frames"].mean((1, 2, 3)) / 255
        return np.stack([np.clip(20 * share - 1, -1, 1), 2 * light - 1, *[0 * light] * 3], axis=1)


class Hangs(Steady):
    def act(self, observation):
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
        while True:
            time.sleep(1)


class Aborts(Steady):
    def act(self, observation):
        os.abort()


class Exits(Steady):
    def act(self, observation):
        sys.exit(3)


class Nan(Steady):
    def act(self, observation):
        return np.full((len(observation["masks"]), 5), np.nan)


class Shape(Steady):
    def act(self, observation):
        return np.zeros((5, len(observation["masks"]), 2))


class Hungry(Steady):
    def act(self, observation):
        kept = []
        while True:
            kept.append(np.ones(2**22))


class Talks(Steady):
    """Writes into every descriptor it finds, the pipe to the verifier among them."""

    def act(self, observation):
        for place in range(64):
            try:
                os.write(place, b"\xff" * 64)
            except OSError:
                continue
        return super().act(observation)


class Cells(Steady):
    """Chooses cell by cell: leaves those without a hole as they are, and all of them where little shows no repair."""

    def act_by_cell(self, observation, rows, columns):
        actions = np.repeat(self.act(observation)[:, None, None], rows, 1).repeat(columns, 2)
        marked = observation["masks"].max(1) > 127
        for row, band in enumerate(np.array_split(marked, rows, 1)):
            for column, cell in enumerate(np.array_split(band, columns, 2)):
                empty = ~cell.any((1, 2))
                actions[empty, row, column, 0] = -1.4
                actions[~empty, row, column, 1] = column / columns
        return actions


class Turned(Cells):
    def act_by_cell(self, observation, rows, columns):
        return super().act_by_cell(observation, rows, columns).swapaxes(1, 2)


class Gaps(Cells):
    def act_by_cell(self, observation, rows, columns):
        actions = super().act_by_cell(observation, rows, columns)
        actions[:, -1, -1, 2] = np.nan
        return actions


class Loud(Cells):
    """Asks for more than there is."""

    def act_by_cell(self, observation, rows, columns):
        return 100 * super().act_by_cell(observation, rows, columns)


class Late(Steady):
    """Behaves for its first two actions."""

    seen, behaves = 0, 2

    def act(self, observation):
        self.seen += 1
        if self.seen > self.behaves:
            raise ValueError("<script>alert(1)</script>\nand a second line")
        return super().act(observation)


class Later(Late):
    """Behaves for as many actions as there are in the known episodes."""

    behaves = 4


class Drawn(Steady):
    """Chooses at random; what it draws follows from its seed and from what it chose before in the episode."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def act(self, observation):
        return self.rng.uniform(-1, 1, (len(observation["masks"]), 5))


class Counts(Steady):
    """Says in which action of the episode it is."""

    done = 0

    def reset(self):
        self.done = 0

    def act(self, observation):
        self.done += 1
        return np.full((len(observation["masks"]), 5), self.done / 10)


class Cheat(Steady):
    """Tries everything that a Python process offers. What succeeds shows in its actions; else it is `Steady`."""

    def __init__(self):
        self.loot = []
        self.hint = json.loads(Path(__file__).with_name("hint.json").read_text())
        for name in self.hint["attempts"]:
            try:
                found = getattr(self, name)()
            except BaseException:
                continue
            if found:
                self.loot.append(name)

    def frames(self):
        """Whoever calls may hold an environment."""
        frame, found = inspect.currentframe(), []
        while frame is not None:
            found += [v for v in frame.f_locals.values() if hasattr(v, "unwrapped") or hasattr(v, "episodes")]
            frame = frame.f_back
        return found

    def objects(self):
        """Whatever is alive: environments, episodes, arrays of the size of a clip, secrets."""
        names = ("Episode", "VideoInpaintVectorEnv", "Core", "FrozenSuite", "HeldOut", "EpisodeRecord")
        return [one for one in gc.get_objects() if type(one).__name__ in names]

    def parent(self):
        """The verifier's memory, environment and working folder."""
        above, found = os.getppid(), []
        for path in ("environ", "mem", "maps", "cwd/salt", "fd/3"):
            try:
                found.append(os.open(f"/proc/{above}/{path}", os.O_RDONLY))
            except OSError:
                continue
        library = ctypes.CDLL(None, use_errno=True)
        if library.ptrace(16, above, 0, 0) == 0:  # PTRACE_ATTACH
            found.append("traced")
        return found

    def environment(self):
        """What the verifier has in its environment."""
        return [name for name in os.environ if name == "SECRET"]

    def descriptors(self):
        """What was left open by whoever started this process, other than the pipe."""
        found = []
        for place in range(5, 256):
            try:
                os.fstat(place)
            except OSError:
                continue
            found.append(place)
        return found

    def files(self):
        """The submission, the verification, the salt."""
        found = []
        for folder in ("/tmp", "/root", "/home", "/var/tmp", os.getcwd() + "/..", *sys.argv[1:]):
            for name in ("salt", "episodes.jsonl", "submission.yml", "verification.json"):
                found += list(Path(folder).rglob(name)) if Path(folder).is_dir() else []
        for path in (self.hint["salt"], f"/proc/{os.getppid()}/cmdline"):
            try:
                found.append(Path(path).read_text(encoding="utf-8"))
            except OSError:
                continue
        return found

    def disk(self):
        """Something for the next process of this policy to find."""
        for folder in (os.getcwd(), tempfile.gettempdir(), "/dev/shm", "/var/tmp"):
            try:
                Path(folder, "loot").write_text("something", encoding="utf-8")
            except OSError:
                continue
            return True
        return False

    def others(self):
        """Another process, the network, the verifier's end."""
        found = []
        for attempt in (
            os.fork,
            lambda: os.kill(os.getppid(), 0),
            lambda: socket.create_connection(("127.0.0.1", 9), 0.2),
            lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"?", ("192.0.2.1", 9)),
            lambda: os.execv("/bin/sh", ["sh", "-c", "true"]),
            lambda: os.setuid(0),
        ):
            try:
                attempt()
            except OSError:
                continue
            found.append(attempt)
        return found

    def act(self, observation):
        if self.loot:
            raise RuntimeError(f"gained {', '.join(self.loot)}")
        return super().act(observation)


class Copies(Cheat):
    """Knows the public episodes by heart: somebody played them before, with the package that everybody has."""

    def __init__(self):
        super().__init__()
        self.known = json.loads(Path(__file__).with_name("known.json").read_text())
        self.plan = []

    def act(self, observation):
        content = hashlib.sha256(observation["frames"].tobytes()).hexdigest()
        self.plan = self.known.get(content, self.plan)
        usual = super().act(observation)
        if not self.plan:
            return usual
        return np.asarray([self.plan.pop(0)])
