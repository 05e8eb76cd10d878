"""Checkers for plug-ins: run them on a part of your own before you run it in the environment.

Each raises `AssertionError` with a message that names the rule that was broken, and returns None if there is none.

```python
from videoinpaint.testing import check_inpainter

check_inpainter(MyInpainter())
```

:func:`another_device` is a device beside the CPU on every machine, to see without a GPU whether a part of your own
forgets where its tensors lie. :func:`run_parity` checks a published network against stored numbers.
"""

from videoinpaint.testing.another_device import another_device
from videoinpaint.testing.checkers import check_detector, check_inpainter
from videoinpaint.testing.parity.fixtures import run_parity
from videoinpaint.testing.policy_rules import check_policy
from videoinpaint.testing.propagator_rules import check_propagator
from videoinpaint.testing.source_rules import check_clip_source, check_mask_source

__all__ = [
    "another_device",
    "check_clip_source",
    "check_detector",
    "check_inpainter",
    "check_mask_source",
    "check_policy",
    "check_propagator",
    "run_parity",
]
