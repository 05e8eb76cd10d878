"""Large frames in patches: tiles, grid masks, boundary-aware sampling, and a small pyramid from end to end."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from videoinpaint.boxes import box_of
from videoinpaint.clips.files.images import resize_frames, resize_masks
from videoinpaint.errors import InputError
from videoinpaint.inpainters.internal import Internal, Trainer, highres
from videoinpaint.inpainters.internal.detail import Sources, carried_detail, find_sources
from videoinpaint.inpainters.internal.highres import repair_progressively
from videoinpaint.inpainters.internal.patches import PatchSource, Progressive
from videoinpaint.inpainters.internal.tiling import draw_centre, grid_masks, is_near, tiles
from videoinpaint.repair.large import EnlargedMasks

SMALL = Progressive(
    (24, 32),
    (6, 3, 3),
    Internal(width=0.1, start="smooth", pool=1, backbone="alex", patch=32),
    (4, 6),
    least=20,
    seam=4,
)


class Held:
    """Frames in memory that count how many are asked for at once."""

    name = "held"

    def __init__(self, frames):
        self.frames, self.most = frames, 0

    def __len__(self):
        return len(self.frames)

    def read(self, start, count, stride=1):
        self.most = max(self.most, count)
        return self.frames[start : start + count * stride : stride]


@pytest.fixture
def scene():
    """Three frames of 128x96 with slow waves and fine stripes, and a hole that moves."""
    y, x = np.mgrid[:96, :128]
    frames = np.stack([128 + 60 * np.sin((x + 4 * t) / 20) + 40 * np.sin(y / 3) for t in range(3)])
    frames = frames.round().clip(0, 255).astype(np.uint8)[..., None].repeat(3, -1)
    masks = np.zeros((3, 96, 128), np.uint8)
    for t in range(3):
        masks[t, 30:58, 40 + 8 * t : 84 + 8 * t] = 1
    return frames, masks


EVEN, ODD = ((40, 56), (10, 14), 2), ((41, 59), (10, 14), 2)
SINGLE, FLAT, HARD = ((10, 14), (10, 14), 3), ((8, 50), (10, 14), 4), ((23, 30), (10, 14), 0)


@pytest.mark.parametrize(("size", "patch", "seam"), [EVEN, ODD, SINGLE, FLAT, HARD])
def test_tiles_cover_every_pixel_exactly_once(size, patch, seam):
    total = np.zeros(size)
    for tile in tiles(*size, patch, seam):
        height, width = tile.weight.shape
        assert height <= patch[0]
        assert width <= patch[1]
        total[tile.top : tile.top + height, tile.left : tile.left + width] += tile.weight
    np.testing.assert_allclose(total, 1, atol=1e-6)


def test_on_an_edge_the_patch_that_is_centred_there_decides():
    weights = {tile.left: tile.weight[0] for tile in tiles(8, 40, (8, 20), 4)}
    assert sorted(weights) == [0, 10, 20]
    assert weights[10][9:11].min() > 0.8
    assert weights[0][:15].min() == 1
    assert weights[0][19] < 0.2


def test_small_pieces_of_a_mask_are_left_out():
    mask = np.zeros((20, 30), np.uint8)
    mask[2:8, 2:14] = 1
    pieces = grid_masks(mask, (10, 10), 20)
    assert [int(p.sum()) for p in pieces] == [48, 24]
    assert [int(p.sum()) for p in grid_masks(mask, (10, 10), 25)] == [48]
    assert all(p.shape == (10, 10) for p in grid_masks(np.ones((25, 30), np.uint8), (10, 10), 0))


def test_places_near_the_boundary_are_five_times_as_likely_as_the_rest():
    rng = np.random.default_rng(0)
    box, size, reach = (400, 700, 700, 1200), (1080, 1920), (45, 80)
    points = [draw_centre(rng, box, size, reach) for _ in range(600)]
    near = np.mean([is_near(point, box, reach) for point in points])
    assert near == pytest.approx(5 / 6, abs=0.05)
    assert is_near((400, 700), box, reach)
    assert is_near((660, 900), box, reach)
    assert not is_near((550, 950), box, reach)
    assert not is_near((400, 1281), box, reach)


def test_a_pyramid_repairs_every_frame_and_reads_them_one_by_one(scene, tmp_path):
    frames, masks = Held(scene[0]), Held(scene[1])
    seen = []
    repaired = np.stack(list(repair_progressively(frames, masks, tmp_path, SMALL, lambda *at: seen.append(at))))
    assert frames.most == masks.most == 1
    assert seen[0] == (0, 1)
    assert seen[-6:] == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)]
    known, inside = scene[1] == 0, scene[1] == 1
    np.testing.assert_array_equal(repaired[known], scene[0][known])
    error = np.abs(repaired[inside].astype(float) - scene[0][inside]).mean()
    assert error < np.abs(128.0 - scene[0][inside]).mean()
    assert sorted(p.name for p in (tmp_path / "level-1").glob("*.png")) == ["00000.png", "00001.png", "00002.png"]


def test_an_interrupted_pyramid_ends_in_the_same_frames(scene, tmp_path, monkeypatch):
    monkeypatch.setattr(highres, "SAVE_SECONDS", 0.0)

    def made(folder, settings=SMALL, report=None):
        return np.stack(list(repair_progressively(Held(scene[0]), Held(scene[1]), folder, settings, report)))

    whole = made(tmp_path / "whole")

    def stop_at(*place):
        def stop(*where):
            if where == place:
                raise KeyboardInterrupt

        return stop

    for place in ((0, 4), (1, 2), (2, 1)):
        with pytest.raises(KeyboardInterrupt):
            made(tmp_path / "broken", report=stop_at(*place))
    seen = []
    again = made(tmp_path / "broken", report=lambda *where: seen.append(where))
    assert seen == [(2, 2), (2, 3)]
    np.testing.assert_array_equal(again, whole)
    np.testing.assert_array_equal(made(tmp_path / "broken"), whole)
    with pytest.raises(InputError, match="settings"):
        made(tmp_path / "broken", replace(SMALL, config=replace(SMALL.config, seed=1)))
    with pytest.raises(InputError, match="settings"):
        made(tmp_path / "broken", replace(SMALL, steps=(6, 3, 2)))


def test_patches_hide_known_pixels_and_start_from_the_level_before(scene, tmp_path):
    list(repair_progressively(Held(scene[0]), Held(scene[1]), tmp_path, SMALL))
    source = PatchSource(Held(scene[0]), Held(scene[1]), tmp_path / "level-1", SMALL, 2)
    rng = np.random.default_rng(0)
    hidden, same = 0.0, []
    for _ in range(40):
        batch = source.draw(rng, 2)
        same.append(torch.equal(batch.other, batch.frames))
        assert not (batch.other * batch.other_holes).any()
        assert batch.frames.shape == (2, 3, 24, 32)
        known = (batch.union == 0).expand_as(batch.frames)
        assert (batch.start[known] == batch.frames[known]).all()
        hidden += float((batch.union - batch.holes).sum())
        prior = (batch.union * (1 - batch.holes)).expand_as(batch.frames) > 0
        if prior.any():
            assert (batch.start[prior] - batch.frames[prior]).abs().mean() < 0.25
    assert hidden > 100
    assert not all(same), "the ambiguity loss is shown other frames, too"
    # A network that has not been trained corrects nothing: every level is then the first one, enlarged.
    frame = source.repaired(Trainer(replace(SMALL.config, crop=None)), 0)
    prior = source.load(0)[2]
    inside = scene[1][0] == 1
    assert np.abs(frame[inside].astype(int) - prior[inside]).max() <= 1


def test_clips_that_do_not_fit_are_refused(scene, tmp_path):
    with pytest.raises(InputError, match="128x96"):
        next(repair_progressively(Held(scene[0][:, :50]), Held(scene[1][:, :50]), tmp_path, SMALL))
    with pytest.raises(InputError, match="2 masks"):
        next(repair_progressively(Held(scene[0]), Held(scene[1][:2]), tmp_path, SMALL))
    with pytest.raises(InputError, match="nothing is missing"):
        next(repair_progressively(Held(scene[0]), Held(scene[1] * 0), tmp_path, SMALL))


def test_levels_halve_any_size_until_it_fits(scene, tmp_path):
    assert Progressive.of_size(2160, 3840).sizes() == [(540, 960), (1080, 1920), (2160, 3840)]
    assert Progressive.of_size(541, 333).sizes() == [(271, 167), (541, 333)]
    with pytest.raises(InputError, match="need no levels"):
        Progressive.of_size(540, 960)
    frames, masks = scene[0][:, :95, :127], scene[1][:, :95, :127]
    odd = replace(SMALL, steps=(2, 1, 1), size=(95, 127))
    assert odd.sizes() == [(24, 32), (48, 64), (95, 127)]
    repaired = np.stack(list(repair_progressively(Held(frames), Held(masks), tmp_path, odd)))
    np.testing.assert_array_equal(repaired[masks == 0], frames[masks == 0])
    inside = masks == 1
    assert np.abs(repaired[inside].astype(float) - frames[inside]).mean() < np.abs(128.0 - frames[inside]).mean()


def test_detail_is_carried_from_the_frame_that_shows_it():
    """A pan over noise: what the coarse level cannot hold is found in another frame, and nowhere else."""
    rng = np.random.default_rng(0)
    coarse, scale, step = (24, 32), 4, 2
    smooth = cv2.resize(rng.integers(60, 200, (8, 16)).astype(np.uint8), (48 * scale, 24 * scale))
    picture = (smooth + rng.integers(-30, 31, smooth.shape)).clip(0, 255).astype(np.uint8)[..., None].repeat(3, -1)
    frames = np.stack([picture[:, step * scale * t : step * scale * t + 32 * scale] for t in range(5)])
    masks = np.zeros(frames.shape[:3], np.uint8)
    masks[2, 32:64, 52:76] = 1
    small, holes = resize_frames(frames, *coarse), resize_masks(masks, *coarse)
    shown = torch.from_numpy(small).permute(0, 3, 1, 2).float() / 255
    sources = find_sources(shown, torch.from_numpy(holes)[:, None].float())
    assert [len(one.rows) for one in sources] == [0, 0, int(holes[2].sum()), 0, 0]
    assert (sources[2].frame != 2).all()
    asked = []

    def load(index):
        asked.append(index)
        return frames[index], masks[index]

    box = box_of(masks[2])
    cut = slice(box[0], box[2]), slice(box[1], box[3])
    detail, trust = carried_detail(sources[2], load, frames.shape[1:3], coarse, box)
    assert set(asked) == set(sources[2].frame[sources[2].frame >= 0].tolist())
    assert (trust > 0).mean() > 0.6
    prior = cv2.resize(small[2], frames.shape[2:0:-1], interpolation=cv2.INTER_LINEAR)[cut].astype(float)
    sure = trust > 0.5
    before = np.abs(prior - frames[2][cut])[sure].mean()
    assert np.abs(prior + detail - frames[2][cut])[sure].mean() < 0.7 * before
    assert not detail[trust == 0].any()
    # What is a hole in the frame that should show it is not taken from there.
    masks[:] = 1
    assert not carried_detail(sources[2], load, frames.shape[1:3], coarse, box)[1].any()


def test_masks_that_were_followed_small_are_read_large():
    small = np.zeros((2, 6, 8), np.bool_)
    small[:, 2:4, 2:5] = True
    given = np.zeros((24, 32), np.uint8)
    given[0, 31] = 1
    large = EnlargedMasks(small, {1: given}, (24, 32))
    first, second = large.read(0, 2)
    assert len(large) == 2
    assert first[9:15, 9:19].all()
    assert abs(int(first.sum()) - 6 * 16) <= 12
    assert (second[0, 31], first[0, 31]) == (1, 0)
    with pytest.raises(InputError, match="2 frames"):
        large.read(1, 2)


def test_a_place_that_lies_partly_in_the_hole_shows_nothing():
    frame, mask = np.full((8, 8, 3), 100, np.uint8), np.zeros((8, 8), np.uint8)
    mask[:, 4:] = 1
    shown = []
    for away in (2.0, 2.25, 2.5):  # from column 1: in column 3, and beyond it towards column 4
        place, to = np.array([1]), np.array([[away, 0]], np.float32)
        source = Sources(place, place, to, np.array([0]), np.ones(1, np.float32), (8, 8))
        _, trust = carried_detail(source, lambda _: (frame, mask), (8, 8), (4, 4), (0, 0, 8, 8))
        shown.append(float(trust[1, 1]))
    assert shown == [1, 0, 0]
