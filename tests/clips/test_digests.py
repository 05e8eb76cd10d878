"""A clip, a hole, a target and a mask error are functions of their seeds, on every machine: digests of them.

python tests/clips/test_digests.py          compares with tests/data/clip_digests.json and names what differs
python tests/clips/test_digests.py --write  writes that file; only where a change of the clips is meant
"""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from videoinpaint.clips import MASK_ERRORS, SUITES, inaccurate, make_clips, make_masks

FILE = Path(__file__).resolve().parents[1] / "data" / "clip_digests.json"
SIZES = ((4, 48, 64), (3, 90, 161))
SEEDS = (0, 7, 123_456)


def digests() -> dict[str, str]:
    """Name -> the first 16 hexadecimal digits of the SHA-256 of the bytes."""
    found = {}
    for size in SIZES:
        at = "x".join(map(str, size))
        for suite in SUITES:
            source = make_clips("studio" if suite == "mixed" else f"studio:{suite}")
            for seed in SEEDS:
                clip = source.load(f"studio-{suite}-{seed:06d}", *size)
                found[f"{clip.name} {at}"] = _digest(clip.frames, clip.objects)
                found[f"studio:{suite} holes of {clip.name} {at}"] = _digest(
                    make_masks(f"studio:{suite}").sample(_generator(0), clip)
                )
        for seed in SEEDS:
            clip = make_clips("studio").sample(_generator(seed), *size)
            found[f"studio drawn {seed} {at}"] = _digest(clip.frames, clip.objects)
            for kind in ("stationary", "square", "object", "mixed"):
                found[f"{kind} drawn {seed} {at}"] = _digest(make_masks(kind, seed % 3).sample(_generator(seed), clip))
            clip = make_clips("one_shot").sample(_generator(seed), *size)
            found[f"one_shot drawn {seed} {at}"] = _digest(clip.frames, clip.observed, clip.objects)
            for kind in MASK_ERRORS:
                wrong = inaccurate(clip.objects, _generator(seed), kind)
                found[f"{kind} masks of one_shot drawn {seed} {at}"] = _digest(wrong)
    return found


def differences() -> list[str]:
    """The names whose digests are not those of the file, or stand in one of the two only."""
    known, found = json.loads(FILE.read_text()), digests()
    return sorted(name for name in known.keys() | found.keys() if known.get(name) != found.get(name))


def _generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))


def _digest(*arrays: np.ndarray) -> str:
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()[:16]


def test_clips_and_holes_are_the_ones_that_are_checked_in() -> None:
    assert differences() == []


def test_they_do_not_depend_on_the_processor() -> None:
    """Once more without the vector instructions that NumPy chooses by the processor."""
    features = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    environment = {**os.environ, "NPY_DISABLE_CPU_FEATURES": " ".join(features)}
    run = subprocess.run([sys.executable, __file__], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


if __name__ == "__main__":
    if "--write" in sys.argv:
        FILE.write_text(json.dumps(digests(), indent=1) + "\n")
    elif different := differences():
        sys.exit("these differ from tests/data/clip_digests.json:\n" + "\n".join(different))
