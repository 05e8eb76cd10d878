"""Own functions against `math`, own draws against what is promised of them."""

import math

import numpy as np
import pytest

from videoinpaint.clips.studio import exact
from videoinpaint.clips.studio.draws import Draws


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


@pytest.mark.parametrize(
    ("own", "theirs", "low", "high"),
    [
        (exact.sin, math.sin, -10_000, 10_000),
        (exact.cos, math.cos, -10_000, 10_000),
        (exact.sin, math.sin, -4, 4),
        (exact.cos, math.cos, -4, 4),
        (exact.exp, math.exp, -3, 3),
        (exact.log, math.log, 1e-6, 300),
    ],
)
def test_functions_agree_with_math(own, theirs, low: float, high: float) -> None:
    values = np.linspace(low, high, 4001)
    expected = [theirs(value) for value in values]
    np.testing.assert_allclose(own(values), expected, rtol=1e-12, atol=1e-12)
    assert [float(own(float(value))) for value in values[::100]] == own(values)[::100].tolist()


def test_exp_and_log_agree_with_math_far_out() -> None:
    values = np.linspace(-700, 700, 1401)
    np.testing.assert_allclose(exact.exp(values), [math.exp(value) for value in values], rtol=1e-12)
    np.testing.assert_allclose(exact.log(exact.exp(values)), values, rtol=1e-12, atol=1e-12)


def test_the_angle_of_a_vector_in_every_quadrant() -> None:
    for angle in np.linspace(-3.1, 3.1, 401):
        x, y = 7 * math.cos(angle), 7 * math.sin(angle)
        assert exact.angle_of(x, y) == pytest.approx(math.atan2(y, x), abs=1e-12)
    assert exact.angle_of(0, 0) == 0
    assert exact.angle_of(-2, 0) == math.pi


def test_the_mean_does_not_depend_on_the_order() -> None:
    values = [1e16, 1.0, -1e16, 3.0]
    assert exact.mean(values) == exact.mean(sorted(values)) == 1.0


def test_numbers_come_from_the_raw_words_and_from_nothing_else() -> None:
    words = [int(word) for word in generator().bit_generator.random_raw(4)]
    draws = Draws(generator())
    assert draws.random() == (words[0] >> 11) / 2**53
    assert draws.below(10) == words[1] * 10 >> 64
    assert draws.uniform(-2, 2) == -2 + (words[2] >> 11) / 2**53 * 4
    assert draws.pick("abc") == "abc"[words[3] * 3 >> 64]
    shared = generator()
    assert Draws(shared).random() == (words[0] >> 11) / 2**53
    assert Draws(shared).below(10) == words[1] * 10 >> 64


def test_generators_of_32_bits_fill_the_whole_range() -> None:
    numbers = Draws(np.random.Generator(np.random.MT19937(0))).randoms(2000)
    assert numbers.mean() == pytest.approx(0.5, abs=0.03)
    assert numbers.max() > 0.99


def test_draws_have_the_distributions_that_they_are_named_after() -> None:
    draws = Draws.seeded(1)
    normals = draws.normals(20_000)
    assert normals.mean() == pytest.approx(0, abs=0.03)
    assert normals.std() == pytest.approx(1, abs=0.03)
    assert (np.abs(normals) < 1).mean() == pytest.approx(0.683, abs=0.02)
    counts = np.bincount([draws.below(5) for _ in range(5000)], minlength=5)
    assert len(counts) == 5
    assert counts.min() > 850
    assert {draws.whole(3, 6) for _ in range(100)} == {3, 4, 5}
    numbers = draws.uniforms(2, 3, 5000)
    assert numbers.min() >= 2
    assert numbers.max() < 3
    assert numbers.mean() == pytest.approx(2.5, abs=0.02)


def test_spawned_streams_differ_and_do_not_depend_on_one_another() -> None:
    one, two, three = Draws.seeded(4, 2).spawn(3)
    one.randoms(100)
    again = Draws.seeded(4, 2).spawn(3)
    assert two.random() == again[1].random()
    assert len({draws.random() for draws in (one, two, three, *Draws.seeded(4, 3).spawn(3))}) == 6
