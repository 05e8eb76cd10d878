"""Devices are resolved or refused, and defaults of torch under which nothing would fit together are named."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from videoinpaint.device import resolve_device
from videoinpaint.errors import InputError
from videoinpaint.inpainters import make_inpainter
from videoinpaint.repair.front_door import inpaint
from videoinpaint.testing import another_device

SIZE = {"num_frames": 2, "height": 48, "width": 64}


class WithoutDoubles(TorchDispatchMode):
    """What Apple's GPUs refuse."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if (kwargs or {}).get("dtype") == torch.float64:
            raise TypeError("this framework doesn't support float64. Please use float32 instead.")
        return func(*args, **kwargs or {})


def test_devices_are_resolved_or_refused():
    assert resolve_device("cpu").type == "cpu"
    assert resolve_device("auto").type in ("cpu", "cuda")
    with pytest.raises(InputError, match="'auto'"):
        resolve_device("cuda:77")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="say 'auto' or 'cpu', as no GPU is here"):
            resolve_device("cuda")


def test_a_device_without_float64_is_refused():
    with another_device() as name:
        assert resolve_device(name).type == "lazy"
        with WithoutDoubles(), pytest.raises(InputError, match=r"'lazy:0' \(it has no float64, .*\): say .*'cpu'"):
            resolve_device(name)


@pytest.fixture(params=["dtype", "device"])
def changed(request):
    """Torch has other defaults after a call of what this gives, to the end of the test; whose remedy an error names."""
    if request.param == "dtype":
        yield lambda: torch.set_default_dtype(torch.float64), r"set_default_dtype\(torch.float32\)"
        torch.set_default_dtype(torch.float32)
    else:
        yield lambda: torch.set_default_device("meta"), r"set_default_device\('cpu'\)"
        torch.set_default_device(None)


def test_other_defaults_of_torch_are_refused_before_any_work(changed):
    change, remedy = changed
    frames, holes = np.zeros((3, 48, 64, 3), np.uint8), np.zeros((3, 48, 64), bool)
    holes[:, 10:20, 10:20] = True
    change()
    for work in (
        lambda: gymnasium.make("VideoInpaint-v1", **SIZE),
        lambda: make_inpainter("compact"),
        lambda: inpaint(frames, holes, inpainter="compact"),
    ):
        with pytest.raises(InputError, match=remedy):
            work()


def test_other_defaults_of_torch_are_refused_where_an_episode_begins(changed):
    change, remedy = changed
    env = gymnasium.make("VideoInpaint-v1", inpainter="telea", detector="none", **SIZE)
    change()
    with pytest.raises(InputError, match=remedy):
        env.reset(seed=0)
