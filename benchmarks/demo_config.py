"""What the demo does: its settings, which the command line has as flags. Nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class DemoConfig:
    """What the demo does; running it again replaces what it made before."""

    output: Path = Path("runs/demo")
    """The folder to leave everything in."""
    steps: int | None = None
    """Training steps; by default what fits into --seconds, 192 to 1536."""
    seconds: float = 150.0
    """Time to set aside for training."""
    episodes: int = 16
    """Held-out episodes of the comparison."""
    num_frames: int = 5
    """Frames of the clips that it trains on."""
    height: int = 64
    """Height of their frames, pixels."""
    width: int = 112
    """Width of their frames, pixels."""
    inpainter: str = "compact"
    """compact, propagation, telea, or module:attribute."""
    detector: str = "compact"
    """compact, none, or module:attribute."""
    seed: int = 0
    """Seed of training."""
    device: str = "auto"
    """auto (the GPU where there is one), cpu, cuda, ..."""

    def env_kwargs(self) -> dict[str, Any]:
        """Arguments of the environment: small studio clips under holes of all kinds."""
        return {"clips": "studio", "masks": "mixed"} | {
            name: getattr(self, name) for name in ("num_frames", "height", "width", "inpainter", "detector", "device")
        }
