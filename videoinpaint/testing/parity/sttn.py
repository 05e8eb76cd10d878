"""STTN as its numeric fixture calls it."""

from __future__ import annotations

from torch import Tensor

from videoinpaint.inpainters.published.sttn.network import STTN
from videoinpaint.testing.parity.calls import Fill, watched


def parity(inputs: dict[str, Tensor], weights: Fill) -> dict[str, Tensor]:
    """What the fixture ``sttn`` asks for: full arrays by name, with ``weights`` filling the network."""
    network = STTN()
    weights(network)
    frames = inputs["frames"] * (1 - inputs["masks"])
    encoded = network.encode(frames.flatten(0, 1))
    seen = watched({"mid_block0": network.transformer[0]})
    transformed = network.transform(encoded.unflatten(0, frames.shape[:2])).flatten(0, 1)
    outputs = {"mid_encoder": encoded, "mid_block0": seen["mid_block0"].flatten(0, 1), "mid_transformer": transformed}
    outputs["output"] = network.decode(transformed)
    if len(frames.flatten(0, 1)) > 1:
        outputs["output_frame1"] = outputs["output"][1]
    return outputs
