"""The benchmark of one-shot inpainting with wrong masks."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from videoinpaint.benchmarks import ciri
from videoinpaint.errors import InputError

SMALL = {"clips": "studio", "num_frames": 3, "height": 48, "width": 80, "limit": 1}


def test_every_kind_and_method_is_scored(capsys, tmp_path):
    results = ciri.run(ciri.CIRIFlags(**SMALL, kinds=("exact", "missing_parts"), pictures=tmp_path))
    pictures = sorted(tmp_path.iterdir())
    assert len(pictures) == 2
    assert cv2.imread(str(pictures[0])).shape[1] > 4 * SMALL["width"]
    assert [row["kind"] for row in results["rows"]] == ["exact", "missing_parts"]
    assert results["methods"] == ["compact", ciri.PLAIN, "T.I. + D.C.", ciri.CEILING]
    exact, wrong = results["rows"]
    assert exact["compact"]["j_and_f"] == pytest.approx(1)
    assert wrong["compact"]["j_and_f"] < 1
    assert exact["compact"]["psnr_hole"] != exact[ciri.PLAIN]["psnr_hole"]
    assert wrong[ciri.CEILING]["psnr_hole"] == pytest.approx(exact["compact"]["psnr_hole"])
    ciri.report(results)
    assert "PSNR inside the target" in capsys.readouterr().out


def test_real_predictions_are_read_in_pairs(tmp_path):
    for name, shift in (("osvos", 0), ("rvos", 4)):
        folder = tmp_path / "judo" / name
        folder.mkdir(parents=True)
        for index in range(3):
            mask = np.zeros((48, 80), np.uint8)
            mask[10:30, 20 + shift + index : 40 + shift + index] = 255
            cv2.imwrite(str(folder / f"{index:05d}.png"), mask)
    results = ciri.run(ciri.CIRIFlags(**SMALL, kinds=(), predicted=tmp_path))
    assert {row["kind"] for row in results["rows"]} == {ciri.PREDICTED}
    assert 0.3 < results["rows"][0]["compact"]["j_and_f"] < 0.95
    with pytest.raises(InputError, match="osvos"):
        ciri.run(ciri.CIRIFlags(**SMALL, predicted=tmp_path / "judo"))


def test_removal_needs_a_propagator():
    with pytest.raises(InputError, match="--propagator"):
        ciri.run(ciri.CIRIFlags(**SMALL, removal=True))
