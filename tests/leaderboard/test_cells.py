"""Boards where actions are by cell of a grid and cells may be skipped: from a policy to a page."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from videoinpaint.agents.policies import choose, make_policy
from videoinpaint.agents.policies.closed_loop import ClosedLoopPolicy
from videoinpaint.agents.policies.export import blank_network, save_policy
from videoinpaint.agents.policies.regional import RegionalPolicy
from videoinpaint.benchmarks.leaderboard.board.asked import asked_for
from videoinpaint.benchmarks.leaderboard.contestants import Contestants, run_all
from videoinpaint.benchmarks.leaderboard.judging.held_out import HeldOut
from videoinpaint.benchmarks.leaderboard.judging.measuring import prepare, run
from videoinpaint.benchmarks.leaderboard.judging.verification import ranked, verify
from videoinpaint.benchmarks.leaderboard.sandbox.isolated import GuestError, IsolatedPolicy
from videoinpaint.benchmarks.leaderboard.submissions.entry import parse_entry
from videoinpaint.benchmarks.leaderboard.submissions.recorded import read_episodes
from videoinpaint.benchmarks.policies.suite_references import Search, measure
from videoinpaint.controls import Controls
from videoinpaint.envs.actions import action_space
from videoinpaint.errors import InputError

SEEN = {"frames": np.zeros((1, 12, 48, 64), np.uint8), "masks": np.zeros((1, 4, 48, 64), np.uint8)}
SEEN["masks"][:, :, 4:20, 10:50] = 255


def submit(name, folder, cells):
    run(folder, prepare(folder, f"package:strangers:{name}", cells, {}, "float32", 1), cells)
    return folder


@pytest.fixture(scope="module")
def _played(cells, strangers, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(strangers)
        return submit("cells", tmp_path_factory.mktemp("by_cell") / "mine", cells)


@pytest.fixture
def submitted(_played, installed, tmp_path):
    return shutil.copytree(_played, tmp_path / "mine")


def change(folder, index, **values):
    file = folder / "episodes.jsonl"
    lines = file.read_text().splitlines()
    lines[index] = json.dumps(json.loads(lines[index]) | values)
    file.write_text("\n".join(lines) + "\n")


def test_an_honest_submission_by_cell_gets_every_mark(submitted, cells):
    episodes = read_episodes(submitted)
    assert all(np.shape(action) == (2, 3, 5) for one in episodes for action in one["actions"])
    assert min(np.min(action) for one in episodes for action in one["actions"]) == pytest.approx(-1.4)
    found = verify(submitted, suite=cells, held_out=HeldOut("5a" * 32, 1))
    assert found["marks"] == {"replayed": True, "re_run": True, "held_out": True}
    assert found["verdict"] == []
    assert np.shape(found["held_out"]["episodes"][0]["actions"][0]) == (2, 3, 5)


@pytest.mark.parametrize(
    ("spoil", "verdict"),
    [
        (lambda action: action[:1], r"of seed 1 have the shape \(1, 3, 5\), those of .* \(2, 3, 5\): rows and columns"),
        (lambda action: action[0][0], r"of seed 1 have the shape \(5,\), those of"),
        (lambda action: [action[0], action[1][:2]], "rows of columns of"),
        (lambda action: [[[9.0] * 5] * 3] * 2, "in .*line 2.* must be lists of five numbers"),
        (lambda action: [[[0.0, -1.3, 0.0, 0.0, 0.0]] * 3] * 2, "heads from -1.4"),
        (lambda action: [[[float("nan")] * 5] * 3] * 2, "no JSON of finite numbers"),
        (lambda action: [], "must be lists of five numbers"),
        (lambda action: [[]], "must be lists of five numbers"),
    ],
)
def test_actions_that_are_none_of_this_environment_get_one_sentence(submitted, cells, spoil, verdict):
    change(submitted, 1, actions=[spoil(action) for action in read_episodes(submitted)[1]["actions"]])
    found = verify(submitted, suite=cells)
    assert not any(found["marks"].values())
    assert len(found["verdict"]) == 1
    assert re.search(verdict, found["verdict"][0])


def test_a_map_is_no_action_of_a_whole_frame_and_nothing_is_skipped_there(submitted, suite, tmp_path):
    frame = tmp_path / "frame"
    run(frame, prepare(frame, "builtin:heads4", suite, {}, "float32", 1), suite)
    change(frame, 0, actions=read_episodes(submitted)[0]["actions"])
    assert "five numbers for the whole frame" in verify(frame, suite=suite)["verdict"][0]
    change(frame, 0, actions=[[-1.3, 0, 0, 0, 0]] * 2)
    assert "nothing can be skipped in VideoInpaint-v1" in verify(frame, suite=suite)["verdict"][0]


def test_a_lie_about_one_cell_is_found(submitted, cells):
    actions = read_episodes(submitted)[1]["actions"]
    actions[0][0][1][4] += 0.5
    change(submitted, 1, actions=actions)
    found = verify(submitted, suite=cells)
    assert not found["marks"]["re_run"]
    assert "does not choose the recorded actions: it is off by up to 0.5" in " ".join(found["verdict"])
    change(submitted, 0, episode_return=0.9)
    found = verify(submitted, suite=cells)
    assert not found["marks"]["replayed"]
    assert not ranked(found)


@pytest.mark.parametrize(
    ("name", "verdict"), [("turned", r"shape \(1, 2, 3, 5\), got \(1, 3, 2, 5\)"), ("gaps", "finite")]
)
def test_a_stranger_that_answers_no_map_gets_one_verdict(stranger, name, verdict):
    with IsolatedPolicy(stranger(name), skips=True) as policy:
        with pytest.raises(GuestError, match=verdict) as told:
            policy.act_by_cell(SEEN, 2, 3)
        assert "\n" not in str(told.value)


def test_what_a_stranger_asks_beyond_the_range_is_clipped_to_it(stranger):
    with IsolatedPolicy(stranger("loud"), skips=True) as policy:
        chosen = policy.act_by_cell(SEEN, 2, 3)
    assert (chosen[..., 0].min(), chosen[..., 1:].min(), chosen.max()) == (pytest.approx(-1.4), -1, 1)
    with IsolatedPolicy(stranger("loud")) as policy:
        assert policy.act_by_cell(SEEN, 2, 3).min() == -1


@pytest.mark.parametrize("name", ["heads8holes", "heuristic", "trained-regions"])
def test_builtin_policies_choose_for_cells_as_they_do_outside(name, tmp_path):
    with IsolatedPolicy(parse_entry(f"builtin:{name}", tmp_path), skips=True) as policy:
        assert np.array_equal(policy.act_by_cell(SEEN, 2, 3), choose(make_policy(name), SEEN, (2, 3, 5)))


class ByCell(torch.nn.Module):
    def forward(self, frames, masks):
        return (
            torch.nn.functional.adaptive_avg_pool2d(masks.float(), (2, 3)).mean(1)[..., None].repeat(1, 1, 1, 5) / 255
        )


class Everywhere(torch.nn.Module):
    def forward(self, frames, masks):
        return masks.float().mean((1, 2, 3))[:, None].repeat(1, 5) / 255


@pytest.mark.parametrize("module", [ByCell, Everywhere])
def test_torchscript_answers_with_a_map_or_with_one_action_for_all_cells(module, tmp_path):
    torch.jit.script(module()).save(str(tmp_path / "policy.pt"))
    expected = module()(*(torch.from_numpy(SEEN[key]) for key in ("frames", "masks"))).numpy()
    with IsolatedPolicy(parse_entry("file:policy.pt", tmp_path)) as policy:
        chosen = policy.act_by_cell(SEEN, 2, 3)
    assert np.allclose(chosen, expected if module is ByCell else expected[:, None, None])
    assert chosen.shape == (1, 2, 3, 5)


@pytest.mark.parametrize("kind", [RegionalPolicy, ClosedLoopPolicy])
def test_files_of_both_kinds_of_network_choose_for_cells(kind, tmp_path):
    file = save_policy(tmp_path / "policy.safetensors", blank_network(kind), {})
    with IsolatedPolicy(parse_entry("file:policy.safetensors", tmp_path), skips=True) as policy:
        assert np.array_equal(policy.act_by_cell(SEEN, 2, 3), choose(make_policy(file), SEEN, (2, 3, 5)))


def test_a_constant_is_the_same_in_all_cells(tmp_path):
    with IsolatedPolicy(parse_entry("fixed:12,0.65,0.9,0.6,0.2", tmp_path)) as policy:
        assert (policy.act_by_cell(SEEN, 2, 3) == policy.act(SEEN)[:, None, None]).all()


@pytest.fixture(scope="module")
def references(cells):
    grid = [Controls(heads=2), Controls(heads=12)]
    entry = measure(cells, Search(grid, range(1_000_000, 1_000_001), draws=1, beam=2, device="cpu"), {}, lambda: None)
    return {name: one["episodes"] for name, one in entry["policies"].items()}


def test_a_board_by_cell_from_policies_to_the_page(cells, references, tmp_path):
    flags = Contestants(
        env_id=cells.env_id, builtin=("heads8holes", "heads4"), pictures=1, work=tmp_path / "work",
        output=tmp_path / "docs",
    )  # fmt: skip
    board = run_all(flags, cells, references)
    assert (board["suite"]["cells"], board["suite"]["skips"]) == ([2, 3], True)
    entries = {one["name"]: one for one in board["entries"]}
    assert all(entries[name]["ranked"] for name in ("heads8holes", "heads4"))
    assert "comes nearest to that of heads8holes" in entries["heads4"]["remarks"]
    assert "cell after cell" in entries["beam oracle"]["remarks"]
    first, second = entries["heads8holes"]["episodes"][0]["controls"]
    assert first["skipped"] == 0
    assert 2 <= first["heads"] <= 8
    assert second == {**dict.fromkeys(("heads", "fusion", "alpha", "beta", "gamma")), "skipped": 1}
    assert entries["heads4"]["episodes"][0]["controls"][0]["heads"] == 4
    assert "nearest_in_cost" not in entries["heads4"]
    assert set(board["clips"][0]["pictures"]) >= {"heads8holes", "heads4", "beam oracle"}
    page = (tmp_path / "docs" / "index.html").read_text(encoding="utf-8")
    assert "by cell of a 2\u00d73 grid, which may be skipped" in page
    assert "<figcaption>skipped</figcaption>" in page


def test_cells_that_cannot_be_skipped_have_means_over_all_of_them():
    action = np.zeros((2, 3, 5), np.float32)
    action[0, :, 0] = -1.3
    record = {"actions": [action.tolist()]}
    (kept,) = asked_for(record, action_space((2, 3, 5)))
    assert (kept["heads"], "skipped" in kept) == (4.5, False)
    (left,) = asked_for(record, action_space((2, 3, 5), skips=True))
    assert (left["heads"], left["skipped"]) == (7, 0.5)
    assert asked_for({"controls": [{"heads": 3}], "actions": [[0] * 5]}, action_space()) == [{"heads": 3}]


def test_a_grid_that_is_none_is_refused_before_an_episode_is_played(cells, tmp_path):
    other = replace(cells, env_kwargs=cells.env_kwargs | {"action_grid": [0, 3]})
    with pytest.raises(InputError, match="rows of action_grid"):
        run(tmp_path, prepare(tmp_path, "builtin:random", other, {}, "float32", 1), other)
