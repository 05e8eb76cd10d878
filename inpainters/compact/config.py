"""The sizes and switches of the compact network, as a weight file's metadata names them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from videoinpaint.weights import metadata_number

SWITCHES = ("sparing", "smooth", "choosing", "grain")


@dataclass(frozen=True)
class CompactConfig:
    """Sizes of the network; they travel in the weight file's metadata."""

    base: int = 32
    mid: int = 64
    dim: int = 192
    hidden: int = 384
    depth: int = 4
    window_height: int = 5
    window_width: int = 9
    sparing: int = 2  # how strongly trusted carried content is spared from fusion, see `_fuse`
    smooth: int = 1  # whether tokens grow to pixels without a phase; else by pixel shuffle, which shows as dots
    grain: int = 2  # 1: the decoder gets fixed noise to make texture of; 2: as strong as the scene around has detail
    choosing: int = 2  # along how many motions is found what a layer of its own chooses from, pixel by pixel; 0: none

    @staticmethod
    def from_metadata(metadata: Mapping[str, str]) -> CompactConfig:
        """The sizes that a weight file names; files from before there was a switch were trained without it."""
        known = dict.fromkeys(SWITCHES, "0") | dict(metadata)
        highest = dict.fromkeys(CompactConfig().as_dict(), 4096) | {"depth": 64, "smooth": 1, "grain": 2, "choosing": 2}
        lowest = {name: int(name not in SWITCHES) for name in highest}
        return CompactConfig(**{k: metadata_number(known, k, lowest[k], high) for k, high in highest.items()})

    def as_dict(self) -> dict[str, int]:
        """The sizes by name."""
        return asdict(self)
