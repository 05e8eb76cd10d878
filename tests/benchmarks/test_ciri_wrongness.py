"""What wrong masks cost around a published network: the table of several trainings."""

from __future__ import annotations

from dataclasses import replace

import cv2
import pytest
import torch

from videoinpaint.benchmarks.repair import ciri_wrongness
from videoinpaint.errors import CorruptWeightsError, InputError, UnknownNameError
from videoinpaint.inpainters.ciri.around import ADAPTERS, around, save_around
from videoinpaint.inpainters.published.pretraining import sizes_of
from videoinpaint.inpainters.published.recipes import SMALL
from videoinpaint.weights import save_safetensors

CLIPS = {"clips": "studio", "num_frames": 3, "limit": 1, "severities": (1.0,), "kinds": ("shifted", "late")}


def trained(path, seed, attention=True):
    """A file as a training writes it, of a very small network that has learnt nothing."""
    kind, own = ADAPTERS["dstt"], SMALL["dstt"]
    torch.manual_seed(seed)
    part = kind(sizes=sizes_of(kind, replace(own, sizes=replace(own.sizes, depth=1, dim=48, hidden=98))))
    return save_around(around(part, learned=True, attention=attention), part, path)


def test_every_training_is_measured_and_trusting_ones_lose_by_wrong_masks(tmp_path, capsys):
    weights = tuple(trained(tmp_path / f"{seed}.safetensors", seed) for seed in range(2))
    ablated = (trained(tmp_path / "ablated.safetensors", 0, attention=False),)
    flags = ciri_wrongness.WrongnessFlags(
        **CLIPS, weights=weights, ablations=ablated, plot=tmp_path / "p.png", device="cpu"
    )
    results = ciri_wrongness.run(flags)
    right, wrong = results["rows"]
    assert (right["severity"], wrong["severity"]) == (0, 1)
    assert (right["iou"], wrong["iou"] < 0.9) == (1, True)
    assert set(right["psnr"]) == {"CIRI", "trusting", "T.I.", "untouched"}
    assert wrong["psnr"]["untouched"]["mean"] == pytest.approx(right["psnr"]["untouched"]["mean"])
    assert right["cost"]["CIRI"]["mean"] == 0
    for name in ("CIRI", "trusting"):
        assert wrong["cost"][name]["mean"] == pytest.approx(right["psnr"][name]["mean"] - wrong["psnr"][name]["mean"])
    spared = wrong["cost"]["trusting"]["mean"] - wrong["cost"]["CIRI"]["mean"]
    assert sum(wrong["spared_by_seed"]) / 2 == pytest.approx(spared)
    assert results["shares"] == [[0.5] * 3] * 2
    assert cv2.imread(str(tmp_path / "p.png")).shape[1] > 100
    ciri_wrongness.report(results)
    assert "costs less by" in capsys.readouterr().out


def test_what_cannot_be_measured_is_named(tmp_path):
    other = save_safetensors(tmp_path / "other.safetensors", {"x": torch.zeros(1)}, {})
    with pytest.raises(InputError, match="--weights"):
        ciri_wrongness.run(ciri_wrongness.WrongnessFlags(**CLIPS))
    with pytest.raises(CorruptWeightsError, match=r"other\.safetensors"):
        ciri_wrongness.run(ciri_wrongness.WrongnessFlags(**CLIPS, weights=(other,)))
    with pytest.raises(UnknownNameError, match="smeared"):
        ciri_wrongness.run(ciri_wrongness.WrongnessFlags(**CLIPS | {"kinds": ("smeared",)}, weights=(other,)))
    with pytest.raises(InputError, match="exact"):
        ciri_wrongness.run(ciri_wrongness.WrongnessFlags(**CLIPS | {"kinds": ("exact",)}, weights=(other,)))
    with pytest.raises(InputError, match=r"log\.jsonl"):
        ciri_wrongness._learnt([tmp_path])
