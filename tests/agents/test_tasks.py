"""Episodes in several processes are the episodes of one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from videoinpaint.agents import evaluate
from videoinpaint.agents.evaluation.tasks import batches, play_tasks

FATAL = """
import os, pathlib, signal
from videoinpaint.agents.policies.baselines import RandomPolicy

class Fatal(RandomPolicy):
    def act(self, observation):
        marker = pathlib.Path(os.environ["FATAL_MARKER"])
        if not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().act(observation)
"""
"""A policy whose process dies when it first acts, unless another has died before."""


def test_a_batch_is_a_task(small: dict) -> None:
    tasks = batches("VideoInpaint-v1", small, [1, 2, 3], num_envs=2)
    assert [task.seeds for task in tasks] == [(1, 2), (3,)]
    one = evaluate("random", small, [1, 2, 3], num_envs=2)
    done: list[None] = []
    assert play_tasks("random", tasks, on_done=lambda: done.append(None)) == one
    assert len(done) == 2


def test_several_processes_play_the_same_and_lose_nothing_when_one_dies(
    small: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fatal_policy.py").write_text(FATAL)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("FATAL_MARKER", str(tmp_path / "marker"))
    tasks = batches("VideoInpaint-v1", small, [1, 2])
    alone = play_tasks("random", tasks, name="mine")
    assert play_tasks("fatal_policy:Fatal", tasks, workers=2, name="mine") == alone
    assert (tmp_path / "marker").exists()


def test_episodes_do_not_depend_on_their_batch(small: dict) -> None:
    one, other = (evaluate("random", small, seeds, num_envs=n) for n, seeds in ((1, [7, 3, 5]), (3, [3, 5, 7])))
    for alone, together in zip(*(sorted(records, key=lambda r: r.seed) for records in (one, other)), strict=True):
        assert (alone.seed, alone.clip, alone.mask) == (together.seed, together.clip, together.mask)
        assert np.array_equal(alone.actions, together.actions)
        # Some processors round otherwise in batches of another size.
        assert alone.episode_return == pytest.approx(together.episode_return, abs=1e-5)
        assert alone.metrics == pytest.approx(together.metrics, rel=1e-4, abs=1e-5)
    assert not np.array_equal(one[0].actions, one[1].actions)
