import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftwatch.evidence import betting


@pytest.mark.parametrize("planned", [1, 2, 40])
def test_planned_weights_sum_to_one_and_nothing_starts_beyond_the_plan(planned):
    weights = [betting.start_weight(look, planned) for look in range(1, planned + 10)]
    assert math.fsum(weights) == pytest.approx(1)
    assert weights[planned:] == [0.0] * 9


def test_weights_without_a_plan_never_sum_to_more_than_one():
    """The rest of the series from n on is below 1 / ln n."""
    spent = math.fsum(betting.start_weight(look, None) for look in range(1, 100_000))
    assert spent + 1 / (betting.SLOW_WEIGHT_SUM * math.log(100_000)) < 1


@pytest.mark.parametrize("planned", [None, 1, 7])
def test_weight_spent_and_cash_left_are_the_whole_stake(planned):
    for look in range(15):
        spent = math.fsum(betting.start_weight(t, planned) for t in range(1, look + 1))
        assert spent + betting.cash(look, planned) == pytest.approx(1)


def test_one_look_by_hand():
    """Two draws of 1 and one of -1 at the bet of one half: L = 1.5 · 1.5 · 0.5 = 1.125."""
    counts = np.array([2.0, 1.0])
    log_l = counts @ betting.log_factors(np.array([1.0, -1.0]), np.array([0.5]))
    log_a = betting.advance(np.full(1, -math.inf), log_l, 0.5)
    assert np.exp(log_a[0]) == pytest.approx(1.125 * 0.5)
    assert np.exp(betting.log_evidence(log_a, 0.5)) == pytest.approx(1.125 * 0.5 + 0.5)


@given(st.lists(st.floats(-600, 600), min_size=1, max_size=6))
def test_the_log_of_a_mean_agrees_with_numpy_and_does_not_overflow(values):
    expected = np.logaddexp.reduce(values) - math.log(len(values))
    assert betting.log_mean(np.array(values)) == pytest.approx(expected, abs=1e-9)


def test_the_log_of_a_mean_of_nothing_is_minus_infinity():
    assert betting.log_mean(np.full(3, -math.inf)) == -math.inf


@given(st.floats(-700, 700), st.floats(-30, 30), st.floats(0.001, 1))
def test_advance_agrees_with_its_definition(log_a, log_l, weight):
    found = betting.advance(np.array([log_a]), np.array([log_l]), weight)
    assert found[0] == pytest.approx(log_l + np.logaddexp(log_a, math.log(weight)), abs=1e-9)
