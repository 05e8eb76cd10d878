"""Repair a video: fill what a mask marks as missing. Any length; memory is bounded by a window of frames.

videoinpaint inpaint holiday.mp4 --mask mask.png --output repaired.mp4
videoinpaint inpaint holiday.mp4 --mask first.png --propagator appearance --output repaired.mp4
videoinpaint inpaint holiday.mp4 --mask 0=first.png 40=other.png --propagator appearance --output repaired.mp4
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from videoinpaint.cli.internal import InternalFlags
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
from videoinpaint.errors import InputError
from videoinpaint.repair.streaming import ITERATIONS, POLICY
from videoinpaint.threads import ahead

if TYPE_CHECKING:
    from videoinpaint.clips.files.sequences import FrameSequence, ImageFolder
    from videoinpaint.clips.files.video import VideoReader, VideoWriter
    from videoinpaint.clips.masks.sequences import MaskSequence
    from videoinpaint.protocols import MaskPropagator
    from videoinpaint.repair.streaming import Parts

CHUNK = 16  # frames of a folder or mask that are read at a time


@dataclass(frozen=True)
class Inpaint:
    """Outside the hole the video's own samples are encoded; sound, subtitles, chapters, tags and time stamps are kept.
    With --lossless (.mkv) known pixels stay bit for bit."""

    video: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="VIDEO")]
    """The video: a file, or a folder of numbered PNG or JPEG frames."""
    mask: Annotated[tuple[str, ...], tyro.conf.arg(metavar="PATH | N=PATH ...")]
    """What to fill, in white: one picture for all frames, a folder with one picture per frame, or a video. What else
    is understood - palettes, transparency - is in docs/clips.md. With --propagator: one picture, of what is to go from
    the first frame, or several by the numbers of their frames: 0=first.png 40=other.png."""
    output: Path
    """The video to write: .mp4, .mov or .mkv. An existing file is replaced when the work is done."""
    invert: bool = False
    """The mask is black where to fill, and white where not."""
    threshold: int | None = None
    """Fill what is brighter in the mask than this, 0 to 254, instead of what is brighter than half of its brightest."""
    object_id: Annotated[int | None, tyro.conf.arg(name="object")] = None
    """Fill the object of this number alone, where the mask's palette or its grey values number several."""
    inpainter: str | None = None
    """compact2 (the network; the default), compact (its first training, which environments keep), ciri (for
    masks that are not exact; the default with --propagator), propagation (motion only), telea (frame by frame),
    internal (trained on this video alone, without detector and policy; memory grows with it), a published network
    (propainter, e2fgvi, e2fgvi_hq, fuseformer, dstt, sttn: experimental, as nobody has run their official weights here;
    fetch them first), or module:attribute."""
    weights: str | None = None
    """Weights of the inpainter: a file (a folder where it has several), or random (untrained: to measure cost alone);
    by default those installed or fetched."""
    detector: str = "compact"
    """compact, none (every pass redoes the whole hole), focal (experimental), or module:attribute."""
    propagator: str | None = None
    """Follow what the mask marks in the first frame through the video, and remove it: appearance, flow (coarser, three
    times as fast), cutie (experimental; pip install 'videoinpaint[cutie]'), internal, or module:attribute. Memory grows
    with the video."""
    save_masks: Path | None = None
    """With --propagator: a new folder for the masks that were found, one picture per frame."""
    remove_residues: bool = False
    """With --propagator and ciri: tune the propagator on the video until less of what is to go shines through. Takes
    many times as long."""
    policy: str = POLICY
    """Who chooses the controls of each pass: default (the default controls: all heads), trained, trained-objective,
    trained-budget or trained-regions (the policies that ship), another baseline such as heuristic, a policy file or
    training folder, or module:attribute."""
    action_grid: tuple[int, int] | None = None
    """Rows and columns of a grid over what is worked on: the policy (heuristic, random, or one trained over a grid)
    chooses for each cell of every window, with compact, compact2, ciri, propainter or e2fgvi (e2fgvi_hq). By
    default the grid that a policy file was trained over, if any; else one setting for the whole."""
    iterations: int = ITERATIONS
    """Passes over each window at most. More than one pays for policies that spend few heads on each."""
    window: int | None = None
    """Frames repaired together: 24 by default, 10 of more than 500,000 pixels, or what the inpainter asks for."""
    reach: int | None = None
    """Frames before and after a window from which content is carried into it, by compact, compact2 and propagation: 60
    by default, fewer where memory asks for it."""
    dilate: int = 0
    """Pixels by which the mask grows. Where it ends at the very edge of what is to go, or just within, 2 pixels at
    432x240 take away the outline that is left otherwise."""
    resume: bool = False
    """Keep finished windows in the folder OUTPUT.windows until the video is done, and go on from there if an
    interrupted run left some."""
    device: str = "auto"
    """auto (the GPU where there is one), cpu, cuda, ..."""
    fps: float | None = None
    """Frames a second of the result; by default the time stamps of the video (24 a second for a folder). Sound and
    subtitles fit no other time stamps and are then left out."""
    codec: str = "h264"
    """h264 (plays everywhere), hevc, av1, or ffv1 (lossless)."""
    quality: int | None = None
    """The codec's constant rate factor, lower is better: 0 to 51, by default 16 for h264 and 18 for hevc; to 63, by
    default 22, for av1."""
    lossless: bool = False
    """Keep every bit (ffv1); the output must then be .mkv."""
    audio: bool = True
    """Keep the sound of the video."""
    strict: bool = False
    """Refuse a video of which a frame cannot be decoded, packets were lost or the size changes, before any work; by
    default what is near takes its place and a warning names it."""
    internal: Annotated[InternalFlags, tyro.conf.OmitArgPrefixes] = field(default_factory=InternalFlags)
    """A network that is trained on this video alone."""

    def run(self) -> None:
        """Check everything, then repair frame by frame and show progress."""
        from videoinpaint.clips.files.sequences import ImageFolder
        from videoinpaint.clips.files.video import VideoReader
        from videoinpaint.clips.validate import check_frames

        self._check_together()
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
        with kept_windows(self._windows, self.output) if self.resume else nullcontext():
            write_all(self._repairs(video, masks, known, parts, follower), writer, len(video))
        if self.save_masks is not None:
            keep_masks(self.save_masks)
        print(f"wrote {self.output}: {len(video)} frames of {width}x{height}")
        if self.weights == "random":
            print(f"the weights of {self._inpainter} are random: this repair means nothing, only its cost does")

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

        if self._inpainter == "internal":
            if self.remove_residues:
                raise InputError("--remove-residues works on repairs by ciri: use --inpainter ciri")
            resolve_device(self.device)
            return None
        parts = Parts.made(
            self._inpainter, self.detector, self.policy, self.iterations, self.device, self.window,
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

    def _check_together(self) -> None:
        """Raise InputError for flags that do not go together."""
        if self.save_masks is not None and self.save_masks.resolve() == self.output.resolve():
            raise InputError(f"--save-masks and --output both name {self.output}: name a folder for the masks")
        if self.remove_residues and self.internal.progressive:
            raise InputError("--remove-residues works on whole clips by ciri: leave --progressive out")
        if self.dilate and self.propagator is not None:
            raise InputError("--dilate works with given masks: those that a propagator follows are widened anyway")
        if self._inpainter == "internal" and (self.dilate or self.window is not None or self.reach is not None):
            raise InputError("--window, --reach and --dilate are not for internal, which sees the whole video at once")
        if self._inpainter == "internal" and self.action_grid is not None:
            raise InputError("--action-grid is not for internal, which works without a policy")
        if self.resume and (self.propagator is not None or self._inpainter == "internal"):
            raise InputError("--resume works with given masks; with internal, --folder keeps a checkpoint")
        if self.lossless and self.codec not in (Inpaint.codec, "ffv1"):
            raise InputError(f"--lossless is --codec ffv1, not {self.codec}: leave one of them out")
        if self.quality is not None and (self.lossless or self.codec == "ffv1"):
            raise InputError("--quality is not for --lossless or --codec ffv1, which keep every bit: leave it out")
        self.internal.check(self._inpainter, self.propagator)

    @property
    def _inpainter(self) -> str:
        from videoinpaint.repair.front_door import usual_inpainter

        return self.inpainter or usual_inpainter(self.propagator)

    @property
    def _windows(self) -> Path:
        return self.output.with_name(self.output.name + ".windows")

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
            parts, frames, masks, dilate=self.dilate, on_cut=_tell_cut, keep=self._windows if self.resume else None,
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
ORDERED = masks_in_front
