"""List what a clip source yields, and draw a preview of it.

A source is `studio` (synthetic scenes, nothing to download), `studio:easy`, `:hard`, `:fast` or `:large`, a video file,
a folder of frames, a folder of those, `davis:PATH`, `youtube-vos:PATH`, `one_shot[:SOURCE]` (a target to remove before
such clips), or `module:attribute` of your own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

if TYPE_CHECKING:
    from videoinpaint.clips import ClipSource

FRAMES = 24  # of a clip in a preview, where it has so many
Source = Annotated[str, tyro.conf.arg(metavar="[SOURCE]")]


@dataclass(frozen=True)
class Clips:
    """Names of the clips, and with --preview a picture or a video of some of them under their holes: look at it before
    you repair a video with a mask."""

    source: tyro.conf.Positional[Source] = "studio"
    """Where clips come from, see above."""
    masks: str = "stationary"
    """Holes to draw: stationary, square, object, mixed, studio:SUITE, a mask file or folder, first-frame:PATH."""
    invert: bool = False
    """The file of --masks is black where to fill, and white where not."""
    threshold: int | None = None
    """What is brighter in the file of --masks than this, 0 to 254, is the hole; by default, than half its brightest."""
    object_id: Annotated[int | None, tyro.conf.arg(name="object")] = None
    """The object of this number alone is the hole, where the file of --masks numbers several."""
    preview: Path | None = None
    """Write a contact sheet (.png) or a playing grid (.mp4) here."""
    count: int = 4
    """Clips in the preview."""
    names: int = 20
    """Names to list at most."""
    num_frames: int | None = None
    """Frames of each clip in the preview: by default 24, or as many as the shortest has."""
    height: int = 120
    """Height of the preview's frames, pixels."""
    width: int = 216
    """Width of the preview's frames, pixels."""
    fps: float = 12.0
    """Frames a second of a preview video."""
    seed: int = 0
    """Chooses the holes."""

    def run(self) -> None:
        """List, and draw if asked to."""
        from videoinpaint.cli.masks import tell
        from videoinpaint.cli.preview import write_preview
        from videoinpaint.clips import FileMasks, make_clips, make_masks
        from videoinpaint.clips.asking import clip_names
        from videoinpaint.clips.masks.meaning import Wish

        self._check()
        source = make_clips(self.source)
        masks = make_masks(self.masks, invert=self.invert, threshold=self.threshold, object_id=self.object_id)
        names = clip_names(source)
        print(f"{source.name}: {len(names)} clips" + (" listed, any other seed works" if _endless(source) else ""))
        for name in names[: self.names]:
            print(f"  {name}{_facts(source, name)}")
        if len(names) > self.names:
            print(f"  ... and {len(names) - self.names} more")
        if isinstance(masks, FileMasks) and masks.coverage is not None:
            tell(masks.coverage, Wish(self.invert, self.threshold, self.object_id))
        if self.preview is not None:
            size = (self.num_frames or _length(source, names[: self.count]), self.height, self.width)
            write_preview(self.preview, source, masks, self.count, size, self.fps, self.seed)
            print(f"wrote {self.preview}")

    def _check(self) -> None:
        """Raise InputError for numbers out of range, or a preview that could not be written, or not without loss."""
        from videoinpaint.checks import check_extent, seed_number, whole_number
        from videoinpaint.cli.output import check_spared, paths_in
        from videoinpaint.cli.preview import check_preview

        whole_number(self.names, "names", 0, 10**9)
        seed_number(self.seed)
        check_extent(FRAMES if self.num_frames is None else self.num_frames, self.height, self.width, self.count)
        if self.preview is not None:
            check_preview(self.preview, self.fps)
            read = [*paths_in(self.source), *paths_in(self.masks)]
            check_spared(self.preview, read, folders=read)


def _endless(source: ClipSource) -> bool:
    from videoinpaint.clips import Studio

    return isinstance(source, Studio)


def _length(source: ClipSource, names: list[str]) -> int:
    """Frames of a preview that every clip has."""
    from videoinpaint.clips import SequenceSource

    if not isinstance(source, SequenceSource):
        return FRAMES
    return min(FRAMES, *(len(source.sequence(name)) for name in names))


def _facts(source: ClipSource, name: str) -> str:
    """Length and size where the source is made of files."""
    from videoinpaint.clips import SequenceSource

    if not isinstance(source, SequenceSource):
        return ""
    sequence = source.sequence(name)
    height, width = sequence.read(0, 1).shape[1:3]
    return f"  {len(sequence)} frames of {width}x{height}"


COMMAND = Clips
