"""Episodes from a bank, or prepared by threads, are the episodes that the same seeds give without."""

from __future__ import annotations

import copy
import dataclasses
import json
import multiprocessing
import pickle
import threading
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode
from hypothesis import given, settings
from hypothesis import strategies as st

from videoinpaint.clips import Clip, make_clips
from videoinpaint.envs.bank import shards
from videoinpaint.envs.build_bank import build_bank
from videoinpaint.envs.env import VideoInpaintEnv
from videoinpaint.envs.one_shot import VideoInpaintOneShotEnv
from videoinpaint.envs.states import batch, packing
from videoinpaint.envs.states.episodes import TRAINING_SEEDS
from videoinpaint.errors import InputError, PluginError
from videoinpaint.protocols import Refinement

FIRST = TRAINING_SEEDS
ONE_SHOT = {"num_frames": 3, "height": 48, "width": 40, "device": "cpu"}


@pytest.fixture
def few(monkeypatch):
    """Files of two episodes each."""
    monkeypatch.setattr(shards, "SHARD", 2)


@pytest.fixture
def bank(tmp_path, toy, few):
    build_bank(tmp_path / "bank", "VideoInpaint-v1", toy, episodes=5)
    return tmp_path / "bank"


def opened(env):
    """The whole state of an environment."""
    return env.unwrapped._running.shelf.opened(range(getattr(env.unwrapped, "num_envs", 1)))


def same_bits(a, b):
    assert list(a) == list(b)
    for name in a:
        assert (a[name].dtype, a[name].stride()) == (b[name].dtype, b[name].stride()), name
        assert torch.equal(a[name], b[name]), name


@pytest.mark.parametrize(
    ("env_id", "kind", "precision"),
    [("VideoInpaint-v1", VideoInpaintEnv, "float32"), ("VideoInpaintOneShot-v1", VideoInpaintOneShotEnv, "bfloat16")],
)
def test_an_episode_of_a_bank_is_the_one_of_its_seed_bit_for_bit(tmp_path, env_id, kind, precision):
    arguments = ONE_SHOT | {"precision": precision}
    built = build_bank(tmp_path / "bank", env_id, arguments, episodes=2)
    assert (built.episodes, built.made) == (2, 2)
    kept, plain = kind(**arguments, bank=tmp_path / "bank"), kind(**arguments)
    for seed in (FIRST + 1, FIRST):
        (seen, info), (expected, told) = kept.reset(seed=seed), plain.reset(seed=seed)
        assert all(np.array_equal(seen[key], expected[key]) for key in expected)
        assert info == told
        same_bits(opened(kept), opened(plain))
        action = np.full(5, 0.3, np.float32)
        assert kept.step(action)[1] == plain.step(action)[1]
        same_bits(opened(kept), opened(plain))
    size = sum(tensor.numel() * tensor.element_size() for tensor in opened(plain).values())
    assert built.bytes_per_episode < size / 3


def test_a_reset_draws_from_the_bank_and_repeats(bank, toy):
    env = gymnasium.make("VideoInpaint-v1", **toy, bank=bank)
    env.reset(seed=3)  # not among its seeds: begun as ever
    drawn = [env.reset()[1]["seed"] for _ in range(12)]
    assert set(drawn) <= set(range(FIRST, FIRST + 5))
    assert len(set(drawn)) > 2
    env.reset(seed=3)
    assert [env.reset()[1]["seed"] for _ in range(12)] == drawn
    clip = Clip(np.full((4, 48, 64, 3), 90, np.uint8), "given")
    assert env.reset(seed=FIRST, options={"clip": clip})[1]["clip"] == "given"


def test_nothing_is_begun_that_the_bank_holds(bank, toy):
    env = gymnasium.make_vec("VideoInpaint-v1", 3, "vector_entry_point", bank=bank, **toy)
    env.reset(seed=FIRST)
    toy["inpainter"].begin = None  # whoever began would fail
    for _ in range(7):
        env.step(env.action_space.sample())
    env.reset(seed=[FIRST, FIRST + 4, FIRST])
    with pytest.raises(PluginError, match="begin raised TypeError"):
        env.reset(seed=1)


def test_a_vector_plays_bank_and_fresh_episodes_together(bank, toy):
    env = gymnasium.make_vec("VideoInpaint-v1", 3, "vector_entry_point", bank=bank, **toy)
    plain = gymnasium.make_vec("VideoInpaint-v1", 3, "vector_entry_point", **toy)
    seeds = [FIRST + 2, 8, FIRST + 2]
    (seen, _), (expected, _) = env.reset(seed=seeds), plain.reset(seed=seeds)
    assert np.array_equal(seen["frames"], expected["frames"])
    same_bits(opened(env), opened(plain))
    for saved in env.unwrapped.get_state():
        gymnasium.make("VideoInpaint-v1", **toy).unwrapped.set_state(saved)


def test_a_bank_grows_and_makes_no_whole_file_again(bank, toy):
    before = {path.name: path.stat().st_mtime_ns for path in bank.iterdir()}
    done = []
    built = build_bank(bank, "VideoInpaint-v1", toy, episodes=8, on_done=lambda: done.append(1))
    assert (built.episodes, built.made, len(done)) == (8, 4, 4)  # the last file held one of two
    for name in ("shard-00000.safetensors", "shard-00001.safetensors"):
        assert (bank / name).stat().st_mtime_ns == before[name]
    with pytest.raises(InputError, match="a bank of 8 episodes already"):
        build_bank(bank, "VideoInpaint-v1", toy, episodes=2)


def test_a_bank_that_is_being_added_to_has_what_its_last_file_still_holds(bank, toy):
    """Its description says 9 episodes from the beginning on; the third of five files holds one of two."""
    told = shards.read_plan(bank)
    shards.Plan(told.env_id, told.identity, told.first, 9).write(bank)
    env = VideoInpaintEnv(**toy, bank=bank)
    env.reset(seed=1)
    assert {env.reset()[1]["seed"] for _ in range(40)} == set(range(FIRST, FIRST + 5))
    assert env.reset(seed=FIRST + 5)[1]["seed"] == FIRST + 5  # begun as ever


def test_a_bank_that_is_being_written_is_used_as_far_as_it_goes(bank, toy):
    (bank / "shard-00000.safetensors").unlink()
    (bank / ".shard-00000.1.abc.part.safetensors").write_bytes(b"half of it")
    env = VideoInpaintEnv(**toy, bank=bank)
    env.reset(seed=1)
    assert {env.reset()[1]["seed"] for _ in range(20)} == {FIRST + 2, FIRST + 3, FIRST + 4}
    for path in bank.glob("shard-*"):
        path.unlink()
    with pytest.raises(InputError, match="holds no episode yet"):
        VideoInpaintEnv(**toy, bank=bank)


def test_files_that_were_exchanged_are_damaged(bank, toy):
    first, second = (bank / f"shard-0000{number}.safetensors" for number in (0, 1))
    content = first.read_bytes()
    second.replace(first)
    second.write_bytes(content)
    with pytest.raises(InputError, match=rf"shard-00000\.safetensors is damaged \(it holds none of .*{FIRST + 1}\)"):
        VideoInpaintEnv(**toy, bank=bank)
    assert build_bank(bank, "VideoInpaint-v1", toy, episodes=5).made == 4
    assert VideoInpaintEnv(**toy, bank=bank).reset(seed=FIRST)[1]["seed"] == FIRST


def test_several_processes_fill_the_same_bank(tmp_path, few):
    arguments = {"num_frames": 2, "height": 32, "width": 40, "inpainter": "telea", "detector": "none"}
    build_bank(tmp_path / "one", "VideoInpaint-v1", arguments, episodes=3)
    build_bank(tmp_path / "two", "VideoInpaint-v1", arguments, episodes=3, workers=2)
    envs = [VideoInpaintEnv(**arguments, bank=tmp_path / name) for name in ("one", "two")]
    for seed in range(FIRST, FIRST + 3):
        first, second = (env.reset(seed=seed)[1] for env in envs)
        assert first["metrics"] == pytest.approx(second["metrics"], abs=1e-4)  # processes have one thread
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"height": 56}, "size '4 frames of 48x64' .here '4 frames of 56x64'"),
        ({"clips": "studio:hard"}, "clips"),
        ({"masks": "object"}, "masks"),
        ({"inpainter": "telea"}, "inpainter"),
    ],
)
def test_another_environment_is_refused(bank, toy, changed, said):
    with pytest.raises(InputError, match=said):
        VideoInpaintEnv(**toy | changed, bank=bank)
    with pytest.raises(InputError, match="the bank of another environment"):
        build_bank(bank, "VideoInpaint-v1", toy | changed, episodes=9)


def test_other_weights_are_refused(tmp_path):
    arguments = {"num_frames": 2, "height": 32, "width": 40}
    build_bank(tmp_path, "VideoInpaint-v1", arguments, episodes=1)
    with pytest.raises(InputError, match="inpainter weights"):
        VideoInpaintEnv(**arguments, weights="random", bank=tmp_path)


def test_other_clips_under_the_same_name_are_refused(bank, toy):
    class Source:
        name = "studio"
        lengths = None

        def sample(self, rng, *shape):
            return Clip(rng.integers(0, 255, (*shape, 3)).astype(np.uint8), "noise")

    with pytest.raises(InputError, match="holds other clips"):
        VideoInpaintEnv(**toy | {"clips": Source()}, bank=bank)


def rewrite(bank, **changes):
    told = json.loads((bank / "bank.json").read_text())
    (bank / "bank.json").write_text(json.dumps(told | changes))


@pytest.mark.parametrize(
    "changes",
    [{"format": 99}, {"videoinpaint": "0.0.1"}, {"first": "x"}, {"episodes": 0}, {"environment": 3}, {"first": -1}],
)
def test_another_version_or_a_damaged_description_is_refused(bank, toy, changes):
    rewrite(bank, **changes)
    with pytest.raises(InputError, match=r"build (it|the bank) again"):
        VideoInpaintEnv(**toy, bank=bank)


def test_no_bank_is_one_clear_error(tmp_path, toy):
    with pytest.raises(InputError, match="holds no bank of episodes: build one"):
        VideoInpaintEnv(**toy, bank=tmp_path)
    with pytest.raises(InputError, match="bank is a folder"):
        VideoInpaintEnv(**toy, bank=3)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file"):
        build_bank(tmp_path / "file", "VideoInpaint-v1", toy, episodes=1)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    with pytest.raises(InputError, match="holds no bank"):
        build_bank(tmp_path / "other", "VideoInpaint-v1", toy, episodes=1)
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["thesis.tex"]


def damaged(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    if how == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "a flipped bit":
        content[-9] ^= 4
        path.write_bytes(content)
    else:
        path.write_bytes(bytes(8) + content[8:])


@pytest.mark.parametrize("how", ["truncated", "empty", "a flipped bit", "no header"])
def test_damage_is_one_clear_error_and_mended_by_building_again(bank, toy, how):
    path = bank / "shard-00001.safetensors"
    damaged(path, how)
    with pytest.raises(InputError, match=r"shard-00001.safetensors is damaged .*delete it"):
        [VideoInpaintEnv(**toy, bank=bank).reset(seed=seed) for seed in (FIRST, FIRST + 2, FIRST + 3)]
    path.unlink()
    build_bank(bank, "VideoInpaint-v1", toy, episodes=5)
    VideoInpaintEnv(**toy, bank=bank).reset(seed=FIRST + 3)


def test_a_disk_that_refuses_leaves_whole_files_only(tmp_path, toy, few, monkeypatch):
    written = []

    def refuse(path, content):
        if len(written) == 1:
            raise InputError(f"cannot write {path}: No space left on device")
        written.append(path)
        path.write_bytes(content)

    with monkeypatch.context() as patch:
        patch.setattr("videoinpaint.envs.build_bank.write_bytes", refuse)
        with pytest.raises(InputError, match="No space left"):
            build_bank(tmp_path / "bank", "VideoInpaint-v1", toy, episodes=5)
    env = VideoInpaintEnv(**toy, bank=tmp_path / "bank")
    env.reset(seed=1)
    assert env.reset()[1]["seed"] in (FIRST, FIRST + 1)


@pytest.mark.parametrize("fusion", ["network", "boundary", "none"])
def test_a_bank_is_of_the_weights_of_an_inpainter_within_another(tmp_path, size, fusion):
    kwargs = size | {"fusion": fusion}
    build_bank(tmp_path / "bank", "VideoInpaint-v1", kwargs, episodes=1)
    VideoInpaintEnv(**kwargs, reward="improvement", reward_weights="fixed", bank=tmp_path / "bank")
    with pytest.raises(InputError, match="inpainter weights"):
        VideoInpaintEnv(**kwargs, weights="random", bank=tmp_path / "bank")


class Recoloured:
    """One-shot clips whose target has another colour than the source's own."""

    def __init__(self, inner, shift):
        self.inner, self.shift, self.name = inner, shift, inner.name

    def sample(self, rng, *shape):
        clip = self.inner.sample(rng, *shape)
        seen = np.where(clip.objects[..., None] > 0, clip.observed ^ self.shift, clip.observed)
        return dataclasses.replace(clip, observed=seen)

    def names(self):
        return self.inner.names()

    def load(self, *args):
        return self.inner.load(*args)


def test_a_one_shot_bank_is_of_what_the_camera_saw(tmp_path):
    source = make_clips(VideoInpaintOneShotEnv().unwrapped._core.settings.clips)
    kwargs = ONE_SHOT | {"inpainter": "telea", "detector": "none"}
    build_bank(tmp_path / "bank", "VideoInpaintOneShot-v1", kwargs | {"clips": Recoloured(source, 0)}, episodes=1)
    VideoInpaintOneShotEnv(**kwargs, clips=Recoloured(source, 0), bank=tmp_path / "bank")
    with pytest.raises(InputError, match="holds other clips"):
        VideoInpaintOneShotEnv(**kwargs, clips=Recoloured(source, 64), bank=tmp_path / "bank")


NUMBERS = st.lists(st.sampled_from([0.0, -0.0, 1.0, float("nan"), 0.5]), min_size=24, max_size=24)


@settings(deadline=None, max_examples=60)
@given(st.lists(NUMBERS, min_size=2, max_size=2), NUMBERS, st.booleans())
def test_packing_loses_nothing(rows, later, half):
    kind = torch.float16 if half else torch.float32
    states = [
        {
            "a": torch.tensor(row, dtype=kind).view(1, 2, 12), "b": torch.full((1, 3), len(rows)),
            "c": torch.zeros(1, dtype=torch.bool), "d": torch.full((1, 2, 12), 0.5, dtype=kind),
            "e": torch.full((1, 2, 12), 0.5, dtype=kind),
        }
        for row in rows
    ]  # fmt: skip
    bases = {"halves": lambda: torch.full((1, 2, 12), 0.5, dtype=kind)}
    packed = [packing.pack(state, bases) for state in states]
    changed = {name: torch.tensor(row, dtype=kind).view(1, 2, 12) for name, row in (("a", later), ("d", rows[0]))}
    packed[1] = packing.pack(changed, bases, packed[1])
    states[1] |= changed
    back = packing.unpack(packed, [bases, bases])
    for name in states[0]:
        whole = torch.cat([state[name] for state in states])
        assert whole.dtype == back[name].dtype
        assert whole.flatten().view(torch.uint8).equal(back[name].flatten().view(torch.uint8))
    assert list(packing.unpack(packed[:1], [bases], ["d", "b"])) == ["b", "d"]


@pytest.mark.parametrize("env_id", ["VideoInpaint-v1", "VideoInpaintOneShot-v1"])
def test_prefetched_episodes_are_the_same(env_id):
    arguments = {"num_frames": 3, "height": 48, "width": 64, "max_iterations": 1, "detector": "none"}
    arguments |= {"autoreset_mode": AutoresetMode.SAME_STEP}
    with_, without = (
        gymnasium.make_vec(env_id, 2, "vector_entry_point", prefetch=threads, **arguments) for threads in (2, 0)
    )
    (seen, _), (expected, _) = (env.reset(seed=5) for env in (with_, without))
    for step in range(3):
        assert np.array_equal(seen["frames"], expected["frames"])
        action = np.random.default_rng(step).uniform(-1, 1, (2, 5)).astype(np.float32)
        (seen, reward, *_), (expected, other, *_) = (env.step(action) for env in (with_, without))
        # Prepared alone, begun two at a time: some processors round otherwise in batches of another size.
        assert reward == pytest.approx(other, abs=1e-5)
    assert with_.unwrapped._core.ahead is not None
    with_.close()
    with_.close()


def test_a_coming_episode_is_begun_by_another_thread(toy):
    began = []
    usual = toy["inpainter"].begin
    toy["inpainter"].begin = lambda *given: (began.append(threading.current_thread().name), usual(*given))[1]
    env = VideoInpaintEnv(**toy, prefetch=1)
    env.reset(seed=5)
    env.reset()
    env.reset()
    env.close()  # waits for the one after the last
    assert began[0] == threading.main_thread().name
    assert 2 <= len(began[1:]) <= 3
    assert all(name.startswith("prefetch") for name in began[1:])


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))], ids=["deep", "pickled"]
)
def test_prefetching_goes_on_after_close_and_in_copies(copied):
    sizes = {"num_frames": 2, "height": 48, "width": 64, "inpainter": "telea", "detector": "none", "device": "cpu"}
    env, without = VideoInpaintEnv(**sizes, prefetch=1), VideoInpaintEnv(**sizes)
    for each in (env, without):
        each.reset(seed=5)
    other = copied(env)
    expected = [(*without.reset(), *without.step(np.zeros(5))[:2]) for _ in range(2)]
    for each in (env, other):
        for seen, info, following, reward in expected:
            each.close()
            found, told = each.reset()
            assert told["seed"] == info["seed"]
            assert np.array_equal(found["frames"], seen["frames"])
            found, gained = each.step(np.zeros(5))[:2]
            assert np.array_equal(found["frames"], following["frames"])
            assert gained == pytest.approx(reward, abs=1e-6)
        each.close()


def test_prefetch_says_what_it_cannot_do(bank, toy):
    with pytest.raises(InputError, match="give one of them"):
        VideoInpaintEnv(**toy, bank=bank, prefetch=1)
    with pytest.raises(InputError, match=r"'internal'.*leave it out"):
        VideoInpaintOneShotEnv(**ONE_SHOT, propagator="internal", prefetch=1)
    with pytest.raises(InputError, match="prefetch"):
        VideoInpaintEnv(**toy, prefetch=-1)


def test_what_goes_wrong_in_a_thread_is_told_by_the_reset(toy):
    env = VideoInpaintEnv(**toy, prefetch=1)
    env.reset(seed=5)
    toy["inpainter"].begin = None
    with pytest.raises(PluginError, match="begin raised TypeError"):
        [env.reset() for _ in range(3)]
    env.close()


def test_bookkeeping_stays_on_the_cpu_where_the_device_is_another():
    meta = torch.device("meta")
    state = VideoInpaintOneShotEnv(**ONE_SHOT, detector="none")
    state.reset(seed=0)
    places = {name: batch.placed(name, tensor, meta).device.type for name, tensor in opened(state).items()}
    kept = {"iteration", "loop/gflops", "loop/full_gflops", "predicted/mask_iou", "predicted/mask_j_and_f"}
    assert {name for name, place in places.items() if place == "cpu"} == kept


class Tinted:
    """Begins with a colour, which it keeps where `keep` says."""

    name, controls, min_size = "tinted", frozenset(), (8, 8)

    def __init__(self, colour, keep):
        self.colour = keep(torch.full((3,), colour))

    def value(self):
        held = self.colour
        held = next(iter(held.values())) if isinstance(held, dict) else held
        held = held[0] if isinstance(held, list) else held
        return next(held.parameters()) if isinstance(held, torch.nn.Module) else held

    def begin(self, frames, masks):
        return {"tint": self.value().detach().view(1, 1, 3, 1, 1).expand_as(frames).clone()}

    def refine(self, state, repaired, masks, controls):
        return Refinement(state["tint"], torch.zeros(len(repaired), dtype=torch.float64))


class TintedNetwork(torch.nn.Module, Tinted):
    def __init__(self, colour, keep):
        super().__init__()
        self.colour = torch.nn.Parameter(torch.full((3,), colour), requires_grad=False)


def network(values):
    made = torch.nn.Linear(1, 1)
    made.weight, made.bias = torch.nn.Parameter(values, requires_grad=False), None
    return made


KEPT = {
    "a tensor": lambda values: values,
    "a parameter": torch.nn.Parameter,
    "a network": network,
    "networks": lambda values: [network(values)],
    "networks by name": lambda values: {"main": network(values)},
}


@pytest.mark.parametrize("keep", [*KEPT, "itself"])
@pytest.mark.parametrize("fusion", ["network", "boundary"])
def test_a_bank_is_of_the_weights_wherever_a_part_keeps_them(tmp_path, toy, few, keep, fusion):
    kind, where = (TintedNetwork, None) if keep == "itself" else (Tinted, KEPT[keep])
    arguments = toy | {"inpainter": kind(0.2, where), "fusion": fusion}
    build_bank(tmp_path / "bank", "VideoInpaint-v1", arguments, episodes=2)
    VideoInpaintEnv(**arguments | {"inpainter": kind(0.2, where)}, bank=tmp_path / "bank").reset(seed=FIRST)
    with pytest.raises(InputError, match="inpainter weights"):
        VideoInpaintEnv(**arguments | {"inpainter": kind(0.8, where)}, bank=tmp_path / "bank")


def test_what_a_part_remembers_of_its_work_is_no_weight(tmp_path, toy, few):
    class Remembering(Tinted):
        def __init__(self):
            super().__init__(0.2, KEPT["a tensor"])
            self.sizes = {}

        def begin(self, frames, masks):
            self.sizes[frames.shape[-2:]] = frames.mean((0, 1))
            return super().begin(frames, masks)

    part = Remembering()
    build_bank(tmp_path / "bank", "VideoInpaint-v1", toy | {"inpainter": part}, episodes=2)
    VideoInpaintEnv(**toy | {"inpainter": part}, bank=tmp_path / "bank").reset(seed=FIRST)


def test_a_bank_of_a_part_that_begins_otherwise_is_refused(tmp_path, toy, few):
    class Numbered(Tinted):
        """What differs is no tensor."""

        def __init__(self, level):
            self.level = level

        def value(self):
            return torch.full((3,), self.level)

    build_bank(tmp_path / "bank", "VideoInpaint-v1", toy | {"inpainter": Numbered(0.2)}, episodes=2)
    VideoInpaintEnv(**toy | {"inpainter": Numbered(0.200001)}, bank=tmp_path / "bank")  # rounding
    with pytest.raises(InputError, match=f"other parts than 'tinted' .* seed {FIRST} begins otherwise"):
        VideoInpaintEnv(**toy | {"inpainter": Numbered(0.8)}, bank=tmp_path / "bank")


def test_parts_that_hold_each_other_have_an_identity(toy):
    part = toy["inpainter"]
    part.itself, part.all = part, [part]
    assert VideoInpaintEnv(**toy)._core.identity() == VideoInpaintEnv(**toy)._core.identity()


def test_a_bank_keeps_states_with_one_number_in_strides(tmp_path, toy, few):
    part = toy["inpainter"]
    own = part.begin
    part.begin = lambda frames, masks: own(frames, masks) | {"level": frames.flatten(1)[:, 5]}
    build_bank(tmp_path / "bank", "VideoInpaint-v1", toy, episodes=2)
    kept, plain = VideoInpaintEnv(**toy, bank=tmp_path / "bank"), VideoInpaintEnv(**toy)
    kept.reset(seed=FIRST), plain.reset(seed=FIRST)
    assert torch.equal(opened(kept)["loop/inpainter/level"], opened(plain)["loop/inpainter/level"])
