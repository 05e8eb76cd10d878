"""DSTT as its numeric fixture calls it."""

from __future__ import annotations

from torch import Tensor

from videoinpaint.inpainters.published.dstt.network import DSTT
from videoinpaint.testing.parity.calls import Fill


def parity(inputs: dict[str, Tensor], weights: Fill) -> dict[str, Tensor]:
    """What the fixture ``dstt`` asks for: full arrays by name, with ``weights`` filling the network."""
    network = DSTT()
    weights(network)
    frames = inputs["frames"] * (1 - inputs["masks"])
    encoded = network.encode(frames.flatten(0, 1))
    features = encoded.unflatten(0, frames.shape[:2])
    tokens = network.embed(features)
    attended = network.transformer(tokens)
    output = network.decode(network.compose(features, attended).flatten(0, 1))
    outputs = {
        "output": output,
        "mid_encoder": encoded,
        "mid_tokens": tokens.flatten(0, 1).permute(0, 3, 1, 2),
        "mid_transformer": attended.flatten(0, 1).flatten(1, 2),
    }
    if len(output) > 1:
        outputs["output_frame1"] = output[1]
    return outputs
