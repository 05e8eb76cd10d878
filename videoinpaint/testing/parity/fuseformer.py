"""FuseFormer as its numeric fixture calls it."""

from __future__ import annotations

from torch import Tensor

from videoinpaint.inpainters.published.fuseformer.network import FuseFormer
from videoinpaint.testing.parity.calls import Fill


def parity(inputs: dict[str, Tensor], weights: Fill) -> dict[str, Tensor]:
    """What the fixture ``fuseformer`` asks for: full arrays by name, with ``weights`` filling the network."""
    frames = inputs["frames"] * (1 - inputs["masks"])
    network = FuseFormer(size=(frames.shape[-2], frames.shape[-1]))
    weights(network)
    encoded = network.encode(frames.flatten(0, 1))
    features = encoded.unflatten(0, frames.shape[:2])
    tokens = network.embed(features)
    attended = network.attend(tokens)
    output = network.decode(network.compose(features, attended).flatten(0, 1))
    outputs = {
        "output": output,
        "mid_encoder": encoded,
        "mid_tokens": tokens.flatten(1, 3),
        "mid_transformer": attended.flatten(1, 3),
    }
    if len(output) > 1:
        outputs["output_frame1"] = output[1]
    return outputs
