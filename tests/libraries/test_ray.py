"""A Ray cluster plays the same episodes, and loses none where a worker is killed."""

from __future__ import annotations

import json
import socket

import pytest

from videoinpaint.agents.evaluation.tasks import batches, play_tasks
from videoinpaint.errors import InputError

pytest.importorskip("ray")

FATAL = """
import os, pathlib, signal
from videoinpaint.agents.policies.baselines import RandomPolicy

class Fatal(RandomPolicy):
    def act(self, observation):
        marker = pathlib.Path({marker!r})
        if not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().act(observation)

class Doomed(RandomPolicy):
    def act(self, observation):
        os.kill(os.getpid(), signal.SIGKILL)

class Rude(RandomPolicy):
    def act(self, observation):
        return "no action"
"""


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Options of a cluster of this machine alone. Ray's sockets have a name of at most 107 characters."""
    return {
        "num_cpus": 2,
        "object_store_memory": 80_000_000,
        "_temp_dir": str(tmp_path_factory.mktemp("r")),
    }


def test_a_cluster_plays_the_same_and_a_killed_worker_loses_nothing(small, tmp_path, monkeypatch, alone):
    from videoinpaint.agents.evaluation.tasks import play_on_cluster
    from videoinpaint.cluster import cluster

    (tmp_path / "fatal_on_ray.py").write_text(FATAL.format(marker=str(tmp_path / "marker")))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    tasks = batches("VideoInpaint-v1", small, [1, 2, 3])
    expected = play_tasks("random", tasks, name="mine")
    done: list[None] = []
    with cluster(**alone):
        assert play_on_cluster("random", tasks, name="mine", on_done=lambda: done.append(None)) == expected
        assert len(done) == 3
        assert play_on_cluster("fatal_on_ray:Fatal", tasks, name="mine") == expected
        assert (tmp_path / "marker").exists()
        with pytest.raises(InputError, match="an action of"):
            play_on_cluster("fatal_on_ray:Rude", tasks, name="mine")
        with pytest.raises(InputError, match="died 3 times"):
            play_on_cluster("fatal_on_ray:Doomed", tasks[:1], name="mine")


def test_the_command_line_plays_the_same_on_a_cluster(small, tmp_path, capsys):
    from videoinpaint.cli import main

    command = ["evaluate", "--policies", "random", "--episodes", "2", "--num-envs", "1", "--num-frames", "2"]
    command += ["--height", "48", "--width", "64", "--inpainter", "telea", "--detector", "none", "--device", "cpu"]
    for how in (["--ray", "local"], ["--workers", "2"]):
        assert main([*command, *how, "--output", str(tmp_path / f"{how[0]}.json")]) == 0, capsys.readouterr().err
    one, two = (_without_times(tmp_path / f"{how}.json") for how in ("--ray", "--workers"))
    assert len(one["records"]) == 2
    assert one == two
    assert main([*command, "--ray", "local", "--workers", "2"]) == 2


def _without_times(path):
    (policy,) = json.loads(path.read_text())["policies"]
    for found in (policy, *policy["records"]):
        del found["seconds_per_frame"]
    return policy


@pytest.mark.parametrize("address", ["auto", "127.0.0.1:{port}", "ray://127.0.0.1:{port}", "here"])
def test_no_cluster_is_one_clear_error(address):
    from videoinpaint.agents.evaluation.tasks import play_on_cluster

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(InputError, match="no Ray cluster at"):
        play_on_cluster("random", [], address.format(port=port))


def test_a_bank_from_a_cluster_is_the_bank_of_this_machine(small, tmp_path, alone):
    from videoinpaint.cluster import cluster
    from videoinpaint.envs.build_bank import build_bank

    with cluster(**alone):
        build_bank(tmp_path / "one", "VideoInpaint-v1", small, episodes=40, cluster="local")
        with pytest.raises(InputError, match="workers are processes of this machine"):
            build_bank(tmp_path / "other", "VideoInpaint-v1", small, episodes=40, cluster="local", workers=2)
    build_bank(tmp_path / "two", "VideoInpaint-v1", small, episodes=40, workers=2)
    names = sorted(path.name for path in (tmp_path / "two").glob("*"))
    assert len([name for name in names if name.startswith("shard-")]) == 2
    for name in names:
        if not name.startswith("."):
            assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
