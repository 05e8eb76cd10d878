"""Train networks, on any clips. Interrupted, the same command goes on where it was."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from videoinpaint.cli.pretraining import Common, existing, report, size_of, text, windows
from videoinpaint.cli.stage_one import Completion, Detector, Inpainter
from videoinpaint.errors import InputError


@dataclass(frozen=True)
class Aligner(Common):
    """The alignment module of the reward's temporal term: features of one frame brought to the next."""

    backbone: Literal["alex", "vgg16"] = "alex"
    """Network whose features it aligns."""

    def run(self) -> None:
        """Train and write."""
        from videoinpaint.metrics.alignment_pretraining import train_aligner

        output, folder = self.places(f"aligner-{self.backbone}")
        schedule = self.fit(folder)
        report(train_aligner(windows(self, self, self.larger), schedule, output, self.backbone), folder)


@dataclass(frozen=True)
class Residue(Common):
    """CIRI's residue detector: what an inaccurate mask leaves of a target in a repair. Needs one-shot clips."""

    clips: tuple[str, ...] = ("one_shot",)
    """One-shot clip sources, drawn with equal chance: one_shot, one_shot:FOLDER#MASKS, ... (several may follow)."""
    num_frames: int = 6
    """Frames of a clip."""
    batch: int = 2
    """Clips a step; four frames of each are looked at."""
    bfloat16: bool = False
    """Compute the network in bfloat16: faster on a processor that has it."""
    inpainter_weights: Path | None = None
    """Weights of the compact inpainter that makes a part of the repairs; by default the shipped ones."""

    def run(self) -> None:
        """Train and write. Of the common flags, masks, height, width and larger have no effect."""
        from videoinpaint.clips import make_clips
        from videoinpaint.inpainters.ciri.residue_pretraining import ResidueData, train_residue_detector
        from videoinpaint.repair.varied import mixed_repair

        output, folder = self.places("ciri-residue")
        schedule = self.fit(folder)
        repair = mixed_repair({"telea": 1, "propagation": 1, "compact": 2}, text(existing(self.inpainter_weights)))
        sources = [make_clips(source) for source in self.clips]
        data = ResidueData(sources, repair, num_frames=self.num_frames, batch=self.batch)
        report(train_residue_detector(data, schedule, output, bfloat16=self.bfloat16), folder)


@dataclass(frozen=True)
class OneShot(Common):
    """CIRI around the compact inpainter: inactivation, complementary attention and curriculum, on one-shot clips."""

    clips: tuple[str, ...] = ("one_shot",)
    """One-shot clip sources, drawn with equal chance: one_shot, one_shot:FOLDER#MASKS, ... (several may follow)."""
    learning_rate: float = 3e-4
    """Peak of the cosine schedule."""
    ablate: bool = False
    """Target inactivation alone: no complementary attention, and inaccurate masks from the first iteration on."""
    init: Path | None = None
    """Weights to start from, of the compact inpainter or of an earlier run; by default the shipped compact ones."""
    warm: float = 0.0
    """Share of the iterations, at the start, that train the maps alone, without curriculum, on three windows a step."""

    def run(self) -> None:
        """Train and write. Of the common flags, masks has no effect."""
        from videoinpaint.clips import make_clips
        from videoinpaint.clips.sources.augmented import OneShotWindows
        from videoinpaint.inpainters.ciri.curriculum import Curriculum
        from videoinpaint.inpainters.ciri.pretraining import train_one_shot

        output, folder = self.places("ciri-compact")
        init, schedule, attention = existing(self.init), self.fit(folder), not self.ablate
        sources = [make_clips(source) for source in self.clips]
        size = (self.num_frames, self.height, self.width)
        windows = OneShotWindows(sources, *size, self.batch, tuple(map(size_of, self.larger)))
        curriculum = None if self.ablate else Curriculum()
        if not 0 <= self.warm <= 1:
            raise InputError(f"--warm must lie in [0, 1], got {self.warm}")
        train_one_shot(windows, schedule, output, curriculum=curriculum, attention=attention, init=init, warm=self.warm)
        report(output, folder)


COMMAND: Any = (
    Annotated[Inpainter, tyro.conf.subcommand("inpainter")]
    | Annotated[Completion, tyro.conf.subcommand("flow-completion")]
    | Annotated[Detector, tyro.conf.subcommand("detector")]
    | Annotated[Aligner, tyro.conf.subcommand("aligner")]
    | Annotated[Residue, tyro.conf.subcommand("residue")]
    | Annotated[OneShot, tyro.conf.subcommand("one-shot")]
)
