"""Bounds of a mean from nothing but the limits of its figures."""

import math

import numpy as np
import pytest

from driftwatch.drift.bounded import EVEN_C, STAKES_C, WEIGHTS_C, log_capital, mean_bounds


def test_a_bettor_against_the_true_mean_gains_nothing_on_average():
    """Known answer by enumeration: all 8 sequences of three figures that are 0 or 1 with a mean of 0.3."""
    mean, total = 0.3, 0.0
    for sequence in np.ndindex(2, 2, 2):
        y = np.array(sequence, float)[:, None]
        probability = math.prod(mean if one else 1 - mean for one in sequence)
        total += probability * math.exp(log_capital(y, np.array([mean]))[0])
    assert total == pytest.approx(1.0)


@pytest.mark.parametrize("weights", [WEIGHTS_C, EVEN_C])
def test_the_ends_are_where_the_capital_reaches_one_over_the_tail(weights):
    y = np.random.default_rng(0).uniform(-0.4, 0.6, (40, 3))
    lower, upper = mean_bounds(y, 0.05, weights_C=weights)
    capital = log_capital((y + 1) / 2, (upper + 1) / 2, weights_C=weights)
    assert capital == pytest.approx(math.log(20), abs=1e-6)
    assert (lower < y.mean(0)).all()
    assert (y.mean(0) < upper).all()


def test_all_zeros_give_what_the_first_stake_alone_gives():
    """Closed form, but for what the small stakes add: 0.9 (1 − m)^−n = 1/α for figures of 0 in [0, 1]."""
    (lower,), (upper,) = mean_bounds(np.zeros((30, 1)), 0.05, low=0, high=1)
    assert lower == pytest.approx(0, abs=1e-9)
    assert upper == pytest.approx(1 - (0.05 * 0.9) ** (1 / 30), abs=2e-3)


def test_mirrored_figures_have_mirrored_ends():
    y = np.random.default_rng(1).uniform(-1, 0.2, (25, 2))
    lower, upper = mean_bounds(y, 0.01)
    other_lower, other_upper = mean_bounds(-y, 0.01)
    assert lower == pytest.approx(-other_upper)
    assert upper == pytest.approx(-other_lower)


def test_counts_say_the_same_as_repeated_rows():
    values, counts = np.array([[-1.0], [0.0], [0.5], [1.0]]), np.array([2.0, 30.0, 5.0, 0.0])
    found = mean_bounds(values, 0.02, counts_N=counts)
    assert np.allclose(found, mean_bounds(values.repeat(counts.astype(int), 0), 0.02))


def test_the_order_of_the_figures_does_not_matter():
    y = np.random.default_rng(2).uniform(-1, 1, (30, 1))
    assert np.allclose(mean_bounds(y, 0.05), mean_bounds(y[::-1], 0.05))


def test_nothing_is_known_without_figures():
    assert np.allclose(mean_bounds(np.zeros((0, 2)), 0.05, low=-2, high=1), [[-2, -2], [1, 1]])


def test_figures_beyond_their_limits_are_refused():
    with pytest.raises(ValueError, match=r"expected figures in \[-1, 1\]"):
        mean_bounds([[1.5]], 0.05)
    with pytest.raises(ValueError, match="expected figures"):
        mean_bounds([[float("nan")]], 0.05)


def test_stakes_are_shares_of_a_whole():
    for weights in (WEIGHTS_C, EVEN_C):
        assert weights.sum() == pytest.approx(1)
        assert len(weights) == len(STAKES_C)


@pytest.mark.parametrize("num", [8, 30, 150])
@pytest.mark.parametrize("share", [0.05, 0.11])
def test_each_end_is_wrong_at_most_as_often_as_it_says(num, share):
    """One item in twenty, or nine, changes sides altogether; a t interval is wrong 0.3 of the time."""
    rng = np.random.default_rng([num, round(share * 100)])
    runs = 1500
    lower, upper = mean_bounds((rng.random((num, runs)) < share).astype(float), 0.05)
    allowed = 0.05 + 3 * (0.05 * 0.95 / runs) ** 0.5
    assert (upper < share).mean() <= allowed
    assert (lower > share).mean() <= allowed
