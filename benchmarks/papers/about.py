"""What each experiment is and where it differs from the publication: light, for the command's help and for pages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from videoinpaint.errors import InputError, UnknownNameError

COMMON = ("suite", "episodes", "output", "num_frames", "height", "width", "device", "threads", "precision")
"""Flags that every experiment takes."""

LOOP = ("inpainter", "weights")
PLAYED = (*LOOP, "policies")
TRAINED_ON_CLIPS = ("steps", "width_factor", "preset")

EVERYWHERE = (
    "other clips (a frozen suite of synthetic ones, or your own size of it), other holes, another backbone (`compact` "
    "instead of ProPainter, unless --inpainter names one whose weights you have), another detector (`compact` instead "
    "of FOCAL), and policies trained on studio clips. So orders and gaps may be compared, digits may not. SSIM is that "
    "with the window of 65 pixels that the literature uses, except below that size. GFLOPs are for a whole clip and "
    "count preparation, passes and detections. Intervals are 95%, over clips, not corrected for the number of claims"
)
ONE_SHOT = (
    "targets cut out of photographs before studio scenes instead of OVIS foregrounds on DAVIS, masks carried by `flow` "
    "instead of STCN; LOCAL is inside the target's true masks, all frames, GLOBAL the whole frame"
)
INTERNAL = (
    "a training of --steps steps on each clip (published: 80,000, for hours on a GPU), a network of a quarter of the "
    "width"
)


@dataclass(frozen=True)
class About:
    """One experiment.

    Attributes:
        title: in a few words.
        published: keys of the published tables.
        source: where they were printed.
        differences: from the publication, beyond `EVERYWHERE`.
        suites: that it runs on by default.
        takes: its flags beyond those of `COMMON`; the others would change nothing, so they are refused.
    """

    title: str
    published: tuple[str, ...]
    source: str
    differences: str
    suites: tuple[str, ...] = ("studio-mixed-v1",)
    takes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


ABOUT = {
    "table1": About(
        "methods compared", ("clip_rl.table1",), "CLIP-RL, Table 1",
        "the loop's own backbone, one pass of it, stands where ProPainter stands in the paper, and the loop with a "
        "policy where CLIP-RL stands; published networks are measured where their weights are, one pass each; networks "
        "that this package does not have are printed only. The printed column is DAVIS, object masks",
        takes=PLAYED,
    ),
    "table2": About(
        "the detector's feedback, without a policy", ("clip_rl.table2",), "CLIP-RL, Table 2",
        "the controls are the defaults in every pass. Two rows are added that flag the whole hole again in place of "
        "the detector: if they do as well, the second pass helps and not the detector",
        takes=LOOP,
    ),
    "table3": About(
        "the number of iterations", ("clip_rl.table3",), "CLIP-RL, Table 3",
        "0 iterations are one pass with the default controls; n iterations are that pass and n more by the policy. An "
        "episode ends early where the detector flags nothing more, and keeps its repair and its cost from then on",
        takes=PLAYED,
    ),
    "figure7": About(
        "the number of iterations, drawn", ("clip_rl.table3",), "CLIP-RL, Figure 7",
        "as table3, whose measurements it shares",
        takes=PLAYED,
    ),
    "table4": About(
        "dynamic numbers of heads", ("clip_rl.table4",), "CLIP-RL, Table 4",
        "easy and hard are told apart by measurement: the motion of camera and background together below 1.4 % of the "
        "width a frame is easy. Of the policy only the number of heads counts, the other controls stand at their "
        "defaults. Three iterations",
        takes=PLAYED,
    ),
    "table5": About(
        "dynamic fusion", ("clip_rl.table5",), "CLIP-RL, Table 5",
        "of the policy only the fusion weight counts, with 12 heads. No fusion is w = 1, which is beyond the "
        "controls' range and set behind the loop: `compact` then takes what its transformer invents alone, though its "
        "encoder still sees what was propagated. With --fusion boundary the weight is that of a blend at the hole's "
        "edge, around any inpainter, and no fusion is none of it. Three iterations",
        ("studio-fast-v1", "studio-large-v1"),
        takes=(*PLAYED, "fusion"),
    ),
    "table6": About(
        "strategies of reward weights", ("clip_rl.table6",), "CLIP-RL, Table 6",
        "`compact` is conditioned on alpha, beta and gamma, so that fixed weights are fixed controls, without training "
        "anew; in the paper they weigh the reward that a policy learns from. Of the policy only alpha, beta and gamma "
        "count",
        takes=PLAYED,
    ),
    "figure5": About(
        "pictures of five scenarios", (), "CLIP-RL, Figure 5",
        "object removal is an episode of the one-shot suite, the other four are clips of the studio suites; the rows "
        "are one pass of the backbone, the loop with default controls and with the policy. One claim of the text is "
        "measured: 1.2% more SSIM than the closest competitor where the background moves, held against that one pass",
        ("one-shot-v1", "studio-easy-v1", "studio-large-v1", "studio-hard-v1", "studio-fast-v1"),
        takes=PLAYED,
    ),
    "figure6": About(
        "pictures of the detector's feedback", ("clip_rl.table2",), "CLIP-RL, Figure 6",
        "as table2, whose measurements it shares; the first three clips of the suite are drawn",
        takes=LOOP,
    ),
    "figure8": About(
        "the trajectory of the reward weights", ("clip_rl.figure8",), "CLIP-RL, Figure 8",
        "the mean of what the policy chose in each iteration, over the clips of the suite. The shipped policy was "
        "trained under fixed reward weights: its alpha, beta and gamma steer `compact`, they do not weigh its reward",
        takes=PLAYED,
    ),
    "iivi-table1": About(
        "internal learning against others", ("iivi.table1",), "IIVI, Table 1",
        f"{INTERNAL}. Row 'from scratch' begins with an empty hole, as published, row 'from propagation' with what "
        "motion carries into it. A hole is 'fixed' where it is the same in every frame, else it counts as 'object'. "
        "Our flow baseline `propagation` stands where FGVC stands; the other published rows are printed only",
        takes=TRAINED_ON_CLIPS,
    ),
    "iivi-table2": About(
        "capacity of the network", ("iivi.table2",), "IIVI, Table 2",
        f"{INTERNAL}. Holes begin empty, as published. Simple and complex are told apart as easy and hard in table4; "
        "larger networks get the same number of steps, not the same time",
        takes=TRAINED_ON_CLIPS,
    ),
    "iivi-table3": About(
        "each regularisation switched off", ("iivi.table3",), "IIVI, Table 3",
        f"{INTERNAL}. Holes begin empty, and the ambiguity and stabilisation losses join in the last quarter of the "
        "steps, as published",
        takes=TRAINED_ON_CLIPS,
    ),
    "ciri-table1": About(
        "one-shot: CIRI around backbones", ("ciri.table1",), "CIRI, Table 1",
        f"{ONE_SHOT}. Backbones are measured where their weights are; `compact`, which the paper does not have, is "
        "held against the mean of the three printed gains. VFID is GLOBAL, one number over all clips, so without "
        "interval or verdict, where the weights of I3D are; the printed LOCAL one is of pixels that we do not know",
        ("one-shot-v1",),
    ),
    "ciri-table2": About(
        "one-shot: the parts of CIRI", ("ciri.table2",), "CIRI, Table 2",
        f"{ONE_SHOT}. The backbone is `compact` instead of E2FGVI. Target inactivation alone needs weights of your own "
        "(`videoinpaint pretrain one-shot --ablate`, then --ablation FILE)",
        ("one-shot-v1",),
        takes=("ablation",),
    ),
}  # fmt: skip
"""Name of the experiment, as the command takes it -> what it is."""


SPECIAL = tuple(dict.fromkeys(flag for about in ABOUT.values() for flag in about.takes))
"""Flags that only some experiments take."""


def check_taken(name: str, given: Iterable[str]) -> None:
    """Refuse names of no experiment, and flags that change nothing in one.

    Args:
        name: of the experiment.
        given: names of flags, as `BenchFlags` has them; what no experiment knows is not looked at.

    Raises:
        UnknownNameError: there is no such experiment.
        InputError: a flag belongs to other experiments.
    """
    if name not in ABOUT:
        raise UnknownNameError(f"no experiment {name!r}: use one of {', '.join(ABOUT)}")
    takes = ABOUT[name].takes
    for flag in given:
        if flag in SPECIAL and flag not in takes:
            others = ", ".join(other for other, about in ABOUT.items() if flag in about.takes)
            raise InputError(
                f"bench {name} does not take {_typed(flag)}, a flag of {others}: it takes "
                f"{', '.join(map(_typed, (*takes, *COMMON)))}"
            )


def _typed(flag: str) -> str:
    return f"--{flag.replace('_', '-')}"
