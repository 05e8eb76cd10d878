"""The published calls of RAFT, flow completion and generator, for the parity check (``videoinpaint.testing``).

Each function takes a fixture's inputs and a function that fills a new network with the fixture's weights, and returns
complete output arrays by name.
"""

from __future__ import annotations

from torch import Tensor

from videoinpaint.inpainters.published.propainter.completion import FlowCompletion, compose_flows
from videoinpaint.inpainters.published.propainter.network import ProPainter
from videoinpaint.inpainters.published.propainter.raft import RAFT
from videoinpaint.inpainters.published.propainter.recurrent_propagation import propagate_images
from videoinpaint.testing.parity.calls import Fill, watched


def parity_raft(inputs: dict[str, Tensor], weights: Fill) -> dict[str, Tensor]:
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
        "mid_corr_first": network.correlation(encoded.features, network.encode(two).features),
        "mid_delta_first": first,
    }


def parity_flow_completion(inputs: dict[str, Tensor], weights: Fill) -> dict[str, Tensor]:
    """Both directions completed, composed with the known flows, and the edge head on the forward prediction."""
    network = FlowCompletion()
    weights(network)
    known, masks = (inputs["flows_forward"], inputs["flows_backward"]), inputs["masks"]
    predicted = network.complete(*known, masks)
    combined = compose_flows(predicted, known, masks)
    batch, time = known[0].shape[:2]
    features = network.encode(known[0], masks[:, :-1])

    def channels_first(x: Tensor) -> Tensor:
        return x.unflatten(0, (batch, time)).transpose(1, 2)

    return {
        "pred_forward": predicted[0],
        "pred_backward": predicted[1],
        "combined_forward": combined[0],
        "combined_backward": combined[1],
        "edge_forward": network.edges(predicted[0]),
        "mid_downsample": channels_first(features.downsampled),
        "mid_encoder2": channels_first(features.deep),
        "mid_dilation": channels_first(features.bottleneck),
        "mid_propagation": network.feat_prop_module(features.bottleneck.unflatten(0, (batch, time))),
    }


def parity(inputs: dict[str, Tensor], weights: Fill) -> dict[str, Tensor]:
    """Image propagation of all frames, then the generator with the last frame as reference."""
    network = ProPainter()
    weights(network)
    frames, masks = inputs["frames"], inputs["masks"]
    flows = (inputs["flows_forward"], inputs["flows_backward"])
    carried, updated = propagate_images(frames * (1 - masks), *flows, masks)
    filled = frames * (1 - masks) + carried * masks
    local = frames.shape[1] - 1
    near = [flow[:, : local - 1] for flow in flows]
    seen = watched({
        "mid_encoder": network.encoder,
        "mid_feature_propagation": network.feat_prop_module,
        "mid_tokens": network.ss,
        "mid_transformer": network.transformers,
    })  # fmt: skip
    output = network(filled, *near, masks, updated, local)
    return seen | {"prop_frames": carried, "updated_masks": updated, "output": output, "output_frame1": output[:, 1]}
