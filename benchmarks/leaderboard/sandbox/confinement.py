"""What takes a policy's process everything but its observations: limits, and what the platform has beyond them.

A guest confines itself, before any code of a submission is loaded; it cannot take that back. Each function says in
words what took place, for the verification's log. Imported by the guest: standard library alone.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

MEMORY = 2**31
"""Bytes that a policy may ask for beyond what its process holds when it is loaded."""
CPU_SECONDS = 3600
NOBODY = 65534

OPEN = "files: the guest could read what its user can (no Landlock here)"
"""Told where a policy cannot be kept from the verifier's files."""

_SET_DUMPABLE, _PARENT_DEATH, _KEEP_CAPS, _DROP_BOUND, _NO_NEW_PRIVILEGES = 4, 1, 8, 24, 38  # of prctl
_NEW_NETWORK, _NEW_USER = 0x40000000, 0x10000000  # of unshare
_READ_ANYWHERE = 2  # CAP_DAC_READ_SEARCH
_CREATE, _ADD, _RESTRICT = 444, 445, 446  # system calls of Landlock, the same on every processor
_READ_FILE, _READ_FOLDER = 1 << 2, 1 << 3


@contextmanager
def closed_to_others() -> Iterator[str]:
    """Within the block no process of the same user may look into this one: not its memory, not its environment.

    Yields what took place, in words.
    """
    done = _prctl(_SET_DUMPABLE, 0)
    try:
        yield "the verifier's memory was closed to the guest" if done else "the verifier's memory was not closed"
    finally:
        if done:
            _prctl(_SET_DUMPABLE, 1)


def confine(folders: Sequence[str], needed: Sequence[str], memory: int = MEMORY) -> list[str]:
    """Give up what a policy does not need.

    Args:
        folders: that may be read, with all that is below: the interpreter, its packages, the policy's own.
        needed: files among them by which to tell whether another user could run here.
        memory: bytes that may be asked for beyond what this process holds now.

    Returns:
        what took place, a sentence each.
    """
    held = _held()  # before the file that says it cannot be read
    told = [_without_network()]
    landlock = _only_these(folders)
    told.append(landlock or OPEN)
    told.append(_as_nobody(needed, landlock is not None))
    told.append(_limits(held, memory))
    if _prctl(_PARENT_DEATH, signal.SIGKILL):
        told.append("the guest ends with the verifier")
    return told


def _without_network() -> str:
    for flags in (_NEW_NETWORK, _NEW_NETWORK | _NEW_USER):
        if _libc("unshare", flags) == 0:
            return "network: none (a network namespace of its own)"
    return "network: not cut off (no namespaces here)"


def _only_these(folders: Sequence[str]) -> str | None:
    """Landlock: nothing may be written, run or read outside of these folders. None where the kernel has it not."""
    version = _libc("syscall", _CREATE, None, 0, 1) if sys.platform.startswith("linux") else -1
    if version < 1:
        return None
    rights = {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)  # kinds of access that a version knows
    parts = [(1 << rights) - 1] + ([3] if version >= 4 else []) + ([3] if version >= 6 else [])
    attribute = struct.pack(f"={len(parts)}Q", *parts)
    ruleset = _libc("syscall", _CREATE, attribute, len(attribute), 0)
    if ruleset < 0:
        return None
    for folder in folders:
        with suppress(OSError):
            place = os.open(folder, os.O_PATH)
            allowed = _READ_FILE | (_READ_FOLDER if os.path.isdir(folder) else 0)
            _libc("syscall", _ADD, ruleset, 1, struct.pack("=Qi", allowed, place), 0)
            os.close(place)
    held = _prctl(_NO_NEW_PRIVILEGES, 1) and _libc("syscall", _RESTRICT, ruleset, 0) == 0
    os.close(ruleset)
    beyond = ", no signal to others" if version >= 6 else ""
    return f"files: Landlock {version}, read the installation and the policy, nothing else{beyond}" if held else None


def _as_nobody(needed: Sequence[str], landlock: bool) -> str:
    """Root becomes nobody; where nobody may not read the installation, with the right to read what Landlock leaves."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        _without_capabilities()
        return "user: the verifier's own, which is not root"
    readable = _readable_by_nobody(needed)
    if not readable and not landlock:
        _without_capabilities()
        return "user: root without capabilities, as nobody else may read the installation"
    if not readable:
        _prctl(_KEEP_CAPS, 1)
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    if readable:
        return "user: nobody"
    _without_capabilities(1 << _READ_ANYWHERE)
    return "user: nobody, who may read what Landlock leaves"


def _readable_by_nobody(needed: Sequence[str]) -> bool:
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        for path in needed:
            if os.path.isdir(path):
                os.listdir(path)
            else:
                Path(path).open("rb").close()
    except OSError:
        return False
    else:
        return True
    finally:
        os.seteuid(0)
        os.setegid(0)


def _without_capabilities(kept: int = 0) -> None:
    for number in range(64):
        if not kept >> number & 1:
            _prctl(_DROP_BOUND, number)
    header = struct.pack("=Ii", 0x20080522, 0)
    _libc("capset", header, struct.pack("=6I", kept, kept, 0, 0, 0, 0))


def _limits(held: int | None, memory: int) -> str:
    if resource is None:
        return "limits: none on this system"
    _limited("RLIMIT_CORE", 0)
    _limited("RLIMIT_NOFILE", 256)
    space = None if held is None else _limited("RLIMIT_AS", held + memory)
    seconds = _limited("RLIMIT_CPU", CPU_SECONDS)
    told = [
        "memory without a limit" if held is None or space is None else f"{(space - held) / 2**30:.3g} GiB of memory",
        "CPU time without a limit" if seconds is None else f"{seconds} s of CPU time",
        "files may grow" if _limited("RLIMIT_FSIZE", 0) is None else "no file grows",
        "no further process or thread" if _alone() else "processes and threads without a limit",
    ]
    return f"limits: {', '.join(told)}"


def _limited(name: str, value: int) -> int | None:
    """What this process is limited to from now on: `value`, or less where it was already; None where to nothing."""
    try:
        number = getattr(resource, name)
        most = resource.getrlimit(number)[1]
        limit = value if most == resource.RLIM_INFINITY else min(value, most)
        resource.setrlimit(number, (limit, limit))
    except (AttributeError, ValueError, OSError):
        return None
    return limit


def _alone() -> bool:
    """Whether no process or thread can be started from now on; root's are not counted."""
    return _limited("RLIMIT_NPROC", 0) is not None and os.geteuid() != 0


def _held() -> int | None:
    """Bytes of address space of this process."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None


def _prctl(option: int, value: int) -> bool:
    return _libc("prctl", option, value, 0, 0, 0) == 0


def _libc(name: str, *arguments: Any) -> int:
    """A function of the C library; -1 where there is none."""
    try:
        function: Callable[..., int] = getattr(ctypes.CDLL(None, use_errno=True), name)
    except (AttributeError, OSError, TypeError):
        return -1
    return int(function(*(ctypes.c_ulong(a) if isinstance(a, int) else a for a in arguments)))
