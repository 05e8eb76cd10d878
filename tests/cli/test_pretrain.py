"""`videoinpaint pretrain`: what it starts from, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from videoinpaint.cli import main
from videoinpaint.weights import load_safetensors, path_of

Fails = Callable[..., str]
TINY = ("--iterations", "1", "--num-frames", "2", "--height", "32", "--width", "32", "--device", "cpu")


@pytest.mark.parametrize("start", [None, "ciri-compact"])
def test_ciri_learns_from_the_weights_that_ship(
    start: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "new.safetensors"
    init = () if start is None else ("--init", str(path_of(start)))
    assert main(["pretrain", "one-shot", *TINY, *init, "--output", str(output)]) == 0
    told = capsys.readouterr()
    assert " loss " in told.err  # progress
    assert told.out.startswith("wrote ")
    made, shipped = (load_safetensors("ciri-compact", path)[0] for path in (output, None))
    assert {key: value.shape for key, value in made.items()} == {key: value.shape for key, value in shipped.items()}


def test_ciri_does_not_learn_from_a_network_that_chooses_among_motions(tmp_path: Path, fails: Fails) -> None:
    init = path_of("inpainter-compact2")
    told = fails("pretrain", "one-shot", *TINY, "--init", init, "--output", tmp_path / "new.safetensors")
    assert "start from weights of 'inpainter-compact'" in told


@pytest.mark.parametrize("network", ["inpainter", "flow-completion", "detector", "aligner", "residue", "one-shot"])
def test_a_training_needs_clips_and_a_seed(network: str, tmp_path: Path, fails: Fails) -> None:
    words = ("pretrain", network, "--iterations", "1", "--device", "cpu", "--output", tmp_path / "new.safetensors")
    assert "--clips names no source" in fails(*words, "--clips")
    assert "seed must lie in" in fails(*words, "--seed", "-1")
    assert not list(tmp_path.iterdir())
