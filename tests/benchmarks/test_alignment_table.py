"""How well the reward's alignment module predicts the next frame's features."""

from __future__ import annotations

import pytest
import torch

from videoinpaint.benchmarks.networks.alignment import Alignment, alignment_errors, report, run
from videoinpaint.errors import InputError, MissingWeightsError, UnknownNameError
from videoinpaint.metrics.alignment import load_aligner


@pytest.mark.parametrize("backbone", ["alex", pytest.param("vgg16", marks=pytest.mark.vgg16)])
def test_shipped_weights_align_better_than_the_warp_and_that_better_than_nothing(backbone, capsys):
    results = run(Alignment(suites=("studio:fast",), backbone=backbone, num_frames=3, limit=2))
    clips = results["suites"]["studio:fast"]["errors"]
    assert len(clips) == 2
    for errors in clips.values():
        assert errors["aligned"] < errors["warped"] < errors["still"]
        assert errors["flagged"] != errors["aligned"]
    report(results)
    shown = " ".join(capsys.readouterr().out.split())
    assert "without intervals, which need 5 clips" in shown
    mean = sum(errors["aligned"] for errors in clips.values()) / 2
    assert f"{mean:.4f}" in shown


def test_a_still_clip_needs_no_alignment():
    clip = torch.rand(1, 1, 3, 64, 96, generator=torch.Generator().manual_seed(0)).expand(-1, 3, -1, -1, -1)
    errors = alignment_errors(load_aligner("alex", "warp"), clip)
    assert errors["still"] == 0
    assert errors["aligned"] == errors["warped"]
    assert errors["warped"] < 1e-5


@pytest.mark.parametrize(
    ("flags", "kind", "told"),
    [
        ({"backbone": "squeeze"}, UnknownNameError, "squeeze"),
        ({"weights": "absent.safetensors"}, MissingWeightsError, "absent"),
        ({"suites": ()}, InputError, "suites"),
        ({"num_frames": 1}, InputError, "num_frames"),
    ],
)
def test_bad_flags_are_named(flags, kind, told):
    with pytest.raises(kind, match=told):
        run(Alignment(**flags))
