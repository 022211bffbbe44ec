import numpy as np
import pytest

from driftwatch.drift.outcome import NUM_OUTCOMES, SHIFT_KP, Outcome
from driftwatch.drift.planning import Terms, detectable_drift, draws_needed, nominal_pairs, observed_pairs
from driftwatch.drift.simulate import Scenario, run

TERMS = Terms(num_topics=11, planned_looks=40)


@pytest.mark.parametrize(("without_stance", "accuracy"), [(0.0, 1.0), (0.2, 1.0), (0.02, 0.8)])
def test_nominal_pairs_are_probabilities_of_a_model_that_did_not_move(without_stance, accuracy):
    pairs = nominal_pairs(without_stance=without_stance, accuracy=accuracy)
    assert pairs.sum() == pytest.approx(1)
    assert (pairs >= 0).all()
    assert SHIFT_KP @ pairs == pytest.approx([0, 0])
    now = pairs.reshape(NUM_OUTCOMES, NUM_OUTCOMES).sum(1)
    assert now[Outcome.UNREAD] == pytest.approx(without_stance)


def test_two_replies_to_one_item_agree_as_often_as_simulated_ones():
    """Known answer by Monte Carlo: the second moments of the Dirichlet population."""
    rng = np.random.default_rng(0)
    items = rng.dirichlet(1.5 * np.array([0.4, 0.3, 0.3]), 200_000)
    assert nominal_pairs(without_stance=0.0).reshape(6, 6)[0, 2] == pytest.approx(
        (items[:, 0] * items[:, 2]).mean(), abs=2e-3
    )


def test_more_draws_find_smaller_drifts():
    found = [detectable_drift(nominal_pairs(), n, TERMS) for n in (100, 200, 400, 1600)]
    assert found == sorted(found, reverse=True)
    assert found[-1] > TERMS.min_effect


def test_hardly_any_draws_find_nothing():
    assert detectable_drift(nominal_pairs(), 8, TERMS) is None
    assert detectable_drift(nominal_pairs(), 0, TERMS) is None


def test_draws_needed_is_the_inverse_of_what_is_detectable():
    needed = draws_needed(nominal_pairs(), 0.15, TERMS)
    assert detectable_drift(nominal_pairs(), needed, TERMS) <= 0.15
    assert detectable_drift(nominal_pairs(), needed - 1, TERMS) > 0.15


def test_effects_at_or_below_the_minimal_one_are_never_found():
    assert draws_needed(nominal_pairs(), 0.05, TERMS) is None


def test_a_stricter_alpha_more_topics_and_no_plan_never_need_fewer_draws():
    needed = [
        draws_needed(nominal_pairs(), 0.2, terms)
        for terms in (
            Terms(3, 40, alpha=0.1),
            Terms(3, 40, alpha=0.01),
            Terms(11, 40, alpha=0.01),
            Terms(11, None, alpha=0.01),
        )
    ]
    assert needed == sorted(needed)
    assert needed[0] < needed[1] < needed[2]


def test_observed_pairs_are_symmetric_and_close_to_the_nominal_ones_where_draws_are_few():
    counts = np.zeros(NUM_OUTCOMES**2)
    counts[Outcome.SUPPORT * NUM_OUTCOMES + Outcome.OPPOSE] = 4
    pairs = observed_pairs(counts).reshape(NUM_OUTCOMES, NUM_OUTCOMES)
    assert (pairs == pairs.T).all()
    assert np.abs(pairs - nominal_pairs().reshape(NUM_OUTCOMES, NUM_OUTCOMES)).max() < 0.08


@pytest.mark.parametrize(("effect", "without_stance"), [(0.2, 0.02), (0.2, 0.2), (0.15, 0.02)])
def test_the_plan_agrees_with_the_simulation(effect, without_stance):
    """The median run alerts about when the plan says."""
    seen = effect * (1 - without_stance)
    planned = draws_needed(nominal_pairs(without_stance=without_stance), seen, TERMS, power=0.5)
    looks = 10
    scenario = Scenario(
        "plan",
        drift=effect,
        pace=0,
        hidden=without_stance,
        rule="fixed",
        normal=round(planned / looks),
        looks=40,
        deltas=(0.0,),
    )
    found = run(scenario, 150, np.random.default_rng(1)).value_RVD[:, 0, 0]
    median = np.median(np.where(found > 0, found, 41))
    assert 0.75 * looks <= median <= 1.3 * looks
