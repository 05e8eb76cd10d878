"""A submission that is malformed is refused in one sentence, before anything of it runs."""

from __future__ import annotations

import json
import re
import zipfile
from dataclasses import replace

import pytest
import torch

from videoinpaint import files
from videoinpaint.benchmarks.leaderboard.judging.measuring import prepare, run
from videoinpaint.benchmarks.leaderboard.submissions.entry import parse_entry
from videoinpaint.benchmarks.leaderboard.submissions.folder import contents, hash_of
from videoinpaint.benchmarks.leaderboard.submissions.recorded import append_episode, check_complete, read_episodes
from videoinpaint.benchmarks.leaderboard.submissions.submission import (
    check_versions,
    entry_of,
    read_submission,
    write_submission,
)
from videoinpaint.benchmarks.protocol.envelope import PROTOCOL
from videoinpaint.benchmarks.protocol.frozen import freeze
from videoinpaint.errors import InputError


def read(folder, suite):
    submission = read_submission(folder)
    check_versions(submission, suite)
    check_complete(read_episodes(folder), suite)
    return entry_of(submission, folder)


def edit(folder, old, new, name="submission.yml"):
    file = folder / name
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_what_evaluate_writes_can_be_read(submitted, suite):
    assert read(submitted, suite).kind == "package"
    # The copy that runs is compared with what was told.
    assert read(submitted, suite).told == read_submission(submitted).weights
    assert (submitted / "README.md").is_file()
    assert read_submission(submitted).authors == "a stranger"
    assert [one["seed"] for one in read_episodes(submitted)] == suite.seeds


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("suite: tiny-v1", "suite: tiny-v2", "evaluate it anew"),
        ("env_id: VideoInpaint-v1", "env_id: VideoInpaint-v0", "evaluate it anew"),
        ("protocol: ", "protocol: 9", "version 9"),
        (
            f"protocol: {PROTOCOL['version']}",
            f"protocol: {PROTOCOL['version'] - 1}",
            "of the protocol, this package has",
        ),
        ("threads: 1", "threads: 0", "1 to 1024"),
        ("licence: not stated", "licence: ''", "licence .* is empty"),
        ("budget: {}", "budget: {" + ", ".join(f"a{i}: 1" for i in range(101)) + "}", "must map names to numbers"),
        ("threads: 1", "threads: 1\nrank: 1", "no key 'rank'"),
        ("threads: 1", "threads: many", "threads .* must be int"),
        ("precision: float32", "precision: auto", "float32 or bfloat16"),
        ("authors: a stranger", "authors: &a [x]\nhardware: *a", "plain YAML"),
        ("authors: a stranger", "authors: !!python/object/apply:os.getcwd []", "plain YAML"),
        ("authors: a stranger", "authors: [a, b]", "authors .* must be str"),
        ("authors: a stranger", "", "lacks authors"),
        ("authors: a stranger", "authors: '" + "x" * 70_000 + "'", "larger than"),
        ("authors: a stranger", "authors: " + "[" * 5000, "plain YAML"),
        ("policy: package:strangers:steady", "policy: package:strangers:nobody", "no entry point"),
        ("policy: package:strangers:steady", "policy: package:os:system", "not installed"),
        ("policy: package:strangers:steady", "policy: strangers:Steady", "cannot be run"),
        ("policy: package:strangers:steady", "policy: builtin:steady", "no policy builtin:steady"),
        ("authors: a stranger", 'authors: "\\u200b \\u3164"', "nothing to see"),
        ("policy: package:strangers:steady", "policy: builtin:os:system", "cannot be run"),
        ("policy: package:strangers:steady", "policy: fixed:13,0.6,0.8,0.6,0.1", "these ranges"),
        ("policy: package:strangers:steady", "policy: fixed:1,0.6,0.8,0.6,0.1", "these ranges"),
        ("policy: package:strangers:steady", "policy: fixed:1,2", "cannot be run"),
        ("policy: package:strangers:steady", "policy: file:../policy.pt", "leaves the submission's folder"),
        ("policy: package:strangers:steady", "policy: file:/etc/passwd", "leaves the submission's folder"),
        ("policy: package:strangers:steady", "policy: file:a policy.pt", "name a file in it"),
        ("policy: package:strangers:steady", "policy: file:policy.pkl", "pickles"),
        ("policy: package:strangers:steady", "policy: file:policy.safetensors", "put it there, not a link"),
        ("weights:\n  strangers: ", "weights:\n  strangers: f", "not the files"),
        ("weights:\n  strangers: ", "weights:\n  more: ab\n  strangers: ", "weights more are not the files"),
        ("weights:\n  strangers: ", "weights:\n  strangers: 5\nhardware: ", "must map names to sha256 sums"),
        ("weights:\n  strangers: ", "weights: {}\ntraining_data: ", "weights strangers are not the files"),
    ],
)
def test_a_description_that_cannot_be_used_says_why(submitted, suite, old, new, message):
    edit(submitted, old, new)
    with pytest.raises(InputError, match=message) as told:
        read(submitted, suite)
    assert "\n" not in str(told.value)


def test_names_are_read_as_they_are_seen(submitted, suite):
    edit(submitted, "authors: a stranger", 'authors: " a\\u200b  stran\\u2060ger \\u3164"')
    assert read_submission(submitted).authors == "a stranger"
    assert prepare(submitted, None, suite, {"authors": "a stranger "}, "float32", 1)


def test_an_editable_installation_has_no_hash(submitted, suite, installed):
    origin = installed / "strangers-1.0.dist-info" / "direct_url.json"
    origin.write_text(json.dumps({"url": "file:///x", "dir_info": {"editable": True}}))
    try:
        with pytest.raises(InputError, match="install a wheel"):
            read(submitted, suite)
    finally:
        origin.unlink()


def test_what_a_name_stands_for_is_hashed(submitted, suite, installed):
    """An entry point that names another class of the same code is another policy."""
    points = installed / "strangers-1.0.dist-info" / "entry_points.txt"
    text = points.read_text()
    points.write_text(text.replace("strangers:Steady", "strangers:Aborts"))
    try:
        with pytest.raises(InputError, match="strangers are not the files"):
            entry_of(read_submission(submitted), submitted)
    finally:
        points.write_text(text)


def test_episodes_are_there_once_each_and_are_the_suites(submitted, suite):
    file = submitted / "episodes.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    other = json.dumps(json.loads(lines[0]) | {"digest": "0" * 16}) + "\n"
    spoilt = {
        lines[0]: "lacks the episodes of seeds 1",
        lines[0] + lines[1] + lines[1]: "seed 1 more than once",
        lines[1] + other: "other pixels",
        lines[0] + json.dumps(json.loads(lines[1]) | {"clip": "another"}) + "\n": "has another clip",
        lines[0] + lines[1].replace('"seed": 1', '"seed": true'): "has no seed",
        lines[0] + json.dumps(json.loads(lines[1]) | {"actions": [[0] * 5, [[[0] * 5]]]}) + "\n": "have the shape",
        lines[0] + lines[1].replace('"seed": 1', '"seed": 7'): "seed 7, which suite",
        lines[0] + lines[1].replace('"seed": 1', '"seed": 1, "x": 1'): "no key 'x'",
        lines[0] + "{}\n": "lacks seed",
        lines[0] + lines[1].replace('"observations"', '"mask"'): "lacks observations",
        lines[0] + "[1]\n": "no episode",
        lines[0] + '{"seed": NaN}\n': "finite",
        lines[0] + "[" * 10_000 + "\n": "no JSON",
        lines[0] + lines[1].replace('"actions": [[', '"actions": [[2.0, '): "five numbers",
        lines[0] + json.dumps(json.loads(lines[1]) | {"actions": [[1.5] * 5]}) + "\n": "five numbers in",
        lines[0] + lines[1][:-1]: "lacks the episodes of seeds 1",  # cut off
    }
    for content, message in spoilt.items():
        file.write_text(content)
        with pytest.raises(InputError, match=message):
            read(submitted, suite)


def test_links_and_folders_are_no_files_of_a_submission(submitted, suite, tmp_path):
    (submitted / "episodes.jsonl").rename(tmp_path / "elsewhere")
    (submitted / "episodes.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="a link"):
        read(submitted, suite)
    (tmp_path / "policy.pt").symlink_to("/etc/passwd")
    with pytest.raises(InputError, match="not a link"):
        parse_entry("file:policy.pt", tmp_path)


def test_a_pickle_is_refused_under_any_name(tmp_path):
    torch.save({"w": torch.zeros(2)}, tmp_path / "policy.pt")
    with pytest.raises(InputError, match="it is a pickle"):
        parse_entry("file:policy.pt", tmp_path)
    (tmp_path / "policy.pt").write_bytes(b"\x80\x04N.")
    with pytest.raises(InputError, match="it is a pickle"):
        parse_entry("file:policy.pt", tmp_path)
    for name in ("../../etc/passwd", "policy/constants.pkl", "policy/code/a.py"):
        with zipfile.ZipFile(tmp_path / "policy.pt", "w") as archive:
            archive.writestr(name, "")
        with pytest.raises(InputError, match="it is a pickle"):
            parse_entry("file:policy.pt", tmp_path)


def test_an_interrupted_evaluation_goes_on_and_other_settings_do_not(submitted, suite):
    whole, file = (submitted / "episodes.jsonl").read_text(), submitted / "episodes.jsonl"
    before = hash_of(contents(submitted))
    file.write_text(whole.splitlines(keepends=True)[0] + '{"seed": 1, "cl')  # killed while it wrote
    submission = prepare(submitted, None, suite, {}, "float32", 1)
    done = []
    run(submitted, submission, suite, lambda: done.append(1))
    assert len(done) == 2
    again = [json.loads(line) for line in file.read_text().splitlines()]
    times = [key for key in again[0] if key.startswith("seconds")]
    assert [{k: v for k, v in one.items() if k not in times} for one in again] == [
        {k: v for k, v in json.loads(line).items() if k not in times} for line in whole.splitlines()
    ]
    assert times or hash_of(contents(submitted)) == before
    for change in ({"authors": "another"}, {"training_seed": 3}):
        with pytest.raises(InputError, match=f"another {next(iter(change))}"):
            prepare(submitted, None, suite, change, "float32", 1)
    with pytest.raises(InputError, match="another precision, threads"):
        prepare(submitted, None, suite, {}, "bfloat16", 2)
    with pytest.raises(InputError, match="another policy"):
        prepare(submitted, "builtin:random", suite, {}, "float32", 1)
    with pytest.raises(InputError, match=r"other pixels|another suite"):
        prepare(submitted, None, suite.first(1), {}, "float32", 1)
    edit(submitted, f"protocol: {PROTOCOL['version']}", f"protocol: {PROTOCOL['version'] - 1}")
    with pytest.raises(InputError, match="protocol"):
        prepare(submitted, None, suite, {}, "float32", 1)


def test_nothing_is_played_into_a_folder_of_other_episodes_or_of_another_process(submitted, suite):
    submission, file = read_submission(submitted), submitted / "episodes.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    with files.locked(submitted, ""), pytest.raises(InputError, match="another evaluation plays into"):
        run(submitted, submission, suite)
    spoilt = json.dumps(json.loads(lines[1]) | {"digest": "0" * 16}) + "\n"
    file.write_text(spoilt)
    with pytest.raises(InputError, match="other pixels"):
        run(submitted, submission, suite)
    assert file.read_text() == spoilt
    file.write_text(lines[0])
    first, second = suite.episodes
    with pytest.raises(InputError, match="other pixels here than when the suite was frozen"):
        run(submitted, submission, replace(suite, episodes=(first, replace(second, digest="0" * 16))))
    assert file.read_text() == lines[0]


def test_hashes_that_are_not_there_are_filled_in_and_others_are_compared(submitted, suite, installed):
    weights = read_submission(submitted).weights
    write_submission(submitted, replace(read_submission(submitted), weights={}))
    assert prepare(submitted, None, suite, {}, "float32", 1).weights == weights
    write_submission(submitted, replace(read_submission(submitted), weights={"strangers": "0" * 64}))
    with pytest.raises(InputError, match="weights strangers are not the files"):
        prepare(submitted, None, suite, {}, "float32", 1)


def test_a_hash_is_of_each_file_by_itself():
    names = ("submission.yml", "episodes.jsonl")
    assert hash_of(dict(zip(names, (b"a", b"bc")))) != hash_of(dict(zip(names, (b"ab", b"c"))))


def test_lines_are_added_whole(tmp_path):
    (tmp_path / "episodes.jsonl").write_text('{"a": 1}\n{"b": ')
    append_episode(tmp_path, {"c": 2})
    assert (tmp_path / "episodes.jsonl").read_text() == '{"a": 1}\n{"c": 2}\n'


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("observations", "5"), ("observations", "[1]"), ("episode_return", "1e999"), ("episode_return", "9" * 400),
        ("episode_return", "1e300"), ("episode_return", "null"), ("rewards", "[-1e300]"),
        ("seconds_per_frame", '"x"'), ("gflops_total", "[]"),
        ("measures", '{"psnr": 1e999}'), ("measures", '{"psnr": "x"}'), ("measures", "3"), ("quality_gain", '"a"'),
        ("rewards", "[" + "1" * 50 + "]"), ("actions", "[[0,0,0,0,1e999]]"),
    ],
)  # fmt: skip
def test_numbers_that_are_none_are_refused_at_the_door(submitted, key, value):
    file = submitted / "episodes.jsonl"
    lines = file.read_text().splitlines()
    spoiled = json.dumps({**json.loads(lines[0]), key: "HERE"}).replace('"HERE"', value)
    file.write_text("\n".join([spoiled, *lines[1:]]) + "\n")
    with pytest.raises(InputError, match=r"line 1 of .*episodes.jsonl|in line 1"):
        read_episodes(submitted)


@pytest.mark.parametrize("line", ["training_seed: 0x" + "f" * 5000, "training_seed: -1", "budget: {steps: .inf}"])
def test_a_description_with_numbers_that_are_none_is_refused(submitted, line):
    file = submitted / "submission.yml"
    kept = [one for one in file.read_text().splitlines() if not one.startswith(line.split(":")[0])]
    file.write_text("\n".join([*kept, line]) + "\n")
    with pytest.raises(InputError, match=line.split(":")[0]):
        read_submission(submitted)


def test_a_description_that_is_missing_is_not_called_bad_yaml(tmp_path):
    with pytest.raises(InputError, match=rf"^{re.escape(str(tmp_path))}.submission\.yml is missing, or a link"):
        read_submission(tmp_path)


def test_another_policy_does_not_enter_a_folder_that_is_there(tmp_path, suite):
    from videoinpaint.agents.policies.closed_loop import ClosedLoopPolicy
    from videoinpaint.agents.policies.export import blank_network, save_policy

    for seed in (0, 1):
        network = blank_network(ClosedLoopPolicy)
        network.action_net.linear.bias.data += seed
        save_policy(tmp_path / str(seed) / "policy.safetensors", network, {})
    prepare(tmp_path / "mine", str(tmp_path / "0"), suite, {}, "float32", 1)
    assert prepare(tmp_path / "mine", str(tmp_path / "0"), suite, {}, "float32", 1).weights
    with pytest.raises(InputError, match="another policy"):
        prepare(tmp_path / "mine", str(tmp_path / "1"), suite, {}, "float32", 1)
    before = (tmp_path / "1" / "policy.safetensors").read_bytes()
    with pytest.raises(InputError, match="another policy, which would be lost"):
        prepare(tmp_path / "1", str(tmp_path / "0"), suite, {}, "float32", 1)  # the folder of another training
    assert (tmp_path / "1" / "policy.safetensors").read_bytes() == before


def test_a_policy_that_skips_the_whole_frame_stops_where_that_is_allowed(tmp_path, suite):
    suite = freeze("stops-v1", suite.env_id, suite.env_kwargs | {"skips": True}, [0])
    submission = prepare(tmp_path, "builtin:heads12once", suite, {}, "float32", 1)
    (episode,) = run(tmp_path, submission, suite)
    assert [action[0] for action in episode["actions"]] == [1, pytest.approx(-1.4)]
    assert episode["end"] == "stopped"


def test_a_policy_that_would_skip_runs_its_fewest_heads_where_nothing_can_be_skipped(tmp_path, suite):
    submission = prepare(tmp_path, "builtin:heads12once", suite, {}, "float32", 1)
    for episode in run(tmp_path, submission, suite):
        assert [action[0] for action in episode["actions"]] == [1, -1]
