"""Data sets in their published layouts: DAVIS 2016, 2017 and 2019, and YouTube-VOS."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from videoinpaint.clips.files.images import list_images, load_picture, natural_key
from videoinpaint.clips.masks.meaning import PLAIN, Wish
from videoinpaint.clips.masks.sequences import MaskFolder
from videoinpaint.clips.sources.sequences import Opener, SequenceSource, open_sequence
from videoinpaint.errors import InputError
from videoinpaint.files import user_path

OBJECTS = ("merged", "single")
"""What a clip's `objects` are: all annotated objects as one, or one of them, and then each is a clip of its own."""

_DAVIS = {2016: "Annotations", 2017: "Annotations", 2019: "Annotations_unsupervised"}
_ALL_FRAMES = "_all_frames"


def davis(
    root: str | Path,
    split: str | None = None,
    resolution: str | None = None,
    *,
    year: int = 2017,
    objects: str = "merged",
) -> SequenceSource:
    """DAVIS: ``{JPEGImages,Annotations}/<resolution>/<clip>`` and the lists of its splits under ``ImageSets``.

    The splits of 2016 are read from ``ImageSets/2016/<split>.txt``, where the archives of 2017 have them, or from
    ``ImageSets/480p/<split>.txt``, whose lines name pictures. The unsupervised task of 2019 has its annotations in
    ``Annotations_unsupervised``.

    Args:
        root: the folder that holds JPEGImages.
        split: "train", "val", ...; every clip that is there when None.
        resolution: "480p" or "Full-Resolution" ("1080p" in 2016); the first of them that is there when None.
        year: 2016, 2017 or 2019 (unsupervised).
        objects: one of `OBJECTS`; clips of single objects are called ``CLIP.ID``.

    Raises:
        InputError: the layout, the split or one of its clips is not there.
    """
    root = user_path(root)
    if year not in _DAVIS:
        raise InputError(f"no DAVIS of {year}: use {', '.join(map(str, _DAVIS))}")
    sizes = [resolution] if resolution else ["480p", "1080p", "Full-Resolution"]
    found = [name for name in sizes if (root / "JPEGImages" / name).is_dir()]
    if not found:
        raise InputError(f"no DAVIS at {root}: expected {root / 'JPEGImages' / sizes[0]}; unpack the archive there")
    names = None if split is None else _davis_split(root, year, split)
    images, annotations = root / "JPEGImages" / found[0], root / _DAVIS[year] / found[0]
    name = f"davis{'' if year == 2017 else f'-{year}'}:{root}"
    return _source(name, images, annotations, names, check_objects(objects))


def youtube_vos(root: str | Path, split: str | None = None, *, objects: str = "merged") -> SequenceSource:
    """YouTube-VOS: ``[<split>/]JPEGImages/<clip>``, ``Annotations/<clip>`` and ``meta.json``.

    Annotations belong to the frame of their number: where only every fifth frame has one (``train_all_frames``), a
    window's objects are known if each of its frames is annotated. The archives of all frames bring pictures alone:
    their annotations and meta.json are those of the split that they belong to, beside them.

    Args:
        root: the folder that holds JPEGImages, or that holds train, valid and test.
        split: "train", "valid", "test" or one of these with "_all_frames"; the first that is there when None.
        objects: one of `OBJECTS`; clips of single objects are called ``CLIP.ID``, with the ids of meta.json.

    Raises:
        InputError: the layout or the split is not there, or meta.json is damaged.
    """
    root = user_path(root)
    bases = [root / split] if split else [root, *(root / name for name in ("train", "valid", "test"))]
    for base in bases:
        if (base / "JPEGImages").is_dir():
            own = base.with_name(base.name.removesuffix(_ALL_FRAMES))
            marked = base if (base / "Annotations").is_dir() else own
            ids = _meta_ids(next((b for b in (base, own) if (b / "meta.json").is_file()), base) / "meta.json")
            name = f"youtube-vos:{base}"
            images, annotations = base / "JPEGImages", marked / "Annotations"
            return _source(name, images, annotations, None, check_objects(objects), ids)
    raise InputError(f"no YouTube-VOS at {root}: expected {bases[0] / 'JPEGImages'}; unpack the archive there")


def check_objects(objects: str) -> str:
    """One of `OBJECTS`.

    Raises:
        InputError: it is another text.
    """
    if objects not in OBJECTS:
        raise InputError(f"unknown objects {objects!r}: use {' or '.join(OBJECTS)}")
    return objects


def _davis_split(root: Path, year: int, split: str) -> list[str]:
    folders = [root / "ImageSets" / str(year)] + ([root / "ImageSets" / "480p"] if year == 2016 else [])
    listings = [folder / f"{split}.txt" for folder in folders]
    listing = next((path for path in listings if path.is_file()), None)
    if listing is None:
        known = sorted({path.stem for folder in folders for path in folder.glob("*.txt")})
        raise InputError(f"no DAVIS split {split!r}: expected {listings[0]}; there are {', '.join(known) or 'none'}")
    lines = [line.split()[0] for line in listing.read_text(encoding="utf-8").splitlines() if line.strip()]
    # In 2016 a line names a picture and its annotation: /JPEGImages/480p/bear/00000.jpg /Annotations/480p/...
    return list(dict.fromkeys(Path(line).parent.name if "/" in line else line for line in lines))


def _meta_ids(path: Path) -> dict[str, list[int]] | None:
    """Clip -> the numbers of its objects, as meta.json says; None where there is none."""
    if not path.is_file():
        return None
    try:
        videos: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["videos"]
        return {clip: sorted(int(number) for number in entry["objects"]) for clip, entry in videos.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path} does not say which objects the clips have ({error!r}): unpack it again") from error


def _source(
    name: str,
    images: Path,
    annotations: Path,
    names: Sequence[str] | None,
    objects: str,
    ids: dict[str, list[int]] | None = None,
) -> SequenceSource:
    if names is None:
        folders = [path for path in images.iterdir() if path.is_dir() and not path.name.startswith(".")]
        names = [path.name for path in sorted(folders, key=natural_key)]
    openers: dict[str, Opener] = {}
    masks: dict[str, Opener] = {}
    for clip in names:
        if not (images / clip).is_dir():
            raise InputError(f"clip {clip!r} is listed but {images / clip} is not there: unpack the archive again")
        open_sequence(images / clip)
        opener, marked = partial(open_sequence, images / clip), annotations / clip
        if objects == "single":
            for number in _object_ids(clip, marked, ids):
                openers[f"{clip}.{number}"] = opener
                masks[f"{clip}.{number}"] = partial(MaskFolder, marked, Wish(object_id=number))
            continue
        openers[clip] = opener
        if marked.is_dir():
            masks[clip] = partial(MaskFolder, marked, PLAIN)
    return SequenceSource(name, openers, masks)


def _object_ids(clip: str, annotations: Path, ids: dict[str, list[int]] | None) -> list[int]:
    """The numbers of a clip's objects: those of meta.json, else those in its first annotation."""
    if not annotations.is_dir():
        return []
    if ids is not None and clip in ids:
        return ids[clip]
    first = load_picture(list_images(annotations)[0])
    values = np.unique(np.asarray(first)) if first.mode in ("P", "L", "1") else np.zeros(0)
    numbers = [int(value) for value in values if 0 < value < 255]  # 255 is "no matter what" in some releases
    if not numbers:
        raise InputError(f"the annotations of clip {clip!r} number no objects: leave single objects out")
    return numbers
