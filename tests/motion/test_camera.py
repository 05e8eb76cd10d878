"""The camera's motion: found among moving things, flows inside holes, nothing found where nothing can be."""

import cv2
import numpy as np
import pytest
import torch

from videoinpaint.motion.camera import _sane, camera_motion, followed, homography_flow, stabilised_flows, two_motions
from videoinpaint.motion.flow import complete_flows, smooth_fill

H, W = 120, 160


def scene(step: float = 0.0, zoom: float = 1.0, seed: int = 0) -> torch.Tensor:
    """A textured wall seen by a camera that moved ``step`` pixels right and zoomed, ``(1, 3, H, W)``."""
    rng = np.random.default_rng(seed)
    wall = cv2.GaussianBlur(rng.random((400, 500)).astype(np.float32), (0, 0), 2)
    wall = (wall - wall.min()) / np.ptp(wall)
    motion = np.array([[1 / zoom, 0, 150 + step], [0, 1 / zoom, 120]])
    seen = cv2.warpAffine(wall, motion, (W, H), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return torch.from_numpy(seen)[None, None].repeat(1, 3, 1, 1)


def everywhere() -> torch.Tensor:
    return torch.ones(1, 1, H, W)


def test_a_pan_is_found_although_something_else_moves():
    a, b = scene(0), scene(6)
    a[..., 70:100, 20:60] = scene(0, seed=1)[..., 70:100, 20:60]
    b[..., 70:100, 30:70] = scene(0, seed=1)[..., 70:100, 20:60]
    found = camera_motion(a, b, everywhere(), everywhere())
    assert found.shape == (1, 3, 3)
    flow = homography_flow(found, H, W)[0]
    assert flow[0].numpy() == pytest.approx(np.full((H, W), -6.0), abs=0.3)
    assert flow[1].numpy() == pytest.approx(np.zeros((H, W)), abs=0.3)


def test_a_zoom_is_found():
    flow = homography_flow(camera_motion(scene(), scene(zoom=1.05), everywhere(), everywhere()), H, W)[0]
    assert flow[0, 60, 150].item() == pytest.approx(0.05 * 150, abs=0.4)
    assert flow[1, 100, 80].item() == pytest.approx(0.05 * 100, abs=0.4)


def test_corners_in_a_hole_do_not_vote():
    a, b = scene(0), scene(6)
    known = everywhere()
    known[..., 20:110, 10:150] = 0
    for frame in (a, b):  # a still picture in the hole: most corners of the frame
        frame[..., 20:110, 10:150] = scene(0, seed=1)[..., 20:110, 10:150]
    flow = homography_flow(camera_motion(a, b, known, known), H, W)
    assert flow[0, 0].mean().item() == pytest.approx(-6, abs=0.5)


@pytest.mark.parametrize("kind", ["plain", "hidden", "tiny"])
def test_where_nothing_can_be_found_the_camera_stands_still(kind):
    rng = torch.Generator().manual_seed(0)
    size = (1, 3, 12, 15) if kind == "tiny" else (1, 3, H, W)
    a, b = (torch.rand(*size, generator=rng) for _ in range(2))
    if kind == "plain":
        a, b = torch.full(size, 0.5), torch.full(size, 0.5)
    known = torch.zeros(1, 1, *size[2:]) if kind == "hidden" else torch.ones(1, 1, *size[2:])
    assert np.array_equal(camera_motion(a, b, known, known)[0], np.eye(3))


def test_a_camera_that_stands_still_is_followed_and_one_before_a_blank_wall_is_not():
    frames = torch.cat([scene(0), scene(0), scene(6), torch.full((1, 3, H, W), 0.5)])
    holes = torch.zeros(4, 1, H, W)
    assert followed(frames, holes) == 2
    assert followed(frames[:1], holes[:1]) == 0
    assert followed(frames, torch.ones_like(holes)) == 0


def test_beside_a_hole_a_fast_pan_is_followed_better_than_by_plain_flow():
    frames = torch.cat([scene(12 * t) for t in range(3)])[None]
    holes = torch.zeros(1, 3, 1, H, W)
    holes[..., 40:80, 60:100] = 1
    filled = smooth_fill(frames[0], 1 - holes[0])[None]
    inside = (slice(None), slice(None), 0, slice(40, 80), slice(60, 100))
    errors = []
    for flows in (stabilised_flows(filled, holes), complete_flows(filled, holes)):
        assert flows[0].shape == flows[1].shape == (1, 2, 2, H, W)
        errors.append(((flows[0][inside] + 12).abs().mean() + (flows[1][inside] - 12).abs().mean()).item() / 2)
    assert errors[0] < 0.5
    assert errors[0] < 0.5 * errors[1]


def test_two_motions_are_that_beside_the_hole_and_that_of_the_camera():
    """A board that stands still before a panning camera, and a hole in it."""
    frames = torch.cat([scene(6 * t) for t in range(3)])[None]
    board = slice(30, 90), slice(50, 110)
    frames[..., board[0], board[1]] = scene(0, seed=1)[0, :, board[0], board[1]]
    holes = torch.zeros(1, 3, 1, H, W)
    holes[..., 45:75, 65:95] = 1
    filled = smooth_fill(frames[0], 1 - holes[0])[None]
    beside, back, *camera = two_motions(filled, holes)
    assert beside[:, :, 0, 47:73, 67:93].abs().max() < 0.5
    assert back[:, :, 0, 47:73, 67:93].abs().max() < 0.5
    for homographies, moved in zip(camera, (-6, 6), strict=True):
        assert homographies.shape == (1, 2, 3, 3)
        flow = homography_flow(homographies[0].double().numpy(), H, W)
        assert (flow[:, 0] - moved).abs().max() < 0.5
        assert flow[:, 1].abs().max() < 0.5


def test_flows_of_a_batch_are_those_of_its_items():
    clips = torch.stack([torch.cat([scene(step * t, seed=step) for t in range(3)]) for step in (2, 5)])
    holes = torch.zeros(2, 3, 1, H, W)
    holes[..., 40:70, 60:90] = 1
    together = stabilised_flows(clips, holes)
    for index in range(2):
        alone = stabilised_flows(clips[index : index + 1], holes[index : index + 1])
        for a, b in zip(together, alone):
            assert torch.allclose(a[index], b[0], atol=1e-4)


def test_what_the_other_frame_hides_is_not_matched():
    frames = torch.cat([scene(12 * t) for t in range(2)])[None]
    holes = torch.zeros(1, 2, 1, H, W)
    holes[..., 40:80, 60:100] = 1
    filled = smooth_fill(frames[0], 1 - holes[0])[None]
    hidden = stabilised_flows(filled, holes)[0][0, 0, 0, 42:78, 102:111]  # known here, in the hole of the next frame
    assert (hidden + 12).abs().max() < 0.5


@pytest.mark.parametrize(
    "motion", [np.zeros((3, 3)), np.diag([0.5, 0.5, 1.0]), np.full((3, 3), np.nan), np.diag([1e-4, 1, 1])]
)
def test_a_motion_that_cannot_be_undone_within_the_frame_is_not_believed(motion):
    assert not _sane(motion, H, W)
    assert _sane(np.eye(3), H, W)
