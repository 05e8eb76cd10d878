"""STTN as its numeric fixture calls it."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from videoinpaint.inpainters.published.sttn.network import STTN


def parity(inputs: dict[str, Tensor], weights: Callable[[nn.Module], nn.Module]) -> dict[str, Tensor]:
    """What the fixture ``sttn`` asks for: full arrays by name, with ``weights`` filling the network."""
    network = STTN()
    weights(network)
    frames = inputs["frames"] * (1 - inputs["masks"])
    encoded = network.encode(frames.flatten(0, 1))
    first: list[Tensor] = []
    network.transformer[0].register_forward_hook(lambda _module, _inputs, block0: first.append(block0.flatten(0, 1)))
    transformed = network.transform(encoded.unflatten(0, frames.shape[:2])).flatten(0, 1)
    outputs = {"mid_encoder": encoded, "mid_block0": first[0], "mid_transformer": transformed}
    outputs["output"] = network.decode(transformed)
    if len(frames.flatten(0, 1)) > 1:
        outputs["output_frame1"] = outputs["output"][1]
    return outputs
