"""What every judge must do that needs no further setting; the others are held to it by their own tests."""

import pytest

from driftwatch import plugins
from driftwatch.judges.judge import Asked, Judge
from driftwatch.judges.judging import read
from driftwatch.testing import ExactJudge, tiny_pack
from driftwatch.topics.question import question

READY = [name for name in ("sides",) if name in plugins.names("judges")]  # no model, no server


@pytest.fixture(params=[*READY, ExactJudge()], ids=lambda given: given if isinstance(given, str) else given.id)
def judge(request):
    return plugins.made("judges", request.param)


def asked(reply, order=0):
    topic = tiny_pack().topics[0]
    item = topic.items[0]
    return Asked(topic.id, topic.poles, item, "two_sided", order, question(item, "two_sided", order), reply)


def test_it_keeps_the_protocol(judge):
    assert isinstance(judge, Judge)
    assert judge.id


def test_it_gives_one_whole_reading_a_reply(judge):
    replies = ["", "no no no no no no", "Je ne sais pas.", "I want", "\x00�", "I stay neutral on this."]
    assert len(read(judge, [asked(reply) for reply in replies])) == len(replies)


def test_a_restated_side_is_read_whichever_stood_first(judge):
    for side, stance in ((0, "support"), (1, "oppose")):
        text = tiny_pack().topics[0].items[0].sides[side]
        for order in (0, 1):
            reading = judge.read([asked(f"I think that {text[0].lower()}{text[1:]}", order)])[0]
            assert reading.probs is not None
            assert getattr(reading.probs, stance) > 0.5


def test_an_empty_reply_is_no_stance(judge):
    reading = judge.read([asked("")])[0]
    assert reading.probs is None
    assert reading.refusal or reading.off_topic or reading.unread
