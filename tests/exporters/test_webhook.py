"""Alerts at a hook: a real server that takes them, fails, hangs, or is not there."""

import itertools
import json
import logging
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.alerting import alert, alerted
from support.builders import record, run_info
from support.fake_chat_server import FakeChatServer
from support.hostile import HOSTILE
from support.servers import free_port

from driftwatch.errors import ConfigError, ExportError
from driftwatch.exporters.delivery import Delivery, Parcel
from driftwatch.exporters.exporter import Exporter
from driftwatch.exporters.webhook import MAX_ATTEMPTS, MAX_WAITING, WebhookExporter
from driftwatch.store.run_store import RunStore

TAKEN = (200, {}, b"ok")
BROKEN = (500, {}, b"no")
SILENT = (200, {}, None)
SECRET = "T0SECRET"


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def hook():
    """Starts servers that answer one request after the other, then the last for ever."""
    opened = []

    def start(*answers):
        server = FakeChatServer(lambda number, body, server: answers[min(number, len(answers) - 1)])
        opened.append(server)
        return server.__enter__()

    yield start
    for server in opened:
        server.__exit__()


@pytest.fixture
def store(tmp_path):
    made = RunStore(tmp_path / "r1")
    made.create(run_info())
    return made


@pytest.fixture
def exporter(store):
    """Opens exporters on one run, whose records stand in its store, as if attempt followed attempt."""

    def start(server, **options):
        made = WebhookExporter(f"{server.url}/{SECRET}", **options)
        made.open(run_info(), store)
        return made

    return start


def test_it_is_an_exporter(hook, exporter):
    assert isinstance(exporter(hook(TAKEN)), Exporter)


def test_each_new_alert_is_one_message_that_slack_takes(hook, exporter):
    server = hook(TAKEN)
    posting = exporter(server)
    posting.export(record(3, 30))
    posting.export(alerted("parks moved", "tea moved"))
    posting.export(record(5, 50))
    posting.close("finished")
    first, second = server.requests
    assert first["text"] == "driftwatch, warning: run r1, step 40: parks moved"
    assert second["text"].endswith("tea moved")
    assert first["driftwatch"] == {
        "run": "r1",
        "model": "tiny",
        "attempt": 0,
        "look": 4,
        "step": 40,
        "timestamp": 1_700_000_004.0,
        "topic": "parks",
        "kind": "direction",
        "state": "alert",
        "label": "specific",
        "severity": "warning",
        "baseline": "start",
        "net_shift": -0.31,
        "toward": "more building",
        "log10_evidence": 3.1,
        "onset_step": 40,
    }
    assert server.headers[0]["Content-Type"].startswith("application/json")


def test_an_alert_without_its_row_of_evidence_is_posted_all_the_same(hook, exporter):
    server = hook(TAKEN)
    exporter(server).export(record(4, 40, alerts=(alert(),)))
    assert server.requests[0]["driftwatch"]["net_shift"] is None


@pytest.mark.parametrize("answer", [BROKEN, (429, {}, b""), (503, {}, b"")])
def test_a_hook_that_fails_gets_the_alert_again_later_and_only_then(hook, answer, exporter):
    server, clock = hook(answer, TAKEN), Clock()
    posting = exporter(server, clock=clock)
    with pytest.raises(ExportError, match=rf"could not be reached \(HTTP {answer[0]}\); tried again later"):
        posting.export(alerted())
    posting.beat(0.0)  # within the pause
    assert len(server.requests) == 1
    clock.now += 6
    posting.beat(0.0)
    posting.beat(0.0)
    assert [request["text"] for request in server.requests] == [server.requests[0]["text"]] * 2


def test_the_pauses_grow_and_the_attempts_end(hook, exporter):
    server, clock = hook(BROKEN), Clock()
    posting = exporter(server, clock=clock)
    tried, reasons = [], []
    with pytest.raises(ExportError):
        posting.export(alerted())
    for _ in range(400):
        clock.now += 15
        try:
            posting.beat(0.0)
        except ExportError as err:
            tried.append(clock.now)
            reasons.append(str(err))
    assert len(server.requests) == MAX_ATTEMPTS
    pauses = [after - before for before, after in itertools.pairwise(tried)]
    assert pauses == [15, 30, 45, 90, 165, 300, 300, 300, 300, 300]  # doubled, and found due at a beat
    assert f"was not posted in {MAX_ATTEMPTS} attempts" in reasons[-1]


@pytest.mark.parametrize("status", [400, 404, 410])
def test_what_a_hook_refuses_is_not_sent_again_and_the_next_alert_is(hook, status, exporter):
    server = hook((status, {}, b"no_service"), TAKEN)
    posting = exporter(server)
    with pytest.raises(ExportError, match=rf"refused an alert \(HTTP {status}\).*Check DRIFTWATCH_WEBHOOK"):
        posting.export(alerted("first", "second"))
    posting.beat(0.0)
    posting.beat(0.0)
    assert [request["text"].split(": ")[-1] for request in server.requests] == ["first", "second"]


def test_an_alert_is_not_handed_to_another_address(hook, exporter):
    other = hook(TAKEN)
    server = hook((302, {"Location": other.url}, b""))
    with pytest.raises(ExportError, match="HTTP 302"):
        exporter(server).export(alerted())
    assert other.requests == []


def test_nobody_at_the_address_is_said_and_tried_again(store):
    posting = WebhookExporter(f"http://127.0.0.1:{free_port()}/{SECRET}")
    posting.open(run_info(), store)
    with pytest.raises(ExportError, match="Connection refused"):
        posting.export(alerted())


def test_a_hook_that_hangs_is_left_after_the_time_limit(hook, exporter):
    posting = exporter(hook(SILENT), timeout=0.2)
    with pytest.raises(ExportError, match=r"could not be reached \(no whole reply within 0.2 s\)"):
        posting.export(alerted())


def test_a_server_that_does_not_speak_http_is_one_that_cannot_be_reached(store):
    import socket
    import threading

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer():
            link, _ = listener.accept()
            link.recv(65536)
            link.sendall(b"\x00\xff nonsense\r\n\r\n")
            link.close()

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        posting = WebhookExporter(f"http://127.0.0.1:{listener.getsockname()[1]}/{SECRET}", timeout=2)
        posting.open(run_info(), store)
        with pytest.raises(ExportError, match="not HTTP, or it broke off"):
            posting.export(alerted())
        thread.join()


def test_the_end_of_a_run_tries_once_more_and_gives_up_in_time(hook, monkeypatch, exporter):
    monkeypatch.setattr("driftwatch.exporters.webhook.FINAL_SECONDS", 0.3)
    server = hook(BROKEN, SILENT)
    posting = exporter(server, timeout=60)
    with pytest.raises(ExportError):
        posting.export(alerted())
    began = time.monotonic()
    with pytest.raises(ExportError):
        posting.close("finished")
    assert time.monotonic() - began < 60, "by its own limit, not by that of an observation"
    assert len(server.requests) == 2


def test_the_end_of_a_run_delivers_what_waited(hook, exporter):
    server = hook(BROKEN, TAKEN)
    posting = exporter(server)
    with pytest.raises(ExportError):
        posting.export(alerted("one", "two"))
    posting.close("finished")
    assert [request["text"].split(": ")[-1] for request in server.requests] == ["one", "one", "two"]


@pytest.mark.parametrize("last", [TAKEN, BROKEN], ids=["and then all is well", "and then the hook fails"])
def test_an_alert_that_a_hook_refuses_at_the_end_does_not_keep_it_from_the_others(hook, exporter, last):
    server = hook(BROKEN, (400, {}, b"invalid_payload"), TAKEN, last)
    posting = exporter(server)
    with pytest.raises(ExportError, match="HTTP 500"):
        posting.export(alerted("one", "two", "three"))
    with pytest.raises(ExportError, match=r"refused an alert \(HTTP 400\)") as caught:
        posting.close("finished")
    assert texts(server) == ["one", "one", "two", "three"]
    assert ("tried again later" in str(caught.value)) == (last is BROKEN)


def texts(server):
    return [request["text"].split(": ")[-1] for request in server.requests]


def test_what_a_kill_left_unposted_is_posted_when_the_run_goes_on_and_never_again(hook, store, exporter):
    """A killed process calls no close; its next attempt opens the exporter on the run's folder."""
    first = exporter(hook(TAKEN, BROKEN))
    for look, names in ((1, ["one"]), (2, ["two", "three"])):
        store.append(alerted(*names, look=look))
        if look == 1:
            first.export(alerted(*names, look=look))
    with pytest.raises(ExportError):
        first.export(alerted("two", "three", look=2))
    store.append(alerted("four", look=3))  # and here it is killed, before it could export this observation

    server = hook(TAKEN)
    second = exporter(server)
    assert server.requests == [], "opening must not wait for the network"
    second.beat(0.0)
    assert texts(server) == ["two", "three", "four"]
    assert [request["driftwatch"]["look"] for request in server.requests] == [2, 2, 3]
    store.append(alerted("five", look=4))
    second.export(alerted("five", look=4))
    second.close("finished")

    third = exporter(server)
    third.beat(0.0)
    third.close("finished")
    assert texts(server) == ["two", "three", "four", "five"]


def test_a_kill_in_the_middle_of_a_look_repeats_nothing_of_it(hook, store, exporter):
    first = exporter(hook(TAKEN, TAKEN, BROKEN))
    store.append(alerted("one", "two", "three"))
    with pytest.raises(ExportError):
        first.export(alerted("one", "two", "three"))
    server = hook(TAKEN)
    exporter(server).beat(0.0)
    assert texts(server) == ["three"]


def test_what_was_refused_or_given_up_is_not_posted_by_a_later_attempt(hook, store, exporter, monkeypatch):
    monkeypatch.setattr("driftwatch.exporters.webhook.MAX_ATTEMPTS", 1)
    first = exporter(hook((400, {}, b""), BROKEN))
    store.append(alerted("refused", "given up"))
    with pytest.raises(ExportError, match=r"refused.*not posted in 1 attempts"):
        first.export(alerted("refused", "given up"))
    server = hook(TAKEN)
    exporter(server).beat(0.0)
    assert server.requests == []


def test_alerts_of_looks_that_a_resume_repeats_are_posted_too(hook, store, exporter):
    """Evidence is never rolled back, so an alert stands, whatever checkpoint training went back to."""
    exporter(hook(TAKEN))
    store.append_event("begin", attempt=0, step=0)
    store.append(alerted("kept", look=4))
    store.append_event("begin", attempt=1, step=10)
    assert store.records() == []
    server = hook(TAKEN)
    exporter(server).beat(0.0)
    assert texts(server) == ["kept"]


@pytest.mark.parametrize("left", [None, b"", b"{", b'{"look": "x"}', b"[]"])
def test_a_hook_that_joins_a_run_in_the_middle_does_not_post_what_was(hook, store, exporter, left, caplog):
    store.append(alerted("long ago"))
    if left is not None:
        (store.folder / "webhook.json").write_bytes(left)
    server = hook(TAKEN)
    posting = exporter(server)
    posting.beat(0.0)
    store.append(alerted("new", look=5))
    posting.export(alerted("new", look=5))
    assert texts(server) == ["new"]
    assert ("cannot be read" in caplog.text) == (left is not None)


def test_a_disk_that_is_full_does_not_keep_an_alert_from_its_hook(hook, store, exporter, monkeypatch, caplog):
    server = hook(TAKEN)
    posting = exporter(server)

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "write_json", full)
    posting.export(alerted("one", "two"))
    assert texts(server) == ["one", "two"]
    assert "a resumed run may repeat some" in caplog.text


WATCHING = """
import sys, time
sys.path.insert(0, sys.argv[3])
from support.builders import run_info
from support.alerting import alerted
from driftwatch.exporters.delivery import Delivery, Parcel
from driftwatch.exporters.webhook import WebhookExporter
from driftwatch.store.run_store import RunStore
delivery = Delivery(RunStore(sys.argv[1]), [WebhookExporter(sys.argv[2], timeout=60)])
delivery.start(run_info())
delivery.submit(Parcel(alerted("parks moved", "tea moved")))
time.sleep(60)
"""


def test_alerts_of_a_process_that_is_killed_while_it_posts_reach_the_hook_of_the_next_attempt(hook, store, exporter):
    hanging = hook(SILENT)
    tests = str(Path(__file__).parents[1])
    child = subprocess.Popen([sys.executable, "-c", WATCHING, str(store.folder), hanging.url, tests])
    try:
        deadline = time.monotonic() + 60
        while not hanging.requests and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        child.kill()
        child.wait()
    assert texts(hanging) == ["parks moved"]
    server = hook(TAKEN)
    posting = exporter(server)
    posting.beat(0.0)
    posting.close("finished")
    assert texts(server) == ["parks moved", "tea moved"]


def test_a_hook_that_is_away_for_long_does_not_fill_the_memory(hook, caplog, exporter):
    posting = exporter(hook(BROKEN), clock=Clock())
    with pytest.raises(ExportError):
        posting.export(alerted("first"))
    for number in range(MAX_WAITING + 5):
        posting.export(alerted(str(number)))
    assert len(posting._waiting) == MAX_WAITING
    assert "the oldest is dropped" in caplog.text


@pytest.mark.parametrize("text", [*HOSTILE, "<!channel> <https://evil.example|click>", "x" * 100_000, "\U0001f600 ی‌"])
def test_hostile_text_is_shown_as_text(hook, text, store):
    server = hook(TAKEN)
    info = run_info(model=text)
    posting = WebhookExporter(server.url)
    posting.open(info, store)
    posting.export(record(4, 40, alerts=(alert(text, topic=text),)))
    (request,) = server.requests
    assert request["driftwatch"]["topic"] == request["driftwatch"]["model"] == text
    assert not set("<>\x1b\x07\n‮") & set(request["text"])
    assert len(request["text"]) < 5000
    assert json.dumps(request)


def test_the_address_is_in_no_log_and_no_error(hook, caplog, store):
    hooks = [
        WebhookExporter(f"{hook(BROKEN).url}/{SECRET}"),
        WebhookExporter(f"{hook((404, {}, b'')).url}/{SECRET}"),
        WebhookExporter(f"http://127.0.0.1:{free_port()}/{SECRET}"),
    ]
    with caplog.at_level(logging.DEBUG):
        for posting in hooks:
            delivery = Delivery(store, [posting], beat_seconds=0.05)
            delivery.start(run_info())
            delivery.submit(Parcel(alerted()))
            delivery.close("finished", timeout=10)
            assert delivery.failures["webhook"] >= 1
    assert len([entry for entry in caplog.records if "webhook failed" in entry.message]) == 3
    assert SECRET not in caplog.text


def test_a_hook_that_hangs_costs_training_nothing_and_loses_no_look(hook, exporter, store):
    delivery = Delivery(store, [exporter(hook(SILENT), timeout=2)], beat_seconds=0.05)
    delivery.start(run_info())
    for look in range(3):
        delivery.submit(Parcel(alerted(look=look)))
    assert delivery.failures["webhook"] == 0, "training is not there to see the first time-out"
    delivery.close("finished", timeout=10)
    assert [found.look for found in store.records()] == [0, 1, 2]
    assert delivery.failures["webhook"] >= 1


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example/T0SECRET",
        "ftp://hooks.example/T0SECRET",
        "https:///T0SECRET",
        "http://[::1/T0SECRET",
        "https://hooks.example/T0 SECRET",
        "https://hooks.example/T0\nSECRET",
        "http://hooks.example:x/T0SECRET",
    ],
)
def test_an_address_that_cannot_be_a_hook_is_refused_and_not_repeated(url, monkeypatch):
    monkeypatch.setenv("DRIFTWATCH_WEBHOOK", url)
    with pytest.raises(ConfigError, match="Set DRIFTWATCH_WEBHOOK") as caught:
        WebhookExporter()
    assert "SECRET" not in str(caught.value)


def test_a_hook_that_says_when_to_come_again_is_left_alone_until_then(hook, exporter):
    server, clock = hook((429, {"Retry-After": "60"}, b""), TAKEN), Clock()
    posting = exporter(server, clock=clock)
    with pytest.raises(ExportError, match="HTTP 429"):
        posting.export(alerted())
    for seconds in (6, 53):
        clock.now += seconds
        posting.beat(0.0)
    assert len(server.requests) == 1
    clock.now += 2
    posting.beat(0.0)
    assert len(server.requests) == 2
