import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftwatch.drift.calibration import MIN_TEMPERATURE, Calibration, calibrated, fit_labels, fit_prior, softmax
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


def bank_with_labels(num_items, replies_per_item, truth, seed=0):
    """Items whose replies follow a known calibration of their scores."""
    rng = np.random.default_rng(seed)
    scores_NS = rng.normal([-2.0, -2.4, -2.1], 0.3, (num_items, 3))
    probs_NS = softmax(scores_NS, truth)
    counts_NS = np.stack([rng.multinomial(replies_per_item, p) for p in probs_NS])
    replies = [Stance("work", f"w{i}", "reply", probs=Probs(*c / replies_per_item)) for i, c in enumerate(counts_NS)]
    return screen(scores_NS), replies


def test_labels_give_back_the_calibration_that_made_them():
    truth = Calibration(neutral_offset=-0.5, temperature=0.2, side_offset=0.15)
    fit = fit_labels(*bank_with_labels(400, 16, truth), np.random.default_rng(0))
    assert fit.calibration.temperature == pytest.approx(0.2, rel=0.05)
    assert fit.calibration.neutral_offset == pytest.approx(-0.5, abs=0.03)
    assert fit.calibration.side_offset == pytest.approx(0.15, abs=0.03)
    assert fit.log_loss < fit.constant_log_loss
    assert fit.log_loss < fit.prior_log_loss
    assert fit.calibration.method == "labels"


def test_scores_that_say_nothing_get_the_mean_shares_and_no_credit():
    rng = np.random.default_rng(1)
    stances = screen(rng.normal(-2, 0.3, (60, 3)))
    replies = [
        Stance("work", f"w{i}", "reply", probs=Probs(*rng.multinomial(8, [0.5, 0.2, 0.3]) / 8)) for i in range(60)
    ]
    fit = fit_labels(stances, replies, rng)
    assert fit.log_loss > fit.constant_log_loss - 0.01
    shares = np.mean([s.probs for s in calibrated(stances, fit.calibration)], 0)
    assert shares == pytest.approx([0.5, 0.2, 0.3], abs=0.05)


def test_labels_sharper_than_the_smallest_temperature_keep_their_threshold():
    """Log-odds around −0.3, support above that: the offsets must fit the slope that is left, not the steeper one."""
    lean = np.linspace(-0.35, -0.25, 400)
    stances = screen([[-2.0 + d, -2.5, -2.0] for d in lean])
    replies = [
        Stance("work", f"w{i}", "reply", probs=Probs(float(d > -0.3), 0.0, float(d < -0.3))) for i, d in enumerate(lean)
    ]
    fit = fit_labels(stances, replies, np.random.default_rng(0))
    assert fit.calibration.temperature == MIN_TEMPERATURE
    assert fit.is_worth_it
    support = np.array([s.probs.support for s in calibrated(stances, fit.calibration)])
    assert support[:200].max() < 0.51
    assert support[200:].min() > 0.49


def test_a_stance_that_no_reply_took_stays_possible():
    stances = screen(np.random.default_rng(2).normal(-2, 0.3, (30, 3)))
    replies = [Stance("work", f"w{i}", "reply", probs=Probs(1.0, 0.0, 0.0)) for i in range(30)]
    fit = fit_labels(stances, replies, np.random.default_rng(0))
    probs = np.array([s.probs for s in calibrated(stances, fit.calibration)])
    assert (probs > 0).all()
    assert probs[:, 0].min() > 0.8


def test_replies_without_a_stance_are_left_out_of_the_fit():
    stances, replies = bank_with_labels(40, 8, Calibration(0.0, 0.2))
    unread = [Stance("work", "w0", "reply", probs=Probs(0.0, 0.0, 0.0)), *replies[1:]]
    assert fit_labels(stances, unread, np.random.default_rng(0)).calibration.num_items == 39


def test_an_item_counts_by_the_share_of_its_replies_that_took_a_stance():
    """Half of the items say support in all their replies, the others oppose in a quarter: 4 to 1, not 1 to 1."""
    stances = screen([[-2.0, -2.4, -2.0]] * 40)
    shares = [Probs(1.0, 0.0, 0.0), Probs(0.0, 0.0, 0.25)]
    replies = [Stance("work", f"w{i}", "confirm", probs=shares[i % 2]) for i in range(40)]
    (found, *_) = calibrated(stances, fit_labels(stances, replies, np.random.default_rng(0)).calibration)
    assert found.probs.support / found.probs.oppose == pytest.approx(4, rel=0.1)


@given(st.floats(0.1, 1.0), st.integers(0, 5))
def test_a_share_without_a_stance_that_all_items_have_alike_changes_nothing(read, seed):
    stances, replies = bank_with_labels(30, 8, Calibration(-0.4, 0.3), seed)
    fewer = [Stance(s.topic, s.item, s.probe, probs=Probs(*(p * read for p in s.probs))) for s in replies]
    whole, part = (fit_labels(stances, labels, np.random.default_rng(0)) for labels in (replies, fewer))
    assert part.log_loss == pytest.approx(whole.log_loss)
    assert part.calibration.temperature == pytest.approx(whole.calibration.temperature)


def test_a_fit_is_worth_it_where_it_tells_items_apart():
    assert fit_labels(*bank_with_labels(100, 8, Calibration(-0.5, 0.2)), np.random.default_rng(0)).is_worth_it


def test_a_fit_that_learned_only_how_often_each_stance_is_taken_is_not_worth_it():
    """The prior expects as many for as against, and nine of ten are for: easily beaten, and no item told apart."""
    rng = np.random.default_rng(3)
    stances = screen(rng.normal(-2, 0.3, (60, 3)))
    replies = [
        Stance("work", f"w{i}", "reply", probs=Probs(*rng.multinomial(8, [0.9, 0.05, 0.05]) / 8)) for i in range(60)
    ]
    fit = fit_labels(stances, replies, rng)
    assert fit.log_loss < fit.prior_log_loss
    assert not fit.is_worth_it


def test_too_few_labelled_items_are_refused():
    stances, replies = bank_with_labels(9, 8, Calibration(0.0, 0.2))
    with pytest.raises(ValueError, match="at least 10 items with scores and judged replies, found 9"):
        fit_labels(stances, replies, np.random.default_rng(0))
