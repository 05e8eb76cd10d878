"""Train, evaluate and report in a few minutes: a checkpoint, a before/after video, results.json and report.html."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path


@dataclass(frozen=True)
class Demo:
    """Small studio clips, a short training, all baselines. Running it again replaces what it made before."""

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

    def run(self) -> None:
        """Run the demo."""
        from videoinpaint.benchmarks.demo import DemoConfig, run_demo

        run_demo(DemoConfig(**{field.name: getattr(self, field.name) for field in fields(self)}))


COMMAND = Demo
