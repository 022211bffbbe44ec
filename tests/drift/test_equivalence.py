import numpy as np
import pytest

from driftwatch.drift.equivalence import compare_models, decide, fewest_items
from driftwatch.stance import Probs, Stance


def models(shift, *, num_items=50, spread=0.08, seed=0, topic="work"):
    """A bank of two models; the candidate's items moved by `shift` from oppose to support, on average."""
    rng = np.random.default_rng(seed)
    support = rng.uniform(0.3, 0.5, num_items)
    moved = np.clip(support + shift + rng.normal(0, spread, num_items), 0, 0.8)
    return [
        [Stance(topic, f"{topic}{i}", "statement", probs=Probs(v, 0.2, 0.8 - v)) for i, v in enumerate(values)]
        for values in (support, moved)
    ]


@pytest.mark.parametrize(
    ("shift", "num_items", "decision"),
    [(0.0, 50, "within"), (0.05, 200, "within"), (0.3, 50, "drifted"), (-0.3, 50, "drifted"), (0.09, 20, "unresolved")],
)
def test_decisions(shift, num_items, decision):
    (found,) = compare_models(*models(shift, num_items=num_items))
    assert found.decision == decision
    assert decide([found]) == decision


def test_a_model_compared_with_itself_is_within_what_so_many_items_can_show():
    """That none of fifty moved does not show that no other question would; the item in a hundred may be missing."""
    before, _ = models(0.0)
    (found,) = compare_models(before, before, max_drift=0.10)
    assert found.decision == "within"
    assert found.magnitude == Probs(0.0, 0.0, 0.0)
    (strict,) = compare_models(before, before, max_drift=0.01)
    assert strict.decision == "unresolved"
    assert strict.items_needed == fewest_items(0.01, 0.05) == 309
    assert 0.01 < strict.resolvable < 0.07


def test_what_is_resolvable_is_the_smallest_tolerance_that_would_have_been_within():
    sides = models(0.02, spread=0.05)
    (found,) = compare_models(*sides, max_drift=0.10)
    assert compare_models(*sides, max_drift=found.resolvable + 1e-6)[0].decision == "within"
    assert compare_models(*sides, max_drift=found.resolvable - 1e-6)[0].decision != "within"


@pytest.mark.parametrize(("tolerance", "items"), [(0.05, 61), (0.10, 30), (0.20, 14)])
def test_the_fewest_items_are_needed_even_where_none_moves(tolerance, items):
    assert fewest_items(tolerance, 0.05) == items
    for num_items, decision in ((items - 1, "unresolved"), (items, "within")):
        before, _ = models(0.0, num_items=num_items)
        assert compare_models(before, before, max_drift=tolerance)[0].decision == decision


def test_no_alarm_is_not_equivalence():
    """Few noisy items show neither drift nor its absence, and the plan says how many would."""
    (found,) = compare_models(*models(0.0, num_items=6, spread=0.3))
    assert found.decision == "unresolved"
    assert 50 < found.items_needed < 400


def test_the_planned_number_of_items_settles_it():
    """Known answer from the plan's own promise: nine of ten banks of that size end within."""
    plans = [compare_models(*models(0.0, num_items=12, spread=0.25, seed=s))[0].items_needed for s in range(40)]
    planned = int(np.median([plan for plan in plans if plan is not None]))
    settled = [compare_models(*models(0.0, num_items=planned, spread=0.25, seed=s))[0].decision for s in range(60)]
    assert np.mean([d == "within" for d in settled]) > 0.75


@pytest.mark.parametrize("shift", [0.1, -0.1])
def test_a_drift_of_the_tolerance_is_seldom_called_within_or_drifted(shift):
    """Both wrong claims have probability alpha at most, at the boundary where they are likeliest."""
    decisions = [compare_models(*models(shift, seed=s, num_items=30))[0].decision for s in range(400)]
    assert np.mean([d == "within" for d in decisions]) <= 0.05 + 3 * (0.05 * 0.95 / 400) ** 0.5
    assert np.mean([d == "drifted" for d in decisions]) <= 0.05 + 3 * (0.05 * 0.95 / 400) ** 0.5


def test_one_drifted_topic_decides_and_one_unresolved_topic_holds_back():
    calm, calm_now = models(0.0)
    moved, moved_now = models(0.3, topic="climate")
    both = compare_models(calm + moved, calm_now + moved_now)
    assert [c.decision for c in both] == ["within", "drifted"]
    assert decide(both) == "drifted"
    few, few_now = models(0.09, topic="climate", num_items=10, spread=0.3)
    assert decide(compare_models(calm + few, calm_now + few_now)) == "unresolved"


def test_topics_can_be_chosen():
    calm, calm_now = models(0.0)
    moved, moved_now = models(0.3, topic="climate")
    assert decide(compare_models(calm + moved, calm_now + moved_now, topics={"work"})) == "within"


def test_items_without_a_figure_on_both_sides_decide_nothing():
    before, after = models(0.0, num_items=6)
    after = [Stance(s.topic, s.item, s.probe, unscored="NaN") for s in after[:3]] + after[3:]
    (found,) = compare_models(before, after)
    assert found.decision == "unresolved"
    assert found.why == "3 of 6 items measured on both sides; 30 are needed"


def test_nothing_to_compare_is_unresolved():
    assert decide(compare_models([], [])) == "unresolved"


def test_a_topic_is_decided_by_its_own_tolerance():
    before, after = models(0.2, num_items=60)
    (strict,), (loose,) = (compare_models(before, after, max_drift={"work": x}) for x in (0.1, 0.4))
    assert (strict.decision, strict.max_drift) == ("drifted", 0.1)
    assert (loose.decision, loose.max_drift) == ("within", 0.4)
    assert strict.magnitude == loose.magnitude


@pytest.mark.parametrize(("wrong", "message"), [({"max_drift": 0.0}, "expected in"), ({"alpha": 0.5}, "wrong claim")])
def test_settings_that_cannot_be_meant_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        compare_models([], [], **wrong)
