"""A policy of your own in ten lines. Try it: PYTHONPATH=examples videoinpaint evaluate --policy ten_lines:Cautious"""

import numpy as np

from videoinpaint import Controls
from videoinpaint.controls import controls_to_action


class Cautious:
    """All heads where the hole is large, a third of them where it is small."""

    def act(self, observation):
        share = observation["masks"].mean(axis=(1, 2, 3)) / 255
        chosen = [Controls(heads=12 if s > 0.1 else 4).to_array() for s in share]
        return controls_to_action(np.stack(chosen))
