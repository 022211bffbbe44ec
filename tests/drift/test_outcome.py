import numpy as np
import pytest

from driftwatch.drift.outcome import (
    LOST_P,
    NOT_DRAWN,
    NUM_OUTCOMES,
    SHIFT_KP,
    Draws,
    Outcome,
    outcome_of,
    padded,
    tally,
)
from driftwatch.stance import Probs


def pair(now, baseline):
    return now * NUM_OUTCOMES + baseline


@pytest.mark.parametrize(
    ("now", "baseline", "direction", "neutral", "lost"),
    [
        (Outcome.SUPPORT, Outcome.OPPOSE, 1, 0, 0),
        (Outcome.OPPOSE, Outcome.SUPPORT, -1, 0, 0),
        (Outcome.SUPPORT, Outcome.NEUTRAL, 0.5, -1, 0),
        (Outcome.NEUTRAL, Outcome.OPPOSE, 0.5, 1, 0),
        (Outcome.REFUSAL, Outcome.SUPPORT, -0.5, 0, 1),
        (Outcome.NEUTRAL, Outcome.UNREAD, 0, 1, -1),
        (Outcome.OFF_TOPIC, Outcome.REFUSAL, 0, 0, 0),
        (Outcome.SUPPORT, Outcome.SUPPORT, 0, 0, 0),
    ],
)
def test_what_a_draw_counts(now, baseline, direction, neutral, lost):
    code = pair(now, baseline)
    assert (SHIFT_KP[0, code], SHIFT_KP[1, code], LOST_P[code]) == (direction, neutral, lost)


def test_swapping_the_sides_turns_every_count_round():
    swapped = np.arange(NUM_OUTCOMES**2).reshape(NUM_OUTCOMES, NUM_OUTCOMES).T.ravel()
    assert (SHIFT_KP[:, swapped] == -SHIFT_KP).all()
    assert (LOST_P[swapped] == -LOST_P).all()


@pytest.mark.parametrize(
    ("probs", "refusal", "off_topic", "outcome"),
    [
        (Probs(0.8, 0.1, 0.1), False, False, Outcome.SUPPORT),
        (Probs(0.1, 0.6, 0.3), False, False, Outcome.NEUTRAL),
        (Probs(0.2, 0.3, 0.5), False, False, Outcome.OPPOSE),
        (Probs(0.4, 0.3, 0.3), False, False, Outcome.UNREAD),
        (Probs(float("nan"), 0.0, 0.0), False, False, Outcome.UNREAD),
        (None, False, False, Outcome.UNREAD),
        (None, True, False, Outcome.REFUSAL),
        (None, False, True, Outcome.OFF_TOPIC),
    ],
)
def test_a_reading_becomes_one_label_or_an_abstention(probs, refusal, off_topic, outcome):
    assert outcome_of(probs, refusal=refusal, off_topic=off_topic) is outcome


def test_draws_survive_json():
    draws = Draws(("a", "b"), (Outcome.SUPPORT, Outcome.UNREAD), (Outcome.OPPOSE, Outcome.NEUTRAL))
    assert Draws.from_json(draws.to_json()) == draws


def test_a_draw_without_a_baseline_reply_is_refused():
    with pytest.raises(ValueError, match="1 outcomes now and 0 of the baseline"):
        Draws(("a",), (0,), ())


def test_an_unknown_outcome_is_refused():
    with pytest.raises(ValueError, match=r"found \[7\]"):
        Draws(("a",), (7,), (0,))


def test_topics_with_fewer_draws_are_padded():
    now, baseline = padded([Draws(("a", "b"), (0, 1), (2, 3)), Draws()])
    assert now.tolist() == [[0, 1], [NOT_DRAWN, NOT_DRAWN]]
    assert baseline.tolist() == [[2, 3], [NOT_DRAWN, NOT_DRAWN]]


def test_tally_counts_codes_row_by_row_and_skips_what_was_not_drawn():
    codes = np.array([[[0, 0, 2], [1, NOT_DRAWN, NOT_DRAWN]]])
    assert tally(codes, 3).tolist() == [[[2, 0, 1], [0, 1, 0]]]


def test_tally_of_no_draws_is_zero():
    assert tally(np.zeros((2, 0), int), 3).tolist() == [[0, 0, 0]] * 2
