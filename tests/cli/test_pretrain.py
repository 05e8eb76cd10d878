"""`videoinpaint pretrain`: what it starts from, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from videoinpaint.cli import main
from videoinpaint.weights import load_safetensors, path_of, read_file, save_safetensors, terms

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


@pytest.mark.parametrize("network", ["inpainter", "one-shot"])
def test_terms_in_the_metadata_are_handed_on(
    network: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terms, "_announced", set())
    tensors, metadata = read_file(path_of("inpainter-compact"))
    start = save_safetensors(tmp_path / "theirs.safetensors", tensors, metadata | {"licence": "for research alone"})
    output = tmp_path / "new.safetensors"
    assert main(["pretrain", network, *TINY, "--init", str(start), "--output", str(output)]) == 0
    assert "come under: for research alone" in capsys.readouterr().err
    assert read_file(output)[1]["licence"] == "for research alone"


def test_ciri_does_not_learn_from_a_network_that_chooses_among_motions(tmp_path: Path, fails: Fails) -> None:
    init = path_of("inpainter-compact2")
    told = fails("pretrain", "one-shot", *TINY, "--init", init, "--output", tmp_path / "new.safetensors")
    assert "start from weights of 'inpainter-compact'" in told
    made = tmp_path / "made.safetensors"
    assert main(["pretrain", "inpainter", *TINY, "--output", str(made)]) == 0
    assert fails(
        "pretrain", "one-shot", *TINY, "--init", made, "--output", tmp_path / "new.safetensors"
    ) == told.replace(str(init), str(made))


def test_missing_weights_are_told_with_the_flag_that_asks_for_them(
    tmp_path: Path, fails: Fails, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIDEOINPAINT_CACHE", str(tmp_path / "cache"))
    for network, arch, flag in (
        ("one-shot", "e2fgvi", "--init"),
        ("one-shot", "propainter", "--init"),
        ("inpainter", "propainter", "--completion-weights"),
    ):
        words = ("--arch", arch, "--iterations", "1", "--device", "cpu", "--output", tmp_path / "new.safetensors")
        told = fails("pretrain", network, *words)
        assert "weights fetch" in told
        assert f"`{flag} PATH`" in told
        assert "--weights" not in told


@pytest.mark.parametrize("network", ["inpainter", "flow-completion", "detector", "aligner", "residue", "one-shot"])
def test_a_training_needs_clips_and_a_seed(network: str, tmp_path: Path, fails: Fails) -> None:
    words = ("pretrain", network, "--iterations", "1", "--device", "cpu", "--output", tmp_path / "new.safetensors")
    assert "--clips names no source" in fails(*words, "--clips")
    assert "seed must lie in" in fails(*words, "--seed", "-1")
    assert not list(tmp_path.iterdir())
