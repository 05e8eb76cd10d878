"""OVIS (Qi et al., "Occluded Video Instance Segmentation", IJCV 2022) in its published layout."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videoinpaint.clips.files.sequences import Pictures, window
from videoinpaint.clips.sources.layouts import check_objects
from videoinpaint.clips.sources.sequences import Opener, SequenceSource
from videoinpaint.errors import InputError
from videoinpaint.files import user_path

Masks = NDArray[np.uint8]


class CodedMasks:
    """Masks in COCO's run-length code, one or several objects as one.

    Args:
        name: of the clip.
        size: ``(H, W)``.
        coded: per object, per frame: ``{"size": [H, W], "counts": text or list}``, None where it is not seen.
    """

    def __init__(self, name: str, size: tuple[int, int], coded: Sequence[Sequence[Mapping[str, Any] | None]]) -> None:
        self.name, self.size, self.coded = name, size, coded

    def __len__(self) -> int:
        """The number of frames."""
        return len(self.coded[0])

    def read(self, start: int, count: int, stride: int = 1) -> Masks:
        """Masks ``(count, H, W)`` in {0, 1}.

        Raises:
            InputError: the window leaves the clip, or a code is damaged.
        """
        return np.stack([self._frame(index) for index in window(self, start, count, stride)])

    def _frame(self, index: int) -> Masks:
        found = np.zeros(self.size, np.uint8)
        for frames in self.coded:
            if (code := frames[index]) is not None:
                found |= _decoded(code, self.size, f"frame {index} of clip {self.name!r}")
        return found


def ovis(root: str | Path, split: str | None = None, *, objects: str = "merged") -> SequenceSource:
    """OVIS: ``<split>/<video>/img_0000001.jpg`` and ``annotations_<split>.json``, at the root or in ``annotations``.

    The annotations of valid and test are not published: their clips come without objects.

    Args:
        root: the folder that holds the splits.
        split: "train", "valid" or "test"; "train" when None.
        objects: see :data:`videoinpaint.clips.sources.layouts.OBJECTS`; clips of single objects are called
            ``CLIP.NUMBER``, numbered from 1 in the order of the file.

    Raises:
        InputError: the layout is not there, or its JSON file is damaged.
    """
    root, split, single = user_path(root), split or "train", check_objects(objects) == "single"
    names = (f"annotations_{split}.json", f"annotations/annotations_{split}.json")
    listing = next((root / name for name in names if (root / name).is_file()), None)
    if listing is None or not (root / split).is_dir():
        raise InputError(f"no OVIS at {root}: expected {root / split} and {root / names[0]}; unpack the archives there")
    try:
        described = json.loads(listing.read_text(encoding="utf-8"))
        videos = {int(video["id"]): _video(root / split, video) for video in described["videos"]}
        coded: dict[int, list[list[Any]]] = {}
        for one in described.get("annotations") or []:
            coded.setdefault(int(one["video_id"]), []).append(list(one["segmentations"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{listing} does not list the clips ({error!r}): unpack it again") from error
    openers: dict[str, Opener] = {}
    masks: dict[str, Opener] = {}
    for number, (clip, paths, size) in videos.items():
        shown = coded.get(number, [])
        if any(len(frames) != len(paths) for frames in shown):
            raise InputError(f"{listing} has masks of another length than clip {clip!r}: unpack it again")
        groups = {f"{clip}.{index}": [frames] for index, frames in enumerate(shown, 1)} if single else {clip: shown}
        for name, group in groups.items():
            openers[name] = partial(Pictures, name, paths)
            if group:
                masks[name] = partial(CodedMasks, name, size, group)
    return SequenceSource(f"ovis:{root}#{split}", openers, masks)


def _video(folder: Path, video: Mapping[str, Any]) -> tuple[str, list[Path], tuple[int, int]]:
    names = [str(name) for name in video["file_names"]]
    if any(Path(name).is_absolute() or ".." in Path(name).parts for name in names):
        raise ValueError(f"a frame of clip {video['id']} lies outside of {folder}")
    return str(Path(names[0]).parent), [folder / name for name in names], (int(video["height"]), int(video["width"]))


def _decoded(code: Mapping[str, Any], size: tuple[int, int], where: str) -> Masks:
    try:
        from pycocotools import mask as coco
    except ImportError:
        raise InputError("the masks of OVIS need pycocotools: pip install 'videoinpaint[ovis]'") from None
    try:
        packed = code if isinstance(code["counts"], str | bytes) else coco.frPyObjects(dict(code), *size)
        mask = np.asarray(coco.decode(dict(packed)), np.uint8)
    except Exception as error:  # the library raises what its C code and Python make of nonsense
        raise InputError(f"the mask of {where} cannot be decoded ({error}): unpack the annotations again") from error
    if mask.shape != size:
        raise InputError(f"the mask of {where} has size {mask.shape}, the clip {size}: unpack the annotations again")
    return mask
