"""How large a published network is: as published, or what a weight file trained here says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from videoinpaint.errors import CorruptWeightsError
from videoinpaint.files import user_path
from videoinpaint.weights import load_safetensors, metadata_number

_HIGHEST = {"depth": 64, "dim": 4096, "hidden": 8192, "heads": 64, "height": 8192, "width": 8192, "nested": 1, "dis": 1}
_LEAST_ZERO = ("nested", "dis")


@dataclass(frozen=True)
class Sizes:
    """Numbers in the constructors of a published network; they travel in the metadata of files that are trained here.

    Attributes:
        depth: transformer blocks.
        dim: width of a token (STTN has none: its tokens are patches of a map of 256 channels).
        hidden: width of the feed-forward (likewise).
        heads: of every attention module (STTN always has its four scales).
        height, width: of the frames, for networks that work at one size.
        nested: 1 where the first k heads were trained to work alone, so that their order is their index.
        dis: 1 where motion comes from dense inverse search instead of RAFT, whose weights are then not needed
            (ProPainter alone).
    """

    depth: int = 8
    dim: int = 512
    hidden: int = 1960
    heads: int = 4
    height: int = 240
    width: int = 432
    nested: int = 0
    dis: int = 0

    def as_metadata(self) -> dict[str, str]:
        """As a weight file holds them."""
        return {name: str(value) for name, value in asdict(self).items()}


def stored_sizes(name: str, weights: str | Path | None) -> Sizes | None:
    """The sizes that a weight file names; None where it is an official file, or no file.

    Args:
        name: of the weights in the registry.
        weights: what was asked for.

    Raises:
        CorruptWeightsError: the file is damaged, or names sizes that no network has.
    """
    path = None if weights is None else user_path(weights)
    if path is None or path.suffix != ".safetensors" or not path.is_file():
        return None
    metadata: Mapping[str, str] = load_safetensors(name, path)[1]
    if "depth" not in metadata:
        return None
    sizes = Sizes(**{k: metadata_number(metadata, k, int(k not in _LEAST_ZERO), high) for k, high in _HIGHEST.items()})
    if sizes.dim % sizes.heads:
        raise CorruptWeightsError(f"the weights {name!r} describe no network: {sizes.heads} heads share {sizes.dim}")
    return sizes
