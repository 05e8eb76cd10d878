"""The compact network: hallucinate with a transformer, carry in with motion, fuse, decode.

Inside a hole, content reaches the decoder through the fused features alone (no skip connection), so that the controls
cannot be bypassed: an earlier prototype with skips learned to ignore every one of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videoinpaint.compiling import compile_methods
from videoinpaint.controls import ALPHA, FUSION, GAMMA, HEADS, HIGH, LOW
from videoinpaint.device import may_look
from videoinpaint.framewise import framewise
from videoinpaint.inpainters.compact.config import CompactConfig
from videoinpaint.inpainters.compact.inputs import TOKEN, Inputs, edged, token_holes
from videoinpaint.inpainters.compact.layers import (
    SLOPE,
    Chooser,
    Film,
    Grain,
    Residual,
    blurred,
    doubled,
    leaky,
    roughness,
    signed,
)
from videoinpaint.inpainters.compact.memory import recall, sources
from videoinpaint.inpainters.compact.transformer import WindowTransformer
from videoinpaint.protocols import State
from videoinpaint.regions import is_map, spread
from videoinpaint.resampling import enlarged

FUSION_ENDS = (0.1, 0.9)  # what fusion 0.5 and 0.8 become inside the network, so that the ends differ visibly


class CompactNetwork(nn.Module):
    """See the module's docstring; ``forward`` is one refinement pass."""

    def __init__(self, config: CompactConfig | None = None) -> None:
        super().__init__()
        self.config = c = config or CompactConfig()
        self.stem = nn.Conv2d(12, c.base, 3, stride=2, padding=1)
        self.down = nn.Conv2d(c.base, c.mid, 3, stride=2, padding=1)
        self.body = Residual(c.mid)
        self.body_film = Film(c.mid)
        self.embed = nn.Conv2d(c.mid, c.dim, 3, stride=2, padding=1)
        self.embed_norm = nn.LayerNorm(c.dim)
        self.missing = nn.Parameter(torch.zeros(c.dim))
        self.transformer = WindowTransformer(c.dim, c.hidden, c.depth, (c.window_height, c.window_width))
        self.token_norm = nn.LayerNorm(c.dim)
        # Tokens become the coarse image and features of a quarter of the resolution: through the latter, or each apart.
        self.patch = nn.Conv2d(c.mid, 3, 3, padding=1) if c.smooth else nn.Linear(c.dim, 3 * TOKEN * TOKEN)
        self.unfold = nn.Linear(c.dim, c.mid if c.smooth else 4 * c.mid)
        self.carry = nn.Sequential(
            nn.Conv2d(4, c.base, 3, stride=2, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(c.base, c.mid, 3, stride=2, padding=1),
        )
        self.merge = nn.Conv2d(c.mid + 48, c.mid, 3, padding=1)
        self.merge_film = Film(c.mid)
        self.decode = Residual(c.mid)
        self.grow = nn.Conv2d(c.mid, c.base if c.smooth else 4 * c.base, 1)
        self.fine = nn.Conv2d(c.base + 12, c.base, 3, padding=1)
        self.fine_film = Film(c.base)
        self.finer = nn.Conv2d(c.base, c.base, 3, padding=1)
        self.paint = nn.Conv2d(c.base, 12, 3, padding=1)
        self.chooser = Chooser(c.base, c.choosing) if c.choosing else None
        self.grain = Grain({4: c.mid, 2: c.base}) if c.grain else None
        for layer in (self.patch, self.paint):  # start from the propagated frame, not from nothing
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)

    def forward(self, inputs: Inputs, controls: Tensor, heads: Sequence[int] | None = None) -> tuple[Tensor, Tensor]:
        """One pass.

        Args:
            inputs: frames and masks, any size from 16 x 16.
            controls: ``(B, 5)`` natural units, or a map ``(B, rows, columns, 5)``; heads must be integers.
            heads: the same as in `controls (B, 5)`, for whoever knows them as Python's numbers; else they are looked
                up.

        Returns:
            frames ``(B, T, 3, H, W)``, not clipped, and the coarse image decoded from the transformer's tokens alone.
        """
        height, width = inputs.previous.shape[-2:]
        x = inputs.pad(TOKEN)
        batch, length = x.previous.shape[:2]
        low, high = (torch.as_tensor(end, dtype=torch.float32, device=controls.device) for end in (LOW, HIGH))
        unit = (controls - low) / (high - low)
        objective = (unit[..., ALPHA : GAMMA + 1] * 2 - 1).repeat_interleave(length, 0)
        # Beyond the control's range (1, "no fusion") hallucinated content is taken alone.
        weight = (FUSION_ENDS[0] + unit[..., FUSION] * (FUSION_ENDS[1] - FUSION_ENDS[0])).clamp(max=1)
        if is_map(controls):
            over = (0, x.previous.shape[-1] - width, 0, x.previous.shape[-2] - height)
            weight = F.pad(spread(weight.unsqueeze(-1), height, width), over, mode="replicate")
            counts = spread(controls[..., HEADS : HEADS + 1], height, width, TOKEN)
        else:
            weight, counts = weight.view(-1, 1, 1, 1), controls[:, HEADS]
        weight = weight.repeat_interleave(length, 0)
        context = self._encode(x, objective)
        tokens = self._hallucinate(x, context, counts, heads)
        grain = () if self.grain is None else (self.grain(x.previous, 4), self.grain(x.previous, 2))
        carried = (plane.flatten(0, 1) for plane in (x.propagated, x.confidence, x.masks, x.holes))
        painted, coarse = framewise(partial(self._painted, grain), *carried, context, tokens, weight, objective)
        shape = (batch, length, 3, *x.previous.shape[-2:])
        return painted.view(shape)[..., :height, :width], coarse.view(shape)[..., :height, :width]

    @property
    def motions(self) -> int:
        """Along how many motions :func:`videoinpaint.inpainters.compact.memory.remember` looks for it, 1 or 2."""
        return max(1, self.config.choosing)

    def carried(self, memory: State, holes: Tensor, heads: Tensor) -> tuple[Tensor, Tensor]:
        """What a pass starts from: content of other frames as this network blends it, and the trust in it.

        Args:
            memory, holes, heads: as of :func:`videoinpaint.inpainters.compact.memory.recall`.

        Returns:
            `Inputs.propagated` and `Inputs.confidence`.
        """
        if self.chooser is None:
            return recall(memory, holes, heads)
        height, width = holes.shape[-2:]
        grow = (0, -width % TOKEN, 0, -height % TOKEN)
        planes = (edged(sources(memory, heads), grow), F.pad(holes, grow))
        content, trust = framewise(self.chooser, *(plane.flatten(0, 1) for plane in planes))
        content, trust = (plane.unflatten(0, holes.shape[:2]) for plane in (content, trust))
        return content[..., :height, :width], trust[..., :height, :width]

    def compile_parts(self) -> None:
        """Compile what has fixed shapes, and the transformer's blocks; windows go on being picked by Python."""
        compile_methods(self, "_encoded", "_painted")
        for block in self.transformer.blocks:
            compile_methods(block, "forward")

    def encode(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """The encoder alone, with a neutral objective: features ``(B * T, mid, H / 4, W / 4)`` and normalised tokens
        ``(B * T, H / 8, W / 8, dim)`` of frames whose sides are multiples of 8.
        """
        context = self._encode(inputs, inputs.previous.new_zeros(inputs.previous[:, :, 0, 0, 0].numel(), 3))
        return context, self._embed(context)

    def _embed(self, context: Tensor) -> Tensor:
        return self.embed_norm(self.embed(context).movedim(1, -1))

    def _encode(self, x: Inputs, objective: Tensor) -> Tensor:
        hidden = x.masks if x.hidden is None else x.hidden
        planes = (x.previous, x.propagated, x.masks, x.holes, x.confidence, hidden)
        return framewise(self._encoded, *(plane.flatten(0, 1) for plane in planes), objective)

    def _encoded(
        self,
        previous: Tensor,
        propagated: Tensor,
        masks: Tensor,
        holes: Tensor,
        confidence: Tensor,
        hidden: Tensor,
        objective: Tensor,
    ) -> Tensor:
        seen, tried = previous * (1 - hidden), previous * holes
        planes = signed(seen, propagated, tried, masks, holes, confidence)
        features = self.body(self.down(leaky(self.stem(planes))))
        return leaky(self.body_film(features, objective))

    def _hallucinate(self, x: Inputs, context: Tensor, heads: Tensor, known: Sequence[int] | None) -> Tensor:
        """Tokens ``(B * T, h, w, dim)``, clips with the same number of heads together, where that can be known."""
        batch, length = x.previous.shape[:2]
        holes = token_holes(x.masks)
        tokens = self._embed(context).unflatten(0, (batch, length))
        tokens = tokens + holes.movedim(2, -1) * self.missing
        if heads.dim() == 4:
            tokens = self.transformer(tokens, holes, heads)
        elif may_look(tokens):
            known = [round(k) for k in heads.tolist()] if known is None else known
            groups = {k: [i for i, other in enumerate(known) if other == k] for k in sorted(set(known))}
            if len(groups) == 1:
                tokens = self.transformer(tokens, holes, known[0])
            else:
                done = [self.transformer(tokens[at], holes[at], k) for k, at in groups.items()]
                order = [i for at in groups.values() for i in at]
                tokens = torch.cat(done)[[order.index(i) for i in range(batch)]]
        elif known is not None and len(set(known)) == 1:
            tokens = self.transformer(tokens, holes, known[0])
        else:  # one pass with all heads is faster than one for each number of them
            tokens = self.transformer(tokens, holes, heads.round())
        return self.token_norm(tokens.flatten(0, 1))

    def _grown(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Features ``(N, mid, H / 4, W / 4)`` and an image ``(N, 3, H, W)`` from tokens ``(N, H / 8, W / 8, dim)``."""
        features = self.unfold(tokens).movedim(-1, 1)
        if self.config.smooth:
            features = doubled(features)
            image = self.patch(leaky(features)).float()
            return features, enlarged(image, (4 * image.shape[-2], 4 * image.shape[-1]))
        return F.pixel_shuffle(features, 2), F.pixel_shuffle(self.patch(tokens).movedim(-1, 1), TOKEN)

    def _painted(
        self,
        grain: Sequence[Tensor],
        carried: Tensor,
        trust: Tensor,
        masks: Tensor,
        holes: Tensor,
        context: Tensor,
        tokens: Tensor,
        weight: Tensor,
        objective: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Frames and the coarse image ``(N, 3, H, W)``, from tokens and what was carried in."""
        hallucinated, detail = self._grown(tokens)
        coarse = detail + blurred(carried)
        fused, image = self._fuse(carried, trust, hallucinated, coarse, weight)
        if self.config.grain > 1:
            rough = roughness(carried, holes)
            grain = (grain[0] * rough, grain[1] * doubled(rough))
        return image + self._decode(context, fused, image, masks, objective, grain), coarse

    def _fuse(
        self, carried: Tensor, trust: Tensor, hallucinated: Tensor, coarse: Tensor, weight: Tensor
    ) -> tuple[Tensor, Tensor]:
        """``f = w * f_hallucinated + (1 - w) * f_propagated``, in features and in the image.

        The carried image holds real detail where the motion revealed it and a mere smooth fill elsewhere, so neither
        end of the weight suits every hole. With ``sparing`` p the weight becomes ``w ** (1 + p * trust)``: detail that
        can be trusted survives all but the highest weights.
        """
        features = self.carry(signed(carried, trust))
        p = self.config.sparing
        few = F.avg_pool2d(weight, 4) if weight.shape[-1] > 1 else weight
        deep, shallow = few ** (1 + p * F.avg_pool2d(trust, 4)), weight ** (1 + p * trust)
        return torch.lerp(features, hallucinated, deep.to(features.dtype)), torch.lerp(carried, coarse, shallow)

    def _decode(
        self,
        context: Tensor,
        fused: Tensor,
        image: Tensor,
        masks: Tensor,
        objective: Tensor,
        grain: Sequence[Tensor],
    ) -> Tensor:
        inside = F.max_pool2d(masks, 4).to(context.dtype)
        features = torch.lerp(context, fused, inside)
        sketch = signed(image)
        features = self.merge(torch.cat([features, F.pixel_unshuffle(sketch, 4)], dim=1))
        if grain:
            features = features + grain[0]
        features = leaky(self.decode(self.merge_film(features, objective)))
        fine = doubled(self.grow(features)) if self.config.smooth else F.pixel_shuffle(self.grow(features), 2)
        fine = self.fine(torch.cat([fine, F.pixel_unshuffle(sketch, 2)], dim=1))
        if grain:
            fine = fine + grain[1]
        fine = leaky(self.finer(leaky(self.fine_film(fine, objective))))
        return F.pixel_shuffle(self.paint(fine), 2)
