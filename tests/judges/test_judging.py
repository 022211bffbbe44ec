import pytest

from driftwatch.drift.outcome import Outcome
from driftwatch.errors import JudgeError
from driftwatch.judges.judge import Asked, Judgement
from driftwatch.judges.judging import NEUTRAL, OPPOSE, OUTCOMES, SUPPORT, outcome, read
from driftwatch.stance import Probs
from driftwatch.topics.topic import Item

ASKED = Asked(
    "drinks", ("tea", "coffee"), Item("tea", ("I prefer tea", "I prefer coffee")), "two_sided", 0, "?", "Tea."
)


class Returning:
    id = "returning"

    def __init__(self, found):
        self.found = found

    def read(self, asked):
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


def test_a_sound_reading_passes():
    reading = Judgement(probs=SUPPORT)
    assert read(Returning([reading]), [ASKED], expected_id="returning") == [reading]


def test_nothing_to_read_calls_no_judge():
    assert read(Returning(RuntimeError("called")), []) == []


def test_another_judge_than_at_the_baseline_is_refused():
    with pytest.raises(JudgeError, match="the baseline was read by sides:1, and this one is returning"):
        read(Returning([]), [ASKED], expected_id="sides:1")


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (RuntimeError("out of tea"), "failed with RuntimeError: out of tea"),
        ([], "returned 0 readings for 1 replies"),
        (["support"], "expected a Judgement"),
        ([Judgement()], "exactly one of probs, refusal, off_topic and unread"),
        ([Judgement(probs=SUPPORT, refusal=True)], "exactly one of probs"),
        ([Judgement(probs=Probs(0.5, 0.1, 0.1))], "sum to 1"),
        ([Judgement(probs=Probs(1.5, -0.5, 0.0))], "three probabilities"),
        ([Judgement(probs=Probs(float("nan"), 0.5, 0.5))], "three probabilities"),
        ([Judgement(probs=(0.5, 0.5))], "three probabilities"),
    ],
)
def test_what_is_no_reading_is_one_error(found, message):
    with pytest.raises(JudgeError, match=message):
        read(Returning(found), [ASKED])


def test_a_judges_own_error_keeps_its_words():
    with pytest.raises(JudgeError, match=r"^no key$"):
        read(Returning(JudgeError("no key")), [ASKED])


def test_outcomes_are_named_in_the_order_of_their_codes():
    assert tuple(code.name.lower() for code in Outcome) == OUTCOMES


@pytest.mark.parametrize(
    ("reading", "said"),
    [
        (Judgement(probs=SUPPORT), "support"),
        (Judgement(probs=NEUTRAL), "neutral"),
        (Judgement(probs=OPPOSE), "oppose"),
        (Judgement(probs=Probs(0.2, 0.2, 0.6)), "oppose"),
        (Judgement(probs=Probs(0.3, 0.3, 0.4)), "unread"),
        (Judgement(probs=Probs(0.4, 0.2, 0.4)), "unread"),
        (Judgement(refusal=True), "refusal"),
        (Judgement(off_topic=True), "off_topic"),
        (Judgement(unread="?"), "unread"),
    ],
)
def test_an_outcome_is_the_one_thing_that_a_reading_says(reading, said):
    assert outcome(reading) == said


@pytest.mark.parametrize(
    ("probs", "found"),
    [
        ((0.5, 0.0, 0.5), "unread"),
        ((0.5, 0.5, 0.0), "unread"),
        ((0.0, 0.5, 0.5), "unread"),
        ((0.1 + 0.2 + 0.2, 0.0, 0.5), "unread"),
        ((0.51, 0.0, 0.49), "support"),
        ((0.0, 0.49, 0.51), "oppose"),
    ],
)
def test_two_stances_that_lead_alike_are_no_stance(probs, found):
    reading = Judgement(probs=Probs(*probs))
    assert outcome(reading) == found
    (checked,) = read(Returning([reading]), [ASKED])
    assert outcome(checked) == found
    assert (checked.unread_kind == "tie") == (found == "unread")


def test_a_tie_says_between_which_stances():
    (reading,) = read(Returning([Judgement(probs=Probs(0.5, 0.5, 0.0))]), [ASKED])
    assert reading.unread == "a tie: support and neutral are equally likely"


def test_a_kind_of_reason_that_is_not_known_is_refused():
    with pytest.raises(JudgeError, match="expected unread_kind as one of unclear, tie"):
        read(Returning([Judgement(unread="?", unread_kind="odd")]), [ASKED])
