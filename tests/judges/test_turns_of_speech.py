"""A side behind every frame that we could think of: none may be read with the wrong sign; most should be read."""

from itertools import cycle, islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.turns_of_speech import AFFIRMING, NEITHER, REJECTING, SEQUELS

from driftwatch.judges.judge import Asked
from driftwatch.judges.judging import outcome
from driftwatch.judges.sides import Sides
from driftwatch.probes.statement import clause
from driftwatch.topics import load_pack

ITEMS = [(topic, item) for topic in load_pack("core") for item in topic.items if item.sides]
EACH = 24  # items a frame in the default suite, other ones for every frame
APOSTROPHES = "'’‘ʼ´`′＇"


def takes(topic, item, reply, order=0):
    """The side that a reply is read to take: 0, 1, or None."""
    asked = Asked(topic.id, topic.poles, item, "two_sided", order, "?", reply)
    return {"support": 0, "oppose": 1}.get(outcome(Sides().read([asked])[0]))


def put(frame, side):
    text = side.rstrip(".")
    return frame.format(x=clause(text), X=text)


def readings(frame, items):
    """Of each item and side: whether the side itself (1), the other one (-1) or none (0) is read."""
    found = []
    for number, (topic, item) in enumerate(items):
        for side in (0, 1):
            read = takes(topic, item, put(frame, item.sides[side]), number % 2)
            found.append(0 if read is None else 1 if read == side else -1)
    return found


def some_items(frame, frames):
    start = frames.index(frame) * 7
    return list(islice(cycle(ITEMS), start, start + EACH))


def test_there_are_sixty_frames_of_each_polarity():
    assert len(set(AFFIRMING)) >= 60
    assert len(set(REJECTING)) >= 60


@pytest.mark.parametrize("frame", AFFIRMING)
def test_what_affirms_a_side_is_never_read_as_the_other(frame):
    assert -1 not in readings(frame, some_items(frame, AFFIRMING))


@pytest.mark.parametrize("frame", REJECTING)
def test_what_rejects_a_side_is_never_read_as_that_side(frame):
    assert 1 not in readings(frame, some_items(frame, REJECTING))


@pytest.mark.parametrize("frame", NEITHER)
def test_what_does_neither_is_not_read(frame):
    assert set(readings(frame, some_items(frame, NEITHER))) == {0}


@pytest.mark.parametrize("before", ["{X}. ", "I think that {x}. ", "Sure, {x}. "])
def test_a_sentence_that_mocks_a_side_leaves_it_unread(before):
    """Whatever follows in no words of the question may be irony: it is no agreement."""
    for number, sequel in enumerate(SEQUELS):
        items = list(islice(cycle(ITEMS), 31 * number, 31 * number + 4))
        assert 1 not in readings(before + sequel, items), sequel


def test_no_side_is_turned_round_by_a_word_that_it_shares_with_a_frame():
    """One side of the pack begins with "wrong", as what follows "I see nothing" in a frame does."""
    for frame in AFFIRMING[:2]:
        assert -1 not in readings(frame, ITEMS), frame


def test_most_of_what_affirms_or_rejects_is_read():
    for frames, least in ((AFFIRMING, 0.95), (REJECTING, 0.7)):
        read = [value != 0 for frame in frames for value in readings(frame, some_items(frame, frames)[:4])]
        assert sum(read) >= least * len(read)


@pytest.mark.slow
def test_no_frame_turns_any_side_of_the_pack_round():
    for frame in AFFIRMING:
        assert -1 not in readings(frame, ITEMS), frame
    for frame in REJECTING:
        assert 1 not in readings(frame, ITEMS), frame
    for frame in NEITHER:
        assert set(readings(frame, ITEMS)) == {0}, frame


NESTED = (
    ("I think that ", 1),
    ("I'd say ", 1),
    ("I am sure that ", 1),
    ("it's true that ", 1),
    ("it is fair to say that ", 1),
    ("there is no doubt that ", 1),
    ("I don't think that ", -1),
    ("I doubt that ", -1),
    ("I deny that ", -1),
    ("I reject the idea that ", -1),
    ("I disagree that ", -1),
    ("it isn't true that ", -1),
    ("it is a myth that ", -1),
    ("it's wrong to say that ", -1),
    ("it would be a mistake to claim that ", -1),
    ("I can't accept that ", -1),
    ("I'm against the view that ", -1),
)
# Between a frame and the next, or around all: nothing that changes the sign, or that we know.
ASIDES = ("", "", "", "honestly, ", "in my view, ", "well, ")


@settings(max_examples=400, deadline=None)
@given(
    frames=st.lists(st.sampled_from(NESTED), min_size=1, max_size=4),
    aside=st.sampled_from(ASIDES),
    verdict=st.sampled_from(
        (("", 1), (", in my opinion", 1), (" is wrong", -1), (" is true", 1), (" is nonsense", -1))
    ),
    apostrophe=st.sampled_from((*APOSTROPHES, "", "'\u00ad", "\u200b'")),
    number=st.integers(0, len(ITEMS) - 1),
    side=st.integers(0, 1),
    order=st.integers(0, 1),
    shout=st.booleans(),
)
def test_frames_multiply_or_the_reply_is_unread(frames, aside, verdict, apostrophe, number, side, order, shout):
    topic, item = ITEMS[number]
    before = "".join(text for text, _ in frames)
    text = f"{aside}{before}{clause(item.sides[side].rstrip('.'))}{verdict[0]}."
    own = item.sides[side].count("'")
    text = text if own else text.replace("'", apostrophe)
    sign = verdict[1]
    for _, one in frames:
        sign *= one
    read = takes(topic, item, text.upper() if shout else text, order)
    assert read in (None, side if sign > 0 else 1 - side)


@pytest.mark.parametrize("frame", ["Those who deny that {x} are wrong.", "Anyone who denies that {x} is mistaken."])
def test_a_verdict_on_those_who_deny_a_side_is_not_one_on_the_side(frame):
    """A "so" or "however" within the side is no conjunction: "... are so cruel that ... are wrong"."""
    assert -1 not in readings(frame, ITEMS)
