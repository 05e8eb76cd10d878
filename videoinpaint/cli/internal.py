"""The flags of `videoinpaint inpaint` for a network that is trained on the video itself (IIVI)."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from videoinpaint.errors import InputError

if TYPE_CHECKING:
    import torch

    from videoinpaint.inpainters.internal.presets import Preset
    from videoinpaint.protocols import MaskPropagator

Loss = Literal["reconstruction", "ambiguity", "stabilisation"]
ALSO_MASKS = "preset"  # the one of these flags that the propagator "internal" takes as well


@dataclass(frozen=True)
class InternalFlags:
    """None stands for the preset's."""

    preset: Literal["quick", "paper"] | None = None
    """With internal, as inpainter or propagator: quick (the default: a minute on two cores) or paper (as published,
    hours on a GPU: 80,000 steps of the whole network at 2e-4; with --progressive 30,000, 45,000 and 60,000 steps of two
    patches at 1e-4; masks in 6,000 steps). The flags below change it."""
    arch: Literal["base", "stacked", "coarse-to-fine"] | None = None
    """With internal: the network."""
    width_factor: float | None = None
    """With internal: factor on the network's channels, 1 as published, 0.25 by default."""
    start: Literal["none", "smooth", "propagation", "compact"] | None = None
    """With internal: what holes begin with: none (as published), each frame's smooth fill, what motion carries in, or a
    mixture with the compact network's repair."""
    losses: tuple[Loss, ...] | None = None
    """With internal: those of the three losses that count; all by default."""
    hidden: Literal["moved", "free-form"] | None = None
    """With internal: what hides known pixels in training: the video's own masks, moved, or brush strokes."""
    batch: int | None = None
    """With internal: frames (with --progressive patches) a step."""
    learning_rate: float | None = None
    """With internal: Adam's."""
    seconds: float | None = None
    """With internal: seconds of training, 60 by default."""
    steps: tuple[int, ...] | None = None
    """With internal: steps of training, instead of seconds or as a further bound. With --progressive one number for
    each level, the coarsest first; the last also counts for further levels."""
    folder: Path | None = None
    """With internal: where checkpoints go (with --progressive the levels' frames, too); those that are there are
    continued. By default there is none."""
    progressive: bool = False
    """With internal, for frames larger than 960x540: coarse to fine, in patches, whose size bounds memory."""

    def check(self, inpainter: str, propagator: str | None) -> None:
        """Raise InputError for flags of another inpainter than this, that exclude each other, or out of range."""
        given = [one.name for one in fields(self) if getattr(self, one.name) not in (None, False)]
        if propagator == "internal":
            given = [name for name in given if name != ALSO_MASKS]
        if inpainter != "internal" and given:
            named = ", ".join("--" + name.replace("_", "-") for name in given)
            raise InputError(f"{named}: only with --inpainter internal, not {inpainter}")
        if self.progressive and self.seconds is not None:
            raise InputError("--seconds: not with --progressive, which counts steps: use --steps")
        if self.steps is not None and not self.progressive and len(self.steps) > 1:
            raise InputError("--steps: one number; several, one for each level, go with --progressive")
        if inpainter == "internal":
            self.settings()

    def settings(self) -> Preset:
        """The preset, changed as the flags say.

        Raises:
            InputError: a setting out of range.
        """
        from videoinpaint.inpainters.internal.losses import NAMES
        from videoinpaint.inpainters.internal.presets import preset
        from videoinpaint.inpainters.internal.trainer import PAPER_WEIGHTS

        named: dict[str, Any] = {
            "arch": self.arch, "width": self.width_factor, "start": self.start, "hidden": self.hidden,
            "batch": self.batch, "learning_rate": self.learning_rate,
        }  # fmt: skip
        if self.losses is not None:
            if "reconstruction" not in self.losses:
                raise InputError("--losses: reconstruction must be among them, the others regularise it")
            named["weights"] = tuple(w if name in self.losses else 0.0 for name, w in zip(NAMES, PAPER_WEIGHTS))
        changes = {name: value for name, value in named.items() if value is not None}
        found = preset(self.preset or "quick")
        config, large = replace(found.config, **changes), replace(found.large, **changes)
        config.check()
        if self.steps is not None and (not self.steps or self.steps[0] < 1 or min(self.steps) < 0):
            raise InputError(f"--steps: at least 1 at the coarsest level and 0 beyond, got {self.steps}")
        steps = found.steps if self.steps is None else self.steps[0]
        return replace(found, config=config, large=large, steps=steps, levels=self.steps or found.levels)

    def follower(self, propagator: str, device: str | torch.device) -> MaskPropagator:
        """The propagator of this name; `internal` with the preset's settings.

        Raises:
            UnknownNameError, MissingWeightsError, CorruptWeightsError, MissingPackageError, PluginError: it cannot be
                made.
        """
        from videoinpaint.inpainters.internal.presets import preset
        from videoinpaint.inpainters.propagators import make_propagator

        if propagator != "internal" or self.preset is None:
            return make_propagator(propagator, device=device)
        return make_propagator(propagator, device=device, training=preset(self.preset).mask)
