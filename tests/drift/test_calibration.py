import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftwatch.drift.calibration import MIN_TEMPERATURE, Calibration, calibrated, fit_prior
from driftwatch.stance import Probs, Stance

scores = st.tuples(*[st.floats(-5, 0)] * 3).map(lambda s: Probs(*s))


def screen(scores_NS, **figures):
    return [Stance("work", f"w{i}", "statement", scores=Probs(*s), **figures) for i, s in enumerate(scores_NS)]


def test_prior_equals_the_bank_means_and_takes_its_temperature_from_the_items():
    bank = screen([[-1.0, -2.0, -1.4], [-1.2, -2.0, -1.0], [-1.1, -2.3, -1.1]])
    calibration = fit_prior(bank)
    shifted = [s.scores.neutral - calibration.neutral_offset for s in bank]
    sides = [(s.scores.support + s.scores.oppose) / 2 for s in bank]
    assert np.mean(shifted) == pytest.approx(np.mean(sides))
    assert calibration.temperature == pytest.approx(np.std([0.2, -0.1, 0.0]))
    assert (calibration.method, calibration.num_items) == ("prior", 3)


def test_items_that_do_not_differ_get_the_smallest_temperature():
    assert fit_prior(screen([[-1, -2, -1]] * 4)).temperature == MIN_TEMPERATURE


def test_stances_without_scores_are_left_out_of_the_fit():
    bank = screen([[-1.0, -2.0, -1.4], [-1.2, -2.0, -1.0]])
    assert fit_prior([*bank, Stance("work", "x", "statement", unscored="NaN")]) == fit_prior(bank)


def test_nothing_to_fit_is_refused():
    with pytest.raises(ValueError, match="stances with scores, found none"):
        fit_prior([Stance("work", "x", "reply", probs=Probs(1, 0, 0))])


@given(scores, scores, st.floats(-1, 1), st.floats(0.05, 2))
def test_calibrated_probabilities_are_probabilities_and_keep_the_order_of_the_sides(first, second, offset, temperature):
    stance = Stance("work", "w", "statement", scores_by_order=(first, second))
    (found,) = calibrated([stance], Calibration(offset, temperature))
    assert sum(found.probs) == pytest.approx(1)
    for probs, raw in zip(found.by_order, (first, second), strict=True):
        assert (probs.support >= probs.oppose) == (raw.support >= raw.oppose) or probs.support == probs.oppose


def test_a_known_softmax():
    stance = Stance("work", "w", "statement", scores=Probs(-1.0, -1.5, -1.2))
    (found,) = calibrated([stance], Calibration(neutral_offset=-0.5, temperature=0.1))
    odds = np.exp([2.0, 2.0, 0.0])
    assert found.probs == pytest.approx(tuple(odds / odds.sum()))


def test_a_move_that_all_items_share_survives_a_frozen_calibration():
    bank = screen(np.random.default_rng(0).normal(-2, 0.3, (20, 3)))
    frozen = fit_prior(bank)
    moved = screen([(s.scores.support + 0.3, s.scores.neutral, s.scores.oppose) for s in bank])
    before, now = (np.mean([s.probs.support for s in calibrated(b, frozen)]) for b in (bank, moved))
    assert now > before + 0.1


def test_probs_need_both_orders_since_the_taste_for_the_first_side_cancels_only_then():
    stance = Stance("work", "w", "statement", scores=Probs(-1, -2, -1), scores_by_order=(Probs(-1, -2, -1), None))
    (found,) = calibrated([stance], Calibration(0.0, 0.1))
    assert found.probs is None
    assert found.by_order[0] is not None
    assert found.unscored == "one order of the sides was not measured"


def test_stances_that_were_never_scored_come_back_unchanged():
    stance = Stance("work", "w", "statement", unscored="NaN logits")
    assert calibrated([stance], Calibration(0.0, 0.1)) == [stance]
