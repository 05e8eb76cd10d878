"""Pictures, the window, and the documentation page."""

from __future__ import annotations

import builtins
import pickle
import warnings
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from videoinpaint.controls import HIGH, LOW, NAMES
from videoinpaint.envs import VideoInpaintEnv, VideoInpaintVectorEnv
from videoinpaint.envs.page import PAGES, environment_page, write_page
from videoinpaint.envs.rendering import BAR, LABELS, tile
from videoinpaint.errors import MissingPackageError


def test_panels_show_what_their_labels_say(toy):
    env = gymnasium.make("VideoInpaint-v0", render_mode="rgb_array", **toy)
    env.reset(seed=0)
    obs, *_ = env.step(np.zeros(5, np.float32))
    picture = env.render()
    assert picture.shape == (48 + BAR, 4 * 64 + 6, 3)
    assert picture.dtype == np.uint8
    panels = [picture[BAR:, i * 66 : i * 66 + 64] for i in range(4)]
    tensors = env.unwrapped.get_state()["tensors"]
    assert np.array_equal(panels[1], obs["frames"].reshape(4, 3, 48, 64)[2].transpose(1, 2, 0))
    assert np.array_equal(panels[2], np.repeat(obs["masks"][2][..., None], 3, 2))
    assert np.array_equal(panels[3], tensors["reference"][0, 2].permute(1, 2, 0).numpy())
    hole = tensors["loop/holes"][0, 2, 0].numpy() > 0
    assert (panels[0][hole] == 128).all()
    assert np.array_equal(panels[0][~hole], panels[3][~hole])
    bars = [picture[:BAR, i * 66 : i * 66 + 64] for i in range(4)]
    assert all(bar.max() > 150 for bar in bars)
    assert len(LABELS) == 4
    assert not np.array_equal(bars[0], bars[1])


def test_a_step_that_fails_in_a_later_group_leaves_the_maps_that_are_drawn(regional):
    env = VideoInpaintVectorEnv(6, **regional, render_mode="rgb_array")
    env.reset(seed=0)
    before, detector, calls = env.render(), regional["detector"], []
    own = detector.detect

    def detect(repaired, masks):
        calls.append(len(repaired))
        if len(calls) > 1:
            raise MemoryError
        return own(repaired, masks)

    detector.detect = detect
    with pytest.raises(MemoryError):
        env.step(np.ones((6, 2, 3, 5), np.float32))
    assert all(np.array_equal(one, other) for one, other in zip(before, env.render()))


def test_the_map_of_controls_is_drawn_after_the_panels(regional):
    env = VideoInpaintEnv(**regional, render_mode="rgb_array")
    env.reset(seed=0)
    fresh = env.render()
    assert fresh.shape == (48 + BAR, 6 * 64 + 10, 3)
    action = np.zeros((2, 3, 5), np.float32)
    action[0, 0, 0], action[1, 2, 1] = -1, 1  # few heads in the first cell, much fusion in the last
    *_, info = env.step(action)
    info["control_map"][:] = 0  # the agent's own copy
    picture, heads, fusion = env.render(), slice(264, 328), slice(330, 394)
    cells = picture[BAR:, heads].reshape(2, 24, 64, 3), picture[BAR:, fusion].reshape(2, 24, 64, 3)
    blue, red = (cells[0][..., channel].astype(int) for channel in (2, 0))
    assert (blue - red)[0, :, :21].mean() > (blue - red)[0, :, 22:].mean() + 30
    assert (blue - red)[0, :, :21].mean() > (blue - red)[1, :, :21].mean() + 30
    warmth = cells[1][..., 0].astype(int) - cells[1][..., 2]
    assert warmth[1, :, 43:].mean() > warmth[0, :, 43:].mean() + 30
    snapshot = env.get_state()
    env.set_state(snapshot)
    restored = env.render()
    assert np.array_equal(restored[:, :262], picture[:, :262])
    assert np.ptp(restored[BAR:, heads], axis=2).max() == 0  # which map it was is not part of a state
    assert np.array_equal(restored[:BAR], picture[:BAR])
    plain = VideoInpaintEnv(**regional | {"action_grid": None}, render_mode="rgb_array")
    plain.reset(seed=0)
    assert np.array_equal(plain.render(), fresh[:, :262])


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_each_of_a_batch_shows_its_own_map(regional, mode):
    arguments = regional | {"render_mode": "rgb_array", "max_iterations": 2}
    batch = VideoInpaintVectorEnv(2, autoreset_mode=mode, flat_info=True, **arguments)
    singles = [VideoInpaintEnv(**arguments) for _ in range(2)]
    batch.reset(seed=3)
    for i, env in enumerate(singles):
        env.reset(seed=3 + i)
    actions = np.random.default_rng(0).uniform(-1, 1, (2, 2, 3, 5)).astype(np.float32)
    batch.step(actions)
    for i, (env, picture) in enumerate(zip(singles, batch.render(), strict=True)):
        env.step(actions[i])
        assert np.array_equal(picture, env.render())
    for _ in range(2 if mode == "NextStep" else 1):
        batch.step(actions)
    assert all(np.ptp(picture[BAR:, 264:], axis=2).max() == 0 for picture in batch.render())


def test_one_cell_is_drawn_as_no_grid(toy):
    pictures = []
    for grid in (None, (1, 1)):
        env = VideoInpaintEnv(**toy, action_grid=grid, render_mode="rgb_array")
        env.reset(seed=0)
        env.step(np.zeros(env.action_space.shape, np.float32))
        pictures.append(env.render())
    assert np.array_equal(*pictures)


def test_tile_takes_any_number_of_images():
    images = [np.full((10, 80, 3), v, np.uint8) for v in (10, 200)]
    assert tile(images, ("a", "b")).shape == (10 + BAR, 162, 3)


def test_render_without_a_mode_warns(env):
    env.reset(seed=0)
    with pytest.warns(UserWarning, match="render_mode"):
        assert env.unwrapped.render() is None


def test_render_before_reset_is_refused(toy):
    env = gymnasium.make("VideoInpaint-v0", render_mode="rgb_array", **toy).unwrapped
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.render()


def test_human_mode_shows_itself(toy, monkeypatch):
    pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    env = gymnasium.make("VideoInpaint-v0", render_mode="human", **toy)
    env.reset(seed=0)
    env.step(np.zeros(5, np.float32))
    assert env.render() is None
    pickle.loads(pickle.dumps(env.unwrapped)).close()
    env.close()
    env.close()


def test_human_mode_without_pygame_names_the_extra(toy, monkeypatch):
    real = builtins.__import__

    def without_pygame(name, *args, **kwargs):
        if name == "pygame":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_pygame)
    with (
        warnings.catch_warnings(),
        pytest.raises(MissingPackageError, match=r"pygame: .*videoinpaint\[human\]"),
    ):
        gymnasium.make("VideoInpaint-v0", render_mode="human", **toy)


@pytest.mark.parametrize("name", PAGES)
def test_the_page_in_docs_is_the_docstring(name):
    page = Path(__file__).parents[2] / "docs" / name
    assert page.read_text(encoding="utf-8") == environment_page(name), (
        f"run `python -m videoinpaint.envs.page docs/{name}` and commit the result"
    )


def test_the_page_tells_the_truth(tmp_path):
    page = write_page(tmp_path / "page.md").read_text(encoding="utf-8")
    for name, low, high in zip(NAMES, LOW, HIGH):
        row = next(line for line in page.splitlines() if line.startswith("|") and f"| `{name}` |" in line)
        assert f"{low:g}" in row.replace(".0 ", " ")
        assert f"{high:g}" in row.replace(".0 ", " ")
    for heading in ("Description", "Action Space", "Observation Space", "Rewards", "Starting State", "Episode End"):
        assert f"## {heading}" in page
    assert "## Arguments" in page
    assert "## Version History" in page
    assert [p.name for p in tmp_path.iterdir()] == ["page.md"]


def test_every_argument_stands_in_the_table_with_its_default():
    import inspect

    page = environment_page().replace(
        "| `height`, `width` | `120`, `216` |", "| `height` | `120` |\n| `width` | `216` |"
    )
    for name, parameter in inspect.signature(VideoInpaintEnv).parameters.items():
        shown = f'"{parameter.default}"' if isinstance(parameter.default, str) else repr(parameter.default)
        assert f"| `{name}` | `{shown}` |" in page
