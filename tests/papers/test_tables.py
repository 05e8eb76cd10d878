"""Each experiment: its rows, what of the paper it stands beside, and the parts that only it needs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from videoinpaint.benchmarks.papers import ciri, figures, iivi
from videoinpaint.benchmarks.papers.about import ABOUT
from videoinpaint.benchmarks.papers.attributes import attributes, is_calm, is_fixed
from videoinpaint.benchmarks.papers.commands import EXPERIMENTS, execute
from videoinpaint.benchmarks.papers.experiment import BenchFlags
from videoinpaint.benchmarks.papers.parts import AfterFirst, NoFusion, Only
from videoinpaint.benchmarks.protocol.envelope import published
from videoinpaint.benchmarks.protocol.frozen import suite_names
from videoinpaint.cli import main
from videoinpaint.clips import make_clips
from videoinpaint.controls import DEFAULT, FUSION, HEADS
from videoinpaint.errors import InputError, UnknownNameError
from videoinpaint.inpainters import make_inpainter
from videoinpaint.inpainters.internal.inpainter import loss_weights

SMALL = {"num_frames": 4, "height": 48, "width": 88}
FIGURES = ("figure5", "figure8")  # whose rows are no entrants, or whose claim stands in the text


def test_every_experiment_is_explained_and_stands_beside_published_tables():
    assert set(EXPERIMENTS) == set(ABOUT)
    for about in ABOUT.values():
        assert all(published(table) for table in about.published)
        assert set(about.suites) <= set(suite_names())


@pytest.mark.parametrize("name", ABOUT)
def test_claims_and_published_rows_are_about_rows_that_are_measured(name):
    experiment = EXPERIMENTS[name](BenchFlags())
    rows = {entrant.name for entrant in experiment.entrants}
    assert len(rows) == len(experiment.entrants)
    assert experiment.claims
    if name not in FIGURES:
        assert {claim.a for claim in experiment.claims} | {claim.b for claim in experiment.claims} <= rows
        assert {one.row for one in experiment.printed} <= rows | {""}
        assert any(one.row for one in experiment.printed)
    assert all(np.isfinite(claim.published) for claim in experiment.claims)
    assert {claim.metric for claim in experiment.claims} <= set(experiment.metrics)


def test_published_differences_have_their_signs():
    claims = {(c.a, c.b, c.metric): c.published for c in EXPERIMENTS["table2"](BenchFlags()).claims}
    assert claims["detection, 1 feedback", "without detection", "psnr"] == pytest.approx(1.86)
    assert claims["detection, 2 feedbacks", "without detection", "seconds_per_frame"] == pytest.approx(0.008)
    weights = {(c.a, c.b, c.metric): c.published for c in EXPERIMENTS["table6"](BenchFlags()).claims}
    assert weights["dynamic, trained", "fixed-bias", "e_warp"] == pytest.approx(-0.046)
    heads = [c for c in EXPERIMENTS["table4"](BenchFlags()).claims if c.metric == "heads"]
    assert [(c.published, c.paired) for c in heads] == [(pytest.approx(3.84), False)]
    times = [(c.a, c.b) for c in EXPERIMENTS["table5"](BenchFlags()).claims if c.metric == "seconds_per_frame"]
    assert ("dynamic, trained", "no fusion, w = 1") in times
    assert ("fixed, w = 0.65", "no fusion, w = 1") not in times  # both are printed as 0.091
    gains = {c.metric: c.published for c in ciri.table1(BenchFlags()).claims if c.b == "compact"}
    assert gains["psnr_hole"] == pytest.approx((1.14 + 1.05 + 0.90) / 3)


def test_several_policies_have_a_row_each():
    rows = [entrant.name for entrant in EXPERIMENTS["table5"](BenchFlags(policies=("trained", "random"))).entrants]
    assert rows[-2:] == ["dynamic, trained", "dynamic, random"]


def test_without_fusion_what_was_propagated_is_not_mixed_in():
    clip = make_clips("studio").load("studio-mixed-000001", 4, 48, 88)
    frames = torch.from_numpy(clip.frames).permute(0, 3, 1, 2)[None].float() / 255
    holes = torch.zeros(1, 4, 1, 48, 88)
    holes[..., 10:30, 20:50] = 1
    compact, alone = make_inpainter("compact"), NoFusion()
    state = compact.begin(frames, holes)

    def painted(part, weight):
        values = DEFAULT.to_array()[None].copy()
        values[:, FUSION] = weight
        return part.refine(state, frames, holes, values).frames

    assert torch.equal(painted(alone, 0.5), painted(compact, 1.0))
    assert torch.equal(painted(alone, 0.8), painted(compact, 1.0))
    assert torch.equal(painted(compact, 1.0), painted(compact, 7.0))  # nothing beyond all of it
    inside = holes.expand_as(frames) > 0
    far = (painted(compact, 1.0) - painted(compact, 0.5))[inside].abs().mean()
    near = (painted(compact, 1.0) - painted(compact, 0.8))[inside].abs().mean()
    assert far > near > 0
    assert alone.controls == {"heads", "objective"}
    with pytest.raises(InputError, match="no fusion"):
        NoFusion("telea")


class Loud:
    """Every control at its highest."""

    resets = 0

    def reset(self):
        self.resets += 1

    def act(self, observation):
        return np.ones((len(observation["masks"]), 5), np.float32)


SEEN = {"masks": np.zeros((2, 4, 8, 8), np.uint8)}


def test_of_a_policy_only_the_named_controls_count():
    inner = Loud()
    policy = Only(inner, ("heads",))
    policy.reset()
    actions = policy.act(SEEN)
    assert inner.resets == 1
    assert (actions[:, HEADS] == 1).all()
    assert actions[:, 1:] == pytest.approx(0, abs=1e-6)  # the middle of every range


def test_a_policy_begins_after_the_first_pass_of_every_episode():
    policy = AfterFirst(Loud())
    for _ in range(2):
        policy.reset()
        first, second = policy.act(SEEN), policy.act(SEEN)
        assert first[:, 1:] == pytest.approx(0, abs=1e-6)
        assert (second == 1).all()


def test_a_loss_that_is_switched_off_stays_off_under_all_controls():
    for row in ((0.8, 0.3, 0.1), (1.0, 0.6, 0.3)):
        weights = loss_weights(np.array([2, 0.5, *row], np.float32), (1.0, 0.0, 0.2))
        assert weights[1] == 0
        assert min(weights[0], weights[2]) > 0
    chosen = {entrant.name: entrant for entrant in iivi.table3(BenchFlags(steps=1, **SMALL)).entrants}
    assert chosen["rec+stabilize"].kwargs()["inpainter"].config.weights == (1.0, 0.0, 0.2)


def moving(step):
    """A textured clip under a camera that moves by `step` pixels a frame, with a hole that stands still."""
    noise = np.random.default_rng(0).integers(0, 256, (30, 60, 3)).repeat(4, 0).repeat(4, 1).astype(np.uint8)
    frames = np.stack([noise[8:104, 8 + step * t : 8 + step * t + 160] for t in range(4)])
    holes = np.zeros(frames.shape[:3], np.uint8)
    holes[:, 30:50, 60:90] = 1
    return frames, holes


def test_attributes_are_those_of_the_clip():
    still, fast = attributes(*moving(0)), attributes(*moving(8))
    assert still["camera"] + still["background"] < 0.1
    assert fast["camera"] == pytest.approx(5, abs=0.3)  # eight of 160 pixels
    assert fast["background"] < 1
    assert is_calm(still)
    assert not is_calm(fast)
    assert still["area"] == pytest.approx(100 * 600 / (96 * 160))
    assert is_fixed(still)
    frames, holes = moving(0)
    holes[2:] = np.roll(holes[2:], 5, axis=2)
    assert not is_fixed(attributes(frames, holes))


def test_curves_show_what_every_policy_gains_over_no_iteration(monkeypatch):
    drawn = []
    monkeypatch.setattr(figures, "lines_chart", lambda panels, ticks, label: drawn.append((panels, ticks)) or b"")
    experiment = EXPERIMENTS["table3"](BenchFlags(policies=("trained", "random")))
    clips = {entrant.name: {f"clip {clip}": {"psnr": 30.0 + clip + order / 10, "gflops": 10.0 * (1 + order % 6)}
                            for clip in range(5)}
             for order, entrant in enumerate(experiment.entrants)}  # fmt: skip
    rows = {name: {"clips": own, "means": {}} for name, own in clips.items()}
    figures.iterations({"scenarios": {"": rows}, "printed": [vars(one) for one in experiment.printed]})
    ((panels, ticks),) = drawn
    assert ticks == ["0", "1", "2", "3", "4", "5"]
    gains, _, costs = (lines for _, lines in panels)
    assert [line.name for line in gains] == ["trained", "random", "published"]
    assert [point["mean"] for point in gains[0].points] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5])
    assert [point["mean"] for point in gains[1].points] == pytest.approx([0, 0.6, 0.7, 0.8, 0.9, 1.0])
    assert gains[2].points == pytest.approx([0, 0.08, 0.15, 0.24, 0.26, 0.27])
    assert costs[0].points == pytest.approx([1, 2, 3, 4, 5, 6])
    assert costs[2].points[3] == pytest.approx(1207 / 808)


@pytest.mark.parametrize("name", ["figure7", "figure8", "figure5", "figure6"])
def test_figures_are_drawn(name, tmp_path, capsys):
    policies = {} if name == "figure6" else {"policies": ("default",)}
    given = {"inpainter": "telea", "episodes": 1, "output": tmp_path} | policies
    execute(name, BenchFlags(**given, **SMALL | {"num_frames": 2}))
    (folder,) = tmp_path.iterdir()
    assert folder.name.startswith({"figure6": "table2", "figure7": "table3"}.get(name, name))
    assert {path.suffix for path in folder.glob(f"{name}.*")} == {".json", ".csv", ".md", ".png"}
    picture = np.asarray(Image.open(folder / f"{name}.png").convert("RGB"))
    assert min(picture.shape[:2]) > 100
    assert picture.std() > 5
    shown = capsys.readouterr().out
    assert "cannot be said" in shown
    assert "measured" in shown or "published" in shown


@pytest.mark.parametrize("name", ["iivi-table2", "ciri-table1"])
def test_networks_of_the_other_papers_run_in_the_loop(name, tmp_path):
    steps = {"steps": 1} if name.startswith("iivi") else {}
    results = execute(name, BenchFlags(episodes=1, output=tmp_path, **steps, **SMALL | {"num_frames": 2}))
    rows = {row for scenario in results["scenarios"].values() for row in scenario}
    assert rows == ({"base", "stacked", "coarse-to-fine"} if name.startswith("iivi")
                    else {"telea", "compact", "compact + CIRI"})  # fmt: skip
    assert bool(results["absent"]) == name.startswith("ciri")


def test_the_command_runs_an_experiment(tmp_path, capsys):
    words = [
        "bench",
        "figure8",
        "--limit",
        "1",
        "--policy",
        "heads4",
        "--inpainter",
        "telea",
        "--output",
        str(tmp_path),
    ]
    assert main([*words, "--num-frames", "4", "--height", "48", "--width", "88"]) == 0
    assert "heads4, iteration 3" in capsys.readouterr().out
    (folder,) = tmp_path.iterdir()
    assert folder.name == "figure8-policies-heads4-num-frames-4-height-48-width-88-inpainter-telea"


def test_bad_names_are_refused(tmp_path, capsys):
    with pytest.raises(UnknownNameError, match="table9"):
        execute("table9", BenchFlags(output=tmp_path))
    assert main(["bench", "table2", "--suite", "studio-easy-v0", "--output", str(tmp_path)]) == 2
    assert "studio-easy-v1" in capsys.readouterr().err
    assert main(["bench", "table2", "--suite", "studio-easy-v1", "studio-hard-v1", "--output", str(tmp_path)]) == 2
    assert "bench table2 takes 1 --suite: got studio-easy-v1, studio-hard-v1" in capsys.readouterr().err
    with pytest.raises(InputError, match="steps must be 1 or more"):
        iivi.table1(BenchFlags(steps=0))
    with pytest.raises(InputError, match="name each policy once"):
        execute("figure8", BenchFlags(policies=("random", "random"), output=tmp_path))
    with pytest.raises(InputError, match="--ablate"):
        ciri.table2(BenchFlags(ablation=tmp_path / "none.safetensors"))
