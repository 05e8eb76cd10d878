"""Experiments run clip by clip on frozen suites, go on where they were, and put measured rows beside published ones."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from videoinpaint.agents.evaluation import episodes
from videoinpaint.benchmarks.papers import experiment as module
from videoinpaint.benchmarks.papers import presented, rows, running
from videoinpaint.benchmarks.papers.experiment import BenchFlags, Entrant, Experiment, Printed, policy_identity
from videoinpaint.benchmarks.papers.running import run
from videoinpaint.benchmarks.papers.verdict import CANNOT_BE_SAID, Claim
from videoinpaint.benchmarks.protocol.envelope import plain
from videoinpaint.benchmarks.protocol.episodes import Arena
from videoinpaint.benchmarks.protocol.frozen import FrozenEpisode, FrozenSuite
from videoinpaint.errors import InputError, MissingWeightsError, UnknownNameError

SMALL = {"num_frames": 4, "height": 48, "width": 88}


@pytest.fixture
def flags(tmp_path):
    return BenchFlags(episodes=2, output=tmp_path / "out", inpainter="telea", **SMALL)


def small(**others):
    """Two rows and a published order."""
    given = {
        "name": "table2",
        "suites": {"": "studio-mixed-v1"},
        "entrants": (
            Entrant("one", kwargs=lambda: {"max_iterations": 1, "detector": "none"}),
            Entrant("two", stage="two", kwargs=lambda: {"max_iterations": 2, "detector": "none"}),
        ),
        "metrics": ("psnr", "lpips"),
        "printed": (Printed("theirs", {"psnr": 34.5}, row="two"), Printed("nobody's", {"psnr": 1.0})),
        "claims": (Claim("two", "one", "psnr", 1.0),),
    }
    return Experiment(**given | others)


@pytest.fixture
def played(monkeypatch):
    """Every (row, seed) that is played."""
    calls = []
    real = Arena.play

    def play(self, policy, seeds, name=None):
        calls.append((name, *seeds))
        return real(self, policy, seeds, name)

    monkeypatch.setattr(Arena, "play", play)
    return calls


def test_rows_clips_and_findings(flags):
    results = run(small(), flags)
    rows = results["scenarios"][""]
    assert list(rows) == ["one", "two"]
    assert all(len(row["clips"]) == 2 for row in rows.values())
    clip = next(iter(rows["two"]["clips"].values()))
    assert {"psnr", "psnr_hole", "lpips", "e_warp", "gms", "es", "iterations", "heads", "gflops_passes"} <= set(clip)
    assert clip["iterations"] == 2
    assert "ssim65" not in rows["one"]["means"]  # frames are smaller than its window
    (finding,) = results["findings"]
    assert finding["verdict"] == CANNOT_BE_SAID
    assert "2 of the 5 clips" in finding["why"]
    assert results["verdicts"][0]["metric"] == "psnr"
    assert set(results["attributes"][""]) == set(rows["one"]["clips"])


def test_an_interrupted_run_goes_on_clip_by_clip(flags, played):
    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(small(), flags, interrupt)
    assert played == [("one", 0), ("two", 0)]
    played.clear()
    results = run(small(), flags)
    assert played == [("one", 1), ("two", 1)]
    played.clear()
    again = run(small(), flags)
    assert played == []
    assert plain(again["scenarios"]) == plain(results["scenarios"])
    run(small(), replace(flags, episodes=3))
    assert played == [("one", 2), ("two", 2)]


def test_a_new_row_is_measured_on_clips_that_are_finished(flags, played):
    whole = small()
    run(replace(whole, entrants=whole.entrants[:1]), flags)
    played.clear()
    run(whole, flags)
    assert played == [("two", 0), ("two", 1)]


@pytest.mark.parametrize("changed", [{"height": 56}, {"precision": "bfloat16"}, {"inpainter": "propagation"}])
def test_other_parts_and_sizes_have_a_folder_of_their_own(flags, played, changed):
    run(small(), replace(flags, episodes=1))
    played.clear()
    run(small(), replace(flags, episodes=1, **changed))
    assert len(played) == 2
    assert len(list(flags.output.glob("*/settings.json"))) == 2


def test_records_of_another_version_are_refused_before_work(flags, played):
    run(small(), replace(flags, episodes=1))
    played.clear()
    (path,) = flags.output.glob("*/settings.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"videoinpaint": "0.1.0"}))
    with pytest.raises(InputError, match="name another folder with --output"):
        run(small(), flags)
    assert played == []


def test_a_refused_part_leaves_nothing_behind(flags):
    others = small(entrants=(Entrant("telea", stage="telea", kwargs=lambda: {"inpainter": "telea"}), Entrant("loop")))
    with pytest.raises(UnknownNameError, match="tela"):
        run(others, replace(flags, inpainter="tela"))
    with pytest.raises(MissingWeightsError, match="weights fetch sttn"):
        run(others, replace(flags, inpainter="sttn"))
    assert not flags.output.exists()


def test_a_metric_that_has_no_room_says_so(flags, capsys):
    claim = Claim("two", "one", "ssim65", 0.01)
    results = run(small(metrics=("psnr", "ssim65"), claims=(claim, *small().claims)), replace(flags, episodes=1))
    assert "window of 65 pixels" in results["findings"][0]["why"]
    assert "1 of the 5 clips" in results["findings"][1]["why"]
    assert any(line.startswith("Not measured: SSIM65: ") for line in presented.absent_lines(results))
    presented.show(results)
    shown = " ".join(capsys.readouterr().out.split())
    assert "means over clips, without intervals, which need 5 clips; " in shown
    assert "paired differences, without intervals, which need 5 clips; the verdicts" in shown
    assert "95%" not in shown


def test_captions_say_intervals_where_there_are_some(flags, capsys):
    presented.show(run(small(), replace(flags, episodes=5, num_frames=2)))
    shown = " ".join(capsys.readouterr().out.split())
    assert "means over clips, 95% intervals; " in shown
    assert "paired differences, 95% intervals; the verdicts" in shown


def test_rows_without_weights_say_so(flags):
    results = run(
        small(entrants=(*small().entrants, Entrant("sttn", stage="sttn", kwargs=lambda: {"inpainter": "sttn"}))),
        replace(flags, episodes=1),
    )
    assert "videoinpaint weights fetch sttn" in results["absent"]["sttn"]
    _, columns, body = presented.rows_table(results, "")
    assert columns[:3] == ["method", "PSNR", "PSNR published"]
    row = next(line for line in body if line[0].startswith("sttn"))
    assert row[0] == "sttn (no weights here)"
    assert set(row[1:4]) == {"-"}


def test_vfid_is_one_number_over_all_clips_where_its_weights_are(flags, played, monkeypatch):
    shown = small(metrics=("psnr", "vfid"), printed=(Printed("theirs", {"vfid": 0.1}, row="two"),))
    without = run(shown, flags)
    assert "vfid" not in without["scenarios"][""]["one"]["means"]
    assert any(line.startswith("Not measured: VFID: needs weights") for line in presented.absent_lines(without))
    played.clear()
    for room in (episodes, running, rows):
        monkeypatch.setattr(room, "vfid_available", lambda: True)
    monkeypatch.setattr(episodes, "vfid_features", lambda frames: frames.mean((1, 3, 4)).double().numpy())
    with_weights = run(shown, flags)
    assert len(played) == 4  # what is kept has no features
    found = {row: one["means"]["vfid"] for row, one in with_weights["scenarios"][""].items()}
    assert found["two"]["mean"] > 0
    assert found["two"]["low"] is None
    _, columns, body = presented.rows_table(with_weights, "")
    at = columns.index("VFID")
    assert body[1][at : at + 2] == [f"{found['two']['mean']:.3f}", "0.100"]
    played.clear()
    assert plain(run(shown, flags)["scenarios"]) == plain(with_weights["scenarios"])
    assert played == []
    assert run(shown, replace(flags, episodes=1))["unmeasured"]["vfid"].startswith("needs two clips")


def test_clips_are_sorted_by_what_was_measured_of_them(flags):
    results = run(small(sort=lambda found: "wide" if found["area"] > 5 else "narrow"), flags)
    groups = {name: set(rows["one"]["clips"]) for name, rows in results["scenarios"].items()}
    assert set(groups) <= {"wide", "narrow"}
    assert sum(map(len, groups.values())) == 2
    for name, clips in groups.items():
        assert all((results["attributes"][name][clip]["area"] > 5) == (name == "wide") for clip in clips)


def test_a_suite_whose_pixels_changed_is_refused(flags, monkeypatch):
    suite = FrozenSuite("studio-mixed-v1", "VideoInpaint-v1", {"clips": "studio", "masks": "square"},
                        (FrozenEpisode(0, "studio-mixed-1", "0" * 16),))  # fmt: skip
    monkeypatch.setattr(module, "frozen_suite", lambda *_: suite)
    with pytest.raises(InputError, match="other pixels"):
        run(small(), BenchFlags(episodes=1, output=flags.output, inpainter="telea"))


@pytest.mark.parametrize(
    ("changed", "kind"),
    [({"episodes": 0}, InputError), ({"episodes": 1000}, InputError), ({"height": 8}, InputError),
     ({"inpainter": "nobody"}, UnknownNameError)],
)  # fmt: skip
def test_flags_out_of_range_are_refused(flags, changed, kind):
    with pytest.raises(kind):
        run(small(), replace(flags, **changed))


def test_a_policy_file_is_known_by_its_content(tmp_path):
    assert policy_identity("trained") == "trained"
    file = tmp_path / "policy.safetensors"
    file.write_bytes(b"one")
    first = policy_identity(str(file))
    assert policy_identity(str(tmp_path)) == first
    file.write_bytes(b"two")
    assert policy_identity(str(file)) != first


def test_files_hold_measured_and_published(flags, tmp_path):
    results = run(small(), flags)
    files = presented.write(results, tmp_path / "files", "table2")
    assert [path.suffix for path in files] == [".json", ".csv", ".md"]
    assert json.loads(files[0].read_text())["findings"][0]["verdict"] == CANNOT_BE_SAID
    lines = files[1].read_text().splitlines()
    assert lines[0].startswith("scenario,row,metric,mean,low,high,clips,published")
    assert any(line.startswith(",two,psnr,") and ",34.5," in line for line in lines)
    assert any(line.endswith(",1.0,nobody's") for line in lines)
    page = files[2].read_text()
    for part in ("34.50", "nobody's (printed only)", CANNOT_BE_SAID, "studio-mixed-v1", "so other pixels", "differs"):
        assert part in page
