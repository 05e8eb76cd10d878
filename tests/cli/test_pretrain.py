"""`videoinpaint pretrain`: what it starts from, and what it refuses."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from videoinpaint.checkpoints import CHECKPOINT
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
    assert told.out == f"wrote {output} (in {output.with_suffix('')}: {CHECKPOINT})\n"  # too short for a log
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


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C as in a terminal, whoever runs the tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


PRESSED = """
import os, signal
from videoinpaint.clips import make_clips

class Clips:
    def __init__(self):
        self.studio, self.name, self.drawn = make_clips("studio:easy"), "pressed", 0

    def __getattr__(self, name):
        return getattr(self.studio, name)

    def sample(self, *args):
        self.drawn += os.path.isdir("halves")
        if self.drawn == 2 and os.path.exists("press"):
            os.kill(os.getpid(), signal.SIGINT)
        return self.studio.sample(*args)
"""


def test_ctrl_c_keeps_what_was_done_and_the_same_command_goes_on(
    tmp_path: Path, fails: Fails, ctrl_c: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pressed.py").write_text(PRESSED)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    words = ["pretrain", "inpainter", "--arch", "dstt", "--masks", "object", "--clips", "pressed:Clips"]
    words += ["--device", "cpu", "--batch", "1", "--iterations", "5", "--output"]
    assert main([*words, "whole.safetensors"]) == 0
    (tmp_path / "press").touch()
    assert main([*words, "halves.safetensors"]) == 130
    told = " ".join(capsys.readouterr().err.splitlines()[-1].split())
    (tmp_path / "press").unlink()
    kept = Path("halves") / CHECKPOINT
    assert re.fullmatch(rf"error: interrupted; 2 of 5 iterations are kept in {kept}: the same settings .*", told)
    assert not (tmp_path / "halves.safetensors").exists()
    assert main([*words, "halves.safetensors"]) == 0
    whole, halves = (read_file(tmp_path / name)[0] for name in ("whole.safetensors", "halves.safetensors"))
    assert all(torch.equal(value, halves[name]) for name, value in whole.items())
    told = fails(*words, "halves.safetensors", "--iterations", "6")  # the last one counts
    assert "iterations=6 (was 5)" in told
    assert "`--output`" in told
