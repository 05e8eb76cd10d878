"""Frozen suites: the pixels that ship are the pixels that are drawn, and nothing else passes for them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from videoinpaint.agents.evaluation.episodes import make_evaluation_env
from videoinpaint.benchmarks.protocol import freezing
from videoinpaint.benchmarks.protocol.frozen import (
    episode_digest,
    freeze,
    frozen_suite,
    suite_env_ids,
    suite_names,
    suite_of_file,
)
from videoinpaint.errors import InputError, UnknownNameError
from videoinpaint.registration import ENVIRONMENTS

SMALL = {"clips": "studio:easy", "masks": "studio:easy", "num_frames": 4, "height": 48, "width": 64}


FROZEN = [
    (name, env_id)
    for name in suite_names()
    for env_id in ("VideoInpaintOneShot-v1", "VideoInpaintBudget-v0", "VideoInpaintRegions-v1")
    if env_id in suite_env_ids(name)
]


@pytest.mark.parametrize(("name", "env_id"), FROZEN)
def test_the_pixels_of_a_suite_are_those_that_were_frozen(name: str, env_id: str) -> None:
    frozen_suite(name, env_id).first(3).check_pixels()


def test_every_environment_has_the_suites_of_its_kind() -> None:
    for name in suite_names():
        own = [one.id for one in ENVIRONMENTS if ("OneShot" in one.kind) == name.startswith("one-shot")]
        assert suite_env_ids(name) == own


def test_environments_play_the_frozen_episodes() -> None:
    suite = freeze("small-v1", "VideoInpaint-v1", SMALL, [3, 8])
    env = make_evaluation_env(2, suite.env_id, suite.env_kwargs)
    env.reset(seed=suite.seeds)  # type: ignore[arg-type]
    assert [episode_digest(one) for one in env.unwrapped.episodes] == [one.digest for one in suite.episodes]  # type: ignore[attr-defined]
    assert [one.clip for one in env.unwrapped.episodes] == [one.clip for one in suite.episodes]  # type: ignore[attr-defined]
    env.close()


def test_a_pixel_that_moved_is_refused() -> None:
    suite = freeze("small-v1", "VideoInpaint-v1", SMALL, [3])
    suite.check_pixels()
    moved = replace(suite, episodes=(replace(suite.episodes[0], digest="0" * 16),))
    assert moved.digest != suite.digest
    with pytest.raises(InputError, match="other pixels"):
        moved.check_pixels()


def test_a_suite_that_was_frozen_keeps_its_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freezing, "ENVIRONMENTS", [one for one in ENVIRONMENTS if one.id == "VideoInpaint-v1"])
    changed = freezing.SOURCES["studio-easy-v1"] | {"max_iterations": 2}  # which moves no pixel
    monkeypatch.setattr(freezing, "SOURCES", {"studio-easy-v1": changed})
    with pytest.raises(InputError, match=r"studio-easy-v1 .* was frozen with other arguments"):
        freezing.run(freezing.Freeze())


@pytest.mark.parametrize(
    "change",
    [*({"episodes": rows} for rows in ([], [5], [[]], [[0, "a"]], [[0, "a", "b", "c"]], [["0", "a", "b"]],
                                       [[0, 5, "b"]], [[0, "a", "b"], [0, "c", "d"]])),
     {"env_kwargs": 5}, {"env_kwargs": {"nonsense": 1}}, {"env_kwargs": {"num_frames": "a"}}],
)  # fmt: skip
def test_a_file_that_holds_no_suite_is_one_error(change: dict[str, Any], tmp_path: Path) -> None:
    entry = {"env_kwargs": SMALL, "episodes": [[0, "a", "b"]]}
    file = tmp_path / "suite.json"
    for content in (entry, entry | change):
        file.write_text(json.dumps({"suites": {"own-v1": {"VideoInpaint-v1": content}}}))
        if content is entry:
            assert suite_of_file(file, "VideoInpaint-v1").seeds == [0]
    with pytest.raises(InputError, match=r"holds no frozen suite|no argument 'nonsense'|num_frames"):
        suite_of_file(file, "VideoInpaint-v1").check_pixels()


def test_unknown_suites_say_which_there_are() -> None:
    with pytest.raises(UnknownNameError, match="studio-easy-v1"):
        frozen_suite("studio-easy-v9")
    with pytest.raises(UnknownNameError, match="no episodes for"):
        frozen_suite("one-shot-v1", "VideoInpaint-v1")
    with pytest.raises(InputError, match="24 episodes"):
        frozen_suite("studio-easy-v1").first(25)


def test_whatever_makes_a_suite_counts_for_its_digest() -> None:
    suite = freeze("small-v1", "VideoInpaint-v1", SMALL, [3])
    changes = [
        {"name": "small-v2"},
        {"env_id": "VideoInpaint-v0"},
        {"env_kwargs": SMALL | {"max_iterations": 2}},
        {"by_name": True},
        *({"episodes": (replace(suite.episodes[0], **one),)} for one in ({"seed": 4}, {"clip": "another"})),
    ]
    assert len({suite.digest, *(replace(suite, **change).digest for change in changes)}) == 1 + len(changes)
    turned = replace(suite, env_kwargs=dict(reversed(SMALL.items())))
    assert turned.digest == suite.digest
