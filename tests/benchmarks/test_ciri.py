"""The benchmark of one-shot inpainting with wrong masks."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from videoinpaint.benchmarks.repair import ciri, ciri_cases
from videoinpaint.errors import InputError, UnknownNameError

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
    assert {row["kind"] for row in results["rows"]} == {ciri_cases.PREDICTED}
    assert 0.3 < results["rows"][0]["compact"]["j_and_f"] < 0.95
    with pytest.raises(InputError, match="osvos"):
        ciri.run(ciri.CIRIFlags(**SMALL, predicted=tmp_path / "judo"))


def test_what_shares_a_background_counts_once():
    def row(background, better):
        scores = dict.fromkeys(ciri.SHOWN, 1.0)
        return {"kind": "late", "background": background, "compact": scores, ciri.PLAIN: scores,
                "ciri": scores | {"psnr_hole": 1.0 + better}}  # fmt: skip

    methods = ["compact", ciri.PLAIN, "ciri"]
    rows = [row(str(index), index) for index in range(6)]
    alone, thrice = (ciri._means(given, methods, ["late"])["ciri"]["gain"] for given in (rows, 3 * rows))
    assert alone == pytest.approx(thrice)
    assert alone["mean"] == pytest.approx(2.5)
    lopsided = ciri._means([*rows, rows[0], rows[0]], methods, ["late"])["ciri"]
    assert lopsided["gain"]["mean"] == pytest.approx(2.5)
    assert lopsided["psnr_hole"] == pytest.approx(3.5)


def test_a_kind_is_the_same_whatever_else_is_asked_for():
    flags = [ciri.CIRIFlags(**SMALL, kinds=kinds) for kinds in (("shifted",), ("late", "exact", "shifted"))]
    alone, last = (list(ciri._given(each))[-1] for each in flags)
    np.testing.assert_array_equal(alone.predicted, last.predicted)
    with pytest.raises(UnknownNameError, match="use exact, eroded"):
        ciri.run(ciri.CIRIFlags(**SMALL, kinds=("smeared",)))


def test_removal_needs_a_propagator():
    with pytest.raises(InputError, match="--propagator"):
        ciri.run(ciri.CIRIFlags(**SMALL, removal=True))
