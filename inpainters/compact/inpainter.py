"""The compact network behind the inpainter protocol."""

from __future__ import annotations

from typing import ClassVar

import torch
from numpy.typing import NDArray
from torch import Tensor

from videoinpaint.controls import HEADS, HIGH
from videoinpaint.inpainters.compact.config import CompactConfig
from videoinpaint.inpainters.compact.cost import flops, heads_by_cell
from videoinpaint.inpainters.compact.inputs import Inputs
from videoinpaint.inpainters.compact.memory import heads_at, remember, remember_within
from videoinpaint.inpainters.compact.network import CompactNetwork
from videoinpaint.precision import autocast, resolve_precision
from videoinpaint.protocols import Refinement, State
from videoinpaint.regions import is_map
from videoinpaint.weights import build_loaded, build_seeded, load_safetensors

WEIGHTS, SECOND_WEIGHTS = "inpainter-compact", "inpainter-compact2"


class CompactInpainter:
    """Motion and what lies along it once per episode; then as many passes of the network as asked for.

    Honours all controls: ``heads`` (nested, unused ones cost nothing; each pair looks further along the motion),
    ``fusion`` (transformer content against carried content) and ``objective`` (alpha, beta, gamma condition it). All
    of them may vary over the frame; then every window of the transformer runs the mean of its heads, rounded.

    Args:
        device: where it computes.
        weights: a safetensors file; ``"random"`` for an untrained network (seed 0); None for the shipped weights.
        precision: "float32", "bfloat16", or "auto" for bfloat16 on CPUs that multiply it natively.

    Attributes:
        random_weights: whether the network is untrained.
        precision: what is used, "float32" or "bfloat16".

    Raises:
        MissingWeightsError, CorruptWeightsError.
        InputError: an unknown precision.
    """

    name: str = "compact"
    entry: ClassVar[str] = WEIGHTS
    controls = frozenset({"heads", "fusion", "objective"})
    regional = controls
    min_size = (16, 16)

    def __init__(self, device: str | torch.device = "cpu", weights: str | None = None, precision: str = "auto") -> None:
        self.device = torch.device(device)
        self.precision = resolve_precision(precision, self.device)
        self.random_weights = weights == "random"
        if self.random_weights:
            self.network = build_seeded(CompactNetwork)
        else:
            metadata = load_safetensors(self.entry, weights)[1]
            config = CompactConfig.from_metadata(metadata)
            self.network = build_loaded(lambda: CompactNetwork(config), self.entry, weights)
        self.network.eval().requires_grad_(False).to(self.device).to(memory_format=torch.channels_last)

    def compile(self) -> None:
        """See :class:`videoinpaint.protocols.Compilable`."""
        self.network.compile_parts()

    def heads_by_cell(self, masks: Tensor, grid: tuple[int, int]) -> Tensor:
        """See :class:`videoinpaint.protocols.WeighsCells`."""
        return heads_by_cell(self.network, masks, grid)

    @torch.no_grad()
    def begin(self, frames: Tensor, masks: Tensor) -> State:
        """See :class:`videoinpaint.protocols.Inpainter`."""
        return self._begun(remember(frames, masks, self.network.motions), masks)

    @torch.no_grad()
    def begin_within(
        self, frames: Tensor, masks: Tensor, wanted: range, before: State | None = None
    ) -> tuple[State, State]:
        """See :class:`videoinpaint.protocols.Reaching`."""
        found, seen = remember_within(frames, masks, wanted, before, self.network.motions)
        return self._begun(found, masks[:, wanted.start : wanted.stop]), seen

    def _begun(self, found: State, holes: Tensor) -> State:
        nothing = holes.new_zeros(len(holes), 1, *holes.shape[-2:])
        return found | {"holes": holes, "looked": nothing}

    @torch.no_grad()
    def refine(self, state: State, repaired: Tensor, masks: Tensor, controls: NDArray) -> Refinement:
        """See :class:`videoinpaint.protocols.Inpainter`."""
        values = torch.as_tensor(controls, dtype=torch.float32, device=self.device)
        here = heads_at(values, *masks.shape[-2:])
        looked = state["looked"] + (here.view(-1, 1, 1, 1) if here.dim() == 1 else here)
        heads = None if is_map(values) else [round(float(count)) for count in controls[:, HEADS]]
        with autocast(self.device, self.precision):
            carried = self.network.carried(state, state["holes"], looked)
            frames, _ = self.network(Inputs(repaired, masks, state["holes"], *carried), values, heads)
        asked = values[..., HEADS] if heads is None else heads
        spent, full = flops(self.network, masks, asked, [HIGH[HEADS]] * len(controls))
        return Refinement(frames.float().clamp(0, 1), spent / 1e9, full / 1e9, {"looked": looked})


class SecondCompactInpainter(CompactInpainter):
    """The same with the weights of a later training, which paint no dots (docs/models/inpainter-compact2.md).

    Environments that are registered keep :class:`CompactInpainter`, whose repairs their returns were measured on.
    """

    name = "compact2"
    entry = SECOND_WEIGHTS
