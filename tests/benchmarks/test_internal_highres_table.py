"""The benchmark of progressive inpainting, three levels of a few pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from videoinpaint.benchmarks.repair import internal_highres
from videoinpaint.inpainters.internal import Internal


def test_levels_and_memory_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = internal_highres.InternalHighRes(
        num_frames=2,
        results=tmp_path,
        height=24,
        width=40,
        steps=(4, 2, 2),
        network=Internal(width=0.1, pool=1, backbone="alex", patch=32),
    )
    results = internal_highres.run(flags)
    assert results["size"] == [96, 160]
    assert len(results["levels"]) == 3
    assert all(8 < found["psnr_hole"] < 60 for found in [*results["levels"], results["telea"]])
    assert all(0 <= found["lpips_hole"] < 2 for found in results["levels"])
    assert (tmp_path / "level-2" / "00001.png").exists()
    assert (tmp_path / "telea" / "00001.png").exists()
    assert results["memory_mb"]["peak"] >= results["memory_mb"]["before"] > 0
    internal_highres.report(results)
    assert "160x96" in capsys.readouterr().out


def test_the_panorama_pans_and_has_detail_at_full_size() -> None:
    panorama = internal_highres.Panorama(3, (96, 160), seed=1)
    frames = panorama.read(0, 3)
    assert frames.shape == (3, 96, 160, 3)
    np.testing.assert_array_equal(frames[0][:, panorama.step :], frames[1][:, : -panorama.step])
    fine = np.abs(np.diff(frames[0].astype(int), axis=1)).mean()
    assert fine > 2
    holes = internal_highres.MovingHole(3, (96, 160)).read(0, 3)
    assert holes.any(axis=(1, 2)).all()
    assert not np.array_equal(holes[0], holes[2])
