"""Writes the small fixtures beside this file: ``python tests/data/parity/make.py [NAME ...]``.

The official-size fixtures are too large to keep here. These hold what the networks gave, at small sizes, when they
reproduced those within their tolerances: they notice when a network changes. Only run this again after that check.

``layouts.json.gz`` is not made: it lists name, shape and dtype of every tensor of the official checkpoints.
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
    "fuseformer": (240, 432, 2), "e2fgvi": (240, 432, 3), "focal_vit_tiny": (320, 320, 1), "i3d": (40, 48, 6),
}  # fmt: skip
STEP, STEP_OF_LARGE = 3, 15  # every third value of the last two axes is kept; every 15th where pictures are large


def inputs(name: str) -> Arrays:
    """Smooth random pictures in steps of 1/32 or 1/8, holes, and flows that hit no half-pixel ties."""
    height, width, frames = SIZES[name]
    cell, levels = (8, 32) if height <= 128 else (48, 8)
    rng = np.random.default_rng(11)

    def smooth(*shape: int) -> torch.Tensor:
        coarse = torch.from_numpy(rng.uniform(-1, 1, (int(np.prod(shape)), 1, height // cell, width // cell)))
        fine = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear").view(*shape, height, width)
        return torch.round(fine * (levels - 1)) / levels

    masks = torch.zeros(1, frames, 1, height, width)
    masks[..., height // 4 : height // 2, width // 3 : width // 2] = 1
    made = {
        "frames": smooth(1, frames, 3), "masks": masks, "image1": smooth(1, 3), "image2": smooth(1, 3),
        "image": smooth(1, 3), "video": smooth(1, frames, 3), "num_local_frames": torch.tensor(frames - 1),
        "flows_forward": torch.round(smooth(1, frames - 1, 2) * 16) / 8 + 1 / 16,
        "flows_backward": torch.round(smooth(1, frames - 1, 2) * 16) / 8 + 1 / 16,
        "frechet_real": torch.from_numpy(rng.standard_normal((24, 8))),
        "frechet_fake": torch.from_numpy(rng.standard_normal((20, 8)) * 1.5 + 0.5),
    }  # fmt: skip
    wanted = _known(name)["inputs"]
    return {key: made[key].numpy().astype(np.int64 if key == "num_local_frames" else np.float32) for key in wanted}


def reduced(name: str, output: NDArray[np.float32]) -> NDArray[np.float32]:
    """What is kept of an output: maps on a grid, vectors whole."""
    step = STEP if SIZES[name][0] <= 128 else STEP_OF_LARGE
    return output[..., ::step, ::step] if output.ndim > 2 else output


def main(names: list[str]) -> None:
    """Write the fixtures of some networks."""
    for name in names or SIZES:
        assert name in PARITY
        arrays = inputs(name)
        tensors = {key: torch.from_numpy(array) for key, array in arrays.items()}
        with torch.no_grad():
            outputs = _function(name)(tensors, GeneratedWeights(_known(name)["gain"]))
        kept = {
            key: reduced(name, value.numpy()) for key, value in outputs.items()
            if key in _known(name)["outputs"] and not key.startswith("mid_")
        }  # fmt: skip
        path = Path(__file__).with_name(f"{name}.npz")
        np.savez_compressed(path, **arrays, **kept)
        print(f"{path.name}: {path.stat().st_size / 1024:.0f} KiB", {key: float(v.std()) for key, v in kept.items()})


if __name__ == "__main__":
    main(sys.argv[1:])
