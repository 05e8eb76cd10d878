"""Windows that are kept when they are done, so that an interrupted repair of a long video goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from videoinpaint.errors import InputError
from videoinpaint.files import read_json, write_bytes, write_json
from videoinpaint.repair.cutouts import Cutout
from videoinpaint.repair.looped import Holes, LoopRepairer, Pixels

SETTINGS = "settings.json"


class KeptWindows:
    """Repairs windows as a `LoopRepairer` does, and keeps the holes' content of each in a folder.

    A window that is there already is read instead. What comes after it gets the same bits as without an interruption,
    as long as the policy chooses alike in every run.

    Args:
        repairer: repairs the windows that are not there.
        folder: made if it is not there.
        settings: everything but the video that the repair depends on.

    Raises:
        InputError: the folder holds windows of other settings, or something else.
    """

    def __init__(self, repairer: LoopRepairer, folder: Path, settings: Mapping[str, Any]) -> None:
        self.repairer, self.folder = repairer, folder
        plain = json.loads(json.dumps(dict(settings)))
        if (folder / SETTINGS).is_file():
            if read_json(folder / SETTINGS, "settings of kept windows") != plain:
                raise InputError(f"{folder} holds windows of a repair with other settings: delete it, or use those")
        elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(f"{folder} is no folder of kept windows: delete it")
        else:
            folder.mkdir(parents=True, exist_ok=True)
            write_json(folder / SETTINGS, plain)

    def repair(self, frames: Sequence[Pixels], masks: Sequence[Holes], first: int, wanted: range) -> Pixels:
        """See :class:`videoinpaint.repair.streaming.Repairer`.

        Raises:
            InputError: the window that is kept is damaged, or of another video.
        """
        part = slice(wanted.start, wanted.stop)
        own, missing = np.stack(frames[part]), np.stack(masks[part])
        path = self.folder / f"{first + wanted.start:08d}.safetensors"
        digest = hashlib.sha256(own.data)
        digest.update(missing.data)
        if path.is_file():
            content, looked = _read(path, digest.hexdigest(), int(missing.sum()))
            if looked is not None:
                self.repairer.go_on(*looked)
            own[missing] = content
            return own
        repaired = self.repairer.repair(frames, masks, first, wanted)
        _write(path, repaired[missing], digest.hexdigest(), self.repairer.looked if missing.any() else None)
        return repaired

    def region(self, mask: Holes) -> Holes:
        """The hole itself."""
        return self.repairer.region(mask)


def _write(path: Path, content: NDArray[np.uint8], digest: str, looked: tuple[int, int, Cutout] | None) -> None:
    place = None if looked is None else [looked[0], looked[1], list(looked[2].box), list(looked[2].size)]
    write_bytes(path, save({"content": content}, {"digest": digest, "looked": json.dumps(place)}))


def _read(path: Path, digest: str, count: int) -> tuple[NDArray[np.uint8], tuple[int, int, Cutout] | None]:
    try:
        with safe_open(str(path), framework="numpy") as file:
            content, notes = file.get_tensor("content"), file.metadata() or {}
        place = json.loads(notes["looked"])
        looked = None if place is None else (int(place[0]), int(place[1]), _cutout(*place[2:]))
        kept_of, whole = notes["digest"], content.shape[1:] == (3,) and content.dtype == np.uint8
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise InputError(f"the kept window {path} is damaged ({error}): delete it") from error
    if kept_of != digest or not whole or len(content) != count:
        raise InputError(f"{path} was kept of another video or mask: delete the folder {path.parent}")
    return content, looked


def _cutout(box: Sequence[int], size: Sequence[int]) -> Cutout:
    top, left, bottom, right = map(int, box)
    height, width = map(int, size)
    return Cutout((top, left, bottom, right), (height, width))
