"""The policy network: what it sees, its Gaussian, its value head, its file."""

from __future__ import annotations

from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecEnv

import videoinpaint
from videoinpaint.agents import ClosedLoopExtractor, ClosedLoopPolicy, load_policy, make_policy, save_policy
from videoinpaint.agents.policies.acting import NetworkPolicy
from videoinpaint.agents.policies.export import blank_network
from videoinpaint.agents.policies.extractor import LOOKED_AT
from videoinpaint.agents.policies.features import FEATURES, clip_features
from videoinpaint.agents.policies.heads import LEAST_ROOM, LOG_STD, GaussianHead, StandardisedValue
from videoinpaint.agents.policies.reveal import evenly
from videoinpaint.agents.policies.thumbnails import THUMBNAIL, thumbnail_space, thumbnails
from videoinpaint.controls import action_to_controls
from videoinpaint.errors import CorruptWeightsError, InputError, MissingWeightsError
from videoinpaint.testing import check_policy


def seen(observation: dict) -> dict[str, torch.Tensor]:
    return {"thumbnails": thumbnails(*(torch.from_numpy(observation[key]) for key in ("frames", "masks")))}


def test_thumbnails_are_area_means_frame_by_frame() -> None:
    height, width = 2 * THUMBNAIL[0], 3 * THUMBNAIL[1]
    frames = torch.randint(0, 256, (2, 9, height, width), dtype=torch.uint8)
    masks = torch.randint(0, 256, (2, 3, height, width), dtype=torch.uint8)
    small = thumbnails(frames, masks)
    assert small.shape == (2, 3, 4, *THUMBNAIL)
    block = frames[1, 7, 4:6, 6:9].float().mean()  # frame 2's green, cell (2, 2)
    assert small[1, 2, 1, 2, 2] == block.round()
    assert small[0, 1, 3, 0, 1] == masks[0, 1, :2, 3:6].float().mean().round()


def test_thumbnails_of_odd_sizes(observation: dict) -> None:
    for height, width in ((32, 33), (77, 201)):
        assert thumbnails(torch.zeros(1, 3, height, width), torch.ones(1, 1, height, width)).shape[3:] == THUMBNAIL


def test_both_mean_and_deviation_depend_on_the_state(observation: dict) -> None:
    network = blank_network()
    with torch.no_grad():
        network.action_net.linear.weight.mul_(100)
    other = {key: 255 - value for key, value in observation.items()}
    one, two = (network.get_distribution(seen(o)).distribution for o in (observation, other))
    assert not torch.allclose(one.mean, two.mean, atol=1e-4)
    assert not torch.allclose(one.stddev, two.stddev, atol=1e-4)
    assert one.mean.abs().max() <= 1
    assert one.stddev.log().min() >= LOG_STD[0] + np.log(LEAST_ROOM)
    assert one.stddev.log().max() <= LOG_STD[1] + 1e-6


def test_noise_shrinks_towards_the_bounds_and_clipping_hardly_lifts_the_lowest() -> None:
    head = GaussianHead(1, np.array([-1], np.float32))
    head.start(0.25)
    with torch.no_grad():
        head.linear.weight.copy_(torch.tensor([[1.0], [0.0]])), head.linear.bias[0].fill_(0.0)
    latent = torch.tensor([[0.0], [-1.0], [-2.0], [-50.0]])
    mean, log_std = (part.detach() for part in head(latent))
    std = log_std.exp()
    torch.testing.assert_close(std[:2], 0.25 * (1 - mean[:2] ** 2))
    torch.testing.assert_close(std[2:], torch.full((2, 1), 0.25 * LEAST_ROOM))
    noise = torch.randn(1, 10_000, generator=torch.Generator().manual_seed(0))
    heads = action_to_controls(torch.cat([(mean + std * noise).reshape(-1, 1), torch.zeros(40_000, 4)], 1).numpy())
    assert heads[30_000:, 0].mean() < 2.001  # at the bound itself
    assert heads[20_000:30_000, 0].mean() < 2.05  # plain noise of that size: 2.6
    slope = torch.autograd.grad(head(latent.requires_grad_())[1].sum(), latent)[0]
    assert torch.isfinite(slope).all()


def test_gradient_reaches_every_parameter_and_both_halves_of_the_head(observation: dict) -> None:
    network = blank_network()
    values, log_probs, _ = network.evaluate_actions(seen(observation), torch.full((3, 5), 0.3))
    (values.sum() + log_probs.sum()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())
    mean, spread = network.action_net.linear.weight.grad.chunk(2)
    assert mean.abs().sum() > 0
    assert spread.abs().sum() > 0


def test_a_policy_begins_with_the_deviation_it_is_told(observation: dict) -> None:
    space, actions = thumbnail_space(3), spaces.Box(-1.0, 1.0, (5,), np.float32)
    for std in (0.1, 0.5):
        network = ClosedLoopPolicy(space, actions, lambda _: 0.0, start_std=std)
        found = network.get_distribution(seen(observation)).distribution.stddev
        room = 1 - network.get_distribution(seen(observation)).distribution.mean ** 2
        torch.testing.assert_close(found, std * room, rtol=0.1, atol=0)
    with pytest.raises(InputError, match="start_std"):
        ClosedLoopPolicy(space, actions, lambda _: 0.0, start_std=2.0)


def test_training_samples_and_evaluation_takes_the_mean(observation: dict) -> None:
    network, inputs = blank_network(), seen(observation)
    torch.manual_seed(0)
    samples = torch.stack([network(inputs)[0] for _ in range(2)])
    assert not torch.equal(samples[0], samples[1])
    mean = network(inputs, deterministic=True)[0]
    torch.testing.assert_close(mean, network.get_distribution(inputs).distribution.mean)
    np.testing.assert_allclose(NetworkPolicy(network).act(observation), mean.detach().numpy(), atol=1e-6)


def test_length_and_size_are_free(observation: dict) -> None:
    policy = NetworkPolicy(blank_network())
    for time, height, width in ((1, 32, 32), (7, 37, 51), (3, 120, 216)):
        shapes = {"frames": (2, 3 * time, height, width), "masks": (2, time, height, width)}
        assert policy.act({k: np.zeros(s, np.uint8) for k, s in shapes.items()}).shape == (2, 5)
    with pytest.raises(InputError, match="batch of frames"):
        policy.act({key: value[0] for key, value in observation.items()})


def test_stock_policy_learns_with_the_extractor(toy_vec: VecEnv) -> None:
    kwargs = {"features_extractor_class": ClosedLoopExtractor}
    model = PPO("MultiInputPolicy", toy_vec, n_steps=4, batch_size=6, n_epochs=1, policy_kwargs=kwargs)
    assert isinstance(model.policy.features_extractor, ClosedLoopExtractor)
    before = {name: value.clone() for name, value in model.policy.named_parameters()}
    model.learn(12)
    still = [name for name, value in model.policy.named_parameters() if torch.equal(value, before[name])]
    assert not still


def test_extractor_sees_the_same_with_and_without_normalisation(observation: dict) -> None:
    space = spaces.Dict({k: spaces.Box(0, 255, v.shape[1:], np.uint8) for k, v in observation.items()})
    plain = ClosedLoopExtractor(space, white=255.0)
    scaled = ClosedLoopExtractor(space, white=1.0)
    scaled.load_state_dict(plain.state_dict())
    raw = {key: torch.from_numpy(value).float() for key, value in observation.items()}
    one, two = plain(raw), scaled({key: value / 255 for key, value in raw.items()})
    torch.testing.assert_close(one, two, atol=1e-2, rtol=1e-2)  # a rounding may fall the other way


@pytest.mark.parametrize("policy", ["MultiInputPolicy", ClosedLoopPolicy])
def test_plain_ppo_learns_on_the_environment(policy: object, small: dict) -> None:
    env = gymnasium.make("VideoInpaint-v0", **small)
    model = PPO(policy, env, n_steps=4, batch_size=4, n_epochs=1, device="cpu")  # type: ignore[arg-type]
    model.learn(4)
    action, _ = model.predict(env.reset(seed=0)[0], deterministic=True)
    assert env.action_space.contains(action)


def test_value_head_keeps_its_predictions_when_the_scale_moves() -> None:
    head, latent = StandardisedValue(8), torch.randn(5, 8)
    head.update(torch.tensor([3.0, 3.5, 4.0]))
    assert float(head.mean) == 3.5
    before = head(latent)
    head.update(torch.tensor([10.0, 20.0]))
    assert float(head.mean) > 3.5
    torch.testing.assert_close(head(latent), before, atol=1e-5, rtol=1e-5)


def test_wrong_spaces_are_refused() -> None:
    box = spaces.Box(-1.0, 1.0, (5,), np.float32)
    with pytest.raises(InputError, match="frames"):
        ClosedLoopPolicy(spaces.Dict({"masks": spaces.Box(0, 255, (2, 40, 40), np.uint8)}), box, lambda _: 0.0)


def test_round_trip_of_a_file(tmp_path: Path, observation: dict) -> None:
    network = blank_network()
    with torch.no_grad():
        network.action_net.linear.weight.mul_(100)
    path = save_policy(tmp_path / "policy.safetensors", network, {"steps": 5})
    for spec in (path, str(path), tmp_path):
        loaded = make_policy(spec)
        assert isinstance(loaded, NetworkPolicy)
        np.testing.assert_array_equal(loaded.act(observation), NetworkPolicy(network).act(observation))
    assert load_policy(path).training == {"steps": 5}
    check_policy(load_policy(path))
    assert [p.name for p in tmp_path.iterdir()] == ["policy.safetensors"]


def test_files_that_are_no_policies(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "pickle.pt")
    (tmp_path / "junk.safetensors").write_bytes(b"\x80\x04junk")
    good = save_policy(tmp_path / "cut.safetensors", blank_network())
    good.write_bytes(good.read_bytes()[:-100])
    videoinpaint_weights = Path(videoinpaint.__file__).parent / "data" / "inpainter-compact.safetensors"
    for path in (tmp_path / "pickle.pt", tmp_path / "junk.safetensors", good, videoinpaint_weights):
        with pytest.raises(CorruptWeightsError):
            load_policy(path)
    with pytest.raises(MissingWeightsError):
        load_policy(tmp_path / "absent.safetensors")


def test_a_moving_camera_is_seen_although_every_frame_looks_alike() -> None:
    generator = torch.Generator().manual_seed(0)
    picture = torch.randint(0, 256, (1, 1, 4, *THUMBNAIL), dtype=torch.uint8, generator=generator)
    still = picture.repeat(1, 4, 1, 1, 1)
    moving = torch.cat([picture.roll(8 * t, -1) for t in range(4)], dim=1)
    torch.manual_seed(0)
    extractor = blank_network().features_extractor
    one, other = (extractor({"thumbnails": seen}) for seen in (still, moving))
    assert (one - other).norm() > 0.2 * one.norm()


def test_an_untrained_policy_begins_in_the_middle_of_every_range(observation: dict) -> None:
    mean = blank_network().get_distribution(seen(observation)).distribution.mean
    np.testing.assert_allclose(mean.detach().numpy(), 0, atol=0.1)


def test_the_cnn_leaves_room_for_the_hand_made_features(observation: dict) -> None:
    space = spaces.Dict({k: spaces.Box(0, 255, v.shape[1:], np.uint8) for k, v in observation.items()})
    with pytest.raises(InputError, match="features_dim"):
        ClosedLoopExtractor(space, features_dim=len(FEATURES))
    one = ClosedLoopExtractor(space, features_dim=len(FEATURES) + 1, white=255.0)
    features = one({key: torch.from_numpy(value).float() for key, value in observation.items()})
    torch.testing.assert_close(features[:, 1:], clip_features(seen(observation)["thumbnails"]))


def test_the_cnn_looks_at_frames_of_the_whole_clip_and_no_more_than_it_says() -> None:
    assert evenly(5, LOOKED_AT) == [0, 1, 2, 3, 4]
    chosen = evenly(24, LOOKED_AT)
    assert (len(chosen), chosen[0], chosen[-1]) == (LOOKED_AT, 0, 23)
    assert max(np.diff(chosen)) - min(np.diff(chosen)) <= 1
