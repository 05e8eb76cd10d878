"""Train, evaluate and report in a few minutes: a checkpoint, a before/after video, results.json and report.html."""

from __future__ import annotations

from dataclasses import dataclass

from videoinpaint.benchmarks.demo_config import DemoConfig


@dataclass(frozen=True)
class Demo(DemoConfig):
    """Small studio clips, a short training, all baselines. Running it again replaces what it made before."""

    def run(self) -> None:
        """Run the demo."""
        from videoinpaint.benchmarks.demo import run_demo

        run_demo(self)


COMMAND = Demo
