"""Data sets in their published layouts."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from videoinpaint.clips.files.images import natural_key
from videoinpaint.clips.masks.sequences import MaskFolder
from videoinpaint.clips.sources.sequences import Opener, SequenceSource, open_sequence
from videoinpaint.errors import InputError
from videoinpaint.files import user_path


def davis(root: str | Path, split: str | None = None, resolution: str | None = None) -> SequenceSource:
    """DAVIS 2017: ``{JPEGImages,Annotations}/<resolution>/<clip>`` and ``ImageSets/2017/<split>.txt``.

    Args:
        root: the folder that holds JPEGImages.
        split: "train", "val", ...; every clip that is there when None.
        resolution: "480p" or "Full-Resolution"; the first of them that is there when None.

    Raises:
        InputError: the layout, the split or one of its clips is not there.
    """
    root = user_path(root)
    found = [name for name in (resolution or "480p", resolution or "Full-Resolution") if _images(root, name).is_dir()]
    if not found:
        raise InputError(
            f"no DAVIS at {root}: expected {_images(root, resolution or '480p')}; unpack the archive there"
        )
    names = _davis_names(root, split)
    return _source(f"davis:{root}", _images(root, found[0]), root / "Annotations" / found[0], names)


def youtube_vos(root: str | Path, split: str | None = None) -> SequenceSource:
    """YouTube-VOS: ``[<split>/]JPEGImages/<clip>`` and ``Annotations/<clip>``.

    Args:
        root: the folder that holds JPEGImages, or that holds train, valid and test.
        split: "train", "valid" or "test"; the first of them that is there when None.

    Raises:
        InputError: the layout or the split is not there.
    """
    root = user_path(root)
    bases = [root / split] if split else [root, *(root / name for name in ("train", "valid", "test"))]
    for base in bases:
        if (base / "JPEGImages").is_dir():
            return _source(f"youtube-vos:{base}", base / "JPEGImages", base / "Annotations", None)
    raise InputError(f"no YouTube-VOS at {root}: expected {bases[0] / 'JPEGImages'}; unpack the archive there")


def _images(root: Path, resolution: str) -> Path:
    return root / "JPEGImages" / resolution


def _davis_names(root: Path, split: str | None) -> list[str] | None:
    if split is None:
        return None
    listing = root / "ImageSets" / "2017" / f"{split}.txt"
    if not listing.is_file():
        known = sorted(path.stem for path in listing.parent.glob("*.txt"))
        raise InputError(f"no DAVIS split {split!r}: expected {listing}; there are {', '.join(known) or 'none'}")
    return listing.read_text().split()


def _source(name: str, images: Path, annotations: Path, names: list[str] | None) -> SequenceSource:
    if names is None:
        folders = [path for path in images.iterdir() if path.is_dir() and not path.name.startswith(".")]
        names = [path.name for path in sorted(folders, key=natural_key)]
    openers: dict[str, Opener] = {}
    objects: dict[str, Opener] = {}
    for clip in names:
        if not (images / clip).is_dir():
            raise InputError(f"clip {clip!r} is listed but {images / clip} is not there: unpack the archive again")
        open_sequence(images / clip)
        openers[clip] = partial(open_sequence, images / clip)
        if (annotations / clip).is_dir():
            objects[clip] = partial(MaskFolder, annotations / clip)
    return SequenceSource(name, openers, objects)
