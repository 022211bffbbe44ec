import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from driftwatch.drift.outcome import NOT_DRAWN, Draws, Outcome
from driftwatch.evidence import ledger
from driftwatch.evidence import state as evidence
from driftwatch.evidence.state import Settings

GOLDEN = json.loads((Path(__file__).parents[1] / "data" / "evidence_golden.json").read_text())
YES, MID, NO, LOST = Outcome.SUPPORT, Outcome.NEUTRAL, Outcome.OPPOSE, Outcome.UNREAD


def codes(look, side):
    """Outcome strings of one look as an array (runs, topics, draws), padded."""
    width = max(len(row) for run in look[side] for row in run)
    return np.array([[[*map(int, row), *[NOT_DRAWN] * (width - len(row))] for row in run] for run in look[side]])


def constant(topics, outcome, num=20):
    """The same outcome in every draw."""
    return np.full((topics, num), outcome)


def draws(now, baseline, num=20):
    return Draws(tuple(f"item{i % 10}" for i in range(num)), (now,) * num, (baseline,) * num)


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: f"delta={case['delta']}")
def test_evidence_equals_that_of_an_independent_implementation_on_the_same_draws(case):
    settings = Settings(("a", "b"), ("c", "d"), len(case["looks"]), deltas=(case["delta"],))
    state = evidence.begin(settings, batch=(2,))
    for look in case["looks"]:
        state = evidence.advance(state, codes(look, "now"), codes(look, "baseline"))
        found = state.figures
        pairs = [(found.plain_TDK[:, :, 0], "plain"), (found.value_TDK[:, :, 0], "value"), (found.lost_T, "lost")]
        if case["delta"] == 0:  # the other implementation shrinks the bets against controls by delta, ours does not
            pairs.append((found.apart_VCKG, "apart"))
        for ours, name in pairs:
            np.testing.assert_allclose(ours / math.log(10), look[name], atol=1e-9, err_msg=name)


class Adversary:
    """Wants an alert: how many draws, of which items, what is hidden and when to stop depend on the past."""

    def __init__(self, runs, seed, *, hiding):
        self.rng = np.random.default_rng(seed)
        self.runs, self.hiding = runs, hiding

    def look(self, state):
        log_e_RT = state.figures.plain_TDK[:, :, 0, 0]
        winning = log_e_RT > 0
        stopped = (log_e_RT.max(1) > math.log(6))[:, None]
        # Sharp items for whatever is winning, bland ones for the rest; both sides answer alike.
        sharp = np.where(winning, 0.4, 5.0)[:, :, None, None]
        probs = self.rng.gamma(sharp * [0.35, 0.25, 0.25, 0.15], size=(self.runs, 2, 9, 4)) + 1e-12
        probs /= probs.sum(-1, keepdims=True)
        now, baseline = (self.replies(probs) for _ in range(2))
        if self.hiding:  # stances of one side while winning, of the other while losing
            of_yes, of_no = np.where(winning, 0.6, 0.1)[..., None], np.where(winning, 0.0, 0.5)[..., None]
            rate = np.select([now == YES, now == MID, now == NO], [of_yes, 0.3, of_no], 0.0)
            now = np.where(self.rng.random(now.shape) < rate, LOST, now)
        drawn = np.arange(9) < (np.where(winning, 9, 3) * ~stopped)[..., None]
        return np.where(drawn, now, NOT_DRAWN), np.where(drawn, baseline, NOT_DRAWN)

    def replies(self, probs):
        outcome = (self.rng.random(probs.shape[:-1])[..., None] > probs.cumsum(-1)[..., :3]).sum(-1)
        return np.where(outcome == 3, LOST, outcome)


@pytest.mark.parametrize("planned", [6, None])
@pytest.mark.parametrize("hiding", [False, True], ids=["fair", "hiding"])
def test_no_adversary_makes_evidence_grow_on_average(planned, hiding):
    """What everything rests on: under its null the mean of an e-process is at most 1 at any stopping time."""
    runs = 10_000
    state = evidence.begin(Settings(("a", "b"), (), planned, deltas=(0.0, 0.05)), (runs,))
    adversary = Adversary(runs, seed=7, hiding=hiding)
    for _ in range(6):
        state = evidence.advance(state, *adversary.look(state))
    figures = state.figures
    protected = (
        [figures.value_TDK] if hiding else [figures.plain_TDK, figures.value_TDK, figures.lost_T, figures.pooled]
    )
    for log_e in protected:
        e = np.exp(log_e).reshape(runs, -1)
        assert (e.mean(0) <= 1 + 4 * e.std(0) / math.sqrt(runs)).all()
        assert e.max() > 2  # some runs do win


def test_the_plain_count_is_not_protected_against_hiding_which_is_why_the_value_counts_exist():
    runs = 4000
    state = evidence.begin(Settings(("a", "b"), (), 6, deltas=(0.0,)), (runs,))
    adversary = Adversary(runs, seed=8, hiding=True)
    for _ in range(6):
        state = evidence.advance(state, *adversary.look(state))
    e = np.exp(state.figures.plain_TDK[:, :, 0, 0])
    assert e.mean() - 5 * e.std() / math.sqrt(e.size) > 1


def test_a_topic_that_moves_like_its_control_gathers_no_evidence_of_having_moved_more():
    rng = np.random.default_rng(5)
    runs = 5000
    state = evidence.begin(Settings(("a",), ("c",), 6, deltas=(0.0,)), (runs,))
    for _ in range(6):
        now = rng.choice(3, (runs, 2, 8), p=[0.6, 0.3, 0.1])
        state = evidence.advance(state, now, rng.choice(3, (runs, 2, 8), p=[0.3, 0.3, 0.4]))
    e = np.exp(state.figures.apart_VCKG[:, 0, 0])  # RKG
    assert (e.mean(0) <= 1 + 4 * e.std(0) / math.sqrt(runs)).all()


def test_before_the_first_look_all_evidence_is_one_and_nothing_is_found():
    state = evidence.begin(Settings(("a",), ("c",)))
    assert all((figure == 0).all() for figure in state.figures)
    assert not state.alert_look_VDK.any()


def test_a_flip_of_everything_alerts_and_is_material():
    state = evidence.begin(Settings(("a", "b"), ("c",), 10))
    for _ in range(3):
        now = np.concatenate([constant(1, YES), constant(2, MID)])
        state = evidence.advance(state, now, np.concatenate([constant(1, NO), constant(2, MID)]))
    assert (state.value_look_VDK[0, :, 0] > 0).all()
    assert not state.alert_look_VDK[1].any()
    assert state.readability_look == 0


def followed(settings, looks=8, seed=3):
    """A run in which topic a flips by 0.2 and everything is asked 24 times an observation."""
    rng = np.random.default_rng(seed)
    state = evidence.begin(settings)
    for _ in range(looks):
        now, baseline = rng.choice(4, (2, 3, 24), p=[0.4, 0.3, 0.25, 0.05])
        now[0] = rng.choice(4, 24, p=[0.6, 0.3, 0.05, 0.05])
        state = evidence.advance(state, now, baseline)
    return state


def test_evidence_for_a_topics_own_tolerance_is_that_of_a_bet_computed_by_hand():
    """One draw from oppose to support: 1 + λ (1 − δ) / (1 + δ) for the right sign, 1 − λ for the wrong one."""
    state = evidence.begin(Settings(("a", "b"), (), 1, tolerance={"a": 0.1}))
    state = evidence.advance(state, constant(2, YES, 1), constant(2, NO, 1))
    mean_bet = (0.15 + 0.3 + 0.5 + 0.7 + 0.9) / 5
    by_hand = {delta: ((1 + mean_bet * (1 - delta) / (1 + delta)) + (1 - mean_bet)) / 2 for delta in (0.0, 0.05, 0.1)}
    found = np.exp(state.figures.plain_TDK[:, :, 0])
    np.testing.assert_allclose(found, [[by_hand[0.0], by_hand[0.1]], [by_hand[0.0], by_hand[0.05]]], rtol=1e-12)


def test_a_topic_with_a_tolerance_of_its_own_is_judged_as_in_a_run_where_all_have_it():
    topics = {"topics": ("a", "b"), "controls": ("c",), "planned_looks": 8}
    own = followed(Settings(**topics, tolerance={"a": 0.15}))
    everywhere, default = followed(Settings(**topics, deltas=(0.0, 0.15))), followed(Settings(**topics))
    for name in ("plain_TDK", "value_TDK"):
        ours, theirs, before = (getattr(state.figures, name) for state in (own, everywhere, default))
        np.testing.assert_array_equal(ours[0], theirs[0])
        np.testing.assert_array_equal(ours[1:], before[1:])
        assert (ours[0, 1, 0] < before[0, 1, 0]).all(), "more is tolerated, so there is less evidence that it is passed"
    np.testing.assert_array_equal(own.alert_look_VDK[:, 0], default.alert_look_VDK[:, 0])


def test_what_is_tolerated_decides_what_is_material_and_never_what_is_an_alert():
    looks = {}
    for tolerance in (0.0, 0.05, 0.5):
        state = followed(Settings(("a", "b"), ("c",), 30, tolerance={"a": tolerance}), looks=30)
        looks[tolerance] = state.value_look_VDK[0, :, 0].tolist()
    alerted = looks[0.05][0]
    assert alerted > 0
    assert looks[0.0] == [alerted, alerted]
    assert looks[0.05][1] > alerted
    assert looks[0.5] == [alerted, 0]


def test_a_tolerance_that_is_everybodys_changes_not_one_bit():
    settings = {"topics": ("a", "b"), "controls": ("c",), "planned_looks": 8}
    named = Settings(**settings, tolerance=dict.fromkeys("abc", 0.05))
    for ours, theirs in zip(followed(named).figures, followed(Settings(**settings)).figures, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_batch_of_runs_keeps_each_topics_tolerance():
    rng = np.random.default_rng(2)
    settings = Settings(("a", "b"), (), 3, tolerance={"b": 0.2})
    many, one = evidence.begin(settings, (2, 3)), evidence.begin(settings)
    for _ in range(3):
        now, baseline = rng.integers(0, 4, (2, 2, 3, 2, 9))
        many = evidence.advance(many, now, baseline)
        one = evidence.advance(one, now[1, 2], baseline[1, 2])
    np.testing.assert_allclose(many.figures.value_TDK[1, 2], one.figures.value_TDK, rtol=1e-12)


def test_a_resumed_run_keeps_its_tolerance_and_older_evidence_has_none():
    state = followed(Settings(("a", "b"), ("c",), 8, tolerance={"a": 0.15}))
    data = json.loads(json.dumps(ledger.to_json(state)))
    again = ledger.from_json(data)
    assert again.settings == state.settings
    np.testing.assert_array_equal(again.figures.plain_TDK, state.figures.plain_TDK)
    del data["settings"]["tolerance"]
    assert ledger.from_json(data).settings.own_deltas == {}


def test_the_threshold_is_shared_by_all_hypotheses_and_falls_with_each_rejection():
    """Holm: 5 hypotheses at the beginning, 3 left after both topics were found in one kind."""
    state = evidence.begin(Settings(("a", "b"), ("c",), 10, alpha=0.05))
    assert np.exp(state.log_threshold_D) == pytest.approx([100, 100])
    now, baseline = (
        np.concatenate([constant(2, YES), constant(1, MID)]),
        np.concatenate([constant(2, NO), constant(1, MID)]),
    )
    state = evidence.advance(state, now, baseline)
    assert np.exp(state.log_threshold_D[0]) == pytest.approx(3 / 0.05)


def test_a_second_topic_alerts_at_the_lowered_threshold_in_the_same_look():
    """The weaker topic's evidence lies between both thresholds, so it is found only since the stronger one was."""
    weak, still, flipped = np.where(np.arange(30) < 13, YES, NO), np.full(30, NO), np.full(30, YES)
    baseline = np.full((2, 30), NO)
    settings = Settings(("a", "b"), (), 10, deltas=(0.0,))
    weak_evidence = np.exp(
        evidence.advance(evidence.begin(settings), np.stack([still, weak]), baseline).figures.plain_TDK
    )
    settings = replace(settings, alpha=4.5 / weak_evidence[1, 0, 0])  # between 5 hypotheses and the 4 that are left
    alone, joint = (
        evidence.advance(evidence.begin(settings), np.stack([first, weak]), baseline) for first in (still, flipped)
    )
    assert alone.alert_look_VDK[1, 0, 0] == 0
    assert joint.alert_look_VDK[1, 0, 0] == 1


def test_an_alert_is_never_cleared_within_a_run():
    state = evidence.begin(Settings(("a",), (), 40))
    state = evidence.advance(state, constant(1, YES), constant(1, NO))
    for _ in range(30):
        state = evidence.advance(state, constant(1, NO), constant(1, YES))
    assert state.alert_look_VDK[0, 0, 0] == 1
    assert state.value_look_VDK[0, 0, 0] == 1


def test_a_small_drift_with_overwhelming_evidence_raises_no_alert():
    """The minimal effect: 4 % of the draws, thousands of times."""
    now = np.where(np.arange(4000) % 50 < 2, YES, NO)[None]
    state = evidence.advance(evidence.begin(Settings(("a",), (), 5)), now, constant(1, NO, 4000))
    assert state.figures.plain_TDK[0, 0, 0] > 3 * state.log_threshold_D[0]
    assert not state.alert_look_VDK.any()


def test_replies_that_lose_their_stance_raise_a_plain_alert_but_never_a_value_alert():
    state = evidence.begin(Settings(("a",), ("c",), 10))
    for _ in range(5):
        now = np.concatenate([constant(1, Outcome.REFUSAL), constant(1, MID)])
        state = evidence.advance(state, now, np.concatenate([constant(1, YES), constant(1, MID)]))
    assert state.alert_look_VDK[0, 0, 0] > 0
    assert not state.value_look_VDK.any()
    assert state.figures.value_TDK[0, 0, 0] < 0
    assert state.readability_look > 0


def test_a_real_drift_is_found_although_replies_lose_their_stance_too():
    state = evidence.begin(Settings(("a",), (), 10))
    now = np.where(np.arange(60) < 12, Outcome.REFUSAL, YES)[None]
    for _ in range(3):
        state = evidence.advance(state, now, constant(1, NO, 60))
    assert state.value_look_VDK[0, 0, 0] > 0


def test_swapping_the_poles_turns_the_sign_round_and_keeps_the_evidence():
    rng = np.random.default_rng(0)
    now, baseline = rng.integers(0, 6, (2, 3, 30))
    turned = np.array([NO, MID, YES, Outcome.REFUSAL, Outcome.OFF_TOPIC, LOST])
    settings = Settings(("a", "b"), ("c",), 5)
    one = evidence.advance(evidence.begin(settings), now, baseline)
    other = evidence.advance(evidence.begin(settings), turned[now], turned[baseline])
    np.testing.assert_allclose(one.figures.plain_TDK, other.figures.plain_TDK)
    np.testing.assert_allclose(one.figures.value_TDK, other.figures.value_TDK)
    assert (one.figures.sign_TK[:, 0] != other.figures.sign_TK[:, 0]).all()


def test_a_batch_of_runs_gives_each_run_what_it_gets_alone():
    rng = np.random.default_rng(1)
    settings = Settings(("a", "b"), ("c",), 4)
    batch = evidence.begin(settings, (3,))
    alone = [evidence.begin(settings) for _ in range(3)]
    for _ in range(4):
        now, baseline = rng.integers(0, 6, (2, 3, 3, 12))
        batch = evidence.advance(batch, now, baseline)
        alone = [evidence.advance(s, now[r], baseline[r]) for r, s in enumerate(alone)]
    for r, single in enumerate(alone):
        for found, expected in zip(batch.figures, single.figures, strict=True):
            np.testing.assert_allclose(found[r], expected, atol=1e-12)
        assert (batch.alert_look_VDK[r] == single.alert_look_VDK).all()


def test_topics_may_get_different_numbers_of_draws_and_none_keeps_the_evidence():
    state = evidence.begin(Settings(("a", "b"), (), 5))
    state = evidence.update(state, {"a": draws(YES, NO, 48)}, step=10)
    before = state.figures.plain_TDK[1]
    assert before == pytest.approx(0, abs=1e-12)
    state = evidence.update(state, {}, step=20)
    assert state.figures.plain_TDK[1] == pytest.approx(0, abs=1e-12)
    assert state.steps == (10, 20)


def test_looks_beyond_the_plan_go_on_without_starting_new_bets():
    state = evidence.begin(Settings(("a",), (), 2))
    for _ in range(2):
        state = evidence.advance(state, constant(1, MID), constant(1, MID))
    state = evidence.advance(state, constant(1, YES), constant(1, NO))
    assert state.look == 3
    assert state.alert_look_VDK[0, 0, 0] == 3


def test_onset_finds_the_look_at_which_a_step_came():
    state = evidence.begin(Settings(("a",), (), 20))
    rng = np.random.default_rng(0)
    for look in range(1, 13):
        now = rng.choice([YES, NO], (1, 30), p=[0.9, 0.1] if look >= 9 else [0.5, 0.5])
        state = evidence.advance(state, now, rng.choice([YES, NO], (1, 30)))
    estimate, onset = state.onset_TK.estimate(state.figures.sign_TK)
    assert 8 <= onset[0, 0] <= 10
    assert estimate[0, 0] == pytest.approx(0.4, abs=0.1)


def test_evidence_survives_json_bit_for_bit_and_goes_on_alike():
    rng = np.random.default_rng(2)

    def look(state, step):
        made = {
            name: Draws(("i", "j", "k"), tuple(rng.integers(0, 6, 3).tolist()), tuple(rng.integers(0, 6, 3).tolist()))
            for name in ("a", "c")
        }
        return evidence.update(state, made, step), made

    state = evidence.begin(Settings(("a", "b"), ("c",), None))
    for step in range(7):
        state, _ = look(state, step)
    text = json.dumps(ledger.to_json(state))
    resumed = ledger.from_json(json.loads(text))
    assert json.dumps(ledger.to_json(resumed)) == text
    state, made = look(state, 8)
    resumed = evidence.update(resumed, made, 8)
    assert json.dumps(ledger.to_json(resumed)) == json.dumps(ledger.to_json(state))
    assert "Infinity" not in text
    assert len(state.recent) == evidence.NUM_RECENT


def test_evidence_before_the_first_look_survives_json():
    state = evidence.begin(Settings(("a",), ("c",)))
    assert ledger.to_json(ledger.from_json(json.loads(json.dumps(ledger.to_json(state))))) == ledger.to_json(state)


def test_evidence_of_another_version_is_refused():
    data = ledger.to_json(evidence.begin(Settings(("a",)))) | {"version": 99}
    with pytest.raises(ValueError, match="expected evidence of version 1, found 99"):
        ledger.from_json(data)


def test_damaged_evidence_is_refused():
    data = ledger.to_json(evidence.begin(Settings(("a",))))
    data["log_lost_TGB"] = data["log_lost_TGB"][:-1]
    with pytest.raises(ValueError, match="expected 10 values of log_lost_TGB for these settings, found 9"):
        ledger.from_json(data)


def test_draws_of_a_topic_that_the_run_did_not_begin_with_are_refused():
    with pytest.raises(ValueError, match="the topics are fixed when a run begins"):
        evidence.update(evidence.begin(Settings(("a",))), {"x": draws(YES, NO)}, step=1)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"alpha": 0.0}, r"expected in \(0, 1\), found 0.0"),
        ({"planned_looks": 0}, "at least one planned look or None, found 0"),
        ({"deltas": (1.0,)}, r"tolerated drifts in \[0, 1\)"),
        ({"deltas": ()}, r"tolerated drifts in \[0, 1\)"),
        ({"controls": ("a",)}, "expected different names"),
        ({"tolerance": {"a": 1.0}}, r"tolerances in \[0, 1\), found {'a': 1.0}"),
        ({"tolerance": {"x": 0.1}}, "tolerances of a, found one of x"),
        ({"tolerance": {"a": 0.1}, "deltas": (0.0,)}, "a tolerated drift beside that of alerts"),
    ],
)
def test_settings_that_cannot_work_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Settings(**{"topics": ("a",), **wrong})
