"""The published calls of RAFT, flow completion and generator, for the parity check (``videoinpaint.testing``).

Each function takes a fixture's inputs and a function that fills a new network with the fixture's weights, and returns
complete output arrays by name.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from videoinpaint.inpainters.propainter.raft import RAFT

Fill = Callable[[nn.Module], nn.Module]


def raft(inputs: dict[str, Tensor], weights: Fill) -> dict[str, Tensor]:
    """Flow of image pairs after 6 updates."""
    network = RAFT()
    weights(network)
    one, two = inputs["image1"], inputs["image2"]
    low, up = network(one, two, iterations=6)
    encoded = network.encode(one)
    first = network(one, two, iterations=1)[0]
    return {
        "flow_low": low,
        "flow_up": up,
        "mid_fnet_image1": encoded.features,
        "mid_cnet": encoded.context,
        "mid_delta_first": first,
    }
