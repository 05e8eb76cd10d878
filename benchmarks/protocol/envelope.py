"""What makes a number comparable: every benchmark's output names its protocol, its settings and its software."""

from __future__ import annotations

import json
import math
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from videoinpaint import files
from videoinpaint.agents.evaluation.run_record import run_record
from videoinpaint.errors import InputError

PROTOCOL: dict[str, Any] = {"name": "videoinpaint-eval", "version": 4}
"""Change the version whenever the same command would give other numbers."""


def envelope(
    benchmark: str,
    settings: Mapping[str, Any],
    *,
    env_id: str | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
    precision: str = "auto",
    random_weights: Sequence[str] = (),
    **results: Any,
) -> dict[str, Any]:
    """Results with what is needed to trust and to repeat them.

    Args:
        benchmark: its module's name.
        settings: arguments that the results depend on.
        env_id, env_kwargs, precision, random_weights: see :func:`videoinpaint.agents.evaluation.run_record.run_record`.
        results: further entries.
    """
    record = run_record(
        env_id,
        env_kwargs,
        device=str(settings.get("device", "auto")),
        precision=precision,
        random_weights=random_weights,
        command=_command(),
    )
    start = {"protocol": dict(PROTOCOL), "benchmark": benchmark, "settings": dict(settings)}
    return start | record | results


def _command() -> str:
    """The running command as one would type it again."""
    module = getattr(sys.modules["__main__"], "__spec__", None)
    words = ["python", "-m", module.name] if module is not None else sys.argv[:1]
    return shlex.join([*words, *sys.argv[1:]])


def write_json(path: str | Path, data: Mapping[str, Any]) -> Path:
    """Write a result, whole or not at all; numbers that are not finite become null."""
    return files.write_json(path, plain(data), indent=1)


def plain(value: Any) -> Any:
    """A value as JSON's own types: arrays become lists, paths text, what is not finite None."""
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(entry) for entry in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    return str(value)


def published(table: str) -> dict[str, Any]:
    """A table printed in one of the papers, from ``published.json``: title, source, rows.

    Raises:
        InputError: there is no such table.
    """
    tables = json.loads((Path(__file__).parent / "published.json").read_text(encoding="utf-8"))["tables"]
    if table not in tables:
        raise InputError(f"no published table {table!r}: use one of {', '.join(tables)}")
    return tables[table]


def set_threads(threads: int) -> None:
    """Limit torch and OpenCV to this many threads, as timings must name them.

    Raises:
        InputError: fewer than one.
    """
    if threads < 1:
        raise InputError(f"threads must be 1 or more, got {threads}")
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
