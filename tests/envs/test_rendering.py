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

    from videoinpaint.envs import VideoInpaintEnv

    page = environment_page().replace(
        "| `height`, `width` | `120`, `216` |", "| `height` | `120` |\n| `width` | `216` |"
    )
    for name, parameter in inspect.signature(VideoInpaintEnv).parameters.items():
        shown = f'"{parameter.default}"' if isinstance(parameter.default, str) else repr(parameter.default)
        assert f"| `{name}` | `{shown}` |" in page
