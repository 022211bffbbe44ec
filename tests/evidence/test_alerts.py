from dataclasses import replace

import pytest

from driftwatch.drift.interval import Interval
from driftwatch.evidence.alerts import HELD_BACK, new_alerts, sentence, severity
from driftwatch.evidence.verdict import TopicEvidence

POLES = {"parks": ("more nature", "more building")}
ROW = TopicEvidence(
    topic="parks",
    kind="direction",
    log10_e_value=3.6,
    log10_value_e_value=3.4,
    log10_material_e_value=1.0,
    log10_threshold=3.36,
    log10_apart=1.5,
    estimate=-0.31,
    interval=Interval(-0.4, -0.2),
    since_onset=-0.33,
    bound=0.2,
    num_draws=320,
    state="alert",
    label="specific",
    moved_most=None,
    onset_look=4,
    onset_step=40,
    minimum_detectable=None,
    refusal_shift=0.0,
    off_topic_shift=0.0,
    unread_shift=0.0,
)


def alerts(before, now):
    return new_alerts(before, now, poles=POLES, alpha=0.01)


def test_an_alert_names_topic_pole_size_onset_label_and_evidence():
    (found,) = alerts([replace(ROW, state="ok", label=None)], [ROW])
    assert found.text.startswith(
        "parks moved since step 40: net shift 31 % of replies, toward “more building” (95 % interval 20 % to 40 %) "
        "(specific:"
    )
    # An alert on values rests on the evidence that survives lost stances, 10^3.4, not on the larger one.
    assert "evidence 2,500 : 1 from 320 draws, alpha 0.01" in found.text


def test_an_alert_that_stands_is_not_raised_again():
    assert alerts([ROW], [ROW]) == ()


def test_a_label_that_settles_speaks_again():
    (found,) = alerts([replace(ROW, label="unsettled")], [ROW])
    assert (found.label, found.severity) == ("specific", "warning")


def test_an_alert_that_may_yet_settle_waits_for_its_first_word_and_a_settled_one_does_not():
    """So that one lasting step is one notice: most labels settle within these observations (docs/statistics.md)."""
    before = [replace(ROW, state="ok", label=None)]
    open_row = replace(ROW, label="unsettled", looks_in_alert=HELD_BACK - 1)
    assert alerts(before, [open_row]) == ()
    (late,) = alerts([open_row], [replace(open_row, looks_in_alert=HELD_BACK)])
    assert late.label == "unsettled"
    (first,) = alerts([open_row], [replace(ROW, looks_in_alert=HELD_BACK)])
    assert first.label == "specific", "then its first word is the settled one"
    assert len(alerts(before, [replace(open_row, log10_apart=None)])) == 1, "without controls nothing will settle it"


def test_what_is_shown_to_be_beyond_the_tolerance_says_that_it_is():
    (found,) = alerts([ROW], [replace(ROW, state="beyond_tolerance")])
    assert found.severity == "critical"
    assert "by now beyond what is tolerated" in found.text
    assert "beyond what is tolerated" not in alerts([replace(ROW, state="ok", label=None)], [ROW])[0].text


@pytest.mark.parametrize("state", ["ok", "watch"])
def test_what_is_only_watched_notifies_nobody(state):
    assert alerts([], [replace(ROW, state=state, label=None)]) == ()


def test_controls_raise_no_alert():
    assert alerts([], [replace(ROW, topic="tea")]) == ()


@pytest.mark.parametrize(
    ("state", "label", "expected"),
    [
        ("alert", "specific", "warning"),
        ("beyond_tolerance", "specific", "critical"),
        ("beyond_tolerance", "general", "info"),
    ],
)
def test_only_a_specific_alert_is_more_than_information(state, label, expected):
    assert severity(replace(ROW, state=state, label=label)) == expected


def test_neutral_and_readability_have_words_of_their_own():
    neutral = sentence(replace(ROW, kind="neutral", sign=1), POLES, 0.01)
    assert neutral.startswith("parks: the model takes no side more often since step 40")
    pooled = sentence(replace(ROW, topic="all", kind="readability"), POLES, 0.01)
    assert pooled.startswith("all topics: replies changed in whether they take a readable stance")
