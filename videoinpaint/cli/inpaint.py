"""Repair a video: fill what a mask marks as missing. Any length; memory is bounded by a window of frames.

videoinpaint inpaint holiday.mp4 --mask mask.png --output repaired.mp4

videoinpaint inpaint holiday.mp4 --mask first.png --propagator appearance --output repaired.mp4

videoinpaint inpaint holiday.mp4 --mask 0=first.png 40=other.png --propagator appearance --output repaired.mp4
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videoinpaint.cli.inpaint_flags import InpaintFlags
from videoinpaint.cli.masks import (
    check_mask,
    check_numbers,
    check_propagation,
    masks_in_front,
    paths_by_frame,
    read_known,
)
from videoinpaint.cli.output import (
    check_output,
    check_spared,
    keep_masks,
    kept_windows,
    save_masks,
    write_all,
)
from videoinpaint.errors import InputError, warn
from videoinpaint.threads import ahead

if TYPE_CHECKING:
    from videoinpaint.clips.files.sequences import FrameSequence, ImageFolder
    from videoinpaint.clips.files.video import VideoReader, VideoWriter
    from videoinpaint.clips.masks.sequences import MaskSequence
    from videoinpaint.protocols import MaskPropagator
    from videoinpaint.repair.streaming import Parts

CHUNK = 16  # frames of a folder or mask that are read at a time


@dataclass(frozen=True)
class Inpaint(InpaintFlags):
    """Outside the hole the video's own samples are encoded; sound, subtitles, chapters, tags and time stamps are kept.
    With --lossless (.mkv) known pixels stay bit for bit."""

    def run(self) -> None:
        """Check everything, then repair frame by frame and show progress."""
        from videoinpaint.clips.files.sequences import ImageFolder
        from videoinpaint.clips.files.video import VideoReader
        from videoinpaint.clips.validate import check_frames

        self.check_together()
        video = (ImageFolder if self.video.is_dir() else VideoReader)(self.video, strict=self.strict)
        height, width = check_frames(video.read(0, 1)).shape[1:3]
        if isinstance(video, ImageFolder):
            video.check_size()
        marked = paths_by_frame(self.mask)
        check_spared(self.output, [self.video, *(self.mask if marked is None else marked.values())])
        check_output(self.output, len(video) * height * width, self.lossless)
        check_propagation(self.propagator, marked, self.save_masks, self.remove_residues)
        # What can be refused before all masks are read is made before.
        writer, parts, follower = self._writer(video), self._parts(), self._follower()
        masks, known = self._masks(video, (height, width), marked)
        with kept_windows(self.windows, self.output) if self.resume else nullcontext():
            write_all(self._repairs(video, masks, known, parts, follower), writer, len(video))
        if self.save_masks is not None:
            keep_masks(self.save_masks)
        if isinstance(video, ImageFolder) and video.deep:
            warn(f"pictures in {self.video} have more than 8 bits a sample, of which {self.output} has 8: rounded")
        print(f"wrote {self.output}: {len(video)} frames of {width}x{height}")
        if self.weights == "random":
            print(f"the weights of {self.repairer} are random: this repair means nothing, only its cost does")

    def _masks(
        self, video: ImageFolder | VideoReader, size: tuple[int, int], marked: Mapping[int, Path] | None
    ) -> tuple[MaskSequence | None, dict[int, Any]]:
        """The masks of all frames, or, with a propagator, those of some frames by their numbers."""
        from videoinpaint.clips.masks.meaning import Wish
        from videoinpaint.clips.masks.sequences import open_masks

        if self.propagator is not None:
            check_numbers(video, None)
            wish = Wish(self.invert, self.threshold, self.object_id)
            return None, read_known(marked or {0: Path(self.mask[0])}, len(video), size, wish)
        masks = open_masks(
            self.mask[0], len(video), *size,
            invert=self.invert, threshold=self.threshold, object_id=self.object_id,
        )  # fmt: skip
        check_numbers(video, masks)
        check_mask(masks, Path(self.mask[0]), dilate=self.dilate)
        return masks, {}

    def _writer(self, video: ImageFolder | VideoReader) -> VideoWriter:
        """What will write the video; it touches nothing yet."""
        from videoinpaint.clips.files.video import VideoReader, VideoWriter

        source = video if isinstance(video, VideoReader) else None
        return VideoWriter(
            self.output, video.fps if self.fps is None and source is None else self.fps, lossless=self.lossless,
            quality=self.quality, codec=self.codec, source=source, audio=self.audio,
        )  # fmt: skip

    def _parts(self) -> Parts | None:
        """What repairs; None for the network that is made for the video itself."""
        from videoinpaint.device import resolve_device
        from videoinpaint.repair.one_mask import check_tunable
        from videoinpaint.repair.streaming import Parts

        if self.repairer == "internal":
            if self.remove_residues:
                raise InputError("--remove-residues works on repairs by ciri: use --inpainter ciri")
            resolve_device(self.device)
            return None
        parts = Parts.made(
            self.repairer, self.detector, self.policy, self.iterations, self.device, self.window,
            weights=self.weights, reach=self.reach, action_grid=self.action_grid,
        )  # fmt: skip
        if self.remove_residues:
            check_tunable(parts.loop.inpainter)
        return parts

    def _follower(self) -> MaskPropagator | None:
        """What follows the masks of some frames; None where all are given."""
        from videoinpaint.device import resolve_device

        if self.propagator is None:
            return None
        return self.internal.follower(self.propagator, resolve_device(self.device))

    def _repairs(
        self,
        video: FrameSequence,
        masks: FrameSequence | None,
        known: Mapping[int, Any],
        parts: Parts | None,
        follower: MaskPropagator | None,
    ) -> Iterator[Any]:
        """The repaired frames."""
        if masks is None:
            assert follower is not None
            if self.internal.progressive:
                return self._large(video, self._followed(video, known, follower))
            return self._removed(video, known, parts, follower)
        if self.internal.progressive:
            return self._large(video, masks)
        return self._repaired(ahead(frames_of(video)), ahead(frames_of(masks)), parts)

    def _large(self, video: FrameSequence, masks: FrameSequence) -> Iterator[Any]:
        from videoinpaint.repair.internal import repair_progressively

        chosen = self.internal.settings()
        return repair_progressively(video, masks, chosen, device=self.device, folder=self.internal.folder)

    def _followed(self, video: FrameSequence, known: Mapping[int, Any], follower: MaskPropagator) -> FrameSequence:
        """The masks of a video of high resolution of which some were given."""
        from videoinpaint.repair.large import follow_small

        masks = follow_small(video, known, follower, self.device)
        if self.save_masks is not None:
            save_masks((masks.read(index, 1)[0] for index in range(len(masks))), self.save_masks)
        return masks

    def _repaired(self, frames: Iterator[Any], masks: Iterator[Any], parts: Parts | None) -> Iterator[Any]:
        from videoinpaint.naming import stable_name
        from videoinpaint.repair.given_masks import repair_given
        from videoinpaint.repair.internal import repair_whole

        if parts is None:
            chosen, own = self.internal.settings(), self.internal
            return repair_whole(frames, masks, chosen, device=self.device, seconds=own.seconds, folder=own.folder)
        return repair_given(
            parts, frames, masks, dilate=self.dilate, on_cut=_tell_cut, keep=self.windows if self.resume else None,
            named={"policy": stable_name(self.policy), "weights": self.weights},
        )  # fmt: skip

    def _removed(
        self, video: FrameSequence, known: Mapping[int, Any], parts: Parts | None, follower: MaskPropagator
    ) -> Iterator[Any]:
        """The frames without what the masks mark in some of them; they are carried through all frames at once."""
        import numpy as np

        from videoinpaint.repair.one_mask import follow, holes_of, repair_followed

        frames = np.stack(list(frames_of(video)))
        followed = follow(frames, known, follower, self.device, parts if self.remove_residues else None)
        if self.save_masks is not None:
            save_masks(followed.masks, self.save_masks)
        if parts is None:
            return self._repaired(iter(frames), iter(holes_of(followed.masks)), None)
        return repair_followed(followed, parts)


def _tell_cut(frame: int) -> None:
    print(f"a new scene begins with frame {frame}: nothing is carried across the cut")


def frames_of(sequence: FrameSequence) -> Iterator[Any]:
    """Every frame in order, with no more than a few in memory."""
    if hasattr(sequence, "frames"):  # a video decodes front to back in one pass
        yield from sequence.frames()
        return
    for start in range(0, len(sequence), CHUNK):
        yield from sequence.read(start, min(CHUNK, len(sequence) - start))


COMMAND = Inpaint
PREPARED = masks_in_front
