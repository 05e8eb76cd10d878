"""What is needed to trust and to repeat a run: the one record that training, evaluation and benchmarks write."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import videoinpaint
from videoinpaint.device import resolve_device
from videoinpaint.envs.ids import effective_kwargs
from videoinpaint.precision import resolve_precision
from videoinpaint.version import __version__
from videoinpaint.weights.files import FILES_READ
from videoinpaint.weights.hashes import sha256

PACKAGES: dict[str, tuple[str, ...]] = {
    "torch": ("torch",),
    "torchvision": ("torchvision",),
    "numpy": ("numpy",),
    "gymnasium": ("gymnasium",),
    "stable-baselines3": ("stable-baselines3",),
    "opencv": ("opencv-python-headless", "opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python"),
}
"""Name in the record -> distributions that may provide it."""


def run_record(
    env_id: str | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
    *,
    device: str = "auto",
    precision: str = "auto",
    random_weights: Sequence[str] = (),
    command: str | None = None,
) -> dict[str, Any]:
    """The record of a run that has happened or is about to, as JSON has it.

    Args:
        env_id: the environment that was run, if there is one.
        env_kwargs: its keyword arguments, where they differ from what the id registers.
        device: without an environment, where it computed; an environment has it among its arguments.
        precision: the same of the precision that was asked for, see :mod:`videoinpaint.precision`.
        random_weights: parts whose networks are untrained.
        command: that began it; by default this process's.

    Returns:
        ``software`` (versions), ``commit`` (of the source tree, None where there is none; "-dirty" where it was
        changed), ``machine`` (with ``threads``), ``device``, ``precision`` (``asked`` and ``used``), ``weights`` (file,
        and its sha256, of every weight file that this process has read), ``random_weights``, ``command``, ``created``;
        with an environment ``env``: ``id`` and the effective ``kwargs``, the id's defaults among them.

    Raises:
        UnknownNameError: the id is not registered.
        InputError: the device is not there.
    """
    env: dict[str, Any] | None = (
        None if env_id is None else {"id": env_id, "kwargs": effective_kwargs(env_id, env_kwargs)}
    )
    asked = precision if env is None else str(env["kwargs"].get("precision", precision))
    place = resolve_device(device if env is None else str(env["kwargs"].get("device", device)))
    return {
        "software": software(),
        "commit": commit(),
        "machine": machine(),
        "device": _device_name(place),
        "precision": {"asked": asked, "used": resolve_precision(asked, place)},
        "weights": weight_hashes(),
        "random_weights": list(random_weights),
        **({} if env is None else {"env": env}),
        "command": shlex.join(sys.argv) if command is None else command,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def software() -> dict[str, str | None]:
    """Versions of this package, Python, and what the numbers depend on; None for what is not installed."""
    found: dict[str, str | None] = {"videoinpaint": __version__, "python": platform.python_version()}
    return found | {name: _version(distributions) for name, distributions in PACKAGES.items()}


def machine() -> dict[str, Any]:
    """The processor, its cores and how many threads torch uses."""
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        # Above the number of cores, somebody else was computing too and every time below is too long.
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def weight_hashes() -> list[dict[str, str]]:
    """``file`` and ``sha256`` of every weight file that this process has read and that is still there, by file."""
    return [{"file": _shown(path), "sha256": sha256(path)} for path in sorted(FILES_READ) if path.is_file()]


@cache
def commit() -> str | None:
    """The git commit of the package's source tree, "-dirty" behind it where files differ; None outside of one."""
    folder = Path(videoinpaint.__file__).resolve().parent

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, check=True, timeout=10
        )
        return done.stdout.strip()

    try:
        git(
            "ls-files", "--error-unmatch", "__init__.py"
        )  # a repository that merely has the installation in it is not it
        head, changed = git("rev-parse", "HEAD"), git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return head + ("-dirty" if changed else "")


def _version(distributions: Sequence[str]) -> str | None:
    for name in distributions:
        try:
            return version(name)
        except PackageNotFoundError:
            pass
    return None


def _device_name(device: torch.device) -> str:
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)


def _shown(path: Path) -> str:
    """A file's path without what is only this machine's: below packages, the working folder or at home."""
    if "site-packages" in path.parts:
        return str(Path(*path.parts[path.parts.index("site-packages") + 1 :]))
    roots = {"videoinpaint": Path(videoinpaint.__file__).resolve().parent, "": Path.cwd(), "~": Path.home()}
    for name, root in roots.items():
        if path.is_relative_to(root):
            return str(Path(name) / path.relative_to(root))
    return str(path)
