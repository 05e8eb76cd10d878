"""From a short text to a clip source or a mask source."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from videoinpaint.clips.files.images import list_images
from videoinpaint.clips.masks.annotated import AnnotatedMasks
from videoinpaint.clips.masks.meaning import PLAIN, Wish
from videoinpaint.clips.masks.recorded import FileMasks, FirstFrameMasks
from videoinpaint.clips.masks.synthetic import MixedMasks, ObjectMasks, SquareMasks, StationaryMasks, StudioMasks
from videoinpaint.clips.sources.layouts import davis, youtube_vos
from videoinpaint.clips.sources.ovis import ovis
from videoinpaint.clips.sources.parts import FORMS, part_of, split_part
from videoinpaint.clips.sources.pasted import OneShotClips
from videoinpaint.clips.sources.sequences import file_source
from videoinpaint.clips.sources.several import SeveralClips
from videoinpaint.clips.studio.config import StudioConfig
from videoinpaint.clips.studio.scenes import Studio
from videoinpaint.clips.types import ClipSource, MaskSource
from videoinpaint.errors import InputError, UnknownNameError
from videoinpaint.files import user_path
from videoinpaint.naming import stable_name
from videoinpaint.registry import call_plugin, is_factory, load_object

CLIP_KINDS = (
    "studio",
    "studio:easy|hard|fast|large",
    "photographs:FOLDER",
    "a video file",
    "a folder of frames",
    "a folder of those",
    "davis:PATH[#SPLIT][+objects]",
    "davis-2016:PATH and davis-2019:PATH likewise",
    "youtube-vos:PATH[#SPLIT][+objects]",
    "ovis:PATH[#SPLIT][+objects]",
    "one_shot[:CLIPS][#MASKS]",
    "module:attribute",
    f"a part of one of files, {FORMS}",
    "several of these, with commas between",
)
MASK_KINDS = (
    "stationary",
    "square",
    "object",
    "mixed",
    "studio[:SUITE]",
    "object:PATH",
    "first-frame:KIND or PATH",
    "annotated[:CLIPS]",
    "a mask picture, video or folder",
    "module:attribute",
)


def make_clips(spec: str | Path | StudioConfig | ClipSource) -> ClipSource:
    """A clip source by name or path.

    Args:
        spec: one of `CLIP_KINDS`; a `StudioConfig`; a class or function that makes a source; or a source, which is
            returned as it is. A name wins over a file of the same name: write ``./studio`` for that.

    Raises:
        InputError: the path holds no usable clip.
        UnknownNameError: the text is neither a kind nor a path.
    """
    if isinstance(spec, StudioConfig):
        return Studio(spec)
    if isinstance(spec, (list, tuple)):
        raise InputError(f"clips {list(map(str, spec))} are a list: give one text, with commas between their names")
    if not isinstance(spec, (str, Path)):
        return _finished("clip source", spec, spec)
    _check_named(spec, "clips")
    if isinstance(spec, str) and not _exists(spec):
        if "," in spec:
            return SeveralClips([make_clips(one.strip()) for one in spec.split(",")])
        if (found := split_part(spec)) is not None:
            return part_of(make_clips(found[0]), found[1])
    return _by_name(spec)


def _by_name(spec: str | Path) -> ClipSource:
    """One source, whole."""
    kind, _, rest = str(spec).partition(":")
    if kind in _CLIPS and isinstance(spec, str):
        return _CLIPS[kind](rest)
    if isinstance(spec, Path) or _exists(spec):
        return file_source(spec)
    return _plugged_in("clip source", spec, CLIP_KINDS)


def make_masks(
    spec: str | Path | StudioConfig | MaskSource,
    dilate: int = 0,
    *,
    invert: bool = False,
    threshold: int | None = None,
    object_id: int | None = None,
) -> MaskSource:
    """A mask source by name or path.

    Args:
        spec: one of `MASK_KINDS`; a `StudioConfig`, whose holes are meant; a class or function that makes a source; or
            a source, which is returned as it is.
        dilate: pixels by which every hole grows; it must be 0 where the spec is a source.
        invert, threshold, object_id: what of a path's pictures marks the hole, where they do not say it; see
            `open_masks`.

    Raises:
        InputError: the path holds no usable masks.
        UnknownNameError: the text is neither a kind nor a path.
    """
    wish = Wish(invert, threshold, object_id)
    _check_named(spec, "masks")
    if isinstance(spec, Path) or (isinstance(spec, str) and not _named_masks(spec) and _exists(spec)):
        return FileMasks(spec, dilate=dilate, wish=wish)
    if wish != PLAIN:
        raise InputError(f"invert, threshold and object apply to one mask in a file or folder, not to masks {spec!r}")
    if isinstance(spec, StudioConfig):
        return StudioMasks(spec, dilate=dilate)
    kind, _, rest = spec.partition(":") if isinstance(spec, str) else ("", "", "")
    if isinstance(spec, str) and _named_masks(spec):
        return _MASKS[kind](rest, dilate)
    if dilate and not isinstance(spec, str):
        raise InputError("dilate applies to masks made by name or path: give a finished mask source its own dilation")
    if isinstance(spec, str):
        return _plugged_in("mask source", spec, MASK_KINDS)
    return _finished("mask source", spec, spec)


def _check_named(spec: object, what: str) -> None:
    """Raise InputError for an empty text, as beside a comma too many: as a path it would be the current folder."""
    if isinstance(spec, str) and not spec.strip():
        raise InputError(f"a source of {what} has an empty name: give a name or a path, ./ for the current folder")


def _named_masks(spec: str) -> bool:
    kind, _, rest = spec.partition(":")
    return kind in _MASKS and (not rest or kind in _MASKS_WITH_ARGUMENT)


def _exists(spec: str | Path) -> bool:
    """A path, and not merely a text that could be one."""
    try:
        return user_path(spec).exists()
    except InputError:
        return False


def _data_set(layout: Callable[..., ClipSource]) -> Callable[[str], ClipSource]:
    """A published layout by ``PATH#SPLIT+objects``, of which all but the path may be left out."""

    def make(rest: str) -> ClipSource:
        single = rest.endswith(_SINGLE)
        path, _, split = rest.removesuffix(_SINGLE).partition("#")
        return layout(path, split or None, objects="single" if single else "merged")

    return make


def _photographs(rest: str) -> ClipSource:
    """Studio scenes made of the pictures of a folder instead of scikit-image's."""
    _check_named(rest, "photographs")
    folder = user_path(rest)
    files = list_images(folder) if folder.is_dir() else []
    if not files:
        raise InputError(f"no pictures in {rest!r}: name a folder of photographs, photographs:FOLDER")
    return Studio(StudioConfig(photographs=tuple(str(file.absolute()) for file in files)), suite="photographs")


def _one_shot(rest: str) -> ClipSource:
    """One-shot clips over any other clips, with the outlines of a folder of masks: both may be left out."""
    backgrounds, _, outlines = rest.partition("#")
    name = f"one_shot:{rest}" if rest else "one_shot"
    return OneShotClips(make_clips(backgrounds or "studio"), outlines or None, name=name)


def _mixed(rest: str, dilate: int) -> MaskSource:
    return MixedMasks([make_masks(kind, dilate) for kind in ("stationary", "square", "object")])


def _object(rest: str, dilate: int) -> MaskSource:
    return FileMasks(rest, shuffle=True, dilate=dilate) if rest else ObjectMasks(dilate=dilate)


_SINGLE = "+objects"
_CLIPS: dict[str, Callable[[str], ClipSource]] = {
    "studio": lambda rest: Studio(rest or "mixed"),
    "photographs": _photographs,
    "davis": _data_set(davis),
    "davis-2016": _data_set(partial(davis, year=2016)),
    "davis-2019": _data_set(partial(davis, year=2019)),
    "youtube-vos": _data_set(youtube_vos),
    "ovis": _data_set(ovis),
    "one_shot": _one_shot,
}
_MASKS: dict[str, Callable[[str, int], MaskSource]] = {
    "stationary": lambda rest, dilate: StationaryMasks(dilate=dilate),
    "square": lambda rest, dilate: SquareMasks(dilate=dilate),
    "object": _object,
    "mixed": _mixed,
    "studio": lambda rest, dilate: StudioMasks(rest or "mixed", dilate=dilate),
    "annotated": lambda rest, dilate: AnnotatedMasks(make_clips(rest) if rest else None, dilate),
    "first-frame": lambda rest, dilate: FirstFrameMasks(make_masks(rest or "stationary", dilate)),
}
_MASKS_WITH_ARGUMENT = ("object", "studio", "first-frame", "annotated")


def _finished(what: str, spec: Any, found: Any) -> Any:
    """A source; a class or a function is called without arguments."""
    return call_plugin(stable_name(spec), what, found) if is_factory(found, ("sample",)) else found


def _plugged_in(what: str, spec: str, kinds: tuple[str, ...]) -> Any:
    """The source behind ``module:attribute``."""
    usable = f"use {', '.join(kinds)}"
    if ":" in spec:
        try:
            found = load_object(spec, what)
        except UnknownNameError as error:
            raise UnknownNameError(f"{error}; {usable}") from error
        made = _finished(what, spec, found)
        if not hasattr(made, "sample"):
            raise InputError(f"{spec!r} is no {what}: it has no method 'sample'; {usable}")
        return made
    if any(mark in spec for mark in "/\\."):
        raise InputError(f"no {what} at {spec}: nothing is there; {usable}")
    raise UnknownNameError(f"unknown {what} {spec!r}: {usable}")
