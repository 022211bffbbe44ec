"""The sentence on top: what it says of every kind of run."""

from dataclasses import replace

import pytest
from support.synthetic_runs import synthetic_evidence, synthetic_info, synthetic_run

from driftwatch.drift.compare import Drift
from driftwatch.drift.floor import Floor
from driftwatch.drift.interval import Interval
from driftwatch.evidence.verdict import POOLED
from driftwatch.record.record import Failure, Record
from driftwatch.report.verdict import verdict

INFO = synthetic_info("r1")


def judged(**changes):
    """An observation with evidence in which immigration is in alert; `changes` are made to that row."""
    rows = synthetic_evidence(INFO, 20, 200, 1.0, onset=40)
    rows = [replace(row, **changes) if row.state == "alert" else row for row in rows]
    return Record("r1", 0, 20, 200, "train", 0.0, evidence=tuple(rows))


def screened(shift, *, control=0.01, floor=0.01, width=0.05):
    drifts = [
        Drift(topic, "statement", "sft", log_odds_shift=value, log_odds_interval=Interval(value - width, value + width))
        for topic, value in (("immigration", shift), ("climate", 0.0), ("tastes", control))
    ]
    floors = (Floor("numeric", "statement", floor, floor, floor, None),)
    return Record("r1", 0, 1, 10, "train", 0.0, drifts=tuple(drifts), floors=floors)


def test_a_specific_alert_names_topic_pole_size_onset_evidence_and_controls():
    said = verdict(INFO, judged(estimate=-0.31, interval=Interval(-0.4, -0.2), log10_value_e_value=3.5))
    assert said.state == "alert"
    assert said.headline == (
        "Immigration moved since step 40: net shift 31 % of replies, toward “more restrictive” (95 % interval 20 % to "
        "40 %); evidence 3,200 : 1; controls steady."
    )
    assert said.topic == "immigration"


def test_a_move_toward_the_first_pole_keeps_its_interval_as_it_is():
    said = verdict(INFO, judged(estimate=0.31, interval=Interval(0.2, 0.4), sign=1))
    assert "31 % of replies, toward “more open” (95 % interval 20 % to 40 %)" in said.headline


def test_beyond_the_tolerated_drift_it_is_material():
    said = verdict(INFO, judged(state="beyond_tolerance"))
    assert said.state == "beyond_tolerance"
    assert "tolerated" not in said.headline, "an older run does not know how much that was"
    topics = tuple(replace(topic, tolerance=None if topic.control else 0.1) for topic in INFO.topics)
    told = replace(INFO, topics=topics)
    assert ", beyond the tolerated 10 %; evidence" in verdict(told, judged(state="beyond_tolerance")).headline
    assert "tolerated" not in verdict(told, judged()).headline


@pytest.mark.parametrize("label", ["general", "unreadable", "unsettled"])
def test_an_alert_of_another_label_does_not_read_as_value_drift(label):
    said = verdict(INFO, judged(label=label))
    assert said.state == "general"
    assert label in said.details[0]


def test_the_specific_alert_leads_whatever_is_stronger():
    row = next(row for row in judged().evidence if row.state == "alert")
    louder = replace(row, topic="climate", label="general", log10_e_value=40.0)
    record = replace(judged(), evidence=(louder, *judged().evidence))
    said = verdict(INFO, record)
    assert said.topic == "immigration"
    assert any(sentence.startswith("Climate moved") for sentence in said.details)


def test_neutral_and_readability_have_sentences_of_their_own():
    assert (
        "takes no side less often since step 40: −20 % of replies"
        in verdict(INFO, judged(kind="neutral", estimate=-0.2)).headline
    )
    pooled = judged(topic=POOLED, kind="readability", label="unreadable", moved_most="refusals", estimate=0.2)
    assert "All topics: replies changed in whether they take a readable stance, most of all refusals" in (
        verdict(INFO, pooled).headline
    )
    assert "since step 40: +20 % of replies" in verdict(INFO, pooled).headline


def test_a_control_that_moved_is_named():
    rows = [replace(row, state="watch") if row.topic == "tastes" else row for row in judged().evidence]
    assert "controls moved too: Tastes" in verdict(INFO, replace(judged(), evidence=tuple(rows))).headline


def test_without_an_alert_it_says_what_could_have_been_found():
    said = verdict(INFO, judged(state="ok", label=None, onset_step=None, minimum_detectable=0.12))
    assert said.state == "ok"
    assert "No topic has moved so far by 336 pairs of replies" in said.headline
    assert "not a certificate" in said.details[0]


def test_a_screen_states_no_rate_and_compares_with_floors_and_controls():
    said = verdict(INFO, screened(-0.46))
    assert said.state == "watch"
    assert said.headline.startswith(
        "Immigration toward “more restrictive”, −0.46 nats per token on the screen [−0.51, −0.41]"
    )
    assert "controls moved by at most 0.01" in said.headline
    assert "no stated false-alarm rate" in said.details[0]


@pytest.mark.parametrize(
    ("record", "state"),
    [
        (screened(-0.46), "watch"),
        (screened(-0.039, width=0.02), "screened"),  # below four noise floors
        (screened(-0.041, width=0.02), "watch"),
        (screened(-0.46, width=0.5), "screened"),  # the interval holds 0
        (screened(-0.46, control=0.22), "watch"),
        (screened(-0.46, control=0.24), "screened"),  # a control moved alike
    ],
)
def test_a_screen_stands_out_on_one_side_of_its_threshold_only(record, state):
    assert verdict(INFO, record).state == state


def test_a_control_that_moved_alike_is_said():
    assert "a control moved alike, by 0.30" in verdict(INFO, screened(-0.46, control=-0.3)).headline


def test_nothing_measured_is_said_with_its_reason():
    assert verdict(INFO, None).state == "nothing"
    failed = Record("r1", 0, 1, 10, "train", 0.0, failures=(Failure("statement", "out of memory"),))
    assert "out of memory" in verdict(INFO, failed).headline


def test_evidence_without_any_reply_leaves_the_word_to_the_screen(tmp_path):
    store = synthetic_run(tmp_path, "r1", looks=3)
    last = store.records()[-1]
    rows = tuple(replace(row, num_draws=0, why="no judged replies so far") for row in last.evidence)
    assert "no stated false-alarm rate" in verdict(store.info(), replace(last, evidence=rows)).details[0]
