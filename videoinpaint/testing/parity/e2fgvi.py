"""E2FGVI and E2FGVI-HQ against stored fixtures (see :mod:`videoinpaint.testing.parity.fixtures`)."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from videoinpaint.inpainters.published.e2fgvi.network import E2FGVI

Weights = Callable[[nn.Module], nn.Module]


def parity(inputs: dict[str, Tensor], weights: Weights) -> dict[str, Tensor]:
    """E2FGVI's outputs by name for ``frames (B, T, 3, H, W)``, ``masks`` and ``num_local_frames``."""
    return _run(E2FGVI(), inputs, weights)


def parity_hq(inputs: dict[str, Tensor], weights: Weights) -> dict[str, Tensor]:
    """E2FGVI-HQ's outputs, likewise."""
    return _run(E2FGVI(hq=True), inputs, weights)


def _run(network: E2FGVI, inputs: dict[str, Tensor], weights: Weights) -> dict[str, Tensor]:
    weights(network)
    watched = {
        "mid_encoder": network.encoder,
        "mid_feature_propagation": network.feat_prop_module,
        "mid_tokens": network.ss,
        "mid_transformer": network.transformer[-1],
    }
    seen: dict[str, Tensor] = {}
    handles = [module.register_forward_hook(_keep(name, seen)) for name, module in watched.items()]
    frames = inputs["frames"] * (1 - inputs["masks"])
    output, (forward, backward) = network(frames, int(inputs["num_local_frames"]))
    for handle in handles:
        handle.remove()
    mine = {"output": output, "flow_forward": forward, "flow_backward": backward, **seen}
    return mine | ({"output_frame1": output[1]} if len(output) > 1 else {})


def _keep(name: str, seen: dict[str, Tensor]) -> Callable[..., None]:
    def keep(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen[name] = output

    return keep
