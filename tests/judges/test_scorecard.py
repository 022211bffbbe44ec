import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftwatch.drift.kappa import cohen_kappa
from driftwatch.errors import JudgeError
from driftwatch.judges.judge import Asked, Judgement
from driftwatch.judges.judging import NEUTRAL, OPPOSE, SUPPORT
from driftwatch.judges.labelled import load_labelled
from driftwatch.judges.scorecard import Labelled, power_left, score
from driftwatch.topics.topic import Item

ASKED = Asked(
    "drinks", ("tea", "coffee"), Item("tea", ("I prefer tea", "I prefer coffee")), "two_sided", 0, "?", "Tea."
)
READINGS = {
    "support": Judgement(probs=SUPPORT),
    "neutral": Judgement(probs=NEUTRAL),
    "oppose": Judgement(probs=OPPOSE),
    "refusal": Judgement(refusal=True),
    "unread": Judgement(unread="?"),
}


def card(*pairs):
    labelled = [Labelled(ASKED, None if label == "none" else label) for label, _ in pairs]
    return score(labelled, [READINGS[read] for _, read in pairs])


def test_the_figures_of_a_small_set_by_hand():
    found = card(
        ("support", "support"),
        ("support", "unread"),  # unread is wrong for accuracy, not for precision
        ("oppose", "support"),
        ("none", "unread"),  # neither finds a stance: right
        ("none", "neutral"),  # a stance read where there is none is wrong
        ("refusal", "refusal"),
    )
    assert found.coverage == pytest.approx(3 / 6)
    assert found.precision == pytest.approx(1 / 3)
    assert found.accuracy == pytest.approx(3 / 6)
    assert found.refusal_recall == 1
    assert found.confusion["support"] == {**dict.fromkeys(("neutral", "oppose", "refusal", "off_topic"), 0), "support": 1, "unread": 1}  # fmt: skip # noqa: E501
    # F1: support 2·1/(2+2), oppose 0, none 2·2/(3+3)
    assert found.macro_f1 == pytest.approx((0.5 + 0 + 2 / 3) / 3)


def test_a_perfect_judge():
    found = card(("support", "support"), ("neutral", "neutral"), ("oppose", "oppose"), ("none", "unread"))
    assert (found.precision, found.accuracy, found.kappa, found.macro_f1, found.drift_factor) == (1, 1, 1, 1, 1)
    assert found.power == {"0.10": 1.0, "0.20": 1.0}


def test_a_judge_that_reads_nothing_has_no_precision():
    found = card(("support", "unread"), ("oppose", "refusal"))
    assert (found.coverage, found.precision, found.drift_factor) == (0, None, None)
    assert found.power == {"0.10": 0.0, "0.20": 0.0}


def test_no_replies_or_too_few_readings_are_an_error():
    with pytest.raises(ValueError, match="found 0 for 0"):
        score([], [])
    with pytest.raises(ValueError, match="found 0 for 1"):
        score([Labelled(ASKED, None)], [])


@pytest.mark.parametrize(
    ("accuracy", "unread", "power"),
    [(1.0, 0.02, 1.00), (0.9, 0.02, 0.98), (0.8, 0.02, 0.75), (0.7, 0.02, 0.31), (1, 0.2, 0.93), (1, 0.3, 0.76)],
)
def test_the_power_left_is_that_of_the_published_simulations(accuracy, unread, power):
    """docs/statistics.md: accuracy 1 / 0.9 / 0.8 / 0.7, and 2 / 20 / 30 % without a stance, for a step of 0.10."""
    factor = (1 - 1.5 * (1 - accuracy)) * (1 - unread) / 0.98
    assert power_left(0.10, factor) == pytest.approx(power, abs=0.04)


def test_kappa_of_a_published_table():
    """Two raters, 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: 0.4 (a table much used in textbooks)."""
    first = ["y"] * 25 + ["n"] * 25
    second = ["y"] * 20 + ["n"] * 5 + ["y"] * 10 + ["n"] * 15
    assert cohen_kappa(first, second) == pytest.approx(0.4)


def test_kappa_is_none_where_nothing_varies():
    assert cohen_kappa(["a", "a"], ["a", "a"]) is None


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=2, max_size=30))
def test_kappa_is_symmetric_and_at_most_one(pairs):
    first, second = zip(*pairs, strict=True)
    kappa = cohen_kappa(first, second)
    assert kappa == cohen_kappa(second, first)
    assert kappa is None or kappa <= 1 + 1e-12


def write(tmp_path, *entries):
    file = tmp_path / "replies.jsonl"
    file.write_text("\n".join(e if isinstance(e, str) else json.dumps(e) for e in entries), encoding="utf-8")
    return file


def test_labelled_replies_are_loaded_with_what_they_have(tmp_path):
    two_sided = {"sides": ["A", "B"], "order": 1, "reply": "B.", "stance": "oppose", "split": "held_back"}
    stated = {"proposition": "Taxes are low", "question": "Are they?", "reply": "No!", "stance": None, "refusal": True}
    first, second = load_labelled(write(tmp_path, two_sided, "", stated))
    assert (first.asked.framing, first.asked.order, first.label, first.split) == ("two_sided", 1, "oppose", "held_back")
    assert first.asked.question == "B / A"
    assert (second.asked.framing, second.asked.question, second.label) == ("open", "Are they?", "refusal")
    assert second.asked.item.sides == ("Taxes are low", "It is not true that taxes are low")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{broken", r"replies.jsonl:1: expected a JSON object"),
        ([1], "expected a JSON object; found list"),
        ({"sides": ["A", "B"], "reply": "A"}, "found reply='A', stance='missing'"),
        ({"sides": ["A", "B"], "reply": "A", "stance": "?"}, r"stance='\?'"),
        ({"sides": ["A", "B"], "reply": 3, "stance": None}, "found reply=3"),
        ({"sides": ["A"], "reply": "A", "stance": None}, r"found sides=\['A'\]"),
        ({"reply": "A", "stance": None}, "found sides=None, proposition=None"),
        ({"sides": ["A", "B"], "order": 2, "reply": "A", "stance": None}, "expected order 0 or 1; found 2"),
        ({"sides": ["A", "B"], "reply": "A", "stance": "support", "refusal": True}, "a refusal takes no stance"),
        ({"sides": ["A", "B"], "reply": "A", "stance": None, "framing": "sung"}, "expected framing"),
    ],
)
def test_lines_that_cannot_be_used_are_named(tmp_path, entry, message):
    with pytest.raises(JudgeError, match=message):
        load_labelled(write(tmp_path, entry))


def test_files_that_cannot_be_used_are_named(tmp_path):
    with pytest.raises(JudgeError, match=r"nowhere.jsonl: expected a readable UTF-8 file"):
        load_labelled(Path("nowhere.jsonl"))
    with pytest.raises(JudgeError, match=r"expected labelled replies.*found none"):
        load_labelled(write(tmp_path, ""))
