"""Numeric parity of the published networks with stored fixtures: same weights, same inputs, same numbers.

A fixture is ``NAME.npz`` (inputs and expected outputs) and, beside it, ``NAME.json`` (what the arrays mean). Weights
are not stored: every tensor is generated from its own name by :class:`GeneratedWeights`.

```python
from videoinpaint.testing.parity.fixtures import compare, run_parity

run_parity("sttn", "fixtures/sttn.npz")  # {"output": 1.2e-06, ...}: largest absolute error of each output
```

What is known of every network (gain, inputs, how outputs are cut, tolerances) stands in ``data/parity.json``; a JSON
beside the fixture goes first.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from videoinpaint.errors import InputError, UnknownNameError
from videoinpaint.files import read_json
from videoinpaint.registry import load_object

# name -> "module:function" with function(inputs, weights) -> outputs, complete arrays (see `ParityFunction`).
_HERE = "videoinpaint.testing.parity."
PARITY = {
    "sttn": _HERE + "sttn:parity",
    "dstt": _HERE + "dstt:parity",
    "fuseformer": _HERE + "fuseformer:parity",
    "e2fgvi": _HERE + "e2fgvi:parity",
    "e2fgvi_hq": _HERE + "e2fgvi:parity_hq",
    "raft": _HERE + "propainter:parity_raft",
    "propainter_flow_completion": _HERE + "propainter:parity_flow_completion",
    "propainter": _HERE + "propainter:parity",
    "focal_hrnet": _HERE + "focal:parity_hrnet",
    "focal_vit": _HERE + "focal:parity_vit",
    "focal_vit_tiny": _HERE + "focal:parity_vit_tiny",
    "i3d": "videoinpaint.metrics.vfid:parity",
}

Module = TypeVar("Module", bound=nn.Module)
ParityFunction = Callable[[dict[str, Tensor], "GeneratedWeights"], dict[str, Tensor]]
"""``inputs`` by name and a filler of freshly built modules -> complete outputs by name, as the fixture's ``call``."""


@dataclass(frozen=True)
class Agreement:
    """How one output agrees with a fixture.

    Attributes:
        max_abs: largest absolute difference.
        rms: root mean square of the differences.
        limits: the fixture's tolerances for both, ``(max_abs, rms)``; None where it states none.
    """

    max_abs: float
    rms: float
    limits: tuple[float, float] | None

    @property
    def within(self) -> bool:
        """Whether both differences keep their limits (False where there are none, or a difference is NaN)."""
        return self.limits is not None and self.max_abs <= self.limits[0] and self.rms <= self.limits[1]


def generate_tensor(key: str, shape: tuple[int, ...], gain: float = 1.0) -> NDArray[np.float32]:
    """The float32 tensor that the rule of the fixtures gives to a state-dict entry.

    Args:
        key: its name, the only source of randomness.
        shape: its shape.
        gain: of the network; scales entries with two or more dimensions.
    """
    x = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape).astype(np.float32)
    if key.endswith("running_var"):
        return (1 + 0.1 * np.abs(x)).astype(np.float32)
    if key.endswith("running_mean"):
        return (0.1 * x).astype(np.float32)
    if len(shape) >= 2:
        # One float32 factor, not two steps: the stored outputs were computed with these bits.
        return x * np.float32(gain / np.sqrt(np.prod(shape[1:])))
    return ((1 if key.endswith("weight") else 0) + 0.1 * x).astype(np.float32)


class GeneratedWeights:
    """Fills modules with generated weights; called as ``weights(module)``.

    Args:
        gain: of the network, see :func:`generate_tensor`.
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, module: Module) -> Module:
        """Fill ``module`` strictly, by its own state dict's names and shapes; back in eval mode without gradients.

        Integer and boolean buffers keep what the module built.
        """
        filled = {
            key: self.tensor(key, tuple(value.shape)) if value.is_floating_point() else value
            for key, value in module.state_dict().items()
        }
        module.load_state_dict(filled, strict=True)
        return module.eval().requires_grad_(False)

    def tensor(self, key: str, shape: tuple[int, ...]) -> Tensor:
        """The tensor of one name, for networks whose official names differ from their own."""
        return torch.from_numpy(generate_tensor(key, shape, self.gain))


def run_parity(name: str, npz_path: str | Path) -> dict[str, float]:
    """Largest absolute error of every output of a network against a fixture.

    Args:
        name: one of `PARITY`.
        npz_path: the fixture's arrays; its JSON (``<stem>.json``, else ``<name>.json``) is read where it lies beside.

    Returns:
        output name -> max abs error, for every output in the file that the network offers (``mid_*`` are optional).

    Raises:
        UnknownNameError: no such network.
        InputError: the file is missing, is no npz, or lacks an input or a main output.
    """
    return {output: agreement.max_abs for output, agreement in compare(name, npz_path).items()}


@torch.no_grad()
def compare(name: str, npz_path: str | Path) -> dict[str, Agreement]:
    """As :func:`run_parity`, with root mean squares and limits."""
    fixture = _open(name, Path(npz_path))
    found = _function(name)(fixture.inputs, GeneratedWeights(fixture.gain))
    agreements = {}
    for output, expected in fixture.expected.items():
        if output not in found:
            if output.startswith("mid_"):
                continue  # diagnostic: another organisation need not have it
            raise InputError(f"the network {name!r} gave no output {output!r}; it gave {', '.join(found)}")
        actual = cut(found[output].detach().cpu().numpy(), expected, fixture.slicings.get(output, ""), output)
        error = actual.astype(np.float64) - expected.astype(np.float64)
        rms = float(np.sqrt(np.mean(error**2)))
        agreements[output] = Agreement(float(np.abs(error).max()), rms, fixture.limits.get(output))
    return agreements


def cut(full: NDArray[Any], stored: NDArray[Any], slicing: str, what: str = "the output") -> NDArray[Any]:
    """The part of a complete array that a fixture keeps.

    Args:
        full: the complete array.
        stored: the fixture's.
        slicing: NumPy notation such as ``"[:, ::4]"``; anything without brackets means complete. Where it does not
            lead to the stored shape (a fixture of another size, without its JSON), the steps are inferred from the two
            shapes; where several would do, those are taken under which the arrays agree best.
        what: named in errors.

    Raises:
        InputError: no steps lead from one shape to the other.
    """
    part = full[_parse(slicing)]
    if part.shape == stored.shape:
        return part
    steps = [_steps(*lengths) for lengths in zip(full.shape, stored.shape)]
    if full.ndim != stored.ndim or not all(steps):
        raise InputError(f"{what} has shape {full.shape}: no slicing of it gives the fixture's {stored.shape}")
    choices = [full[tuple(slice(None, None, step) for step in choice)] for choice in product(*steps)]
    return min(choices, key=lambda choice: float(np.abs(choice - stored).max()))


def _steps(whole: int, kept: int) -> list[int]:
    """The steps that keep ``kept`` of ``whole`` places."""
    return [1] if whole == kept else [step for step in range(2, whole + 1) if -(-whole // step) == kept][:8]


def _parse(slicing: str) -> tuple[Any, ...]:
    inner = re.fullmatch(r"\s*\[(.*)\]\s*", slicing)
    if inner is None:
        return (...,)
    return tuple(_parse_item(item.strip()) for item in inner.group(1).split(","))


def _parse_item(item: str) -> Any:
    if item == "...":
        return ...
    if ":" not in item:
        return int(item)
    return slice(*(int(part) if part.strip() else None for part in item.split(":")))


@dataclass(frozen=True)
class _Fixture:
    gain: float
    inputs: dict[str, Tensor]
    expected: dict[str, NDArray[Any]]
    slicings: dict[str, str]
    limits: dict[str, tuple[float, float]]


def _open(name: str, path: Path) -> _Fixture:
    known = _known(name)
    if not path.is_file():
        raise InputError(f"no fixture at {path}: give the .npz file of {name!r}")
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except (ValueError, OSError, AttributeError) as error:
        raise InputError(f"{path} cannot be read as an .npz of plain arrays: {error}") from error
    beside = _json_beside(name, path)
    spec = _merge(known, beside)
    missing = [key for key in spec["inputs"] if key not in arrays]
    if missing:
        raise InputError(f"{path} lacks the input {missing[0]!r} of {name!r}; it holds {', '.join(arrays)}")
    inputs = {key: torch.from_numpy(np.array(arrays[key])) for key in spec["inputs"]}
    outputs = spec["outputs"]
    expected = {key: array for key, array in arrays.items() if key in outputs}
    if not expected:
        raise InputError(f"{path} holds none of the outputs of {name!r}: {', '.join(outputs)}")
    limits = {key: (value["max_abs"], value["rms"]) for key, value in outputs.items()}
    return _Fixture(spec["gain"], inputs, expected, {key: v["slicing"] for key, v in outputs.items()}, limits)


def _merge(known: Mapping[str, Any], beside: Mapping[str, Any] | None) -> dict[str, Any]:
    """What we know of a network, overridden by the JSON that lies beside its fixture."""
    if beside is None:
        return dict(known)
    outputs = dict(known["outputs"])
    for output in beside.get("outputs", ()):
        before = outputs.get(output["name"], {})
        tolerance = output.get("tolerance", before)
        outputs[output["name"]] = {
            "slicing": output.get("slicing", before.get("slicing", "")),
            "max_abs": tolerance.get("max_abs", 0.0),
            "rms": tolerance.get("rms", 0.0),
        }
    inputs = [entry["name"] for entry in beside["inputs"]] if "inputs" in beside else known["inputs"]
    return {"gain": float(beside.get("gain", known["gain"])), "inputs": inputs, "outputs": outputs}


def _json_beside(name: str, path: Path) -> dict[str, Any] | None:
    for candidate in (path.with_suffix(".json"), path.with_name(f"{name}.json")):
        if candidate.is_file():
            return read_json(candidate, "a description of a fixture")
    return None


@cache
def _table() -> dict[str, Any]:
    return json.loads(files("videoinpaint.data").joinpath("parity.json").read_text(encoding="utf-8"))


def _known(name: str) -> dict[str, Any]:
    if name not in PARITY:
        raise UnknownNameError(f"no parity is known for {name!r}: use one of {', '.join(PARITY)}")
    return _table()[name]


def _function(name: str) -> ParityFunction:
    return load_object(PARITY[name], "parity")
