"""The first stage of CLIP-RL: the inpainting network, its flow completion, and the detector (docs/two_stages.md)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from videoinpaint.cli.pretraining import Staged, asked_by, existing, report, text, windows
from videoinpaint.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from videoinpaint.fitting import FitConfig
    from videoinpaint.inpainters.published.adapter import PublishedInpainter
    from videoinpaint.inpainters.published.recipes import Recipe

_BASELINES = {"telea": 1.0, "propagation": 1.0}


@dataclass(frozen=True)
class Numbers:
    """Of a training that is no published one; by default those of the compact networks."""

    iterations: int = 5000
    learning_rate: float = 5e-4
    num_frames: int = 5
    height: int = 80
    width: int = 144
    batch: int = 1


_FOCAL = Numbers(500_000, 1e-4, 1, 1024, 1024, 4)
"""HighwayWu/FOCAL, main.py: rate, size and batch; it trains until its score no longer rises, so the length is ours."""


@dataclass(frozen=True)
class Inpainter(Staged):
    """An inpainting network: the compact one (nested heads, conditioned on alpha, beta and gamma, with the loop
    unrolled), or a published one by its published losses."""

    arch: Literal["compact", "propainter", "e2fgvi", "e2fgvi_hq", "fuseformer", "dstt", "sttn"] = "compact"
    """The network. ProPainter needs weights of its flow completion first: pretrain flow-completion."""
    init: Path | None = None
    """Weights to start from, with a fresh schedule; those of a published network bring their own size."""
    larger: tuple[str, ...] = ()
    """Compact alone: further sizes of windows, drawn with equal chance: FRAMESxHEIGHTxWIDTH, such as 4x128x224."""
    bfloat16: bool = False
    """Compact alone: compute the network and its perceptual loss in bfloat16, faster on a processor that has it."""
    detector_weights: Path | None = None
    """Compact alone: the compact detector that flags where a later pass works; by default the shipped one."""
    completion_weights: Path | None = None
    """Flow completion to start from: of ProPainter, where it stays as it is, or the SPyNet of E2FGVI."""
    nested_heads: int = 0
    """Of a published network: so many attention heads, of which the first k learn to work alone (0: as published). With
    --init, the heads of the file are split into so many."""

    def run(self) -> None:
        """Train and write."""
        if self.arch == "compact":
            self._compact()
        else:
            self._published()

    def _compact(self) -> None:
        from videoinpaint.detectors import make_detector
        from videoinpaint.inpainters.compact.pretraining import train_inpainter

        _no_paper(self)
        _only(self, "a published network", "completion_weights", "nested_heads")
        output, folder = self.places("inpainter-compact")
        device, numbers = self.place(), self.numbers(Numbers())
        weights = text(existing(self.detector_weights))
        detector = make_detector("compact", weights=weights, device=device)

        def detect(repaired: Tensor, holes: Tensor) -> Tensor:
            return detector.detect(repaired, holes).masks

        init, schedule = existing(self.init), _schedule(self, numbers, folder)
        data = windows(self, numbers, self.larger, device=device)
        train_inpainter(data, schedule, output, init=init, detect=detect, bfloat16=self.bfloat16)
        report(output, folder)

    def _published(self) -> None:
        from videoinpaint.inpainters.published.pretraining import schedule_of, train_published
        from videoinpaint.inpainters.published.recipes import recipe_of

        _only(self, "--arch compact", "larger", "bfloat16", "detector_weights")
        output, folder = self.places(self.arch)
        device, recipe = self.place(), self.numbers(recipe_of(self.arch, self.preset))
        schedule = schedule_of(recipe, folder, self.seed, self.decided(recipe))
        part = self._part(recipe, str(device))
        data = windows(self, recipe, plain=recipe.plain)
        train_published(data, part, recipe, schedule, output)
        report(output, folder)

    def _part(self, recipe: Recipe, device: str) -> PublishedInpainter:
        """The adapter whose network is trained; what stays as it is, is loaded."""
        import torch

        from videoinpaint.inpainters import INPAINTERS
        from videoinpaint.inpainters.published.pretraining import load_completion, sizes_of, split_heads

        part, completion = INPAINTERS.find(self.arch), existing(self.completion_weights)
        if completion and self.arch not in ("propainter", "e2fgvi", "e2fgvi_hq"):
            raise InputError(f"{self.arch} has no flow completion: leave --completion-weights out")
        if init := existing(self.init):
            built = part(device, init)
            return split_heads(built, self.nested_heads) if self.nested_heads else built
        torch.manual_seed(self.seed)
        built = part(device, sizes=sizes_of(part, recipe, self.nested_heads))
        with asked_by("--completion-weights", "propainter-flow-completion"):
            load_completion(built, completion)
        return built


@dataclass(frozen=True)
class Completion(Staged):
    """Flow completion: ProPainter's recurrent network, or the SPyNet that E2FGVI runs on masked frames."""

    arch: Literal["propainter", "e2fgvi"] = "propainter"
    """Whose."""
    flow: Literal["dis", "raft"] = "dis"
    """What estimates the motion that is to be found: dense inverse search, or RAFT as published (its weights)."""

    def run(self) -> None:
        """Train and write."""
        from videoinpaint.inpainters.published.flow_pretraining import dis, raft, train_completion
        from videoinpaint.inpainters.published.pretraining import schedule_of
        from videoinpaint.inpainters.published.recipes import COMPLETION

        output, folder = self.places(f"{self.arch}-flow-completion")
        device, recipe = self.place(), self.numbers(COMPLETION[self.preset][self.arch])
        if self.arch == "propainter" and (recipe.height % 8 or recipe.width % 8):
            raise InputError(f"--height {recipe.height} --width {recipe.width}: take multiples of 8")
        recipe = replace(recipe, local=min(recipe.local, recipe.num_frames))
        if recipe.local < 2:
            raise InputError(f"--num-frames {recipe.num_frames}: motion needs two frames")
        schedule = schedule_of(recipe, folder, self.seed, self.decided(recipe))
        flows = raft(device) if self.flow == "raft" else dis
        data = windows(self, recipe, plain=recipe.plain)
        train_completion(data, self.arch, recipe, schedule, output, device, flows)
        report(output, folder)


@dataclass(frozen=True)
class Detector(Staged):
    """A detector, trained on repairs by telea, propagation and an inpainting network."""

    arch: Literal["compact", "focal-hrnet", "focal-vit"] = "compact"
    """The compact detector, or one of FOCAL's extractors: the HRNet (28.5 M parameters), or a ViT, which is small
    (0.4 M) unless --preset paper asks for the 308 M of Segment Anything."""
    augment: bool = True
    """Of FOCAL alone: let the repairs be compressed, resampled, blurred and so on, as in its publication."""
    inpainter: str = "compact"
    """The network that makes half of the repairs: the one of the first stage."""
    inpainter_weights: Path | None = None
    """Its weights; by default the shipped or fetched ones."""
    larger: tuple[str, ...] = ()
    """Further sizes of windows, drawn with equal chance: FRAMESxHEIGHTxWIDTH, such as 4x128x224."""
    init: Path | None = None
    """Of FOCAL alone: weights to start from, such as the official file."""
    evaluate_every: int = 500
    """Of FOCAL alone: iterations between measurements on held-out repairs, which go to the log."""

    def run(self) -> None:
        """Train and write."""
        from videoinpaint.detectors.compact.pretraining import train_detector
        from videoinpaint.detectors.focal.pretraining import train_focal
        from videoinpaint.detectors.focal.vit import SMALL, ViTConfig
        from videoinpaint.repair.varied import mixed_repair

        compact = self.arch == "compact"
        output, folder = self.places("detector-compact" if compact else self.arch)
        if compact:
            _no_paper(self)
            _only(self, "FOCAL", "init", "augment")
        numbers = self.numbers(Numbers() if self.preset == "small" else _FOCAL)
        init, device = existing(self.init), self.place()
        schedule, weights = _schedule(self, numbers, folder), text(existing(self.inpainter_weights))
        chances = _BASELINES | {self.inpainter: 2.0}
        repair = mixed_repair(chances, weights, str(device), self.inpainter)
        data = windows(self, numbers, self.larger, device=device)
        if compact:
            train_detector(data, repair, schedule, output)
        else:
            vit = None if self.arch == "focal-hrnet" else SMALL if self.preset == "small" else ViTConfig()
            every = self.evaluate_every
            train_focal(data, repair, schedule, output, init=init, evaluate_every=every, vit=vit, augment=self.augment)
        report(output, folder)


def _schedule(flags: Staged, numbers: Numbers, folder: Path) -> FitConfig:
    from videoinpaint.fitting import FitConfig

    return FitConfig(
        folder, numbers.iterations, numbers.learning_rate, seed=flags.seed, settings=flags.decided(numbers)
    )


def _no_paper(flags: Staged) -> None:
    if flags.preset == "paper":
        raise InputError("--preset paper: the compact network was never published; choose another --arch")


def _only(flags: Staged, owner: str, *names: str) -> None:
    """Raise InputError where a flag was given that only another network takes."""
    defaults = type(flags)()
    for name in names:
        if getattr(flags, name) != getattr(defaults, name):
            raise InputError(f"--{name.replace('_', '-')} is for {owner}: leave it out")
