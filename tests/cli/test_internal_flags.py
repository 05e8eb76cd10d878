"""The flags of internal learning: presets by name, what changes them, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from videoinpaint.cli.internal import InternalFlags
from videoinpaint.errors import InputError
from videoinpaint.inpainters.internal.masks import MaskTraining
from videoinpaint.inpainters.propagators.internal_learning import InternalPropagator

Fails = Callable[..., str]


def test_the_paper_is_a_preset_that_flags_change() -> None:
    paper = InternalFlags(preset="paper").settings()
    assert (paper.config.arch, paper.config.width, paper.config.learning_rate) == ("coarse-to-fine", 1.0, 2e-4)
    assert (paper.steps, paper.patience, paper.levels) == (80_000, 0, (30_000, 45_000, 60_000))
    assert (paper.large.learning_rate, paper.large.batch) == (1e-4, 2)
    changed = InternalFlags(preset="paper", arch="base", batch=3, steps=(7,), hidden="free-form").settings()
    for config in (changed.config, changed.large):
        assert (config.arch, config.batch, config.hidden, config.width) == ("base", 3, "free-form", 1.0)
    assert (changed.steps, changed.levels) == (7, (7,))
    quick = InternalFlags().settings()
    assert (quick.config.width, quick.steps, quick.patience) == (0.25, None, 8)


@pytest.mark.parametrize(
    ("losses", "weights"),
    [
        (("reconstruction",), (1.0, 0.0, 0.0)),
        (("reconstruction", "ambiguity"), (1.0, 0.1, 0.0)),
        (("reconstruction", "stabilisation"), (1.0, 0.0, 0.2)),
        (("stabilisation", "ambiguity", "reconstruction"), (1.0, 0.1, 0.2)),
    ],
)
def test_the_rows_of_table_3_are_losses_by_name(losses, weights) -> None:
    assert InternalFlags(losses=losses).settings().config.weights == weights


def test_the_propagator_takes_the_preset() -> None:
    usual = InternalFlags().follower("internal", "cpu")
    assert isinstance(usual, InternalPropagator)
    assert usual.training == MaskTraining()
    assert InternalFlags(preset="paper").follower("flow", "cpu").name == "flow"
    made = InternalFlags(preset="paper").follower("internal", "cuda")
    assert isinstance(made, InternalPropagator)
    assert made.device.type == "cuda"
    assert made.training == MaskTraining(width=1.0, steps=6_000, learning_rate=2e-4, vary=False, both=False)


def test_what_does_not_go_together_is_refused(fails: Fails, video: Path, mask: Path, tmp_path: Path) -> None:
    at = ("inpaint", video, "--mask", mask, "--output", tmp_path / "no.mkv")
    assert "--preset, --losses" in fails(*at, "--preset", "paper", "--losses", "reconstruction")
    assert "--steps" in fails(*at, "--inpainter", "internal", "--steps", "3", "2")
    assert "--steps" in fails(*at, "--inpainter", "internal", "--steps", "0")
    assert "reconstruction" in fails(*at, "--inpainter", "internal", "--losses", "ambiguity")
    assert "width" in fails(*at, "--inpainter", "internal", "--width-factor", "9")
    assert not (tmp_path / "no.mkv").exists()
    InternalFlags(preset="paper").check("ciri", "internal")
    with pytest.raises(InputError, match="--folder"):
        InternalFlags(preset="paper", folder=tmp_path).check("ciri", "internal")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--weights", "random"), "--weights"),
        (("--detector", "none"), "--detector"),
        (("--policy", "trained", "--iterations", "3"), "--policy, --iterations"),
        (("--progressive", "--action-grid", "2", "2"), "--action-grid"),
    ],
)
def test_flags_of_the_loop_are_refused(
    words: tuple[str, ...], named: str, fails: Fails, video: Path, mask: Path, tmp_path: Path
) -> None:
    line = fails("inpaint", video, "--mask", mask, "--output", tmp_path / "no.mkv", "--inpainter", "internal", *words)
    assert f"{named}: not for internal" in line
