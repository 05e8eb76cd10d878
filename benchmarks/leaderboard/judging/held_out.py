"""Seeds that nobody knows until a policy was run on them: they follow from a salt whose hash was published before."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from videoinpaint.benchmarks.leaderboard.sandbox.isolated import installation
from videoinpaint.benchmarks.protocol.frozen import FrozenSuite
from videoinpaint.checks import whole_number
from videoinpaint.errors import InputError
from videoinpaint.files import user_path, writing

FIRST, AFTER = 2**40, 2**53
"""Held-out seeds lie between: far above those that trainings draw (below 2**31) and those of suites (0, 1, ...)."""

MOST = 10_000
_SALT = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class HeldOut:
    """Which episodes are played beyond those that are known.

    Attributes:
        salt: 64 hex digits.
        count: of episodes.
    """

    salt: str
    count: int

    @classmethod
    def asked(cls, salt_file: Path | None, count: int) -> HeldOut | None:
        """What the flags ``--salt-file`` and ``--held-out`` say; None where neither is given.

        Raises:
            InputError: only one of them is given, too many episodes, or a salt that others may read.
        """
        if (salt_file is None) != (count == 0):
            raise InputError("held-out episodes need both: --salt-file FILE and --held-out N")
        if salt_file is None:
            return None
        check_hidden(salt_file)
        return cls(read_salt(salt_file), whole_number(count, "held_out", 1, MOST))


def make_salt(path: Path) -> str:
    """Write a new salt, for its owner's eyes only.

    Returns:
        the hash to publish.

    Raises:
        InputError: the file exists, or cannot be written.
    """
    path, salt = user_path(path), secrets.token_hex(32)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        place = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(place, "w", encoding="ascii") as file:
                file.write(salt + "\n")
        except BaseException:
            path.unlink()
            raise
    return salt_hash(salt)


def read_salt(path: Path) -> str:
    """The salt in a file.

    Raises:
        InputError: it is none that `make_salt` wrote, or others can read it.
    """
    path = user_path(path)
    try:
        text = path.read_text(encoding="ascii").strip()
        shared = os.name == "posix" and path.stat().st_mode & 0o077
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is no salt: make one with `videoinpaint leaderboard commit`") from error
    if not _SALT.fullmatch(text):
        raise InputError(f"{path} is no salt: make one with `videoinpaint leaderboard commit`")
    if shared:
        raise InputError(f"others can read the salt in {path}: chmod 600 it, or make another")
    return text


def salt_hash(salt: str) -> str:
    """What is published of a salt: the sha256 of its 64 hex digits."""
    return hashlib.sha256(salt.encode()).hexdigest()


def held_out_seeds(salt: str, suite: FrozenSuite, count: int) -> list[int]:
    """The first `count` held-out seeds of a suite.

    Raises:
        InputError: fewer than one, or more than ``MOST``.
    """
    if not 1 <= count <= MOST:
        raise InputError(f"ask for 1 to {MOST} held-out episodes, got {count}")

    def seed(index: int) -> int:
        text = f"{suite.name} {suite.env_id} {index}".encode()
        return FIRST + int.from_bytes(hmac.digest(salt.encode(), text, "sha256"), "big") % (AFTER - FIRST)

    return [seed(index) for index in range(count)]


def check_hidden(path: Path) -> None:
    """See that a salt does not lie where the process of a policy may read.

    Raises:
        InputError: it does.
    """
    place = user_path(path).resolve()
    for folder in installation():
        if place.is_relative_to(Path(folder).resolve()):
            raise InputError(f"the salt {path} lies in {folder}, where policies may read: move it out of there")
