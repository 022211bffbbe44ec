import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftwatch.drift.divergence import crossfit_total_variation, score_shift, total_variation, wasserstein_ordinal

weights = st.tuples(*[st.floats(0.01, 1)] * 3).map(lambda w: np.array(w) / sum(w))


@given(weights, weights)
def test_total_variation_is_the_largest_drift_magnitude(before, now):
    assert total_variation(before, now) == pytest.approx(np.abs(now - before).max(), abs=1e-12)


@given(weights, weights)
def test_distances_are_symmetric_bounded_and_zero_only_for_equals(before, now):
    for distance, bound in ((total_variation, 1), (wasserstein_ordinal, 2)):
        assert distance(before, now) == pytest.approx(distance(now, before))
        assert 0 <= distance(before, now) <= bound
        assert distance(before, before) == 0


@given(weights, weights)
def test_swapping_the_poles_turns_the_score_shift_round_and_keeps_the_distances(before, now):
    assert score_shift(before[::-1], now[::-1]) == pytest.approx(-score_shift(before, now))
    assert wasserstein_ordinal(before[::-1], now[::-1]) == pytest.approx(wasserstein_ordinal(before, now))


def test_a_flip_is_twice_as_far_as_a_step_to_neutral():
    support, neutral, oppose = np.eye(3)
    assert wasserstein_ordinal(oppose, neutral) == 1
    assert wasserstein_ordinal(oppose, support) == 2
    assert total_variation(oppose, neutral) == total_variation(oppose, support) == 1


def test_replies_that_lose_their_stance_count_as_a_fourth_outcome():
    assert total_variation([0.5, 0.2, 0.3], [0.4, 0.2, 0.3]) == pytest.approx(0.1)


def test_a_bank_instead_of_a_mean_is_refused():
    with pytest.raises(ValueError, match=r"shape \(3,\), found \(2, 3\)"):
        total_variation([[1, 0, 0], [0, 0, 1]], [1, 0, 0])


def test_crossfit_removes_the_bias_of_the_plug_in():
    """Known answer: 50 items of five hard-labelled replies have a plug-in total variation of 0.03 without any drift."""
    rng = np.random.default_rng(1)
    probs_NS = rng.dirichlet([0.45, 0.45, 0.6], 50)
    plug_in, crossfit = [], []
    for _ in range(200):
        sampled = [rng.multinomial(5, probs_NS) / 5 for _ in range(2)]
        shift_NS = sampled[1] - sampled[0]
        plug_in.append(np.abs(shift_NS.mean(0)).max())
        crossfit.append(crossfit_total_variation(shift_NS, rng))
    assert 0.02 < np.mean(plug_in) < 0.05
    assert abs(np.mean(crossfit)) < 0.006  # three standard errors


def test_crossfit_finds_a_shift_that_all_items_share():
    shift_NS = np.tile([0.1, 0.05, -0.15], (20, 1))
    assert crossfit_total_variation(shift_NS, np.random.default_rng(0)) == pytest.approx(0.15)


def test_crossfit_on_three_items_is_none():
    assert crossfit_total_variation(np.zeros((3, 3)), np.random.default_rng(0)) is None
