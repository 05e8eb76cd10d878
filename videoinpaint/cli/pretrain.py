"""Train the networks that ship with the package, on any clips. Interrupted, the same command goes on where it was."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from videoinpaint.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from videoinpaint.clips.sources.augmented import Windows
    from videoinpaint.fitting import FitConfig


@dataclass(frozen=True)
class Common:
    """Flags that all of them share."""

    clips: tuple[str, ...] = ("studio",)
    """Clip sources, drawn with equal chance: studio, studio:hard, a folder of clips, ... (several may follow)."""
    masks: str = "mixed"
    """Holes to train on: stationary, square, object, mixed, ..."""
    output: Path | None = None
    """The weight file to write; by default runs/pretrain/NAME.safetensors."""
    folder: Path | None = None
    """Where checkpoint and log go; by default a folder beside the output. A checkpoint found there is continued."""
    iterations: int = 5000
    """Optimiser steps."""
    learning_rate: float = 5e-4
    """Peak of the cosine schedule."""
    num_frames: int = 5
    """Frames of a training window."""
    height: int = 80
    """Height of a training window, pixels."""
    width: int = 144
    """Width of a training window, pixels."""
    batch: int = 1
    """Windows a step."""
    larger: tuple[str, ...] = ()
    """Further sizes of windows, drawn with equal chance: FRAMESxHEIGHTxWIDTH, such as 4x128x224."""
    seed: int = 0
    """Seed of everything random."""

    def data(self) -> Windows:
        """The training windows; the sources are opened and tried.

        Raises:
            InputError, UnknownNameError: clips or masks cannot be used.
        """
        import numpy as np

        from videoinpaint.clips import make_clips, make_masks
        from videoinpaint.clips.sources.augmented import Windows

        sources = [make_clips(source) for source in self.clips]
        size = (self.num_frames, self.height, self.width)
        windows = Windows(sources, make_masks(self.masks), *size, self.batch, tuple(map(_size, self.larger)))
        windows.draw(np.random.default_rng(self.seed))
        return windows

    def places(self, name: str) -> tuple[Path, Path]:
        """The weight file and the folder of the checkpoint."""
        output = self.output or Path("runs/pretrain") / f"{name}.safetensors"
        if output.suffix != ".safetensors":
            raise InputError(f"cannot write weights to {output}: end the name in .safetensors")
        return output, self.folder or output.with_suffix("")

    def fit(self, folder: Path) -> FitConfig:
        """The schedule."""
        from videoinpaint.fitting import FitConfig

        settings = {"network": type(self).__name__.lower()}
        settings |= {f.name: _told(getattr(self, f.name)) for f in fields(self) if f.name not in ("output", "folder")}
        return FitConfig(folder, self.iterations, self.learning_rate, seed=self.seed, settings=settings)


@dataclass(frozen=True)
class Inpainter(Common):
    """The compact inpainter: nested heads, conditioned on alpha, beta and gamma, with the loop unrolled."""

    init: Path | None = None
    """Weights to start from, with a fresh schedule."""
    bfloat16: bool = False
    """Compute the network and its perceptual loss in bfloat16: faster on a processor that has it."""
    detector_weights: Path | None = None
    """Weights of the compact detector that flags where a later pass works; by default the shipped ones."""

    def run(self) -> None:
        """Train and write."""
        from videoinpaint.detectors import make_detector
        from videoinpaint.inpainters.compact.pretraining import train_inpainter

        output, folder = self.places("inpainter-compact")
        init = _existing(self.init)
        detector = make_detector("compact", weights=_text(_existing(self.detector_weights)))

        def detect(repaired: Tensor, holes: Tensor) -> Tensor:
            return detector.detect(repaired, holes).masks

        schedule, data = self.fit(folder), self.data()
        _report(train_inpainter(data, schedule, output, init=init, detect=detect, bfloat16=self.bfloat16), folder)


@dataclass(frozen=True)
class Detector(Common):
    """A detector, trained on repairs by telea, propagation and the compact inpainter."""

    arch: Literal["compact", "focal"] = "compact"
    """The compact detector, or FOCAL's HRNet (28.5 M parameters)."""
    inpainter_weights: Path | None = None
    """Weights of the compact inpainter that makes repairs; by default the shipped ones."""
    init: Path | None = None
    """With --arch focal: weights to start from, such as the official file."""
    evaluate_every: int = 500
    """With --arch focal: iterations between measurements on held-out repairs, which go to the log."""

    def run(self) -> None:
        """Train and write."""
        from videoinpaint.detectors.compact.pretraining import train_detector
        from videoinpaint.detectors.focal.pretraining import train_focal
        from videoinpaint.repair.varied import mixed_repair

        output, folder = self.places("detector-compact" if self.arch == "compact" else "focal-hrnet")
        weights, init, schedule = _existing(self.inpainter_weights), _existing(self.init), self.fit(folder)
        if init and self.arch == "compact":
            raise InputError("--init needs --arch focal: the compact detector starts at random")
        repair = mixed_repair({"telea": 1, "propagation": 1, "compact": 2}, _text(weights))
        if self.arch == "focal":
            every = self.evaluate_every
            train_focal(self.data(), repair, schedule, output, init=init, evaluate_every=every)
        else:
            train_detector(self.data(), repair, schedule, output)
        _report(output, folder)


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
        _report(train_aligner(self.data(), schedule, output, self.backbone), folder)


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
        repair = mixed_repair({"telea": 1, "propagation": 1, "compact": 2}, _text(_existing(self.inpainter_weights)))
        sources = [make_clips(source) for source in self.clips]
        data = ResidueData(sources, repair, num_frames=self.num_frames, batch=self.batch)
        _report(train_residue_detector(data, schedule, output, bfloat16=self.bfloat16), folder)


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
        init, schedule, attention = _existing(self.init), self.fit(folder), not self.ablate
        sources = [make_clips(source) for source in self.clips]
        size = (self.num_frames, self.height, self.width)
        windows = OneShotWindows(sources, *size, self.batch, tuple(map(_size, self.larger)))
        curriculum = None if self.ablate else Curriculum()
        if not 0 <= self.warm <= 1:
            raise InputError(f"--warm must lie in [0, 1], got {self.warm}")
        train_one_shot(windows, schedule, output, curriculum=curriculum, attention=attention, init=init, warm=self.warm)
        _report(output, folder)


def _size(text: str) -> tuple[int, int, int]:
    """``FRAMESxHEIGHTxWIDTH`` as numbers.

    Raises:
        InputError: it is not of that form.
    """
    numbers = text.split("x")
    if len(numbers) != 3 or not all(number.isdigit() and int(number) > 0 for number in numbers):
        raise InputError(f"--larger {text}: write FRAMESxHEIGHTxWIDTH, such as 4x128x224")
    return int(numbers[0]), int(numbers[1]), int(numbers[2])


def _existing(path: Path | None) -> Path | None:
    """The path itself.

    Raises:
        InputError: it is given and no file is there.
    """
    if path is not None and not os.path.isfile(path):
        raise InputError(f"no weight file at {path}: check the path")
    return path


def _told(value: Any) -> Any:
    """A flag as a checkpoint records it; a file goes by its content, which may change under its name."""
    from videoinpaint.agents.evaluation.run_record import sha256

    return f"sha256 {sha256(value)}" if isinstance(value, Path) and value.is_file() else value


def _text(path: Path | None) -> str | None:
    return str(path) if path else None


def _report(output: Path, folder: Path) -> None:
    print(f"wrote {output} (checkpoint and log: {folder})")


COMMAND: Any = (
    Annotated[Inpainter, tyro.conf.subcommand("inpainter")]
    | Annotated[Detector, tyro.conf.subcommand("detector")]
    | Annotated[Aligner, tyro.conf.subcommand("aligner")]
    | Annotated[Residue, tyro.conf.subcommand("residue")]
    | Annotated[OneShot, tyro.conf.subcommand("one-shot")]
)
