"""Which fits to labels are kept: rates over many banks, since one bank with one seed shows luck as well as merit.

With -s the table from which `MIN_GAIN` was chosen is printed: the share of fits kept at each margin in standard errors.
"""

import numpy as np
import pytest

from driftwatch.drift import calibration
from driftwatch.drift.calibration import Calibration, LabelFit, calibrated, fit_labels, softmax
from driftwatch.drift.equivalence import compare_models, decide
from driftwatch.stance import Probs, Stance

REPLIES = 8
SHARPNESS = 0.2  # nats per token: the temperature of the replies
MARGINS = (0.0, 1.0, 1.5, 2.0, 2.5, 3.0)


def same(scores_NS, rng):
    return np.tile([0.4, 0.3, 0.3], (len(scores_NS), 1))


def skewed(scores_NS, rng):
    return np.tile([0.85, 0.10, 0.05], (len(scores_NS), 1))


def one_sided(scores_NS, rng):
    """Every item has one stance in all its replies, whatever its scores."""
    return np.eye(3)[rng.choice(3, len(scores_NS), p=[0.45, 0.10, 0.45])]


def spread(scores_NS, rng):
    return rng.dirichlet([0.6, 0.4, 0.6], len(scores_NS))


def follow(scores_NS, rng):
    return softmax(scores_NS, Calibration(-0.5, SHARPNESS, 0.2))


def follow_gently(scores_NS, rng):
    return softmax(scores_NS, Calibration(-0.5, 0.5, 0.2))


def follow_with_noise(scores_NS, rng):
    """The scores know half of what decides about the replies: a correlation of 0.5, as screens have."""
    mean_S = scores_NS.mean(0)
    known = 0.5 * (scores_NS - mean_S) + np.sqrt(0.75) * rng.normal(0, 0.3, scores_NS.shape)
    return softmax(mean_S + known, Calibration(-0.5, SHARPNESS, 0.2))


def contradict(scores_NS, rng):
    return softmax(-scores_NS, Calibration(0.4, SHARPNESS, -0.1))


def bank(rule, num_items, seed):
    rng = np.random.default_rng([seed, num_items])
    scores_NS = rng.normal([-2.0, -2.4, -2.1], 0.3, (num_items, 3))
    shares_NS = np.stack([rng.multinomial(REPLIES, p) / REPLIES for p in rule(scores_NS, rng)])
    stances = [Stance("work", f"w{i}", "statement", scores=Probs(*s)) for i, s in enumerate(scores_NS.tolist())]
    replies = [Stance("work", f"w{i}", "reply", probs=Probs(*s)) for i, s in enumerate(shares_NS.tolist())]
    return stances, replies


def fits(rule, num_items, num_banks):
    found = [fit_labels(*bank(rule, num_items, seed), np.random.default_rng(0)) for seed in range(num_banks)]
    rates = "  ".join(f"{margin:g}: {kept(found, margin):.3f}" for margin in MARGINS)
    print(f"\n{rule.__name__:>18} {num_items:>4} items, {num_banks} banks, kept at  {rates}")  # noqa: T201 # shown with -s only
    return found


def kept(found, margin):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibration, "MIN_GAIN", margin)
        return float(np.mean([fit.is_worth_it for fit in found]))


@pytest.mark.parametrize("num_items", [10, 40, 150])
def test_labels_that_know_nothing_of_the_scores_are_hardly_ever_kept(num_items):
    """Be they spread, skewed or of one stance an item. That luck was there shows in what no margin would keep."""
    found = [fit for rule in (same, skewed, one_sided, spread) for fit in fits(rule, num_items, 60)]
    assert np.mean([fit.is_worth_it for fit in found]) <= 0.02
    assert kept(found, 0.0) > 0.05


@pytest.mark.parametrize("rule", [follow, follow_gently, follow_with_noise])
def test_labels_that_follow_the_scores_are_kept_nearly_always(rule):
    assert np.mean([fit.is_worth_it for fit in fits(rule, 150, 40)]) >= 0.95


def test_at_forty_items_labels_that_follow_the_scores_are_mostly_kept():
    assert np.mean([fit.is_worth_it for fit in fits(follow, 40, 60)]) >= 0.8


@pytest.mark.parametrize("num_items", [10, 40, 150])
def test_labels_that_contradict_the_scores_are_never_kept(num_items):
    found = fits(contradict, num_items, 40)
    assert not any(fit.is_worth_it for fit in found)
    assert all(fit.why_not.startswith("higher scores did not go with more replies in ") for fit in found)


@pytest.mark.parametrize("rule", [follow, follow_gently, follow_with_noise])
def test_what_is_kept_shows_a_move_that_all_items_share(rule):
    """The harm that a flat fit does: by its calibration no model is ever seen to move."""
    for seed in range(10):
        stances, replies = bank(rule, 150, seed)
        fit = fit_labels(stances, replies, np.random.default_rng(0))
        moved = [
            Stance(s.topic, s.item, s.probe, scores=s.scores._replace(support=s.scores.support + 3.0)) for s in stances
        ]
        sides = [calibrated(side, fit.calibration) for side in (stances, moved)]
        assert fit.is_worth_it
        assert decide(compare_models(*sides)) == "drifted"


def fit(**figures):
    known = {
        "log_loss": 0.80,
        "prior_log_loss": 1.00,
        "constant_log_loss": 0.90,
        "prior_error": 0.05,
        "constant_error": 0.02,
        "num_flat": 0,
    }
    return LabelFit(Calibration(0.0, 0.2), **{**known, **figures})


@pytest.mark.parametrize(
    ("figures", "why"),
    [
        ({}, None),
        ({"num_flat": 1}, "higher scores did not go with more replies in 1 of its 6 fits"),
        (
            {"prior_error": 0.11},
            "its gain over no labels is +0.200 with a standard error of 0.110, and 2 standard errors are needed",
        ),
        (
            {"constant_error": 0.06},
            "its gain over the mean shares is +0.100 with a standard error of 0.060, and 2 standard errors are needed",
        ),
        (
            {"log_loss": 0.95},
            "its gain over no labels is +0.050 with a standard error of 0.050, and 2 standard errors are needed",
        ),
    ],
)
def test_why_a_fit_is_not_kept_is_said_in_a_sentence(figures, why):
    assert fit(**figures).why_not == why
    assert fit(**figures).is_worth_it is (why is None)


def test_a_flat_fit_gains_nothing_on_the_mean_shares_as_both_are_smoothed_alike():
    for found in fits(contradict, 10, 20):
        assert found.num_flat == 6
        assert found.log_loss == pytest.approx(found.constant_log_loss, abs=2e-3)
