"""The published inference scripts, transcribed plainly: what the adapters of the published networks are measured by.

Nothing is shared and nothing is skipped: every iteration estimates flow again, each direction by itself; every window
encodes its frames again (STTN alone encodes once, as published); all its frames are computed, whatever is flagged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from videoinpaint.inpainters.published import PublishedInpainter
from videoinpaint.inpainters.published.propainter.completion import compose_flows
from videoinpaint.inpainters.published.propainter.inpainter import ProPainterInpainter
from videoinpaint.inpainters.published.propainter.recurrent_propagation import propagate_images

NEIGHBOURS, REFERENCE_STEP = 5, 10


@torch.no_grad()
def plain_pass(inpainter: PublishedInpainter, frames: Tensor, masks: Tensor, truncate: bool = False) -> Tensor:
    """One pass of a published network over whole clips, in the order of its inference script.

    Args:
        inpainter: whose networks, frame size and dilation are used, and nothing else of it.
        frames: ``(B, T, 3, H, W)`` in [0, 1], T at least 2.
        masks: ``(B, T, 1, H, W)``, 1 = hole.
        truncate: cut every prediction to uint8 before it is blended, as the scripts do.

    Returns:
        ``(B, T, 3, H, W)`` in [0, 1], predictions inside the dilated mask.
    """
    geometry = inpainter.geometry
    scaled, holes = geometry.to_network(frames) * 2 - 1, geometry.mask_to_network(masks)
    predict = _PREDICTORS[inpainter.name](inpainter, scaled, holes)
    painted: list[Tensor | None] = [None] * frames.shape[1]
    for centre in range(0, frames.shape[1], NEIGHBOURS):
        local = list(range(max(0, centre - NEIGHBOURS), min(frames.shape[1], centre + NEIGHBOURS + 1)))
        references = [frame for frame in range(0, frames.shape[1], REFERENCE_STEP) if frame not in local]
        predicted = (predict(local, references) + 1) / 2
        if truncate:
            predicted = (predicted * 255).to(torch.uint8) / 255
        for frame, image in zip(local, predicted.unbind(1)):
            hole = holes[:, frame]
            pasted = image * hole + (scaled[:, frame] + 1) / 2 * (1 - hole)
            before = painted[frame]
            painted[frame] = pasted if before is None else 0.5 * before + 0.5 * pasted
    whole = torch.stack([image for image in painted if image is not None], 1)
    return geometry.from_network(whole, *frames.shape[-2:]).clamp(0, 1)


Predictor = Callable[[Sequence[int], Sequence[int]], Tensor]
"""Local and reference frames -> predictions of the local ones ``(B, L, 3, h, w)`` in [-1, 1]."""


def _encode_once(part: PublishedInpainter, frames: Tensor, holes: Tensor) -> Predictor:
    """STTN: the encoder runs once over the video."""
    network: Any = part.networks["main"]
    masked = frames * (1 - holes)
    features = network.encode(masked.flatten(0, 1)).unflatten(0, frames.shape[:2])

    def predict(local: Sequence[int], references: Sequence[int]) -> Tensor:
        seen = network.transform(features[:, [*local, *references]])[:, : len(local)]
        return network.decode(seen.flatten(0, 1)).unflatten(0, seen.shape[:2])

    return predict


def _whole_network(part: PublishedInpainter, frames: Tensor, holes: Tensor) -> Predictor:
    """DSTT and FuseFormer: the whole network runs for every window, on all its frames."""
    masked = frames * (1 - holes)

    def predict(local: Sequence[int], references: Sequence[int]) -> Tensor:
        chosen = masked[:, [*local, *references]]
        return part.networks["main"](chosen).unflatten(0, chosen.shape[:2])[:, : len(local)]

    return predict


def _flow_guided(part: PublishedInpainter, frames: Tensor, holes: Tensor) -> Predictor:
    """E2FGVI: as before; the network estimates the flow of each window's local frames."""
    masked = frames * (1 - holes)

    def predict(local: Sequence[int], references: Sequence[int]) -> Tensor:
        chosen = masked[:, [*local, *references]]
        return part.networks["main"](chosen, len(local))[0].unflatten(0, chosen.shape[:2])[:, : len(local)]

    return predict


def _propainter(part: PublishedInpainter, frames: Tensor, holes: Tensor) -> Predictor:
    """ProPainter: flow, its completion and image propagation over the clip, then the generator window by window."""
    batch, length = frames.shape[:2]
    first, second = frames[:, :-1].flatten(0, 1), frames[:, 1:].flatten(0, 1)
    assert isinstance(part, ProPainterInpainter)
    directions = []
    for here, there in ((first, second), (second, first)):
        parts = zip(here.split(12), there.split(12))
        flows = torch.cat([part.networks["raft"](a, b, part.flow_iterations)[1] for a, b in parts])
        directions.append(flows.unflatten(0, (batch, length - 1)))
    known = (directions[0], directions[1])
    completion: nn.Module = part.networks["completion"]
    predicted = (
        completion(known[0], holes[:, :-1]),
        completion(known[1].flip(1), holes[:, 1:].flip(1)).flip(1),
    )
    forward, backward = compose_flows(predicted, known, holes)
    carried, unfilled = propagate_images(frames * (1 - holes), forward, backward, holes)
    updated = frames * (1 - holes) + carried * holes

    def predict(local: Sequence[int], references: Sequence[int]) -> Tensor:
        pairs, chosen = slice(local[0], local[-1]), [*local, *references]
        return part.networks["main"](
            updated[:, chosen], forward[:, pairs], backward[:, pairs], holes[:, chosen], unfilled[:, chosen], len(local)
        )

    return predict


_PREDICTORS: dict[str, Callable[[PublishedInpainter, Tensor, Tensor], Predictor]] = {
    "sttn": _encode_once,
    "dstt": _whole_network,
    "fuseformer": _whole_network,
    "e2fgvi": _flow_guided,
    "e2fgvi_hq": _flow_guided,
    "propainter": _propainter,
}
