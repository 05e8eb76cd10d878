"""Encoding and decoding only a box of the frame, with the numbers that the whole frame would give there.

The published networks encode and decode whole frames, and then keep what lies in the hole. Convolutions are local:
what a box needs is a slightly larger box, padded with zeros only where the frame itself ends. The decoder's
corner-aligned upsampling is local, too, but not the same everywhere: it is computed at the box's true places.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videoinpaint.boxes import Box, within
from videoinpaint.inpainters.published.layers.encoder import Deconv

Line = tuple[int, int]

ENCODER_REACH = 29  # pixels above and left of its own (below and right: 26) that a feature of the encoder sees
STRIDE = 4
NEARLY_ALL = 0.7  # of the map: decoding this much of it costs as much as all of it


def decode_box(decoder: nn.Sequential, features: Tensor, box: Box) -> Tensor:
    """What ``decoder(features)`` holds in a box, up to rounding.

    Args:
        decoder: of `Deconv`, 3x3 convolutions of stride 1 with padding 1, and functions of single values.
        features: ``(N, C, h, w)``.
        box: in pixels of the decoded frame.

    Returns:
        ``(N, C_out, bottom - top, right - left)``.
    """
    needs = [_needed(decoder, features.shape[axis], line) for axis, line in ((-2, box[::2]), (-1, box[1::2]))]
    rows, cols = ([line for line, _ in need] for need in needs)
    tall, wide = ([size for _, size in need] for need in needs)
    area = (rows[0][1] - rows[0][0]) * (cols[0][1] - cols[0][0])
    if area > NEARLY_ALL * tall[0] * wide[0]:
        return decoder(features)[within(box)]
    x = features[..., slice(*rows[0]), slice(*cols[0])].contiguous(memory_format=torch.channels_last)
    for index, layer in enumerate(decoder):
        before, after = (rows[index], cols[index]), (rows[index + 1], cols[index + 1])
        if isinstance(layer, Deconv):
            outer = [_grow(line, size) for line, size in zip(after, (tall[index + 1], wide[index + 1]), strict=True)]
            x = _upsample(x, 2, before[0], outer[0], tall[index])
            x = _upsample(x, 3, before[1], outer[1], wide[index])
            x = _convolve(layer.conv, x, (outer[0], outer[1]), after)
        elif isinstance(layer, nn.Conv2d):
            x = _convolve(layer, x, before, after)
        else:
            x = layer(x)
    return x.contiguous()


def _needed(decoder: nn.Sequential, size: int, wanted: Line) -> list[tuple[Line, int]]:
    """Per layer, and after the last: what the result needs of its input on one axis, and how long that axis is."""
    sizes = [size]
    for layer in decoder:
        sizes.append(sizes[-1] * (2 if isinstance(layer, Deconv) else 1))
    lines = [wanted]
    for layer, length in zip(reversed(decoder), sizes[-2::-1], strict=True):
        line = lines[0]
        if isinstance(layer, nn.Conv2d):
            line = _grow(line, length)
        elif isinstance(layer, Deconv):
            first, last = _places(_grow(line, 2 * length), length)[0][[0, -1]].tolist()
            line = (first, min(last + 2, length))
        lines.insert(0, line)
    return list(zip(lines, sizes, strict=True))


def _grow(line: Line, size: int) -> Line:
    return max(line[0] - 1, 0), min(line[1] + 1, size)


def _places(line: Line, size: int, device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """Where the points ``line`` of a doubled axis lie between those of an axis of ``size``: index, and part beyond."""
    scale = (size - 1) / (2 * size - 1)
    places = torch.arange(*line, device=device, dtype=torch.float32) * scale
    index = places.floor().clamp_max(size - 1)
    return index.long(), places - index


def _upsample(x: Tensor, axis: int, before: Line, after: Line, size: int) -> Tensor:
    """The points ``after`` of the doubled axis, from the points ``before`` of an axis of ``size``."""
    index, part = _places(after, size, x.device)
    # With channels last in truth, taking rows or columns is copying whole runs of memory.
    last, axis = x.permute(0, 2, 3, 1), axis - 1
    low = last.index_select(axis, index - before[0])
    high = last.index_select(axis, (index + 1).clamp_max(size - 1) - before[0])
    return low.lerp(high, part.to(x.dtype).view(-1, *[1] * (3 - axis))).permute(0, 3, 1, 2)


def _convolve(layer: nn.Conv2d, x: Tensor, before: tuple[Line, Line], after: tuple[Line, Line]) -> Tensor:
    """A convolution on a part of a map: zeros only where the map ends."""
    (up, down), (left, right) = ((1 - (a[0] - b[0]), 1 - (b[1] - a[1])) for b, a in zip(before, after, strict=True))
    padded = F.pad(x, (left, right, up, down)) if up or down or left or right else x
    return F.conv2d(padded, layer.weight, layer.bias)


def encode_again(encoder: Callable[[Tensor], Tensor], features: Tensor, frames: Tensor, changed: Box) -> Tensor:
    """Features of frames that have changed in a box, from the features that they had before.

    Args:
        encoder: the hierarchical encoder, or its stem: ``(N, C, H, W)`` to a quarter of the resolution.
        features: ``(N, C_out, H/4, W/4)`` of the frames as they were; left as they are.
        frames: ``(N, C, H, W)`` now.
        changed: pixels outside this box are as they were.

    Returns:
        ``(N, C_out, H/4, W/4)``, what ``encoder(frames)`` gives, up to rounding.
    """
    ends = [_encoder_lines(changed[i::2], frames.shape[i - 2], features.shape[i - 2]) for i in (0, 1)]
    (rows, tall), (cols, wide) = ends
    crop = frames[..., slice(*tall), slice(*wide)]
    fresh = encoder(crop)
    top, left = rows[0] - tall[0] // STRIDE, cols[0] - wide[0] // STRIDE
    result = features.clone()
    inner = fresh[..., top : top + rows[1] - rows[0], left : left + cols[1] - cols[0]]
    result[..., slice(*rows), slice(*cols)] = inner.to(result.dtype)
    return result


def _encoder_lines(changed: tuple[int, ...], pixels: int, features: int) -> tuple[Line, Line]:
    """On one axis: features that see the changed pixels, and pixels (from a multiple of 4) that these features see."""
    margin = -(-ENCODER_REACH // STRIDE)
    first = max(changed[0] // STRIDE - margin, 0)
    end = min((changed[1] - 1) // STRIDE + margin + 1, features)
    return (first, end), (max(first - margin, 0) * STRIDE, min((end + margin) * STRIDE, pixels))
