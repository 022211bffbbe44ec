"""The way of an alert, its onset and its size are those of the evidence that raised it, whatever comes afterwards."""

import numpy as np
import pytest

from driftwatch.drift.outcome import Draws, Outcome
from driftwatch.evidence import ledger
from driftwatch.evidence import state as evidence
from driftwatch.evidence.alerts import newest, sentence
from driftwatch.evidence.rows import summary
from driftwatch.evidence.state import Settings
from driftwatch.record.metrics import SIGN
from driftwatch.record.record import Record, RunInfo, TopicInfo
from driftwatch.record.samples import samples
from driftwatch.report.verdict import verdict

YES, MID, NO = Outcome.SUPPORT, Outcome.NEUTRAL, Outcome.OPPOSE
OPEN, FIRM, MERCY = (0.4, 0.3, 0.3), (0.65, 0.3, 0.05), (0.1, 0.3, 0.6)
POLES = ("firm", "mercy")
TOPICS = tuple(TopicInfo(name, name.upper(), POLES, name == "c", 50, None if name == "c" else 0.05) for name in "abc")
INFO = RunInfo("r", 0.0, "m", "p", "1", "d", TOPICS, "0")


def trained(*phases, seed=0, steps=None, planned=40):
    """The state after looks at which topic a answers with the shares of each phase, (shares, observations)."""
    rng = np.random.default_rng(seed)
    state = evidence.begin(Settings(("a", "b"), ("c",), planned))
    looks = [shares for shares, number in phases for _ in range(number)]
    for look, shares in enumerate(looks):
        draws = {}
        for name in "abc":
            sides = [
                tuple(rng.choice([YES, MID, NO], 48, p=side).tolist())
                for side in (shares if name == "a" else OPEN, OPEN)
            ]
            draws[name] = Draws(tuple(f"{name}{i}" for i in rng.integers(0, 40, 48)), *sides)
        state = evidence.update(state, draws, steps[look] if steps else 10 * (look + 1))
    return state


def row(state):
    rows = summary(state, np.random.default_rng(0))
    return next(row for row in rows if (row.topic, row.kind) == ("a", "direction"))


def said(state):
    rows = tuple(summary(state, np.random.default_rng(0)))
    return verdict(INFO, Record("r", 0, state.look, 10 * state.look, "end", 0.0, evidence=rows))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("shares", "sign"), [(FIRM, 1), (MERCY, -1)])
def test_a_drift_that_came_and_went_is_told_with_its_own_pole_onset_and_size(seed, shares, sign):
    there = row(trained((OPEN, 4), (shares, 8), seed=seed))
    back = row(trained((OPEN, 4), (shares, 8), (OPEN, 28), seed=seed))
    assert (there.sign, back.sign) == (sign, sign)
    assert back.onset_step == there.onset_step
    assert back.onset_step in (40, 50, 60), "it moved from the fifth observation on, at step 50"
    assert back.since_onset * sign > 0.15
    assert newest(back) == "back"
    headline = said(trained((OPEN, 4), (shares, 8), (OPEN, 28), seed=seed)).headline
    pole, other = POLES if sign > 0 else POLES[::-1]
    assert f"A moved toward “{pole}”" in headline
    assert "the last five observations are back at the baseline" in headline
    assert other not in headline
    told = sentence(back, {"a": POLES}, 0.01)
    assert f"moved toward “{pole}” since step {back.onset_step}" in told
    assert "back at the baseline" in told


def test_a_drift_that_holds_is_told_with_what_the_newest_replies_say_of_its_size():
    found = row(trained((FIRM, 12)))
    assert newest(found) == "holds"
    assert "the last five" not in said(trained((FIRM, 12))).headline


def test_a_drift_to_the_other_side_is_said_beside_the_one_that_raised_the_alert():
    state = trained((FIRM, 10), (MERCY, 8))
    assert (row(state).sign, newest(row(state))) == (1, "beyond")
    assert "toward “firm”" in said(state).headline
    assert "the last five observations lie on the other side of the baseline" in said(state).headline


def test_the_metric_has_the_sign_and_no_estimate_decides_it():
    state = trained((MERCY, 8), (OPEN, 20))
    record = Record("r", 0, 28, 280, "end", 0.0, evidence=tuple(summary(state, np.random.default_rng(0))))
    found = [s for s in samples(INFO, record, state="running") if s.metric is SIGN]
    assert [(s.labels[1:], s.value) for s in found if s.labels[1] == "a" and s.labels[2] == "direction"] == [
        (("a", "direction"), -1.0)
    ]
    assert not [s for s in found if s.labels[1] == "b"], "nothing before an alert"


def test_the_sign_survives_a_resume_and_is_found_again_in_older_evidence():
    state = trained((MERCY, 8))
    kept = ledger.to_json(state)
    assert ledger.from_json(kept).alert_sign_VK.tolist() == state.alert_sign_VK.tolist()
    assert ledger.to_json(ledger.from_json(kept)) == kept
    older = {
        key: value for key, value in kept.items() if "sign" not in key and "moved" not in key and key != "label_VK"
    }
    found = row(ledger.from_json(older))
    assert (found.sign, found.label, found.onset_step) == (-1, row(state).label, row(state).onset_step)


def test_an_onset_in_a_stretch_that_was_taken_back_is_absent():
    """The weights of that stretch are no ancestors of those that are trained now."""
    steps = [10 * look for look in range(1, 13)]
    assert row(trained((OPEN, 4), (FIRM, 8), steps=steps)).onset_step in (40, 50, 60)
    back = [*steps, 30, 40, 50]
    assert row(trained((OPEN, 4), (FIRM, 8), (OPEN, 3), steps=back)).onset_step is None
    once_more = evidence.rolled_back(trained((OPEN, 4), (FIRM, 8), steps=steps), 35)
    assert row(once_more).onset_step is None
    after = [*steps, 110, 120]
    assert row(trained((OPEN, 4), (FIRM, 8), (FIRM, 2), steps=after)).onset_step in (40, 50, 60)


def test_what_the_newest_replies_say_is_of_weights_that_are_still_trained():
    """Eight observations of a drift, then a checkpoint from before it: only observations of its own line count."""
    state = evidence.rolled_back(trained((OPEN, 4), (MERCY, 8)), 40)
    assert state.taken_back == (5, 6, 7, 8, 9, 10, 11, 12)
    assert state.recent == ()
    again = evidence.rolled_back(state, 40)
    assert (again.recent, again.taken_back) == (state.recent, state.taken_back), "once is enough"
    assert ledger.from_json(ledger.to_json(state)).taken_back == state.taken_back
    steps = [*(10 * look for look in range(1, 13)), 50, 60]
    resumed = trained((OPEN, 4), (MERCY, 8), (OPEN, 2), steps=steps)
    assert len(resumed.recent) == 2
    found = row(resumed)
    assert newest(found) == "back"
    assert abs(found.estimate) < 0.15
    assert found.state in ("alert", "beyond_tolerance"), "evidence is not taken back"


def test_a_checkpoint_in_the_middle_keeps_the_draws_from_before_it():
    state = evidence.rolled_back(trained((FIRM, 12)), 95)
    assert len(state.recent) == 2, "observations 8 and 9 of the last five"
    twice = evidence.rolled_back(evidence.update(state, state.recent[0], 100), 85)
    assert len(twice.recent) == 1
    assert twice.taken_back == (9, 10, 11, 12, 13)
