"""What an inpainter and a detector are. Both are batched: every tensor leads with the batch dimension B.

Shapes: ``frames (B, T, 3, H, W)`` RGB in [0, 1], ``masks (B, T, 1, H, W)``, 1 = missing.

Every part has a `name`, a string that is the same in every run. All further protocols are optional; each has a
function that reads it and supplies the default where a part lacks it:

* what controls do: `Regional` by :func:`regional_of`, `WeighsCells` by :func:`weights_of_cells`, `CountsHeads` by
  :func:`heads_run_of`, `FusesItself` by :func:`own_fusion_of`;
* how a part is run: `Streaming` by :func:`stream_of`, `HasPrecision` by :func:`precision_of`, `DrawsGlobally` by
  :func:`draws_globally`;
* what is reported of it: `MaybeUntrained` by :func:`is_untrained`.

`Reaching` and `Compilable` add methods: ``isinstance`` tells whether a part has them.
"""

from videoinpaint.protocols.optional import (
    Compilable,
    CountsHeads,
    DrawsGlobally,
    FusesItself,
    HasPrecision,
    MaybeUntrained,
    Reaching,
    Regional,
    Streaming,
    WeighsCells,
    check_regional,
    draws_globally,
    heads_run_of,
    is_untrained,
    make_precise,
    own_fusion_of,
    precision_of,
    regional_of,
    stream_of,
    weights_of_cells,
)
from videoinpaint.protocols.parts import (
    STATE_TYPES,
    Detection,
    Detector,
    Inpainter,
    MaskPropagator,
    OneShotInpainter,
    Refinement,
    State,
    Tracker,
    stacked_masks,
)

__all__ = [
    "STATE_TYPES", "Compilable", "CountsHeads", "Detection", "Detector", "DrawsGlobally", "FusesItself", "HasPrecision",
    "Inpainter", "MaskPropagator", "MaybeUntrained", "OneShotInpainter", "Reaching", "Refinement", "Regional", "State",
    "Streaming", "Tracker", "WeighsCells", "check_regional", "draws_globally", "heads_run_of", "is_untrained",
    "make_precise", "own_fusion_of", "precision_of", "regional_of", "stacked_masks", "stream_of", "weights_of_cells",
]  # fmt: skip
