"""What the subcommands of `pretrain` share: their flags, and what becomes of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from videoinpaint.errors import InputError, MissingWeightsError

if TYPE_CHECKING:
    import torch

    from videoinpaint.clips import ClipSource
    from videoinpaint.clips.sources.augmented import Windows
    from videoinpaint.fitting import FitConfig

NUMBERS = ("iterations", "learning_rate", "num_frames", "height", "width", "batch")
_PLACES = ("output", "folder", "device")


@dataclass(frozen=True)
class Sources:
    """Where training clips come from and where the result goes."""

    clips: tuple[str, ...] = ("studio",)
    """Clip sources, drawn with equal chance: studio, studio:hard, a folder of clips, ... (several may follow)."""
    masks: str = "mixed"
    """Holes to train on: stationary, square, object, mixed, ..."""
    output: Path | None = None
    """The weight file to write; by default runs/pretrain/NAME.safetensors."""
    folder: Path | None = None
    """Where checkpoint and log go; by default a folder beside the output. A checkpoint found there is continued."""
    seed: int = 0
    """Seed of everything random."""
    device: str = "auto"
    """Where the network is trained: auto (the GPU where there is one), cpu, cuda, ..."""

    def place(self) -> torch.device:
        """Where the network is trained.

        Raises:
            InputError: there is no such device.
        """
        from videoinpaint.device import resolve_device

        return resolve_device(self.device)

    def places(self, name: str) -> tuple[Path, Path]:
        """The weight file and the folder of the checkpoint."""
        output = self.output or Path("runs/pretrain") / f"{name}.safetensors"
        if output.suffix != ".safetensors":
            raise InputError(f"cannot write weights to {output}: end the name in .safetensors")
        return output, self.folder or output.with_suffix("")

    def sources(self) -> list[ClipSource]:
        """The sources of clips.

        Raises:
            InputError: there is none, or one cannot be used.
            UnknownNameError: nothing has such a name.
        """
        from videoinpaint.clips import make_clips

        if not self.clips:
            raise InputError("--clips names no source of clips: give one or more, or leave it out")
        return [make_clips(source) for source in self.clips]

    def settings(self) -> dict[str, Any]:
        """What decides the result, for the checkpoint."""
        told = {f.name: _told(getattr(self, f.name)) for f in fields(self) if f.name not in _PLACES}
        return {"network": type(self).__name__.lower()} | told


class Numbers(Protocol):
    """What a preset has at least."""

    @property
    def iterations(self) -> int: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def num_frames(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def batch(self) -> int: ...


AnyNumbers = TypeVar("AnyNumbers", bound=Numbers)


@dataclass(frozen=True)
class Staged(Sources):
    """Flags of networks with presets; numbers that are given replace the preset's."""

    preset: Literal["small", "paper"] = "small"
    """Losses, schedule and sizes: small ones, which train on a laptop, or the published ones (docs/two_stages.md)."""
    iterations: int | None = None
    """Optimiser steps of the whole schedule, which a later call cannot make longer; by default the preset's."""
    learning_rate: float | None = None
    """Where the learning rate begins or peaks; by default the preset's."""
    num_frames: int | None = None
    """Frames of a training window; by default the preset's."""
    height: int | None = None
    """Height of a training window, pixels; by default the preset's."""
    width: int | None = None
    """Width of a training window, pixels; by default the preset's."""
    batch: int | None = None
    """Windows a step; by default the preset's."""

    def numbers(self, preset: AnyNumbers) -> AnyNumbers:
        """The preset with the numbers that were given."""
        given = {name: value for name in NUMBERS if (value := getattr(self, name)) is not None}
        return replace(preset, **given)  # type: ignore[type-var]  # presets are dataclasses

    def decided(self, numbers: Numbers) -> dict[str, Any]:
        """As `settings`, with the numbers that the preset gives."""
        return self.settings() | {name: getattr(numbers, name) for name in NUMBERS}


def windows(
    flags: Sources,
    numbers: Numbers,
    larger: tuple[str, ...] = (),
    plain: bool = False,
    device: str | torch.device = "cpu",
) -> Windows:
    """The training windows; the sources are opened and tried.

    Raises:
        InputError, UnknownNameError: clips, masks or the seed cannot be used.
    """
    import numpy as np

    from videoinpaint.checks import seed_number
    from videoinpaint.clips import make_masks
    from videoinpaint.clips.sources.augmented import Windows

    rng = np.random.default_rng(seed_number(flags.seed))
    size = (numbers.num_frames, numbers.height, numbers.width)
    more = tuple(map(size_of, larger))
    data = Windows(flags.sources(), make_masks(flags.masks), *size, numbers.batch, more, plain, device)
    data.draw(rng)
    return data


@dataclass(frozen=True)
class Common(Sources):
    """Flags of networks without presets."""

    iterations: int = 5000
    """Optimiser steps of the whole schedule, which a later call cannot make longer."""
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

    def fit(self, folder: Path) -> FitConfig:
        """The schedule."""
        from videoinpaint.fitting import FitConfig

        return FitConfig(folder, self.iterations, self.learning_rate, seed=self.seed, settings=self.settings())


def size_of(text: str) -> tuple[int, int, int]:
    """``FRAMESxHEIGHTxWIDTH`` as numbers.

    Raises:
        InputError: it is not of that form.
    """
    numbers = text.split("x")
    if len(numbers) != 3 or not all(number.isascii() and number.isdigit() and int(number) > 0 for number in numbers):
        raise InputError(f"--larger {text}: write FRAMESxHEIGHTxWIDTH, such as 4x128x224")
    return int(numbers[0]), int(numbers[1]), int(numbers[2])


def existing(path: Path | None) -> Path | None:
    """The path itself.

    Raises:
        InputError: it is given and no file is there.
    """
    if path is not None and not os.path.isfile(path):
        raise InputError(f"no weight file at {path}: check the path")
    return path


def _told(value: Any) -> Any:
    """A flag as a checkpoint records it; a file goes by its content, which may change under its name."""
    from videoinpaint.weights.hashes import sha256

    return f"sha256 {sha256(value)}" if isinstance(value, Path) and value.is_file() else value


@contextmanager
def asked_by(flag: str, name: str) -> Iterator[None]:
    """Within the block, where the weights ``name`` are missing, the flag is told that asks for them here.

    No flag asks for other weights.
    """
    try:
        yield
    except MissingWeightsError as error:
        told, here = str(error), f" (`{flag} PATH`)"
        known = told.startswith(f"the weights {name!r}")
        raise MissingWeightsError(told.replace(" (`--weights PATH`)", here if known else "")) from error


def text(path: Path | None) -> str | None:
    """A path as parts take it."""
    return str(path) if path else None


def report(output: Path, folder: Path) -> None:
    """Say what was made."""
    from videoinpaint.checkpoints import CHECKPOINT, LOG

    there = [name for name in (CHECKPOINT, LOG) if (folder / name).is_file()]  # a short training logs nothing
    print(f"wrote {output} (in {folder}: {', '.join(there)})")
