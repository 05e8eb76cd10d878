"""Plays an environment whenever it is told to, and says how long that took: run by its path, with any version.

It reads the arguments as JSON, then a line of standard input for every round, and answers each with seconds. It imports
nothing of this package by name but the package itself, so that versions from before there was this module can be timed.
"""

from __future__ import annotations

import json
import sys
import time
import warnings


def main() -> None:
    """See the module's description."""
    import gymnasium
    import numpy as np
    import torch

    import videoinpaint

    asked = json.loads(sys.argv[1])
    warnings.simplefilter("ignore")
    torch.set_num_threads(asked["threads"])
    envs = gymnasium.make_vec(
        asked["env_id"], num_envs=asked["envs"], vectorization_mode="vector_entry_point", **asked["kwargs"]
    )
    envs.reset(seed=0)
    rng = np.random.default_rng(0)

    def play() -> float:
        began = time.perf_counter()
        for _ in range(asked["steps"]):
            envs.step(rng.uniform(-1, 1, envs.action_space.shape).astype(np.float32))
        return time.perf_counter() - began

    play()  # warms up
    print(json.dumps({"version": videoinpaint.__version__, "folder": videoinpaint.__path__[0]}), flush=True)
    for _ in sys.stdin:
        print(play(), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] in ([], ["-h"], ["--help"]):
        print(f"{__doc__}\nStarted by benchmarks.networks.against, not by hand.")
    else:
        main()
