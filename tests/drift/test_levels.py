"""Levels of an observation that asked a part of the bank speak of the whole bank."""

import numpy as np
import pytest

from driftwatch.drift.levels import whole_bank_levels
from driftwatch.drift.shares import topic_stances
from driftwatch.stance import Probs, Stance


def bank(num=48, seed=0, shift=0.0):
    """Items that lean clearly, each its own way; `shift` of every share of oppose moved to support."""
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet((0.6, 0.45, 0.45), num)
    moved = shift * probs[:, 2]
    probs = probs + moved[:, None] * np.array([1.0, 0.0, -1.0])
    odds = np.log((probs[:, 0] + 0.01) / (probs[:, 2] + 0.01))
    return [
        Stance("work", f"w{i}", "statement", probs=Probs(*p.tolist()), log_odds=float(odds[i]))
        for i, p in enumerate(probs)
    ]


def parts(stances, seed=1, size=10):
    rng = np.random.default_rng(seed)
    for _ in range(12):
        yield [stances[i] for i in rng.choice(len(stances), size, replace=False)]


def score(share):
    return share.probs.support - share.probs.oppose


def test_a_model_that_stands_still_has_a_level_that_stands_still():
    whole, rng = bank(), np.random.default_rng(0)
    (truth,) = topic_stances(whole, rng)
    plain = [score(topic_stances(part, rng)[0]) for part in parts(whole)]
    shown = [whole_bank_levels(part, whole, rng)[0] for part in parts(whole)]
    assert np.ptp(plain) > 0.2, "which is what was shown"
    assert [score(share) for share in shown] == pytest.approx([score(truth)] * 12, abs=1e-9)
    assert [share.log_odds for share in shown] == pytest.approx([truth.log_odds] * 12)
    assert {share.num_missing for share in shown} == {38}


def test_a_model_that_moved_is_shown_where_the_whole_bank_would_show_it():
    before, now, rng = bank(), bank(shift=0.5), np.random.default_rng(0)
    (truth,) = topic_stances(now, rng)
    shown = [whole_bank_levels(part, before, rng)[0] for part in parts(now, size=16)]
    assert np.mean([score(share) for share in shown]) == pytest.approx(score(truth), abs=0.05)
    inside = [share.lower.support <= truth.probs.support <= share.upper.support for share in shown]
    assert np.mean(inside) > 0.8
    assert all(sum(share.probs) == pytest.approx(1.0) for share in shown)


def test_a_look_at_everything_shows_the_plain_mean():
    before, now = bank(), bank(shift=0.3)
    plain, shown = (
        find(np.random.default_rng(0))[0]
        for find in (lambda rng: topic_stances(now, rng), lambda rng: whole_bank_levels(now, before, rng))
    )
    assert plain == shown
    assert shown.num_missing == 0


def test_what_the_baseline_does_not_know_is_shown_as_it_was_asked():
    now, rng = bank(num=6), np.random.default_rng(0)
    assert whole_bank_levels(now, [], rng)[0].num_missing == 0
    unscored = [Stance("work", "w0", "statement", unscored="the model's logits were not finite")]
    assert whole_bank_levels(unscored, bank(), rng)[0].probs is None


def test_shares_stay_shares_where_a_shift_would_take_one_below_0():
    before = [Stance("work", f"w{i}", "statement", probs=Probs(0.9, 0.05, 0.05)) for i in range(10)]
    before += [Stance("work", "x", "statement", probs=Probs(0.0, 0.0, 1.0))]
    now = [Stance("work", "x", "statement", probs=Probs(1.0, 0.0, 0.0))]
    (share,) = whole_bank_levels(now, before, np.random.default_rng(0))
    assert min(share.probs) >= 0.0
    assert sum(share.probs) == pytest.approx(1.0)
