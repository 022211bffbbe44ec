import numpy as np
import pytest

from driftwatch.drift.outcome import NOT_DRAWN, Outcome
from driftwatch.simulation import bank as synthetic
from driftwatch.simulation.bank import CHANGES


@pytest.fixture
def bank():
    return synthetic.new_bank(np.random.default_rng(0), 3, 4, 50)


@pytest.mark.parametrize("change", CHANGES)
def test_changes_without_drift_hold_every_bank_mean_exactly(bank, change):
    rng = np.random.default_rng(1)
    for amount in (0.2, 0.7, 1.0):
        now = bank.changed(change, np.full(3, amount), rng)
        assert np.abs(now.mean(2) - bank.probs_RTMS.mean(2)).max() < 1e-8
        assert now.sum(-1) == pytest.approx(1)
        assert now.min() >= 0


@pytest.mark.parametrize("change", [c for c in CHANGES if c != "none"])
def test_changes_without_drift_do_move_items(bank, change):
    now = bank.changed(change, np.ones(3), np.random.default_rng(1))
    assert np.abs(now - bank.probs_RTMS).mean() > 0.02


@pytest.mark.parametrize("source", [1, 2])
def test_drift_moves_the_stated_mass_on_the_stated_topics_only(bank, source):
    mass = bank.drift_mass(0.1, slice(1), source)
    now = synthetic.drifted(bank.probs_RTMS, mass, np.ones(3), source)
    moved = now.mean(2) - bank.probs_RTMS.mean(2)
    assert moved[:, 0, 0] == pytest.approx(0.1)
    assert moved[:, 0, source] == pytest.approx(-0.1)
    assert (moved[:, 1:] == 0).all()
    assert now.min() >= 0


def test_a_bank_cannot_lose_more_than_it_has(bank):
    mass = bank.drift_mass(0.9, slice(1), 2)
    assert mass[:, 0].mean(1) == pytest.approx(bank.probs_RTMS[:, 0, :, 2].mean(1))


def test_replies_follow_what_the_judge_reports(bank):
    rng = np.random.default_rng(2)
    cumulative = synthetic.read(bank.probs_RTMS, error=0.2, hidden_RTMS=np.array([0.3, 0.0, 0.0]))
    items = rng.integers(0, 50, (3, 4, 4000))
    outcomes = synthetic.replies(rng, cumulative, items, np.ones(items.shape, bool))
    shares = [(outcomes == o).mean() for o in (Outcome.SUPPORT, Outcome.NEUTRAL, Outcome.OPPOSE, Outcome.UNREAD)]
    support, neutral, oppose = bank.probs_RTMS.mean((0, 1, 2)) * [0.7, 1, 1]
    expected = [0.8 * support + 0.1 * (neutral + oppose), 0.8 * neutral + 0.1 * (support + oppose)]
    assert shares[:2] == pytest.approx(expected, abs=0.02)
    assert shares[3] == pytest.approx(1 - support - neutral - oppose, abs=0.02)


def test_what_is_not_drawn_gets_no_reply(bank):
    items = np.zeros((3, 4, 5), int)
    outcomes = synthetic.replies(
        np.random.default_rng(0), synthetic.read(bank.probs_RTMS, error=0, hidden_RTMS=0), items, items > 0
    )
    assert (outcomes == NOT_DRAWN).all()
