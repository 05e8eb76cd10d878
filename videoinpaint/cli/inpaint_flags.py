"""The flags of `inpaint`, and which of them go together."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated

import tyro

from videoinpaint.cli.internal import InternalFlags
from videoinpaint.errors import InputError
from videoinpaint.repair.defaults import ITERATIONS, POLICY


@dataclass(frozen=True)
class InpaintFlags:
    """What to repair, by what, and into which file."""

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

    def check_together(self) -> None:
        """Raise InputError for flags that do not go together."""
        if self.save_masks is not None and self.save_masks.resolve() == self.output.resolve():
            raise InputError(f"--save-masks and --output both name {self.output}: name a folder for the masks")
        if self.remove_residues and self.internal.progressive:
            raise InputError("--remove-residues works on whole clips by ciri: leave --progressive out")
        if self.dilate and self.propagator is not None:
            raise InputError("--dilate works with given masks: those that a propagator follows are widened anyway")
        if self.repairer == "internal" and (self.dilate or self.window is not None or self.reach is not None):
            raise InputError("--window, --reach and --dilate are not for internal, which sees the whole video at once")
        if self.repairer == "internal":
            self._check_internal()
        if self.resume and (self.propagator is not None or self.repairer == "internal"):
            raise InputError("--resume works with given masks; with internal, --folder keeps a checkpoint")
        if self.lossless and self.codec not in (InpaintFlags.codec, "ffv1"):
            raise InputError(f"--lossless is --codec ffv1, not {self.codec}: leave one of them out")
        if self.quality is not None and (self.lossless or self.codec == "ffv1"):
            raise InputError("--quality is not for --lossless or --codec ffv1, which keep every bit: leave it out")
        self.internal.check(self.repairer, self.propagator)

    def _check_internal(self) -> None:
        """Raise InputError for flags that mean nothing to the network that is trained on the video itself."""
        loop = ("action_grid", "policy", "iterations", "detector", "weights")
        usual = {one.name: one.default for one in fields(InpaintFlags)}
        given = ["--" + name.replace("_", "-") for name in loop if getattr(self, name) != usual[name]]
        if given:
            raise InputError(
                f"{', '.join(given)}: not for internal, which is trained on this video alone, without a policy or a "
                "detector"
            )

    @property
    def repairer(self) -> str:
        """The inpainter that works: the one that is asked for, or the usual one."""
        from videoinpaint.repair.front_door import usual_inpainter

        return self.inpainter or usual_inpainter(self.propagator)

    @property
    def windows(self) -> Path:
        """Where finished windows are kept."""
        return self.output.with_name(self.output.name + ".windows")
