"""Training published networks: every path learns, resumes, and its file loads and plays by its own sizes."""

from __future__ import annotations

from dataclasses import replace

import gymnasium
import numpy as np
import pytest
import torch

import videoinpaint  # noqa: F401 - registers the environments
from videoinpaint.clips import make_clips, make_masks
from videoinpaint.clips.sources.augmented import Windows
from videoinpaint.errors import CorruptWeightsError, InputError, MissingWeightsError
from videoinpaint.inpainters import INPAINTERS, PUBLISHED, make_inpainter
from videoinpaint.inpainters.published import pretraining
from videoinpaint.inpainters.published.discriminator import TemporalPatchDiscriminator, hinge_losses
from videoinpaint.inpainters.published.flow_pretraining import (
    edge_loss,
    end_point_errors,
    motion_edges,
    roughness,
    train_completion,
)
from videoinpaint.inpainters.published.pretraining import (
    check_windows,
    choose_frames,
    draw_frames,
    load_completion,
    measured,
    schedule_of,
    sizes_of,
    split_heads,
    train_published,
    window_loss,
)
from videoinpaint.inpainters.published.recipes import COMPLETION, SMALL, recipe_of
from videoinpaint.inpainters.published.sizes import Sizes
from videoinpaint.weights import LICENCE, read_file, save_safetensors, terms


@pytest.fixture(autouse=True)
def few_held_out(monkeypatch):
    """Trainings of a step or two would spend most of their time on the windows that they are measured on."""
    monkeypatch.setattr(pretraining, "WINDOWS_HELD_OUT", 2)


def tiny(name, **changes):
    """The small preset, smaller still."""
    recipe = replace(SMALL[name], iterations=1, batch=1, local=2, num_frames=3, critic=(4, 5), **changes)
    return replace(recipe, sizes=replace(recipe.sizes, depth=1, dim=48, hidden=98))


def windows(recipe):
    size = (recipe.num_frames, recipe.height, recipe.width, recipe.batch)
    return Windows([make_clips("studio")], make_masks("square"), *size, plain=recipe.plain)


def untrained(name, recipe, nested=0):
    torch.manual_seed(0)
    kind = INPAINTERS.find(name)
    return kind(sizes=sizes_of(kind, recipe, nested))


def train(name, recipe, part, folder):
    return train_published(windows(recipe), part, recipe, schedule_of(recipe, folder), folder / "w.safetensors")


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_step_moves_the_network_and_its_file_plays(name, tmp_path):
    recipe = tiny(name)
    part = untrained(name, recipe)
    before = {key: value.clone() for key, value in part.networks.state_dict().items()}
    path = train(name, recipe, part, tmp_path)
    moved = {
        key for key, value in part.networks["main"].named_parameters() if not torch.equal(value, before[f"main.{key}"])
    }
    assert len(moved) > 0.8 * len(list(part.networks["main"].parameters())), "nearly everything has a gradient"
    frozen = [key for key in before if not key.startswith("main.")]
    assert all(torch.equal(before[key], part.networks.state_dict()[key]) for key in frozen)
    again = make_inpainter(name, weights=str(path))
    assert again.sizes == part.sizes
    assert all(torch.equal(v, again.networks.state_dict()[k]) for k, v in part.networks.state_dict().items())
    env = gymnasium.make(
        "VideoInpaint-v1", inpainter=name, weights=str(path), detector="none", num_frames=3, height=48, width=96
    )
    env.reset(seed=0)
    _, _, _, _, info = env.step(np.ones(5, np.float32))
    assert not info["random_weights"]
    assert np.isfinite(info["quality"])


def test_what_is_trained_from_weights_under_a_licence_stays_under_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(terms, "_announced", set())
    recipe, told = tiny("dstt"), "all rights reserved"
    own = untrained("dstt", recipe)

    class Official(type(own)):
        """The official file of a network that is as small as this one."""

        published, geometry = own.sizes, own.geometry

    torch.save({"netG": own.networks["main"].state_dict()}, tmp_path / "dstt.pth")
    for folder in "abcd":
        (tmp_path / folder).mkdir()
    assert LICENCE not in read_file(train("dstt", recipe, own, tmp_path / "a"))[1]
    first = train("dstt", recipe, Official(weights=str(tmp_path / "dstt.pth")), tmp_path / "b")
    second = train("dstt", recipe, type(own)(weights=str(first)), tmp_path / "c")
    third = train("dstt", recipe, split_heads(type(own)(weights=str(second)), 8), tmp_path / "d")
    for path in (first, second, third):
        assert told in read_file(path)[1][LICENCE]
    capsys.readouterr()
    terms._announced.clear()
    make_inpainter("dstt", weights=str(third))
    assert capsys.readouterr().err.count(told) == 1


def test_the_parts_that_a_file_brings_along_hand_on_their_terms(tmp_path):
    recipe = tiny("propainter")
    part = untrained("propainter", recipe)
    path = save_safetensors(
        tmp_path / "f.safetensors", part.networks["completion"].state_dict(), {LICENCE: "for\nnobody"}
    )
    load_completion(part, path)
    assert read_file(train("propainter", recipe, part, tmp_path))[1][LICENCE] == "for nobody"


def test_the_loss_falls_on_a_window_that_is_seen_again_and_again(tmp_path):
    recipe = tiny("dstt", adversarial=0.0)
    part = untrained("dstt", recipe)
    frames = draw_frames(windows(recipe), recipe, part, np.random.default_rng(0))
    network, critic = part.networks["main"].requires_grad_(True), TemporalPatchDiscriminator(4)
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    distances = []
    for _ in range(40):
        loss, terms = window_loss(part, critic, frames, recipe, np.random.default_rng(0))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        distances.append(terms["hole"] + terms["valid"])
        if distances[-1] < 0.7 * distances[0]:
            return
    pytest.fail(f"the distances did not fall: {distances}")


def test_an_interrupted_training_goes_on_where_it_was(tmp_path, monkeypatch):
    recipe = replace(tiny("sttn"), iterations=2)

    def run(folder):
        return read_file(train("sttn", recipe, untrained("sttn", recipe), folder))[0]

    whole = run(tmp_path / "whole")
    original = Windows.draw
    seen = []

    def breaking(self, rng):
        seen.append(1)
        if len(seen) == pretraining.WINDOWS_HELD_OUT + 2:  # held-out windows, then the second step
            raise KeyboardInterrupt
        return original(self, rng)

    monkeypatch.setattr(Windows, "draw", breaking)
    config = replace(schedule_of(recipe, tmp_path / "broken"), save_seconds=0.0)
    path = tmp_path / "broken" / "w.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train_published(windows(recipe), untrained("sttn", recipe), recipe, config, path)
    train_published(windows(recipe), untrained("sttn", recipe), recipe, config, path)
    assert all(torch.allclose(value, whole[key], atol=1e-5) for key, value in read_file(path)[0].items())


def test_frames_of_a_step_are_neighbours_with_references_or_scattered():
    rng = np.random.default_rng(0)
    flow = replace(SMALL["e2fgvi"], local=4, references=2)
    for _ in range(20):
        chosen = choose_frames(12, flow, rng)
        assert np.diff(chosen[:4]).tolist() == [1, 1, 1]
        assert len(set(chosen)) == 6
    plain = [choose_frames(12, SMALL["sttn"], rng) for _ in range(40)]
    assert all(chosen == sorted(set(chosen)) and len(chosen) == 3 for chosen in plain)
    in_a_row = [np.diff(chosen).tolist() == [1, 1] for chosen in plain]
    assert any(in_a_row)
    assert not all(in_a_row)


def test_with_nested_heads_the_order_is_the_index(tmp_path):
    recipe = tiny("dstt")
    part = untrained("dstt", recipe, 12)
    again = make_inpainter("dstt", weights=str(train("dstt", recipe, part, tmp_path)))
    assert again.num_heads == 12
    assert [again.heads_run(control) for control in (2, 7, 12)] == [2, 7, 12]
    assert again.ranking(5) is None, "nothing is measured"
    held_out = [draw_frames(windows(recipe), recipe, again, np.random.default_rng(1))]
    found = measured(again, held_out, recipe.local)
    by_heads = [found[f"psnr_hole_{count}_heads"] for count in (2, 6, 10)]
    assert len({*by_heads, found["psnr_hole"]}) == 4, "each number of heads paints something else"
    for heads, message in ((5, "48 channels"),):
        with pytest.raises(InputError, match=message):
            sizes_of(INPAINTERS.find("dstt"), recipe, heads)
    with pytest.raises(InputError, match="scales"):
        sizes_of(INPAINTERS.find("sttn"), recipe, 12)


@pytest.mark.parametrize("name", ["dstt", "propainter"])  # tokens of whole frames, and windows with pooled ones
def test_heads_of_trained_weights_are_split_and_train_on(name, tmp_path):
    recipe = tiny(name)
    four = untrained(name, recipe)
    split = split_heads(four, 12)
    assert (split.num_heads, split.sizes.nested, four.num_heads) == (12, 1, 4)
    for key, value in four.networks.state_dict().items():
        assert torch.equal(split.networks.state_dict()[key], value)
    again = make_inpainter(name, weights=str(train(name, recipe, split, tmp_path)))
    assert [again.heads_run(control) for control in (2, 7, 12)] == [2, 7, 12]
    with pytest.raises(InputError, match="cannot be split into 6: take 4, 8, 12, 16"):
        split_heads(four, 6)
    with pytest.raises(InputError, match="scales"):
        split_heads(untrained("sttn", tiny("sttn")), 12)


def test_files_whose_sizes_lie_are_refused(tmp_path):
    recipe = tiny("dstt")
    path = train("dstt", recipe, untrained("dstt", recipe), tmp_path)
    tensors, metadata = read_file(path)
    for lie in ({"depth": "2"}, {"heads": "7"}, {"dim": "0"}, {"dim": "4096", "hidden": "8192", "depth": "64"}):
        with pytest.raises(CorruptWeightsError):
            make_inpainter("dstt", weights=str(save_safetensors(tmp_path / "lie.safetensors", tensors, metadata | lie)))
    with pytest.raises(CorruptWeightsError):
        make_inpainter("fuseformer", weights=str(path))


def test_windows_that_do_not_fit_are_refused_before_work():
    recipe = tiny("dstt")
    part = untrained("dstt", recipe)
    with pytest.raises(InputError, match="too short"):
        check_windows(replace(windows(recipe), num_frames=1), part, recipe)
    with pytest.raises(InputError, match="larger"):
        check_windows(replace(windows(recipe), larger=((3, 96, 96),)), part, recipe)
    odd = replace(recipe, height=50)
    with pytest.raises(InputError, match="50x96"):
        check_windows(windows(odd), untrained("dstt", odd), odd)


def test_published_sizes_are_those_of_the_official_files():
    paper = recipe_of("fuseformer", "paper")
    assert sizes_of(INPAINTERS.find("fuseformer"), paper) == Sizes()
    assert sizes_of(INPAINTERS.find("dstt"), paper) == Sizes(hidden=2048)


def test_flow_completion_learns_and_its_file_is_what_propainter_takes(tmp_path):
    recipe = replace(COMPLETION["small"]["propainter"], iterations=1, batch=1, num_frames=3, local=3, height=48)
    data, place = windows(recipe), torch.device("cpu")
    path = train_completion(
        data, "propainter", recipe, schedule_of(recipe, tmp_path / "a"), tmp_path / "a.safetensors", place
    )
    part = untrained("propainter", tiny("propainter"))
    load_completion(part, path)
    tensors = read_file(path)[0]
    assert all(torch.equal(value, tensors[key]) for key, value in part.networks["completion"].state_dict().items())
    with pytest.raises(CorruptWeightsError):
        load_completion(untrained("e2fgvi", tiny("e2fgvi")), path)
    spynet = replace(COMPLETION["small"]["e2fgvi"], iterations=1, batch=1, num_frames=2, local=2, height=48)
    other = train_completion(
        data, "e2fgvi", spynet, schedule_of(spynet, tmp_path / "b"), tmp_path / "b.safetensors", place
    )
    load_completion(untrained("e2fgvi", tiny("e2fgvi")), other)


def test_propainter_without_weights_of_its_completion_says_how_to_get_them(monkeypatch, tmp_path):
    monkeypatch.setenv("VIDEOINPAINT_CACHE", str(tmp_path))
    with pytest.raises(MissingWeightsError, match="pretrain flow-completion"):
        load_completion(untrained("propainter", tiny("propainter")), None)


def test_terms_of_flow_completion():
    still = torch.zeros(1, 2, 2, 48, 64)
    everywhere = torch.ones(1, 2, 1, 48, 64)
    step = still.clone()
    step[..., 32:] = 8
    assert float(roughness(still, everywhere)) < 0.02
    assert float(roughness(step, everywhere)) > 2 * float(roughness(still, everywhere))
    edges = motion_edges(step)
    assert set(edges.unique().tolist()) == {0.0, 1.0}
    assert edges[..., 28:37].sum() == edges.sum()
    assert motion_edges(still).sum() == 0
    assert float(edge_loss(edges, edges)) < 1e-3 < float(edge_loss(1 - edges, edges))


def test_the_error_of_a_completion_is_counted_in_pixels():
    class Still(torch.nn.Module):
        """Stands in for SPyNet: nothing moves."""

        def forward(self, frames):
            batch, length, _, height, width = frames.shape
            return (torch.zeros(batch, length - 1, 2, height, width),) * 2

    def moved(frames):
        batch, length, _, height, width = frames.shape
        return (torch.full((batch, length - 1, 2, height, width), 8.0),) * 2

    errors = end_point_errors(Still(), [(torch.zeros(1, 2, 3, 64, 64), torch.ones(1, 2, 1, 64, 64))], moved)
    assert errors["epe"] == pytest.approx(2 * 2**0.5)  # 8 pixels are 2 at a quarter of the size


def test_the_hinge_pulls_both_sides_apart_alone():
    torch.manual_seed(0)
    critic, real = TemporalPatchDiscriminator(4), torch.rand(1, 3, 3, 32, 32)
    repaired = torch.rand(1, 3, 3, 32, 32, requires_grad=True)
    fooled, told = hinge_losses(critic, real, repaired)
    fooled.backward()
    assert repaired.grad is not None
    assert all(parameter.grad is None for parameter in critic.parameters())
    repaired.grad = None
    told.backward()
    assert repaired.grad is None
    assert all(parameter.grad is not None for parameter in critic.parameters())
