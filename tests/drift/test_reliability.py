"""Where a model can be measured at all."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftwatch.drift.reliability import NOT_MEASURED, reliability, reliability_table
from driftwatch.stance import Probs, Stance
from driftwatch.topics import Item, Topic

IDS = [f"i{n}" for n in range(6)]
TOPIC = Topic("t", "T", ("up", "down"), False, tuple(Item(name, ("a", "b")) for name in IDS))


def screen(item: str, first: float, second: float, naysaying: float | None = None) -> Stance:
    """A screen's stance with these log-odds in the two orders."""
    by_order = tuple(Probs(odds / 2, -1.0, -odds / 2) for odds in (first, second))
    mean = Probs(*np.mean(by_order, axis=0).tolist())
    return Stance(
        "t",
        item,
        "statement",
        scores=mean,
        scores_by_order=by_order,
        log_odds=mean.support - mean.oppose,
        naysaying=naysaying,
        coverage=1.0,
    )


def reply(item: str, first: Probs | None, second: Probs | None, coverage: float = 1.0) -> Stance:
    return Stance("t", item, "reply", by_order=(first, second), coverage=coverage, refusal=0.25)


def one(stances, **options):
    (found,) = reliability(stances, [TOPIC], **options)
    return found


RESOLVED = [
    screen(name, odds + 0.1, odds - 0.1, 0.5) for name, odds in zip(IDS, (2, -1, 0.5, 1, -2, 0.05), strict=True)
]


def test_the_figures_of_a_topic_are_those_of_its_definition():
    found = one(RESOLVED)
    stance = np.array([2, -1, 0.5, 1, -2, 0.05])
    assert found.num_items == 6
    assert found.coverage == 1.0
    assert found.order_effect == pytest.approx(0.1)
    assert found.order_consistency == pytest.approx(5 / 6)
    assert found.order_agreement == pytest.approx(1.0)
    assert found.spread == pytest.approx(stance.std(ddof=1))
    assert found.naysaying == pytest.approx(0.5)
    assert found.unresolved is None


def test_an_item_whose_answer_follows_the_order_is_flagged_with_both_figures():
    found = one(RESOLVED)
    flagged = [item for item in found.items if item.unresolved]
    assert [item.item for item in flagged] == ["i5"]
    assert flagged[0].unresolved == ("the answer follows the order of the sides (+0.100 nats per token against +0.050)")
    assert found.num_unresolved == 1


def test_a_topic_whose_answers_follow_the_order_has_no_resolution():
    """Always the first-listed side: in order 0 toward poles[0], in order 1 away from it."""
    found = one([screen(name, 1.0 + n / 10, -1.0) for n, name in enumerate(IDS)])
    assert found.order_consistency == 0.0
    assert found.order_effect == pytest.approx(1.125)
    assert found.unresolved == "the side that stands first decides the answer to 100% of the items"


def test_a_topic_whose_items_do_not_differ_has_no_resolution():
    found = one([screen(name, 1.0 + n / 100, 0.9) for n, name in enumerate(IDS)])
    assert found.order_consistency == 1.0
    assert found.unresolved is not None
    assert found.unresolved.startswith("the items differ by only 0.009 nats per token, less than 0.100")


def test_a_topic_of_which_too_little_was_measured_has_no_resolution_and_says_why():
    lost = [Stance("t", name, "statement", coverage=0.0, unscored="the logits were not finite") for name in IDS[:4]]
    found = one([*lost, *RESOLVED[4:]])
    assert found.coverage == pytest.approx(1 / 3)
    assert found.spread is None
    assert found.unresolved == "only 33% of the items could be measured (the logits were not finite)"
    assert found.items[0].unresolved == "the logits were not finite"
    assert found.items[0].stance is None


def test_nothing_measured_gives_no_figure_at_all():
    lost = [Stance("t", name, "statement", unscored="out of memory") for name in IDS]
    found = one(lost)
    assert (found.order_consistency, found.order_effect, found.order_agreement, found.spread) == (None,) * 4
    assert found.unresolved == "only 0% of the items could be measured (out of memory)"


def test_a_single_order_is_not_enough():
    half = Stance("t", "i0", "statement", scores=Probs(1, 0, 0), scores_by_order=(Probs(1, 0, 0), None))
    assert one([half]).items[0].unresolved == "one order of the sides was not measured"


def test_reply_columns_are_not_measured_until_replies_exist():
    found = one(RESOLVED)
    assert (found.reply_coverage, found.reply_consistency, found.reply_refusal) == (None, None, None)
    header, (row,) = reliability_table([found])
    told = dict(zip(header, row, strict=True))
    for column in ("frame consistency", "reply coverage", "reply consistency", "reply refusal"):
        assert told[column] == NOT_MEASURED
    assert told["topic"] == "t"
    assert told["order consistency"] == "0.83"
    assert told["resolution"] == "yes"


UP, DOWN, NEITHER = Probs(0.9, 0.1, 0.0), Probs(0.0, 0.1, 0.9), Probs(0.0, 1.0, 0.0)


def test_replies_fill_their_columns_and_undecided_items_are_left_out():
    replies = [reply("i0", UP, UP), reply("i1", UP, DOWN), reply("i2", DOWN, DOWN), reply("i3", NEITHER, UP)]
    found = one([*RESOLVED, *replies])
    assert found.reply_consistency == pytest.approx(2 / 3)
    assert found.reply_coverage == 1.0
    assert found.reply_refusal == pytest.approx(0.25)
    assert found.unresolved is None
    assert found.num_items == 6


@pytest.mark.parametrize(
    ("replies", "reason"),
    [
        (
            [reply(name, UP, DOWN) for name in IDS],
            "the side that stands first decides the replies to 100% of the items",
        ),
        (
            [reply(name, UP, UP, coverage=0.2) for name in IDS],
            "only 20% of the replies took a stance that could be read",
        ),
    ],
)
def test_replies_that_say_nothing_take_the_resolution_away(replies, reason):
    assert one([*RESOLVED, *replies]).unresolved == reason


def test_half_of_the_replies_is_half_however_it_is_added_up():
    coverage = (0.1, 0.1, 0.7, 0.9, 0.9, 0.3)
    found = one([reply(name, UP, UP, coverage=share) for name, share in zip(IDS, coverage, strict=True)])
    assert found.reply_coverage < 0.5
    assert found.unresolved is None


def test_a_topic_asked_by_replies_only_has_no_screen_figures():
    found = one([reply(name, UP, UP) for name in IDS])
    assert found.num_items == 6
    assert found.coverage is None
    assert found.items == ()
    assert found.unresolved is None


def test_refused_and_unread_replies_are_not_covered():
    stance = Stance("t", "i0", "confirm", probs=Probs(0.3, 0, 0), refusal=0.5, unread=0.2, coverage=1.0)
    found = one([*RESOLVED, stance])
    assert found.reply_coverage == pytest.approx(0.3)
    assert found.unresolved == "only 30% of the replies took a stance that could be read"


def test_frame_consistency_counts_pairs_of_frames_that_agree():
    frames = {"i0": [0.5, 0.2, 0.1], "i1": [0.5, -0.2, 0.1], "i2": [1.0]}
    assert one(RESOLVED, frames=frames).frame_consistency == pytest.approx((1 + 1 / 3) / 2)


def test_topics_that_were_not_asked_are_left_out():
    other = Topic("u", "U", ("a", "b"), True, TOPIC.items)
    assert [found.topic for found in reliability(RESOLVED, [other, TOPIC])] == ["t"]


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=3, max_size=6))
def test_naming_the_other_pole_first_changes_no_judgement(pairs):
    """Turning the axis round swaps the orders and the sign; consistency, effect, spread and verdict stay."""
    here = one([screen(name, a, b) for name, (a, b) in zip(IDS, pairs, strict=False)])
    there = one([screen(name, -b, -a) for name, (a, b) in zip(IDS, pairs, strict=False)])
    assert here.order_consistency == there.order_consistency
    assert here.order_effect == pytest.approx(there.order_effect, abs=1e-9)
    assert here.spread == pytest.approx(there.spread, abs=1e-9)
    assert [i.unresolved is None for i in here.items] == [i.unresolved is None for i in there.items]
    assert 0 <= here.order_consistency <= 1


def test_the_result_can_be_stored_as_json():
    assert json.loads(json.dumps([asdict(found) for found in reliability(RESOLVED, [TOPIC])]))[0]["topic"] == "t"
