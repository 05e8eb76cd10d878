"""Train networks, on any clips. Ctrl-C keeps what was done when the step ends (twice: ends at once); the same command
goes on from there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from videoinpaint.cli.pretraining import Common, Staged, asked_by, existing, report, size_of, text, windows
from videoinpaint.cli.stage_one import Completion, Detector, Inpainter, Numbers
from videoinpaint.errors import InputError

if TYPE_CHECKING:
    from videoinpaint.clips.sources.augmented import OneShotWindows


@dataclass(frozen=True)
class Aligner(Common):
    """The alignment module of the reward's temporal term: features of one frame brought to the next."""

    backbone: Literal["alex", "vgg16"] = "alex"
    """Network whose features it aligns."""

    def run(self) -> None:
        """Train and write."""
        from videoinpaint.metrics.alignment_pretraining import train_aligner

        output, folder = self.places(f"aligner-{self.backbone}")
        data, schedule = windows(self, self, self.larger, device=self.place()), self.fit(folder)
        report(train_aligner(data, schedule, output, self.backbone), folder)


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
        """Train and write. Of the common flags, masks, height, width and larger have no effect. Examples are repaired
        on the CPU, wherever the detector is trained."""
        from videoinpaint.inpainters.ciri.residue_pretraining import ResidueData, train_residue_detector
        from videoinpaint.repair.varied import mixed_repair

        output, folder = self.places("ciri-residue")
        schedule, device = self.fit(folder), self.place()
        repair = mixed_repair({"telea": 1, "propagation": 1, "compact": 2}, text(existing(self.inpainter_weights)))
        data = ResidueData(self.sources(), repair, num_frames=self.num_frames, batch=self.batch)
        made = train_residue_detector(data, schedule, output, device=device, bfloat16=self.bfloat16)
        report(made, folder)


@dataclass(frozen=True)
class OneShot(Staged):
    """CIRI: inactivation, complementary attention and curriculum, on one-shot clips, around inpainter-compact or a
    published network that was trained by `pretrain inpainter --arch` (there its 150 epochs, here the other 30)."""

    clips: tuple[str, ...] = ("one_shot",)
    """One-shot clip sources, drawn with equal chance: one_shot, one_shot:FOLDER#MASKS, ... (several may follow)."""
    arch: Literal["compact", "propainter", "e2fgvi", "e2fgvi_hq", "fuseformer", "dstt"] = "compact"
    """The network."""
    ablate: bool = False
    """Target inactivation alone: no complementary attention, and inaccurate masks from the first iteration on."""
    init: Path | None = None
    """Weights to start from. --arch compact: inpainter-compact, which ships (the default), or of an earlier run; what
    `pretrain inpainter` writes follows two motions, CIRI one, and is refused. Of a published network: its own, by
    default the fetched ones."""
    warm: float = 0.0
    """Compact alone: share of the iterations, at the start, that train the maps alone, without curriculum, on three
    windows a step."""
    larger: tuple[str, ...] = ()
    """Compact alone: further sizes of windows, drawn with equal chance: FRAMESxHEIGHTxWIDTH, such as 4x128x224."""

    def run(self) -> None:
        """Train and write. Of the common flags, masks has no effect."""
        if not 0 <= self.warm <= 1:
            raise InputError(f"--warm must lie in [0, 1], got {self.warm}")
        if self.arch == "compact":
            self._compact()
        else:
            self._published()

    def _windows(self, numbers: Any) -> OneShotWindows:
        from videoinpaint.clips.sources.augmented import OneShotWindows

        size = (numbers.num_frames, numbers.height, numbers.width)
        return OneShotWindows(self.sources(), *size, numbers.batch, tuple(map(size_of, self.larger)))

    def _compact(self) -> None:
        from videoinpaint.fitting import FitConfig
        from videoinpaint.inpainters.ciri.curriculum import Curriculum
        from videoinpaint.inpainters.ciri.pretraining import train_one_shot

        if self.preset == "paper":
            raise InputError("--preset paper: the compact network was never published; choose another --arch")
        output, folder = self.places("ciri-compact")
        numbers, init, attention = self.numbers(Numbers(learning_rate=3e-4)), existing(self.init), not self.ablate
        schedule = FitConfig(
            folder, numbers.iterations, numbers.learning_rate, seed=self.seed, settings=self.decided(numbers)
        )
        curriculum = None if self.ablate else Curriculum()
        train_one_shot(
            self._windows(numbers), schedule, output, curriculum=curriculum, attention=attention, init=init,
            warm=self.warm, device=self.place(),
        )  # fmt: skip
        report(output, folder)

    def _published(self) -> None:
        from videoinpaint.inpainters.ciri.around import ADAPTERS
        from videoinpaint.inpainters.ciri.published_pretraining import one_shot_recipe, schedule_of, train_around

        if self.warm or self.larger:
            raise InputError("--warm and --larger are for --arch compact: leave them out")
        output, folder = self.places(f"ciri-{self.arch}")
        recipe, init = self.numbers(one_shot_recipe(self.arch, self.preset)), existing(self.init)
        with asked_by("--init", self.arch):
            part = ADAPTERS[self.arch](str(self.place()), init)
        schedule = schedule_of(recipe, folder, self.seed, self.decided(recipe))
        train_around(self._windows(recipe), part, recipe, schedule, output, ablate=self.ablate)
        report(output, folder)


COMMAND: Any = (
    Annotated[Inpainter, tyro.conf.subcommand("inpainter")]
    | Annotated[Completion, tyro.conf.subcommand("flow-completion")]
    | Annotated[Detector, tyro.conf.subcommand("detector")]
    | Annotated[Aligner, tyro.conf.subcommand("aligner")]
    | Annotated[Residue, tyro.conf.subcommand("residue")]
    | Annotated[OneShot, tyro.conf.subcommand("one-shot")]
)
