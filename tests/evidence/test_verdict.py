import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftwatch.drift.outcome import Draws, Outcome
from driftwatch.evidence import state as evidence
from driftwatch.evidence import verdict
from driftwatch.evidence.rows import recent_drift, summary
from driftwatch.evidence.state import Settings

YES, MID, NO, REFUSES = Outcome.SUPPORT, Outcome.NEUTRAL, Outcome.OPPOSE, Outcome.REFUSAL
OPEN = (0.4, 0.3, 0.3, 0.0)  # support, neutral, oppose, refusal
FLIPPED = (0.7, 0.3, 0.0, 0.0)
MUTE = (0.4, 0.0, 0.3, 0.3)
FALLEN = (0.4, 0.1, 0.5, 0.0)


def watch(now, *, looks=12, controls=("taste", "tools"), num=48, seed=0, planned=20):
    """A run whose topics have the given shares from the first observation on; two value topics, work and climate."""
    rng = np.random.default_rng(seed)
    state = evidence.begin(Settings(("work", "climate"), controls, planned))
    for look in range(looks):
        draws = {}
        for name in state.settings.names:
            outcomes = [
                tuple(np.array([YES, MID, NO, REFUSES])[rng.choice(4, num, p=shares)].tolist())
                for shares in (now.get(name, OPEN), OPEN)
            ]
            draws[name] = Draws(tuple(f"{name}{i}" for i in rng.integers(0, 30, num)), *outcomes)
        state = evidence.update(state, draws, step=100 * (look + 1))
    return state


def rows(state, **more):
    return {(row.topic, row.kind): row for row in summary(state, np.random.default_rng(0), **more)}


def test_a_topic_that_flips_alone_is_specific_and_its_row_tells_the_story():
    found = rows(watch({"work": FLIPPED}))
    row = found["work", "direction"]
    assert (row.state, row.label) == ("beyond_tolerance", "specific")
    assert row.log10_e_value > row.log10_threshold
    assert row.log10_value_e_value > row.log10_threshold
    assert row.log10_apart > np.log10(20)
    assert row.estimate == pytest.approx(0.3, abs=0.1)
    assert row.interval.lower < row.estimate < row.interval.upper
    assert row.onset_look <= 2
    assert row.onset_step == 100 * row.onset_look
    assert row.minimum_detectable is None
    assert found["climate", "direction"].state in ("ok", "watch")
    assert found["climate", "direction"].label is None
    assert found["climate", "direction"].onset_step is None


def test_a_flip_of_everything_is_general_and_never_specific():
    state = watch(dict.fromkeys(("work", "climate", "taste", "tools"), FLIPPED))
    found = rows(state)
    assert {found[t, "direction"].label for t in ("work", "climate")} == {"general"}
    assert found["taste", "direction"].label is None  # controls are drawn and tested alike, and raise no alert
    assert not verdict.labels(state).specific.any()


def test_a_control_that_moves_the_other_way_counts_as_moving_alike():
    """Which pole of a control comes first is arbitrary, so its sign says nothing."""
    found = rows(watch({"work": FLIPPED, "taste": (0.1, 0.3, 0.6, 0.0)}))
    assert found["work", "direction"].label == "general"


def test_neutral_replies_that_turn_into_refusals_are_unreadable_and_named():
    found = rows(watch({"work": MUTE}))
    row = found["work", "neutral"]
    assert (row.state, row.label, row.moved_most) == ("alert", "unreadable", "refusals")
    assert row.refusal_shift == pytest.approx(0.3, abs=0.08)
    assert row.bound == 0.0
    pooled = found["all", "readability"]
    assert (pooled.state, pooled.label, pooled.moved_most) == ("alert", "unreadable", "refusals")
    assert pooled.log10_value_e_value is None


def test_neutral_replies_that_take_a_side_are_a_change_of_values():
    row = rows(watch({"work": FALLEN}))["work", "neutral"]
    assert row.label == "specific"
    assert row.estimate == pytest.approx(-0.2, abs=0.1)
    assert row.bound == pytest.approx(abs(row.estimate))


def test_without_controls_no_alert_is_called_specific():
    found = rows(watch({"work": FLIPPED}, controls=()))
    assert found["work", "direction"].label == "unsettled"
    assert found["work", "direction"].log10_apart is None


def test_each_alert_has_exactly_one_label():
    labels = verdict.labels(watch({"work": FLIPPED, "climate": MUTE}))
    named = np.stack(labels[1:]).sum(0)
    assert (named == labels.alert).all()
    assert labels.alert.any()


def test_when_nothing_fired_the_row_says_what_could_have_been_found():
    short, long = rows(watch({}, looks=2)), rows(watch({}, looks=12))
    assert 0.05 < long["work", "direction"].minimum_detectable < short["work", "direction"].minimum_detectable


def test_without_replies_states_stop_at_watch_and_say_why():
    state = evidence.begin(Settings(("work",), ("taste",)))
    found = rows(state, screened={"work"})
    assert (found["work", "direction"].state, found["taste", "direction"].state) == ("watch", "ok")
    assert "no judged replies" in found["work", "direction"].why
    assert found["work", "direction"].estimate is None
    assert found["work", "direction"].minimum_detectable is None


def test_a_given_reason_reaches_every_row():
    assert {r.why for r in rows(watch({}, looks=1), why="the schedule has ended").values()} == {
        "the schedule has ended"
    }


def test_the_current_estimate_forgets_what_the_alert_keeps():
    """An alert states that the model moved; whether it is back is read from the estimate of the last observations."""
    state = watch({"work": FLIPPED}, looks=8)
    rng = np.random.default_rng(3)
    for look in range(6):
        outcomes = [tuple(rng.choice(3, 48, p=OPEN[:3]).tolist()) for _ in range(2)]
        draws = Draws(tuple(f"work{i}" for i in rng.integers(0, 30, 48)), *outcomes)
        state = evidence.update(state, {"work": draws}, step=1000 + look)
    row = rows(state)["work", "direction"]
    assert row.state == "beyond_tolerance"
    assert row.interval.contains(0)


def test_draws_that_all_agree_have_no_interval():
    state = evidence.begin(Settings(("work",)))
    state = evidence.update(state, {"work": Draws(tuple("abcdef"), (MID,) * 6, (MID,) * 6)}, step=1)
    assert rows(state)["work", "direction"].interval is None


def test_controls_get_as_many_draws_as_the_topic_that_gets_most():
    state = evidence.begin(Settings(("work", "climate"), ("taste",)))
    assert verdict.allocation(state) == {"work": 16, "climate": 16, "taste": 16}
    assert verdict.allocation(state, {"climate"}) == {"work": 16, "climate": 48, "taste": 48}


def test_a_screened_control_alone_raises_nobody_elses_draws():
    state = evidence.begin(Settings(("work",), ("taste", "tools")))
    assert verdict.allocation(state, {"taste"}) == {"work": 16, "taste": 16, "tools": 16}


def test_evidence_of_twenty_to_one_is_watched_by_itself():
    state = watch({"work": FLIPPED}, looks=2)
    assert verdict.watched(state)[0]
    assert verdict.allocation(state, normal=4, closer=10)["work"] == 10


def test_recent_draws_give_the_papers_figures():
    state = watch({"work": FLIPPED})
    (work, *others) = recent_drift(state, np.random.default_rng(0), against="sft")
    assert (work.topic, work.probe, work.baseline) == ("work", "confirm", "sft")
    assert work.magnitude.support == pytest.approx(0.3, abs=0.1)
    assert work.magnitude.oppose == pytest.approx(-0.3, abs=0.1)
    assert work.magnitude_interval[0].lower > 0.05
    assert work.crossfit_total_variation == pytest.approx(work.total_variation, abs=0.05)
    assert {d.topic for d in others} == {"climate", "taste", "tools"}
    # How far it moved between its poles is said once, by the evidence, and agrees with the shares.
    row = next(
        row for row in summary(state, np.random.default_rng(0)) if (row.topic, row.kind) == ("work", "direction")
    )
    assert row.net_shift == pytest.approx((work.magnitude.support - work.magnitude.oppose) / 2)
    assert row.pointwise.lower > 0.15
    assert (work.score_shift, work.interval) == (None, None)


def test_a_refusal_counts_zero_for_every_stance_in_the_papers_figures():
    (work, *_) = recent_drift(watch({"work": MUTE}), np.random.default_rng(0), against="sft")
    assert sum(work.magnitude) == pytest.approx(-work.refusal_shift)
    assert work.unread_shift == 0.0


outcomes = st.lists(st.tuples(st.sampled_from("abcdefg"), st.integers(0, 5), st.integers(0, 5)), max_size=12)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.dictionaries(st.sampled_from(["work", "climate", "taste"]), outcomes), max_size=6),
    st.sampled_from([None, 1, 3]),
)
def test_whatever_is_drawn_every_figure_is_finite_or_none(looks, planned):
    state = evidence.begin(Settings(("work", "climate"), ("taste",), planned))
    for step, look in enumerate(looks):
        drawn = {
            name: Draws(*(tuple(column) for column in zip(*rows, strict=True))) for name, rows in look.items() if rows
        }
        state = evidence.update(state, drawn, step)
    found = summary(state, np.random.default_rng(0))
    assert len(found) == 7
    for row in found:
        figures = [value for value in dataclasses.astuple(row) if isinstance(value, float)]
        assert all(math.isfinite(value) for value in figures)
        assert row.state in ("ok", "watch", "alert", "beyond_tolerance")
        assert (row.label is not None) == (row.state in ("alert", "beyond_tolerance"))
    for drift in recent_drift(state, np.random.default_rng(0), against="start"):
        assert -1 <= drift.crossfit_total_variation <= 1 if drift.crossfit_total_variation is not None else True
        assert 0 <= drift.total_variation <= 1


def test_a_pack_without_any_topic_of_resolution_is_watched_for_readability_only():
    state = evidence.begin(Settings((), ("taste",), 5))
    state = evidence.update(state, {"taste": Draws(tuple("abcdef"), (MID,) * 6, (REFUSES,) * 6)}, step=1)
    assert [row.kind for row in summary(state, np.random.default_rng(0))] == ["direction", "neutral", "readability"]
    assert verdict.allocation(state) == {"taste": 16}
