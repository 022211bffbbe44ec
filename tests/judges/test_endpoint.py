import json
import logging
import random
import time
from types import SimpleNamespace

import pytest
from support import fake_chat_server as fake

from driftwatch.errors import ConfigError, JudgeError
from driftwatch.judges.endpoint import EndpointJudge
from driftwatch.judges.judge import Asked
from driftwatch.judges.judging import outcome, read
from driftwatch.judges.worker import JudgeWorker
from driftwatch.topics.topic import Item

ITEM = Item("tea", ("I prefer tea", "I prefer coffee"))
GOOD = {"first": 0.8, "second": 0.1, "neither": 0.1}


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    """Seconds that were waited between attempts, noted instead."""
    noted = []
    monkeypatch.setattr("tenacity.nap.time", SimpleNamespace(sleep=noted.append))
    return noted


def asked(reply="Tea, please.", order=0):
    return Asked("drinks", ("tea", "coffee"), ITEM, "two_sided", order, "Which?", reply)


def judge(server, **settings):
    options = {"timeout": 5.0, "deadline": 10.0, **settings}
    return EndpointJudge("judge-1", server.url, **options)


def serving(*answers):
    """Answers one request after the other, then the last for ever."""
    return fake.FakeChatServer(lambda number, body, server: answers[min(number, len(answers) - 1)])


def ok(payload):
    return 200, {}, payload


def test_label_probabilities_are_softmaxed_and_follow_the_order():
    with serving(ok(fake.completion(GOOD))) as server:
        straight, swapped = judge(server).read([asked(), asked(order=1)])
    assert straight.probs == pytest.approx((0.8, 0.1, 0.1))
    assert swapped.probs == pytest.approx((0.1, 0.1, 0.8))  # the first view was sides[1]


def test_the_judge_sees_the_views_in_the_order_that_the_model_saw():
    with serving(ok(fake.completion(GOOD))) as server:
        judge(server).read([asked(order=1)])
        prompt = server.requests[0]["messages"][0]["content"]
    assert prompt.index("View one: I prefer coffee") < prompt.index("View two: I prefer tea")
    assert server.requests[0]["path"] == "/v1/chat/completions"
    assert (server.requests[0]["temperature"], server.requests[0]["logprobs"]) == (0, True)


def test_pieces_of_labels_count_for_their_label():
    with serving(ok(fake.completion({" First": 0.4, "fir": 0.2, "sec": 0.2, "xyz": 0.2}, text="First"))) as server:
        (reading,) = judge(server).read([asked()])
    assert reading.probs == pytest.approx((0.75, 0, 0.25))


@pytest.mark.parametrize(("label", "expected"), [("declines", "refusal"), ("unrelated", "off_topic")])
def test_refusals_and_other_subjects_are_apart(label, expected):
    with serving(ok(fake.completion({label: 0.9, "neither": 0.1}))) as server:
        (reading,) = judge(server).read([asked()])
    assert outcome(reading) == expected


def test_a_server_without_log_probabilities_is_taken_at_its_word():
    with serving(ok(fake.completion(GOOD, text="Second.", logprobs=False))) as server:
        (reading,) = judge(server).read([asked()])
    assert reading.probs == (0, 0, 1)


def test_other_labels_are_unread():
    with serving(ok(fake.completion({"maybe": 0.9, "first": 0.1}, text="maybe"))) as server:
        (reading,) = judge(server).read([asked()])
    assert reading.unread == "the judge said 'maybe', which is none of its labels"


def test_an_empty_reply_is_not_sent():
    with serving(ok(fake.completion(GOOD))) as server:
        (reading,) = judge(server).read([asked("  ")])
    assert reading.unread == "the reply is empty"
    assert server.requests == []


@pytest.mark.parametrize("status", [429, 500, 503])
def test_busy_and_broken_servers_are_asked_again(status, waits):
    with serving((status, {}, {}), (status, {}, {}), ok(fake.completion(GOOD))) as server:
        (reading,) = judge(server).read([asked()])
    assert reading.probs is not None
    assert waits == [0.5, 1.0]


def test_a_server_may_say_how_long_to_wait_but_not_for_ever(waits):
    with serving((429, {"Retry-After": "3600"}, {}), ok(fake.completion(GOOD))) as server:
        judge(server, deadline=1000).read([asked()])
    assert waits == [30.0]


@pytest.mark.parametrize(
    "payload", [b"{not json", b"[1, 2]", b"", {"choices": []}, {"choices": [{"message": {}}]}, {"error": "x"}]
)
def test_answers_that_are_no_completion_leave_a_reply_unread(payload):
    def respond(number, body, server):
        return ok(fake.completion(GOOD) if fake.reply_in(body) == "fine" else payload)

    with fake.FakeChatServer(respond) as server:
        good, bad = judge(server, max_attempts=2).read([asked("fine"), asked("ill")])
    assert good.probs is not None
    assert str(bad.unread).startswith("the judge did not answer: the answer")


def test_an_answer_that_is_slow_but_in_time_is_read():
    def respond(number, body, server):
        time.sleep(0.2)
        return ok(fake.completion(GOOD))

    with fake.FakeChatServer(respond) as server:
        (reading,) = judge(server, timeout=5).read([asked()])
    assert reading.probs is not None
    assert len(server.requests) == 1


def test_an_attempt_that_takes_longer_than_its_time_is_made_again():
    with serving(ok(None), ok(fake.completion(GOOD))) as server:
        (reading,) = judge(server, timeout=0.2).read([asked()])
    assert reading.probs is not None
    assert len(server.requests) == 2


def test_an_answer_that_breaks_off_is_asked_for_again():
    whole = json.dumps(fake.completion(GOOD)).encode()
    with serving((200, {"Content-Length": str(len(whole))}, whole[:60]), ok(whole)) as server:
        (reading,) = judge(server).read([asked()])
    assert reading.probs is not None
    assert len(server.requests) == 2


@pytest.mark.parametrize("content", ["", None])
def test_a_judge_that_says_nothing_leaves_the_reply_unread(content):
    silent = {"model": "judge-1", "choices": [{"message": {"content": content}, "finish_reason": "length"}]}
    with serving(ok(silent)) as server:
        (reading,) = judge(server).read([asked()])
    assert reading.unread == "the judge said '', which is none of its labels"


@pytest.mark.parametrize("reply", ["I think that te", "我更喜欢喝茶。", "Ich mag {Tee} – «sehr».", "\ud83c and a half"])
def test_a_reply_reaches_the_judge_as_it_is_whether_cut_off_or_in_another_language(reply):
    with serving(ok(fake.completion(GOOD))) as server:
        (reading,) = judge(server).read([asked(reply)])
    assert reading.probs is not None
    assert fake.reply_in(server.requests[0]) == reply


def test_a_server_that_never_answers_costs_no_more_than_the_deadline():
    def respond(number, body, server):
        return ok(fake.completion(GOOD) if fake.reply_in(body) == "fine" else None)

    with fake.FakeChatServer(respond) as server:
        start = time.monotonic()
        good, bad = judge(server, timeout=0.2, deadline=1.0, max_attempts=1000).read([asked("fine"), asked("ill")])
    assert time.monotonic() - start < 200, "by the deadline, not by a thousand time-outs"
    assert good.probs is not None
    assert "did not answer" in str(bad.unread)


def test_a_server_that_answers_nothing_is_an_error():
    with serving((500, {}, {})) as server, pytest.raises(JudgeError, match=r"answered none of 2 requests.*HTTP 500"):
        judge(server, max_attempts=2).read([asked(), asked()])


def test_nobody_there_is_an_error():
    with serving(ok({})) as server:
        gone = judge(server, max_attempts=2)
    with pytest.raises(JudgeError, match="answered none of 1 requests"):
        gone.read([asked()])


@pytest.mark.parametrize(("status", "hint"), [(401, "MY_KEY"), (403, "MY_KEY"), (404, "address"), (402, "model")])
def test_what_no_attempt_can_mend_is_said_at_once(status, hint):
    with serving((status, {}, {})) as server, pytest.raises(JudgeError, match=rf"HTTP {status}.*{hint}"):
        judge(server, api_key_env="MY_KEY").read([asked()])
    assert len(server.requests) == 1


def test_another_model_behind_the_same_name_is_refused():
    with serving(ok(fake.completion(GOOD)), ok(fake.completion(GOOD, model="judge-2"))) as server:
        frozen = judge(server)
        frozen.read([asked()])
        with pytest.raises(JudgeError, match='served "judge-1" before and now "judge-2"'):
            frozen.read([asked()])


def test_the_key_goes_to_the_server_and_nowhere_else(monkeypatch, caplog):
    monkeypatch.setenv("MY_KEY", "sk-secret")
    caplog.set_level(logging.DEBUG)
    with serving(ok(fake.completion(GOOD)), (401, {}, {})) as server:
        frozen = judge(server, api_key_env="MY_KEY")
        frozen.read([asked()])
        with pytest.raises(JudgeError) as caught:
            frozen.read([asked()])
    assert server.headers[0]["Authorization"] == "Bearer sk-secret"
    assert "sk-secret" not in caplog.text + str(caught.value) + frozen.id + repr(vars(frozen))


def test_a_redirect_is_not_followed_with_the_key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    with serving(ok(fake.completion(GOOD))) as other, serving((302, {"Location": other.url}, {})) as server:
        with pytest.raises(JudgeError, match="HTTP 302"):
            judge(server).read([asked()])
        assert other.requests == []


def test_no_more_requests_are_under_way_than_allowed():
    def respond(number, body, server):
        time.sleep(0.02)
        return ok(fake.completion(GOOD))

    with fake.FakeChatServer(respond) as server:
        judge(server, concurrency=3).read([asked()] * 12)
    assert 1 < server.most_under_way <= 3


def test_readings_keep_the_order_of_the_replies():
    def respond(number, body, server):
        number = int(fake.reply_in(body))
        time.sleep(0.03 if number == 0 else 0)
        return ok(fake.completion({"first": 1 - number / 10, "second": number / 10 + 1e-9}))

    with fake.FakeChatServer(respond) as server:
        readings = judge(server).read([asked(str(n)) for n in range(6)])
    assert [round(r.probs.oppose, 3) for r in readings] == [0, 0.1, 0.2, 0.3, 0.4, 0.5]


def test_no_random_number_of_training_is_used():
    random.seed(1)
    before = random.getstate()
    with serving((500, {}, {}), ok(fake.completion(GOOD))) as server:
        judge(server).read([asked()])
    assert random.getstate() == before


def test_the_identity_names_model_and_server_without_a_password():
    judge_ = EndpointJudge("gpt-x", "https://user:word@host:1/v1")
    assert judge_.id.startswith("endpoint:host:1/v1:gpt-x:")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"base_url": "localhost:8000/v1"}, "begins with http"),
        ({"concurrency": 0}, "a whole number of at least 1 as .concurrency."),
        ({"timeout": 0}, "a number over 0 as .timeout."),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        EndpointJudge("m", **{"base_url": "http://h/v1", **settings})


def test_a_slow_server_holds_up_nobody_and_late_readings_find_their_look():
    with serving(ok(fake.completion(GOOD))) as server:
        worker = JudgeWorker(judge(server))
        for look in (3, 4):
            worker.submit(look, [asked()] * (look - 1))
        assert worker.num_open == 2
        late = worker.close(timeout=10)
    assert [(found.look, len(found.readings)) for found in late] == [(3, 2), (4, 3)]
    assert worker.num_open == 0


def test_a_server_that_never_answers_does_not_hold_up_the_end():
    with serving(ok(None)) as server:
        worker = JudgeWorker(judge(server, timeout=30, deadline=60))
        worker.submit(0, [asked()])
        start = time.monotonic()
        assert worker.collect() == []
        assert worker.close(timeout=0.1) == []
    assert time.monotonic() - start < 30, "before the judge gives up by itself"


def test_a_look_that_could_not_be_read_is_marked():
    with serving((500, {}, {})) as server:
        worker = JudgeWorker(judge(server, max_attempts=1))
        worker.submit(7, [asked()])
        (late,) = worker.close(timeout=10)
    assert (late.look, late.readings) == (7, None)
    assert "HTTP 500" in late.failure


def test_looks_do_not_pile_up_before_a_dead_server():
    with serving(ok(None)) as server:
        worker = JudgeWorker(judge(server, timeout=30, deadline=60), max_waiting=1)
        worker.submit(0, [asked()])
        while not server.requests:  # the worker has taken it
            time.sleep(0.01)
        worker.submit(1, [asked()])
        with pytest.raises(JudgeError, match=r"2 observations wait for judge endpoint.* already"):
            worker.submit(2, [asked()])
        worker.close(timeout=0)


def test_its_identity_changes_with_model_and_server_and_not_with_patience():
    known = EndpointJudge("m-1", "http://host/v1").id
    assert EndpointJudge("m-1", "http://host/v1", timeout=1, deadline=2, concurrency=1).id == known
    assert EndpointJudge("m-2", "http://host/v1").id != known
    assert EndpointJudge("m-1", "http://other/v1").id != known


def test_another_judge_than_at_the_baseline_reads_no_look():
    with serving(ok(fake.completion(GOOD))) as server:
        before, after = judge(server), EndpointJudge("judge-2", server.url)
        with pytest.raises(JudgeError, match=r"the judge changed: .*judge-1.*judge-2"):
            read(after, [asked()], expected_id=before.id)
        worker = JudgeWorker(after, expected_id=before.id)
        worker.submit(0, [asked()])
        (late,) = worker.close(timeout=10)
    assert late.readings is None
    assert "the judge changed" in late.failure
    assert server.requests == []


def test_a_model_that_changes_between_looks_spoils_only_the_looks_after_it():
    with serving(ok(fake.completion(GOOD)), ok(fake.completion(GOOD, model="judge-2"))) as server:
        worker = JudgeWorker(judge(server))
        for look in (0, 1):
            worker.submit(look, [asked()])
        first, second = worker.close(timeout=10)
    assert first.readings[0].probs is not None
    assert (second.look, second.readings) == (1, None)
    assert 'now "judge-2"' in second.failure


def test_the_border_lets_it_through():
    with serving(ok(fake.completion(GOOD))) as server:
        frozen = judge(server)
        assert len(read(frozen, [asked()], expected_id=frozen.id)) == 1


def filtering(status=400, error=None):
    """A server that takes every reply but those with "flagged" in them."""

    def respond(number, body, server):
        if "flagged" in fake.reply_in(body):
            return status, {}, {"error": error or {"code": "content_filter", "message": "it said: flagged"}}
        return ok(fake.completion(GOOD))

    return fake.FakeChatServer(respond)


@pytest.mark.parametrize("status", [400, 413, 422, 451])
def test_a_reply_that_the_server_refuses_is_unread_and_the_others_count(status):
    with filtering(status) as server:
        readings = judge(server).read([asked("fine"), asked("flagged"), asked("well")])
    assert [reading.probs is not None for reading in readings] == [True, False, True]
    assert readings[1].unread == f"the judge refused the reply: HTTP {status} (content_filter)"
    assert readings[1].unread_kind == "refused"
    assert len(server.requests) == 3  # such a request is not made again


def test_replies_that_are_all_refused_are_unread_if_a_plain_one_is_taken():
    with filtering() as server:
        readings = judge(server).read([asked("flagged"), asked("flagged too")])
    assert [reading.unread_kind for reading in readings] == ["refused", "refused"]


def test_a_server_that_refuses_a_plain_reply_too_is_set_up_wrongly():
    wrong = {"error": {"code": "unknown_model"}}
    said = r"answered none of 1 requests.*HTTP 400 \(unknown_model\).*model's name"
    with serving((400, {}, wrong)) as server, pytest.raises(JudgeError, match=said):
        judge(server).read([asked()])


@pytest.mark.parametrize(
    "choice",
    [
        {"message": {"content": None}, "finish_reason": "content_filter"},
        {"message": {"content": None, "refusal": "I cannot help with that."}, "finish_reason": "stop"},
    ],
)
def test_an_answer_that_was_withheld_is_a_refusal(choice):
    def respond(number, body, server):
        return ok(fake.completion(GOOD) if fake.reply_in(body) == "fine" else {"model": "judge-1", "choices": [choice]})

    with fake.FakeChatServer(respond) as server:
        good, withheld = judge(server).read([asked("fine"), asked("ill")])
    assert good.probs is not None
    assert withheld.unread_kind == "refused"


def test_what_a_server_says_of_a_refused_reply_is_not_repeated():
    with filtering(error={"message": "the secret reply was flagged", "code": "a secret reply with spaces"}) as server:
        _, reading = judge(server).read([asked("fine"), asked("flagged")])
    assert reading.unread == "the judge refused the reply: HTTP 400"


def test_reasons_have_kinds():
    with serving(ok(fake.completion({"perhaps": 1.0}))) as server:
        assert judge(server).read([asked()])[0].unread_kind == "no_verdict"

    def respond(number, body, server):
        return ok(fake.completion(GOOD)) if fake.reply_in(body) == "fine" else (500, {}, {})

    with fake.FakeChatServer(respond) as server:
        assert judge(server, max_attempts=1).read([asked("fine"), asked("ill")])[1].unread_kind == "unanswered"
