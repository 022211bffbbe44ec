import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftwatch.drift.outcome import Outcome
from driftwatch.drift.style import FIGURES, ReplyStyle, Style, StylePair, style_of


def said(outcome=Outcome.SUPPORT, order=0, lean=None, *, hedges=False, finished=True, tokens=10, entropy=2.0):
    leans = {Outcome.SUPPORT: 1.0, Outcome.OPPOSE: -1.0}
    return ReplyStyle(outcome, order, leans.get(outcome) if lean is None else lean, hedges, finished, tokens, entropy)


def test_known_replies_give_known_shares():
    replies = [
        said(Outcome.SUPPORT, 0, tokens=4, entropy=1.0),
        said(Outcome.OPPOSE, 1, tokens=6, entropy=3.0, hedges=True),
        said(Outcome.REFUSAL, 0, tokens=8, entropy=None, finished=False),
        said(Outcome.OFF_TOPIC, 1, tokens=2, entropy=2.0),
        said(Outcome.UNREAD, 0, tokens=5, entropy=2.0, hedges=True),
    ]
    assert style_of("parks", replies) == Style(
        topic="parks",
        num_replies=5,
        refusal=0.2,
        off_topic=0.2,
        unread=0.2,
        hedging=0.4,
        order_preference=1.0,
        cut=0.2,
        num_tokens=5.0,
        entropy=2.0,
    )


def test_a_refusal_is_never_counted_as_neutral_nor_as_unread():
    style = style_of("parks", [said(Outcome.REFUSAL), said(Outcome.NEUTRAL)])
    assert (style.refusal, style.unread, style.off_topic) == (0.5, 0.0, 0.0)


def test_where_nobody_tells_the_entropy_there_is_none():
    assert style_of("parks", [said(entropy=None)]).entropy is None


replies = st.lists(
    st.builds(
        said,
        st.sampled_from(Outcome),
        st.sampled_from([0, 1, None]),
        st.one_of(st.none(), st.floats(-1, 1)),
        hedges=st.booleans(),
        finished=st.booleans(),
        tokens=st.integers(0, 24),
        entropy=st.one_of(st.none(), st.floats(0, 11)),
    ),
    min_size=1,
    max_size=30,
)


@given(replies)
def test_shares_and_preferences_keep_to_their_ranges(group):
    style = style_of("parks", group)
    assert all(0 <= getattr(style, name) <= 1 for name in ("refusal", "off_topic", "unread", "hedging", "cut"))
    assert style.refusal + style.off_topic + style.unread <= 1 + 1e-9
    assert style.order_preference is None or -1 <= style.order_preference <= 1


@given(replies, st.floats(-1, 1))
def test_a_stance_does_not_show_as_a_preference_for_an_order(group, lean):
    """However strong the stance, and however unevenly it was asked in the two orders."""
    loyal = [reply._replace(lean=lean) for reply in group if reply.order is not None]
    both = {reply.order for reply in loyal} == {0, 1}
    preference = style_of("parks", loyal).order_preference if loyal else None
    assert preference == (pytest.approx(0, abs=1e-9) if both else None)


@given(replies)
def test_swapping_the_orders_turns_the_preference_and_nothing_else(group):
    style = style_of("parks", group)
    turned = style_of("parks", [r._replace(order=None if r.order is None else 1 - r.order) for r in group])
    expected = None if style.order_preference is None else pytest.approx(-style.order_preference)
    assert turned.order_preference == expected
    assert all(getattr(turned, name) == getattr(style, name) for name in FIGURES if name != "order_preference")


def test_one_order_alone_has_no_preference():
    assert style_of("parks", [said(), said(), said(Outcome.NEUTRAL, 1)]).order_preference is None


def test_a_shift_is_now_less_the_baseline_and_none_where_a_side_has_none():
    pair = StylePair(
        style_of("parks", [said(Outcome.REFUSAL, tokens=4)]), style_of("parks", [said(tokens=10), said(order=1)])
    )
    assert pair.topic == "parks"
    assert (pair.shift("refusal"), pair.shift("num_tokens")) == (1.0, -6.0)
    assert pair.shift("order_preference") is None
