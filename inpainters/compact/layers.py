"""What the compact network is built of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videoinpaint.motion.flow import smooth_fill
from videoinpaint.motion.neighbourhoods import window_max, window_mean
from videoinpaint.precision import multiplied
from videoinpaint.regions import spread
from videoinpaint.resampling import enlarged

SLOPE = 0.1  # of every leaky rectifier: plain ones died by the dozen in the decoder, and the network froze


class Film(nn.Module):
    """Loss-conditional modulation (Dosovitskiy and Djolonga, ICLR 2020): the objective scales and shifts channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 32), nn.ReLU(), nn.Linear(32, 2 * channels))

    def forward(self, x: Tensor, objective: Tensor) -> Tensor:
        """``x (N, C, h, w)`` modulated by ``objective``: ``(N, 3)`` in [-1, 1], or a map ``(N, rows, columns, 3)``.

        Between the cells of a map, scale and shift are interpolated.
        """
        if objective.dim() == 2:
            scale, shift = self.net(objective).unsqueeze(-1).unsqueeze(-1).chunk(2, dim=1)
        else:
            scale, shift = spread(self.net(objective).to(x.dtype), *x.shape[-2:]).chunk(2, dim=1)
        return x * (1 + scale) + shift


class Residual(nn.Module):
    """Two 3x3 convolutions around an identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as ``x``."""
        return x + self.second(leaky(self.first(leaky(x))))


RARELY = -3.0
"""How little a second motion is asked for at first, as a logarithm."""


class Chooser(nn.Module):
    """Says for every pixel which source to trust: what was found ahead in time, behind, or the smooth fill.

    It starts from the blend that :func:`videoinpaint.inpainters.flow_propagation.carry` makes, of which it learns to
    differ; motion that went wrong shows where the two directions disagree. Where two motions were followed it may take
    what was found along the second as well, and begins almost without.

    Args:
        channels: of its hidden layers.
        motions: 1 or 2.
    """

    def __init__(self, channels: int, motions: int = 1) -> None:
        super().__init__()
        self.look = nn.Conv2d(14, channels, 3, stride=2, padding=1)
        self.think = nn.Conv2d(channels, channels, 3, padding=1)
        self.say = nn.Conv2d(channels, 12, 3, padding=1)
        nn.init.zeros_(self.say.weight)
        assert self.say.bias is not None
        nn.init.zeros_(self.say.bias)
        # Beside the layers for one motion, so that what these have learnt can be gone on from.
        self.look_second = nn.Conv2d(9, channels, 3, stride=2, padding=1, bias=False) if motions == 2 else None
        self.say_second = nn.Conv2d(channels, 8, 3, padding=1) if motions == 2 else None
        if self.look_second is not None and self.say_second is not None:
            nn.init.zeros_(self.look_second.weight)
            nn.init.zeros_(self.say_second.weight)
            nn.init.constant_(cast(Tensor, self.say_second.bias), RARELY)

    def forward(self, sources: Tensor, holes: Tensor) -> tuple[Tensor, Tensor]:
        """Content and the trust in it inside the holes, ``(N, 3, H, W)`` and ``(N, 1, H, W)``, of N frames.

        Args:
            sources: ``(N, 11, H, W)``: colours and trust ahead and behind, four planes each, and the smooth fill;
                with a second motion four planes more ahead and behind.
            holes: ``(N, 1, H, W)`` in {0, 1}. Sides must be even.
        """
        ahead, behind, filled, *second = sources.split((4, 4, 3, 4, 4)[: 5 if self.look_second else 3], dim=1)
        trust, apart = _trust(ahead, behind)
        known = torch.where(holes > 0, 0.0, filled)
        seen = self.look(signed(ahead, behind, known.mean(1, keepdim=True), apart, filled, holes))
        colours = [ahead[:, :3], behind[:, :3], filled]
        if self.look_second is not None:
            further, apart = _trust(*second)
            seen = seen + self.look_second(signed(*second, apart))
            colours += [source[:, :3] for source in second]
        hidden = leaky(self.think(leaky(seen)))
        asked = F.pixel_shuffle(self.say(hidden), 2).float()
        most = trust.amax(1, keepdim=True)
        prior = torch.cat([trust / trust.sum(1, keepdim=True).clamp_min(1e-6) * most, 1 - most], 1)
        found = torch.cat([trust > 0, torch.ones_like(most) > 0], 1)
        if self.say_second is not None:
            asked = torch.cat([asked, F.pixel_shuffle(self.say_second(hidden), 2).float()], 1)
            prior, found = torch.cat([prior, further / 2], 1), torch.cat([found, further > 0], 1)
        # What was not found has no share, whatever is asked for.
        share = (asked + (prior + 1e-4).log()).exp() * found
        share = share / share.sum(1, keepdim=True)
        content = sum(colour * one for colour, one in zip(colours, share.split(1, dim=1)))
        return torch.where(holes > 0, content, filled), torch.where(holes > 0, 1 - share[:, 2:3], 1.0)


def _trust(ahead: Tensor, behind: Tensor) -> tuple[Tensor, Tensor]:
    """The trust in both directions ``(N, 2, H, W)``, and how far colours are apart where both are found."""
    trust = torch.cat([ahead[:, 3:], behind[:, 3:]], 1)
    return trust, (ahead[:, :3] - behind[:, :3]).abs().mean(1, keepdim=True) * trust.prod(1, keepdim=True)


class Grain(nn.Module):
    """Features of noise that never changes: what texture can be made of where there is nothing to make it of.

    A network that grows its features without a phase has no other means; given one, it would paint dots on a grid.
    The noise stands still on the screen, and is the same for all frames, clips and devices.

    Args:
        channels: how many features at which fraction of the resolution.
    """

    noise: Tensor

    def __init__(self, channels: Mapping[int, int]) -> None:
        super().__init__()
        # One tile is repeated: what it costs does not grow with the frame, and a crop's corner is the frame's.
        tile = np.random.default_rng(0).standard_normal((1, 1, 256, 256))
        self.register_buffer("noise", torch.from_numpy(tile).float(), persistent=False)
        self.layers = nn.ModuleDict(
            {str(step): nn.Conv2d(step**2, c, 3, padding=1, bias=False) for step, c in channels.items()}
        )
        for layer in self.layers.values():
            nn.init.zeros_(cast(nn.Conv2d, layer).weight)

    def forward(self, image: Tensor, step: int) -> Tensor:
        """Features ``(1, C, H / step, W / step)`` for an image of ``(..., H, W)``."""
        times = (-(-side // 256) for side in image.shape[-2:])
        noise = multiplied(self.noise).tile(1, 1, *times)[..., : image.shape[-2], : image.shape[-1]]
        return cast(Tensor, self.layers[str(step)](F.pixel_unshuffle(noise, step)))

    def flops_per_pixel(self) -> float:
        """Operations for each pixel of one frame, whatever the number of frames."""
        return sum(2.0 * cast(nn.Conv2d, layer).weight.numel() / int(k) ** 2 for k, layer in self.layers.items())


ORDINARY = 0.02
"""The detail, see `roughness`, that counts as 1: about the mean of the training clips."""


ENOUGH = 0.2
"""The share of known pixels around one whose mean detail is believed."""


def roughness(frames: Tensor, holes: Tensor) -> Tensor:
    """How detailed the known scene around every pixel is, ``(N, 1, H / 4, W / 4)``, about 1 on the average.

    Detail is how far brightness is from its mean over 5x5 pixels. Inside holes it goes on from the rim.

    Args:
        frames: ``(N, 3, H, W)`` in [0, 1], of which the known pixels count.
        holes: ``(N, 1, H, W)`` in {0, 1}.
    """
    grey = frames.mean(1, keepdim=True)
    known = 1 - window_max(holes, 2)  # beside a hole what is in it shows
    detail = (grey - window_mean(grey, 2)).abs() * known
    some = window_mean(F.avg_pool2d(known, 4), 2)
    around = window_mean(F.avg_pool2d(detail, 4), 2) / some.clamp_min(1e-3)
    enough = some.gt(ENOUGH).to(around)  # of fewer pixels the mean is a guess, which the fill would spread
    return window_mean(smooth_fill(around, enough), 2) / ORDINARY


def signed(*planes: Tensor) -> Tensor:
    """Planes ``(N, c, H, W)`` in [0, 1] as ``(N, C, H, W)`` in [-1, 1], as convolutions want them."""
    joined = torch.cat([multiplied(plane) for plane in planes], dim=1)
    return joined.mul_(2).sub_(1).contiguous(memory_format=torch.channels_last)


def leaky(x: Tensor) -> Tensor:
    """The network's rectifier."""
    return F.leaky_relu(x, SLOPE)


def blurred(frames: Tensor) -> Tensor:
    """Frames ``(N, 3, H, W)`` without their detail: what hallucination starts from, and has to add to."""
    return enlarged(F.avg_pool2d(frames, 4), (frames.shape[-2], frames.shape[-1]))


def doubled(x: Tensor) -> Tensor:
    """Features ``(N, C, h, w)`` doubled without a phase: equal neighbours stay equal, so that no grid can show."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
