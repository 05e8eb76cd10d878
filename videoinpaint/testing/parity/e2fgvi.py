"""E2FGVI and E2FGVI-HQ against stored fixtures (see :mod:`videoinpaint.testing.parity.fixtures`)."""

from __future__ import annotations

from torch import Tensor

from videoinpaint.inpainters.published.e2fgvi.network import E2FGVI
from videoinpaint.testing.parity.calls import Fill, watched


def parity(inputs: dict[str, Tensor], weights: Fill) -> dict[str, Tensor]:
    """E2FGVI's outputs by name for ``frames (B, T, 3, H, W)``, ``masks`` and ``num_local_frames``."""
    return _run(E2FGVI(), inputs, weights)


def parity_hq(inputs: dict[str, Tensor], weights: Fill) -> dict[str, Tensor]:
    """E2FGVI-HQ's outputs, likewise."""
    return _run(E2FGVI(hq=True), inputs, weights)


def _run(network: E2FGVI, inputs: dict[str, Tensor], weights: Fill) -> dict[str, Tensor]:
    weights(network)
    seen = watched({
        "mid_encoder": network.encoder,
        "mid_feature_propagation": network.feat_prop_module,
        "mid_tokens": network.ss,
        "mid_transformer": network.transformer[-1],
    })  # fmt: skip
    frames = inputs["frames"] * (1 - inputs["masks"])
    output, (forward, backward) = network(frames, int(inputs["num_local_frames"]))
    mine = {"output": output, "flow_forward": forward, "flow_backward": backward, **seen}
    return mine | ({"output_frame1": output[1]} if len(output) > 1 else {})
