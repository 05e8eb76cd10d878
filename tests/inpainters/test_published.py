"""Published networks in the loop, reduced in depth and size (see ``conftest.py``)."""

from __future__ import annotations

from functools import partial

import gymnasium
import numpy as np
import pytest
import torch

import videoinpaint
from videoinpaint.benchmarks.networks import published_order
from videoinpaint.benchmarks.networks.published_order import plain_pass
from videoinpaint.controls import Controls
from videoinpaint.envs.loop import ClosedLoop
from videoinpaint.errors import CorruptWeightsError, MissingWeightsError
from videoinpaint.inpainters import PUBLISHED, make_inpainter
from videoinpaint.inpainters.published import plan
from videoinpaint.inpainters.published.cost import Meter, count_flops
from videoinpaint.inpainters.published.feature_cache import Features
from videoinpaint.inpainters.published.geometry import Geometry, dilate
from videoinpaint.inpainters.published.layers.heads import active_heads, count_heads, gated_modules
from videoinpaint.inpainters.published.propainter.inpainter import in_pieces
from videoinpaint.protocols import Detection
from videoinpaint.testing import check_inpainter

SMALL = (48, 96)
FULL = Controls(heads=12, fusion=0.5).to_array()[None]


NAMES = ["sttn", "dstt", "fuseformer", "e2fgvi_hq", "propainter"]


def clip(length, height, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    scene = torch.rand(1, 3, height // 8 + 1, width // 8 + 2 + length // 2, generator=generator)
    scene = torch.nn.functional.interpolate(scene, scale_factor=8, mode="bicubic").clamp(0, 1)
    frames = torch.stack([scene[..., :height, 3 * t : 3 * t + width] for t in range(length)], 1)
    holes = torch.zeros(1, length, 1, height, width)
    holes[..., height // 4 : 3 * height // 4, width // 3 : width // 2] = 1
    return torch.where(holes > 0, torch.tensor(128 / 255), frames), holes


@pytest.mark.parametrize("name", NAMES)
def test_the_rules_of_inpainters_hold(parts, name):
    check_inpainter(parts(name), num_frames=3)


@pytest.fixture
def predicting_once(monkeypatch):
    """Predictions of the plain transcription are made once, however often they are blended."""

    def once(make):
        predictions = {}

        def predictor(part, frames, holes):
            predict = []

            def remembered(*window):
                key = tuple(map(tuple, window))
                if key not in predictions:
                    predict[:] = predict or [make(part, frames, holes)]
                    predictions[key] = predict[0](*window)
                return predictions[key]

            return remembered

        return predictor

    for name, make in list(published_order._PREDICTORS.items()):
        monkeypatch.setitem(published_order._PREDICTORS, name, once(make))


@pytest.mark.parametrize("name", NAMES)
def test_the_first_pass_is_the_published_order(parts, name, predicting_once):
    part = parts(name)
    height, width = (128, 136) if name == "propainter" else (60, 108) if name == "e2fgvi_hq" else SMALL
    frames, holes = clip(7 if name == "propainter" else 13, height, width)
    ours = part.refine(part.begin(frames, holes), frames, holes, FULL).frames
    plain = plain_pass(part, frames, holes)
    inside = holes.expand_as(frames) > 0
    assert (ours - plain)[inside].abs().max() < 1e-4
    assert ours[inside].std() > 0.01  # something was painted
    cut = plain_pass(part, frames, holes, truncate=True)
    assert (ours - cut)[inside].abs().max() < 1.01 / 255


@pytest.mark.parametrize("name", ["dstt", "e2fgvi_hq"])
def test_with_published_windows_later_passes_are_the_published_order_too(reduced, name):
    part = reduced[name](weights="random", windows="published")
    frames, holes = clip(7, *((60, 108) if name == "e2fgvi_hq" else SMALL))
    state = part.begin(frames, holes)
    repaired = torch.where(holes > 0, part.refine(state, frames, holes, FULL).frames, frames)
    flagged = holes.clone()
    flagged[:, :3], flagged[:, 5:], flagged[..., :24, :] = 0, 0, 0
    ours = part.refine(state, repaired, flagged, FULL).frames
    plain = plain_pass(part, repaired, flagged)
    inside = flagged.expand_as(frames) > 0
    # E2FGVI's flow is that of the first pass, which saw grey where the repair is now: near, not equal.
    assert (ours - plain)[inside].abs().max() < (0.05 if name == "e2fgvi_hq" else 1e-4)
    assert torch.equal(ours[:, 0], repaired[:, 0])  # nothing was flagged there


def test_later_passes_compute_only_what_is_flagged(parts):
    part = parts("dstt")
    frames, holes = clip(12, *SMALL)
    state = part.begin(frames, holes)
    whole = part.refine(state, frames, holes, FULL)
    flagged = torch.zeros_like(holes)
    flagged[:, 4:6] = holes[:, 4:6]
    some = part.refine(state, whole.frames, flagged, FULL)
    assert some.gflops[0] < 0.6 * whole.gflops[0]
    untouched = [frame for frame in range(12) if frame not in (4, 5)]
    assert torch.equal(some.frames[:, untouched], whole.frames[:, untouched])
    assert (some.frames[:, 4] - whole.frames[:, 4]).abs().max() > 1e-3
    assert part.refine(state, frames, torch.zeros_like(holes), FULL).gflops[0] == 0


def test_frames_are_encoded_once_and_later_only_where_they_changed(parts, monkeypatch):
    part, seen = parts("fuseformer"), []
    encode = part.encode

    def watched(inputs):
        seen.append(tuple(inputs.shape))
        return encode(inputs)

    monkeypatch.setattr(part, "encode", watched)
    frames, holes = clip(12, *SMALL)
    loop = ClosedLoop(part, Scripted(holes))
    state = loop.begin(frames, holes)
    assert seen == [(12, 3, *SMALL)]
    state, _, _ = loop.refine(state, FULL)
    assert len(seen) == 1  # the first pass sees what begin saw
    state, _, _ = loop.refine(state, FULL)
    assert len(seen) == 2  # every hole has been painted in the meantime
    again, _, _ = loop.refine(state, FULL)
    assert len(seen) == 2  # what was painted since is flagged again, so that the network does not see it
    fresh = dict(state)  # remembering changes cost, not numbers
    fresh["inpainter/seen"] = torch.full_like(state["inpainter/seen"], 9.0)
    forgotten, _, _ = loop.refine(fresh, FULL)
    assert (again["repaired"] - forgotten["repaired"]).abs().max() < 1e-4


class Scripted:
    """Flags frames 4 to 6 of the hole."""

    name = "scripted"

    def __init__(self, holes):
        self.flagged = torch.zeros_like(holes)
        self.flagged[:, 4:7] = holes[:, 4:7]

    def detect(self, repaired, masks):
        return Detection(self.flagged, torch.ones_like(repaired))


@pytest.mark.parametrize("length", [1, 2, 6, 13, 80, 203])
def test_published_windows_cover_every_frame(length):
    windows = plan.published_windows(length)
    assert {frame for window in windows for frame in window.local} == set(range(length))
    assert all(not set(w.local) & set(w.references) and len(w.frames) <= 11 + 8 for w in windows)
    totals = np.zeros(length)
    for share in plan.shares(windows):
        for frame, value in share.items():
            totals[frame] += value
    np.testing.assert_allclose(totals, 1)
    flagged = [frame % 7 in (2, 3) for frame in range(length)]
    for chosen in (plan.touched(windows, flagged), plan.cover(windows, flagged)):
        assert {f for w in chosen for f in w.wanted} == {f for f in range(length) if flagged[f]}
        assert all(set(w.wanted) <= set(w.local) for w in chosen)
    assert len(plan.cover(windows, flagged)) <= len(plan.touched(windows, flagged))
    once = [frame for window in plan.cover(windows, flagged) for frame in window.wanted]
    assert len(once) == len(set(once))


def test_windows_of_a_long_clip_reach_no_further_than_a_chunk():
    """So a chunk with that margin has the very windows of the whole clip: nothing can be seen at its seam."""
    whole, reach = plan.published_windows(400), plan.EVERY * plan.NEAR
    start = 100
    chunk = plan.published_windows(200)
    for centre in range(start + reach, start + 200 - reach, plan.STEP):
        inner = chunk[(centre - start) // plan.STEP]
        assert tuple(frame + start for frame in inner.frames) == whole[centre // plan.STEP].frames


def test_a_long_clip_has_no_seam(parts, monkeypatch):
    """Chunks with the margin above give what the whole clip gives, through network and all."""
    part = parts("dstt")
    frames, holes = clip(160, 24, 24)
    monkeypatch.setattr(part, "geometry", Geometry(fixed=(24, 24)))
    whole = part.refine(part.begin(frames, holes), frames, holes, FULL).frames
    chunk, inner = slice(40, 135), slice(85, 95)
    some = part.refine(part.begin(frames[:, chunk], holes[:, chunk]), frames[:, chunk], holes[:, chunk], FULL)
    assert (some.frames[:, 45:55] - whole[:, inner]).abs().max() < 1e-4


def test_pieces_of_a_local_computation_have_no_seam():
    series = torch.randn(1, 50, 2)

    def local_mean(start, stop):
        part = series[:, start:stop].transpose(1, 2)
        padded = torch.nn.functional.pad(part, (2, 2), mode="replicate")
        return (torch.nn.functional.avg_pool1d(padded, 5, stride=1).transpose(1, 2),) * 2

    whole, _ = in_pieces(local_mean, 50, margin=0, piece=50)
    assert torch.allclose(in_pieces(local_mean, 50, margin=2, piece=20)[0], whole)
    assert not torch.allclose(in_pieces(local_mean, 50, margin=0, piece=20)[0], whole)


def test_heads_map_proportionally_and_by_importance(parts, reduced):
    assert [count_heads(h, 4) for h in (2, 3, 4, 5, 6, 8, 10, 11, 12)] == [1, 1, 1, 2, 2, 3, 3, 4, 4]
    assert [count_heads(h, 12) for h in (2, 7, 12)] == [2, 7, 12]
    part = parts("dstt")
    order = part.ranking(1)
    assert order is not None
    assert order == reduced["dstt"](weights="random").ranking(1)  # a function of weights and a fixed clip
    assert all(sorted(heads) == [0, 1, 2, 3] for heads in order.values())
    network = part.networks["main"]
    features = torch.randn(1, 2, part.feature_channels, 12, 24, generator=torch.Generator().manual_seed(0))
    costs = []
    for count in (1, 2, 3, 4):
        with active_heads(part.networks, count, order), torch.no_grad():
            costs.append(count_flops(lambda: network.transform(features))[1])
    assert costs == sorted(costs)
    assert len(set(costs)) == 4
    assert all(module.active is None for module in gated_modules(part.networks).values())


@pytest.mark.parametrize(("name", "size"), [("e2fgvi_hq", (60, 216)), ("propainter", (64, 224))])
def test_windows_of_attention_follow_a_map_of_heads(parts, name, size):
    part = parts(name)
    frames, holes = torch.rand(1, 3, 3, *size, generator=torch.Generator().manual_seed(0)), torch.zeros(1, 3, 1, *size)
    holes[..., 16:40, 20:-20] = 1
    state = part.begin(frames * (1 - holes), holes)

    def refined(left, right):
        controls = np.repeat(Controls(heads=left).to_array()[None, None, None], 2, 2)
        controls[:, :, 1, 0] = right
        return part.refine(state, frames, holes, controls)

    few, many, mixed = refined(3, 3), refined(12, 12), refined(3, 12)
    one = part.refine(state, frames, holes, Controls(heads=3).to_array()[None])
    torch.testing.assert_close(few.frames, one.frames, atol=1e-5, rtol=1e-5)
    assert float(few.gflops) == pytest.approx(float(one.gflops), rel=1e-6)
    assert float(few.gflops) < float(mixed.gflops) < float(many.gflops)
    # Far to the left it is the repair of few heads, as far as later windows leave it so, to the right that of many.
    gaps = [(mixed.frames - other.frames).abs().amax((0, 1, 2, 3)) for other in (few, many)]
    left, right = slice(24, 60), slice(-60, -24)
    assert gaps[0][left].mean() < gaps[1][left].mean()
    assert gaps[1][right].mean() < gaps[0][right].mean()


def test_the_most_important_head_is_the_one_that_is_missed_most(reduced):
    part = reduced["dstt"](weights="random")
    attention = part.networks["main"].transformer[0].attention
    with torch.no_grad():  # head 2 is made loud, head 1 silent
        heads = attention.output_linear.weight.chunk(4, dim=1)
        heads[2].mul_(10)
        heads[1].zero_()
    order = part.ranking(1)["main.transformer.0.attention"]
    assert order[0] == 2
    assert order[-1] == 1


def test_masks_are_dilated_by_a_diamond_of_four_and_never_lost():
    mask = torch.zeros(1, 1, 1, 15, 15)
    mask[..., 7, 7] = 1
    rows, columns = np.indices((15, 15))
    assert np.array_equal(dilate(mask)[0, 0, 0].numpy() > 0, np.abs(rows - 7) + np.abs(columns - 7) <= 4)
    tiny = torch.zeros(1, 1, 1, 200, 200)
    tiny[..., 101, 77] = 1
    assert Geometry(fixed=(20, 20)).mask_to_network(tiny)[..., 10, 7] == 1


@pytest.mark.parametrize(("geometry", "size"), [
    (Geometry(fixed=(48, 96)), (48, 96)), (Geometry(mirror=(60, 108)), (120, 216)), (Geometry(resize=8), (64, 128)),
])  # fmt: skip
def test_geometry_goes_there_and_back(geometry, size):
    frames = torch.linspace(0, 1, 70 * 130).view(1, 1, 1, 70, 130).expand(1, 2, 3, 70, 130)
    there = geometry.to_network(frames)
    assert tuple(there.shape[-2:]) == size == geometry.size(70, 130)
    back = geometry.from_network(there, 70, 130)
    assert (back - frames).abs().max() < (1e-6 if geometry.mirror != (1, 1) else 0.05)
    if geometry.mirror != (1, 1):
        assert torch.equal(there[..., 70:120, :130], frames.flip(-2)[..., :50, :])


@pytest.mark.parametrize("name", PUBLISHED)
def test_without_weights_they_refuse_and_say_what_to_do(name, monkeypatch, tmp_path):
    monkeypatch.setenv("VIDEOINPAINT_CACHE", str(tmp_path))
    with pytest.raises(MissingWeightsError, match=rf"videoinpaint weights fetch {name}\b.*random"):
        make_inpainter(name)
    with pytest.raises(MissingWeightsError, match="nowhere"):
        make_inpainter(name, weights="nowhere.pth")


def test_official_containers_load_strictly(reduced, tmp_path, monkeypatch):
    monkeypatch.setenv("VIDEOINPAINT_CACHE", str(tmp_path))
    source = reduced["dstt"](weights="random")
    tensors = source.networks["main"].state_dict()
    for container in ({"netG": tensors}, tensors, {f"module.{key}": value for key, value in tensors.items()}):
        torch.save(container, tmp_path / "dstt.pth")
        loaded = reduced["dstt"](weights=str(tmp_path / "dstt.pth"))
        assert not loaded.random_weights
        assert all(torch.equal(value, tensors[key]) for key, value in loaded.networks["main"].state_dict().items())
    torch.save({"netG": dict(list(tensors.items())[1:])}, tmp_path / "dstt.pth")
    with pytest.raises(CorruptWeightsError, match="lack"):
        reduced["dstt"](weights=str(tmp_path / "dstt.pth"))


def test_a_folder_holds_all_files_of_a_network(reduced, tmp_path, monkeypatch):
    monkeypatch.setenv("VIDEOINPAINT_CACHE", str(tmp_path / "cache"))
    source = reduced["propainter"](weights="random")
    for part, file in {"main": "ProPainter", "completion": "recurrent_flow_completion", "raft": "raft-things"}.items():
        tensors = source.networks[part].state_dict()
        prefix = "module." if part == "raft" else ""
        torch.save({prefix + key: value for key, value in tensors.items()}, tmp_path / f"{file}.pth")
    loaded = reduced["propainter"](weights=str(tmp_path))
    mine, theirs = loaded.networks.state_dict(), source.networks.state_dict()
    assert all(torch.equal(mine[key], theirs[key]) for key in theirs)
    (tmp_path / "raft-things.pth").unlink()
    with pytest.raises(MissingWeightsError, match=r"raft-things\.pth"):
        reduced["propainter"](weights=str(tmp_path))


def test_the_environment_says_that_weights_are_random(parts):
    env = gymnasium.make(
        "VideoInpaint-v0", inpainter=parts("sttn"), detector="none", num_frames=2, height=48, width=64, device="cpu"
    )
    assert env.unwrapped.honoured_controls == {"heads"}
    _, info = env.reset(seed=0)
    assert info["random_weights"] == "inpainter sttn"
    _, reward, _, _, info = env.step(np.zeros(5, np.float32))
    assert info["random_weights"] == "inpainter sttn"
    assert np.isfinite(reward)
    assert info["gflops"] > 0
    plain = gymnasium.make("VideoInpaint-v0", num_frames=2, height=48, width=64, device="cpu")
    assert plain.reset(seed=0)[1]["random_weights"] == ""


def test_chunks_of_a_long_video_show_no_seam(parts):
    """`inpaint` in chunks of bounded memory against the whole video at once."""
    part = parts("dstt")
    frames, holes = clip(70, *SMALL)
    pixels = (frames[0].permute(0, 2, 3, 1).numpy() * 255).round().astype(np.uint8)
    masks = holes[0, :, 0].numpy() > 0
    settings = {"inpainter": part, "detector": "none", "policy": "heads12", "iterations": 1, "device": "cpu"}
    chunks = videoinpaint.inpaint(pixels, masks, **settings).astype(float)
    whole = videoinpaint.inpaint(pixels, masks, window=70, **settings).astype(float)
    assert np.array_equal(chunks[~masks], pixels[~masks])

    def steps(video):
        return np.array([np.abs(b - a)[hole].mean() for a, b, hole in zip(video, video[1:], masks)])

    seams = slice(28, 42)  # the first chunk gives way to the second over frames 30 to 40
    assert steps(chunks)[seams].max() <= 1.2 * steps(whole).max()
    difference = np.abs(chunks - whole).mean(axis=(1, 2, 3)) / masks.mean()
    assert difference.max() < 0.5 * np.abs(whole[masks] - pixels[masks]).mean()


def test_encoding_a_box_is_counted_at_each_size_of_frame():
    """What lies around a box is cut off at the edge of a small frame: its cost is not that of a large one."""
    encoder = torch.nn.Conv2d(3, 4, 4, stride=4)

    def cost(size, meter):
        inputs = torch.zeros(1, 1, 3, *size)
        features = Features.nothing(inputs, 4)
        update = partial(features.update, encoder, frames=[0], meter=meter)
        update(inputs.clone())
        inputs[..., 8:16, 16:24] = 1
        return float(update(inputs))

    alone, shared = cost((160, 160), Meter()), Meter()
    assert cost((32, 64), shared) < alone
    assert cost((160, 160), shared) == alone


def test_measuring_the_order_of_heads_is_no_part_of_what_a_pass_costs(reduced):
    frames, holes = clip(2, 48, 96)

    def cost(part, heads):
        controls = Controls(heads=heads).to_array()[None]
        return float(part.refine(part.begin(frames, holes), frames, holes, controls).gflops)

    first, later = reduced["dstt"](weights="random"), reduced["dstt"](weights="random")
    few = cost(later, 3)
    assert cost(later, 12) == cost(first, 12) > few
    assert cost(first, 3) == few
