"""The baseline's replies of before training: enough of them, rationed, and foretold before they are decoded."""

import logging

import numpy as np
import pytest

from driftwatch.evidence.reserve import at_once, horizon, planned_replies
from driftwatch.replies.pool import (
    PILOT_REPLIES,
    TAIL_LOOKS,
    BaselineReply,
    Pool,
    decoded,
)
from driftwatch.replies.sampling import Reply
from driftwatch.testing import tiny_pack

NORMAL, WATCHED = 16, 48


def pool_of(counts):
    return Pool(
        [BaselineReply(f"{i}", 1, True, 0.5, topic, f"{topic}{i}", 0) for topic, n in counts.items() for i in range(n)]
    )


def looks_served(pool, looks, planned, *, watched=()):
    """Draws of each topic at each observation of a run whose `watched` topics want more throughout."""
    served = []
    for look in range(looks):
        wanted = {topic: WATCHED if topic in watched else NORMAL for topic in pool.left}
        counts = pool.rationed(wanted, horizon(planned) - look, normal=NORMAL)
        draws, taken, _ = pool.take(counts)
        assert [(d.topic, d.item) for d in draws] == [(r.topic, r.item) for r in taken]
        served.append({topic: sum(d.topic == topic for d in draws) for topic in wanted})
    return served


def of_plan(planned):
    topics = tiny_pack().topics
    return planned_replies(topics, horizon(planned), normal=NORMAL, watched=WATCHED)


@pytest.mark.parametrize("planned", [1, 40, 200])
def test_they_last_for_the_plan_and_half_as_many_looks_again(planned):
    served = looks_served(pool_of(of_plan(planned)), horizon(planned), planned)
    assert horizon(planned) >= 1.5 * planned
    assert all(number == NORMAL for look in served for number in look.values())


def test_a_topic_that_is_watched_from_the_first_look_is_drawn_to_the_last():
    """It used to have none left after 23 of 40 observations."""
    planned = 40
    served = looks_served(pool_of(of_plan(planned)), horizon(planned), planned, watched=("parks",))
    assert served[0]["parks"] == WATCHED
    assert all(look["parks"] >= NORMAL for look in served)
    assert all(look[topic] == NORMAL for look in served for topic in look if topic != "parks"), "nobody else's share"


def test_what_is_too_much_to_decode_at_once_is_cut_in_proportion_and_still_lasts():
    planned = 400
    wanted = of_plan(planned)
    counts = at_once(wanted, 6_000)
    assert sum(counts.values()) <= 6_000
    shares = {topic: counts[topic] / wanted[topic] for topic in wanted}
    assert max(shares.values()) - min(shares.values()) < 0.01
    served = looks_served(pool_of(counts), horizon(planned), planned, watched=("parks",))
    assert all(number >= 1 for look in served for number in look.values())
    assert at_once(wanted, sum(wanted.values())) == wanted


def test_far_beyond_the_plan_what_is_left_is_spread_until_it_is_used_up():
    pool = pool_of({"work": 3 * NORMAL})
    assert pool.rationed({"work": NORMAL}, 0, normal=NORMAL)["work"] == -(-3 * NORMAL // TAIL_LOOKS)
    ended = []
    while not ended:
        _, taken, ended = pool.take(pool.rationed({"work": NORMAL}, -5, normal=NORMAL))
        assert taken
    assert ended == ["work"]
    assert pool.left == {"work": 0}
    assert pool.take(pool.rationed({"work": NORMAL}, -5, normal=NORMAL)) == ([], [], ["work"])


def test_a_resumed_pool_goes_on_where_it_was():
    first = pool_of({"work": 20})
    first.take({"work": 6})
    again = Pool(list(first), first.used)
    assert again.left == first.left == {"work": 14}
    assert again.take({"work": 1})[1] == first.take({"work": 1})[1]


@pytest.fixture
def asked(caplog):
    """Decodes by counting; gives the replies, the number of draws of each call, and what was said before the last."""

    def decode(each):
        calls, said = [], []

        def ask(draws):
            calls.append(len(draws))
            said.append(caplog.text)
            return [Reply(f"{d.item} {d.order}", 1, True, 0.5) for d in draws]

        with caplog.at_level(logging.INFO):
            topics = tiny_pack().topics
            counts = {topic.id: each for topic in topics}
            found = decoded(topics, counts, why="decoding {number} now", rng=np.random.default_rng(0), ask=ask)
        return found, calls, said

    return decode


def test_many_replies_are_foretold_by_a_few_before_they_are_decoded(asked):
    found, calls, said = asked(200)
    assert calls == [PILOT_REPLIES, 200 * len(tiny_pack().topics)]
    assert said[0] == ""
    assert f"decoding {calls[1]} now, which takes about 0 s" in said[1]
    assert len(found) == calls[1], "those that were timed are no replies of the run"


def test_few_replies_are_decoded_at_once(asked):
    _, calls, said = asked(8)
    assert calls == [8 * len(tiny_pack().topics)]
    assert "takes about" not in said[0]
