"""The parts of Segment Anything that stand in FOCAL's official ViT file and take no part in its features.

They are laid out as named tensors without a forward pass, so that the file loads strictly.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

Shapes = dict[str, tuple[int, ...]]


def prompt_encoder(width: int) -> nn.Module:
    """The tensors of the prompt encoder; ``width`` is the number of feature channels."""
    shapes: Shapes = {f"point_embeddings.{i}.weight": (1, width) for i in range(4)}
    shapes |= {"not_a_point_embed.weight": (1, width), "no_mask_embed.weight": (1, width)}
    layers: Shapes = {"0": (4, 1, 2, 2), "1": (4,), "3": (16, 4, 2, 2), "4": (16,), "6": (width, 16, 1, 1)}
    for place, shape in layers.items():
        shapes |= {f"mask_downscaling.{place}.weight": shape, f"mask_downscaling.{place}.bias": shape[:1]}
    root = tensors(shapes)
    frequencies = nn.Module()
    frequencies.register_buffer("positional_encoding_gaussian_matrix", torch.zeros(2, width // 2))
    root.pe_layer = frequencies
    return root


def mask_decoder(width: int) -> nn.Module:
    """The tensors of the mask decoder; ``width`` is the number of feature channels."""
    shapes: Shapes = {}
    for layer in ("transformer.layers.0.", "transformer.layers.1."):
        shapes |= _attention(layer + "self_attn", width, width)
        shapes |= _attention(layer + "cross_attn_token_to_image", width, width // 2)
        shapes |= _attention(layer + "cross_attn_image_to_token", width, width // 2)
        shapes |= _affine(layer + "mlp.lin1", (8 * width, width)) | _affine(layer + "mlp.lin2", (width, 8 * width))
        for i in range(1, 5):
            shapes |= _affine(f"{layer}norm{i}", (width,))
    shapes |= _attention("transformer.final_attn_token_to_image", width, width // 2)
    shapes |= _affine("transformer.norm_final_attn", (width,))
    shapes |= {"iou_token.weight": (1, width), "mask_tokens.weight": (4, width)}
    shapes |= _transposed("output_upscaling.0", width, width // 4) | _affine("output_upscaling.1", (width // 4,))
    shapes |= _transposed("output_upscaling.3", width // 4, width // 8)
    for i in range(4):
        shapes |= _perceptron(f"output_hypernetworks_mlps.{i}", width, width // 8)
    return tensors(shapes | _perceptron("iou_prediction_head", width, 4))


def _affine(name: str, shape: tuple[int, ...]) -> Shapes:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def _attention(name: str, width: int, inner: int) -> Shapes:
    parts = [_affine(f"{name}.{part}_proj", (inner, width)) for part in "qkv"]
    return parts[0] | parts[1] | parts[2] | _affine(f"{name}.out_proj", (width, inner))


def _transposed(name: str, inputs: int, outputs: int) -> Shapes:
    return {f"{name}.weight": (inputs, outputs, 2, 2), f"{name}.bias": (outputs,)}


def _perceptron(name: str, width: int, outputs: int) -> Shapes:
    first, second = (_affine(f"{name}.layers.{i}", (width, width)) for i in range(2))
    return first | second | _affine(f"{name}.layers.2", (outputs, width))


def tensors(shapes: Mapping[str, tuple[int, ...]]) -> nn.Module:
    """A tree of modules that holds parameters (zeros) of the dotted names and shapes, and computes nothing."""
    root = nn.Module()
    for name, shape in shapes.items():
        *path, leaf = name.split(".")
        place = root
        for part in path:
            if part not in dict(place.named_children()):
                place.add_module(part, nn.Module())
            place = place.get_submodule(part)
        place.register_parameter(leaf, nn.Parameter(torch.zeros(shape)))
    return root
