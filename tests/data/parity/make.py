"""Writes the small fixtures beside this file: ``python tests/data/parity/make.py [NAME ...]``.

The official-size fixtures are too large to keep here. These hold what the networks gave, at small sizes, when they
reproduced those within their tolerances: they notice when a network changes. Only run this again after that check.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from videoinpaint.parity import PARITY, GeneratedWeights, _function, _known

Arrays = dict[str, NDArray[np.float32]]
# name -> height, width, frames of the input.
SIZES = {
    "sttn": (48, 96, 2), "dstt": (48, 96, 2), "e2fgvi_hq": (60, 108, 3), "raft": (128, 128, 1),
    "propainter_flow_completion": (32, 40, 3), "propainter": (40, 64, 3), "focal_hrnet": (64, 64, 1),
}  # fmt: skip
STEP = 3  # every third value of the last two axes is kept


def inputs(name: str) -> Arrays:
    """Smooth random pictures in steps of 1/32, holes, and flows that hit no half-pixel ties."""
    height, width, frames = SIZES[name]
    rng = np.random.default_rng(11)

    def smooth(*shape: int) -> torch.Tensor:
        coarse = torch.from_numpy(rng.uniform(-1, 1, (int(np.prod(shape)), 1, height // 8, width // 8)))
        fine = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear").view(*shape, height, width)
        return torch.round(fine * 31) / 32

    masks = torch.zeros(1, frames, 1, height, width)
    masks[..., height // 4 : height // 2, width // 3 : width // 2] = 1
    made = {
        "frames": smooth(1, frames, 3), "masks": masks, "image1": smooth(1, 3), "image2": smooth(1, 3),
        "image": smooth(1, 3), "num_local_frames": torch.tensor(frames - 1),
        "flows_forward": torch.round(smooth(1, frames - 1, 2) * 16) / 8 + 1 / 16,
        "flows_backward": torch.round(smooth(1, frames - 1, 2) * 16) / 8 + 1 / 16,
    }  # fmt: skip
    wanted = _known(name)["inputs"]
    return {key: made[key].numpy().astype(np.int64 if key == "num_local_frames" else np.float32) for key in wanted}


def main(names: list[str]) -> None:
    """Write the fixtures of some networks."""
    for name in names or SIZES:
        assert name in PARITY
        arrays = inputs(name)
        tensors = {key: torch.from_numpy(array) for key, array in arrays.items()}
        with torch.no_grad():
            outputs = _function(name)(tensors, GeneratedWeights(_known(name)["gain"]))
        kept = {
            key: value.numpy()[..., ::STEP, ::STEP] for key, value in outputs.items()
            if key in _known(name)["outputs"] and not key.startswith("mid_")
        }  # fmt: skip
        path = Path(__file__).with_name(f"{name}.npz")
        np.savez_compressed(path, **arrays, **kept)
        print(f"{path.name}: {path.stat().st_size / 1024:.0f} KiB", {key: float(v.std()) for key, v in kept.items()})


if __name__ == "__main__":
    main(sys.argv[1:])
