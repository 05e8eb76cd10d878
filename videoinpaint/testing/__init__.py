"""Checkers for plug-ins: run them on your inpainter, detector or policy before you run it in the environment.

Each raises `AssertionError` with a message that names the rule that was broken, and returns None if there is none.

```python
from videoinpaint.testing import check_inpainter

check_inpainter(MyInpainter())
```

:func:`run_parity` checks a published network against stored numbers instead.
"""

from videoinpaint.testing.checkers import check_detector, check_inpainter
from videoinpaint.testing.parity.fixtures import run_parity
from videoinpaint.testing.policy_rules import check_policy

__all__ = ["check_detector", "check_inpainter", "check_policy", "run_parity"]
