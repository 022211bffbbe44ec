"""Pushes: kept once, refused with a reason, never the end of the service; and the exporter that sends them."""

import contextlib
import json
import threading

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient
from support.builders import record, run_info
from support.synthetic_runs import synthetic_run

from driftwatch.errors import ConfigError, ExportError
from driftwatch.exporters.exporter import Exporter
from driftwatch.exporters.service import ServiceExporter
from driftwatch.http.reply import NoReply, Reply
from driftwatch.record.record import to_json
from driftwatch.service.app import create_app
from driftwatch.service.library import Library
from driftwatch.service.push import Inbox, Push
from driftwatch.store.run_store import Event, RunStore
from driftwatch.testing import tiny_pack

TOKEN = "a-token-for-tests"
AUTH = {"Authorization": f"Bearer {TOKEN}"}


def body(run="r1", *, info=True, **parts):
    parts = {name: [json.loads(to_json(value)) for value in values] for name, values in parts.items()}
    return {**({"info": json.loads(to_json(run_info(run)))} if info else {}), **parts}


@pytest.fixture
def client(serve, root):
    return serve(root, token=TOKEN)


def push(client, content, run="r1", headers=AUTH):
    return client.post(f"/api/v1/runs/{run}/records", json=content, headers=headers)


def test_what_is_pushed_is_a_run_like_any_other(client, root):
    events = [Event("begin", 0, 0, 1.0)]
    reply = push(client, body(records=[record(0, 0), record(1, 4)], events=events))
    assert reply.json() == {"accepted": 3, "duplicates": 0, "refused": [], "records": 2}
    client.library.refresh()
    row = client.get("/api/v1/runs").json()["runs"][0]
    assert (row["run"], row["looks"], row["is_pushed"], row["state"]) == ("r1", 2, True, "running")
    assert [kept.look for kept in RunStore(root / "r1").records()] == [0, 1]


def test_a_replayed_push_changes_nothing_also_after_a_restart(client, serve, root):
    content = body(records=[record(0, 0), record(1, 4)])
    push(client, content)
    assert push(client, content).json()["duplicates"] == 2
    again = serve(root, token=TOKEN)
    assert push(again, content).json() == {"accepted": 0, "duplicates": 2, "refused": [], "records": 2}
    assert len(RunStore(root / "r1").records()) == 2


def test_one_bad_line_loses_no_good_one(client, root):
    content = body(records=[record(0, 0), record(1, 4)])
    content["records"].insert(1, {"schema": 1, "nonsense": True})
    content["records"].insert(0, {**content["records"][0], "schema": 99})
    answer = push(client, content).json()
    assert answer["accepted"] == 2
    assert [(line["part"], line["index"]) for line in answer["refused"]] == [("records", 0), ("records", 2)]
    assert "schema 99" in answer["refused"][0]["reason"]
    assert [kept.look for kept in RunStore(root / "r1").records()] == [0, 1]


def test_a_look_that_comes_again_with_other_figures_is_refused(client):
    push(client, body(records=[record(0, 0)]))
    (line,) = push(client, body(records=[record(0, 8)])).json()["refused"]
    assert "kept already" in line["reason"]


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic d3Jvbmc6d3Jvbmc="}]
)
def test_a_push_without_the_token_is_refused(client, root, headers):
    reply = push(client, body(records=[record(0, 0)]), headers=headers)
    assert reply.status_code == 401
    assert "token" in reply.json()["error"]
    assert not list(root.iterdir())


def test_without_a_token_of_its_own_the_service_takes_no_push(serve, root):
    reply = push(serve(root), body(records=[record(0, 0)]))
    assert reply.status_code == 403
    assert "DRIFTWATCH_TOKEN" in reply.json()["error"]


def test_a_push_for_another_run_is_refused(client, root):
    assert push(client, body("r2", records=[record(0, 0)]), run="r1").status_code == 422
    answer = push(client, body("r1", records=[record(0, 0, run="r2")])).json()
    assert "of run 'r2'" in answer["refused"][0]["reason"]


def test_another_run_of_the_same_name_is_refused(client):
    push(client, body(records=[record(0, 0)]))
    other = body(records=[record(1, 4)])
    other["info"]["created"] += 1
    reply = push(client, other)
    assert reply.status_code == 409
    assert "another name" in reply.json()["error"]


def test_a_run_that_its_trainer_writes_here_is_not_written_twice(client, root):
    RunStore(root / "r1").create(run_info())
    assert push(client, body(records=[record(0, 0)])).status_code == 409
    assert not (root / "r1" / "records.jsonl").exists()


def test_the_first_push_must_say_what_the_run_is(client):
    reply = push(client, body(info=False, records=[record(0, 0)]))
    assert reply.status_code == 422
    assert "first push must hold info" in reply.json()["error"]


@pytest.mark.parametrize("declared", [True, False])
def test_a_push_that_is_too_large_is_refused_with_the_reason(serve, root, declared):
    client = serve(root, token=TOKEN, max_body=1000)
    content = b"x" * 5000
    reply = client.post(
        "/api/v1/runs/r1/records", content=content if declared else iter([content[:2500]] * 2), headers=AUTH
    )
    assert reply.status_code == 413
    assert "fewer observations" in reply.json()["error"]


@pytest.mark.parametrize("name", ["..", ".hidden", "%2e%2e%2fx", "a b", "x" * 200])
def test_a_name_that_is_no_folder_is_refused(client, root, name):
    assert push(client, body(records=[]), run=name).status_code in (400, 404, 405)
    assert not [path for path in root.parent.iterdir() if path != root]


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"unknown":1}', b"\xff", b"[" * 100_000, b'{"info":5}'])
def test_a_body_that_is_no_push_is_refused(client, content):
    reply = client.post("/api/v1/runs/r1/records", content=content, headers=AUTH)
    assert reply.status_code == 422
    assert client.get("/healthz").status_code == 200


def test_a_pruned_run_can_be_pushed_again(client, root):
    import shutil

    content = body(records=[record(0, 0)])
    push(client, content)
    shutil.rmtree(root / "r1")
    assert push(client, content).json()["accepted"] == 1
    assert len(RunStore(root / "r1").records()) == 1


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)
NUMBERS = st.integers(0, 12)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pushes=st.lists(
        st.tuples(st.lists(NUMBERS, max_size=6), st.lists(ANYTHING, max_size=3), st.booleans()), min_size=1, max_size=5
    ),
    raw=st.binary(max_size=50),
)
def test_no_push_crashes_and_no_look_is_lost_or_doubled(tmp_path_factory, pushes, raw):
    """Sound observations in any order, mixed with anything that JSON can hold, and a service that starts anew."""
    root = tmp_path_factory.mktemp("push")
    wanted = set()
    app = create_app(Library(root), token=TOKEN, hosts=("testserver",))
    client = TestClient(app, raise_server_exceptions=True)
    for looks, rubbish, restarts in pushes:
        if restarts:
            client = TestClient(create_app(Library(root), token=TOKEN, hosts=("testserver",)))
        content = body(records=[record(look, 4 * look) for look in looks])
        content["records"] += rubbish
        content["events"] = content["packs"] = content["baselines"] = rubbish
        answer = push(client, content)
        wanted |= set(looks)
        assert answer.status_code == 200
        assert answer.json()["records"] == len(wanted)
        assert client.post("/api/v1/runs/r1/records", content=raw, headers=AUTH).status_code in (200, 422)
    kept = [found.look for found in RunStore(root / "r1").records()]
    assert sorted(kept) == sorted(wanted)


# The exporter


class Link:
    """Sends the exporter's requests to the application, or nowhere."""

    def __init__(self, client):
        self.client = client
        self.is_up = True
        self.requests = []

    def __call__(self, method, url, *, content, headers, timeout):
        if not self.is_up:
            raise NoReply("Connection refused")
        self.requests.append(content)
        reply = self.client.request(method, "/" + url.split("/", 3)[3], content=content, headers=headers)
        return Reply(reply.status_code, reply.headers, reply.content)


@pytest.fixture
def link(client, monkeypatch):
    made = Link(client)
    monkeypatch.setattr("driftwatch.exporters.service.send", made)
    return made


@pytest.fixture
def trainer(tmp_path):
    made = RunStore(tmp_path / "trainer" / "r1")
    made.create(run_info())
    made.append_event("begin", attempt=0, step=0)
    return made


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def opened(trainer, clock=None):
    exporter = ServiceExporter("http://service:9465", token=TOKEN, clock=clock or Clock())
    exporter.open(trainer.info(), trainer)
    return exporter


def looked(trainer, exporter, look):
    found = record(look, 4 * look)
    trainer.append(found)
    exporter.export(found)


def test_it_is_an_exporter(trainer):
    assert isinstance(opened(trainer), Exporter)


def test_a_run_arrives_whole(link, trainer, root):
    exporter = opened(trainer)
    for look in range(3):
        looked(trainer, exporter, look)
    exporter.close("finished")
    there = RunStore(root / "r1")
    assert [found.look for found in there.records()] == [0, 1, 2]
    assert there.state() == "finished"


def test_everything_of_a_real_run_arrives(link, tmp_path, root):
    source = synthetic_run(tmp_path / "there", "full", looks=4)
    source.write_pack(tiny_pack())
    exporter = opened(source)
    exporter.beat(0.0)
    there = RunStore(root / "full")
    assert there.records() == source.records()
    assert there.baseline("sft") == source.baseline("sft")
    assert there.pack() == tiny_pack()
    assert list(there.look_stances()) == list(source.look_stances())
    assert len(list(there.lines("replies/pushed.jsonl"))) == 24


def test_an_outage_loses_nothing_and_is_not_hammered(link, trainer, root):
    clock = Clock()
    exporter = opened(trainer, clock)
    looked(trainer, exporter, 0)
    link.is_up = False
    with pytest.raises(ExportError, match="could not be reached"):
        looked(trainer, exporter, 1)
    looked(trainer, exporter, 2)  # within the pause: not even tried
    link.is_up = True
    clock.now = 10.0
    exporter.beat(0.0)
    assert [found.look for found in RunStore(root / "r1").records()] == [0, 1, 2]


def test_a_resumed_trainer_goes_on_where_the_last_one_came(link, trainer, root):
    looked(trainer, opened(trainer), 0)
    sent = len(link.requests)
    looked(trainer, opened(trainer), 1)
    (last,) = link.requests[sent:]
    assert [line["look"] for line in json.loads(last)["records"]] == [1]
    assert len(RunStore(root / "r1").records()) == 2


def test_a_service_that_lost_the_run_gets_all_of_it_again(link, trainer, root):
    import shutil

    exporter = opened(trainer)
    for look in range(2):
        looked(trainer, exporter, look)
    shutil.rmtree(root / "r1")
    looked(trainer, exporter, 2)
    exporter.beat(0.0)
    assert sorted(found.look for found in RunStore(root / "r1").records()) == [0, 1, 2]


def test_a_beat_keeps_the_run_alive_there(link, trainer, root):
    exporter = opened(trainer)
    looked(trainer, exporter, 0)
    import os

    os.utime(root / "r1" / "heartbeat", (1, 1))
    exporter.beat(0.0)
    assert RunStore(root / "r1").state() == "running"


def test_a_refusal_names_its_reason(link, trainer):
    exporter = ServiceExporter("http://service:9465", token="another", clock=Clock())
    exporter.open(trainer.info(), trainer)
    with pytest.raises(ExportError, match=r"refused a push \(401\): a push needs the token"):
        exporter.beat(0.0)


def test_a_large_backlog_goes_in_several_pushes(link, trainer, root, monkeypatch):
    monkeypatch.setattr("driftwatch.exporters.service.BATCH_BYTES", 4000)
    for look in range(12):
        trainer.append(record(look, look))
    opened(trainer).beat(0.0)
    assert len(link.requests) > 3
    assert len(RunStore(root / "r1").records()) == 12


def test_an_address_or_a_token_that_is_missing_is_said_at_once(monkeypatch):
    for variable in ("DRIFTWATCH_SERVICE", "DRIFTWATCH_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(ConfigError, match="Set DRIFTWATCH_SERVICE"):
        ServiceExporter()
    with pytest.raises(ConfigError, match="set DRIFTWATCH_TOKEN"):
        ServiceExporter("http://service:1")


def test_two_trainers_pushing_at_once_do_not_mix(root):
    inbox = Inbox(root)
    contents = {run: [msgspec.Raw(to_json(record(n, n, run=run))) for n in range(15)] for run in ("a", "b")}

    def send(run):
        for line in contents[run]:
            inbox.keep(run, Push(info=msgspec.Raw(to_json(run_info(run))), records=[line]))

    threads = [threading.Thread(target=send, args=(run,)) for run in ("a", "b") for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for run in ("a", "b"):
        assert [found.look for found in RunStore(root / run).records()] == list(range(15))


def test_a_damaged_line_of_a_run_does_not_spoil_the_push_that_it_is_in(link, trainer, root, caplog):
    exporter = opened(trainer)
    looked(trainer, exporter, 0)
    with (trainer.folder / "records.jsonl").open("ab") as file:
        file.write(b'{"run":"r1","loo{"run":\n' + b"\0" * 300 + b"\n")
    for look in (1, 2):
        looked(trainer, exporter, look)
    assert [found.look for found in RunStore(root / "r1").records()] == [0, 1, 2]
    assert caplog.text.count("a line cannot be sent and is passed over") == 1


def test_a_damaged_line_of_a_kept_run_does_not_keep_its_next_looks_out(link, trainer, root, client):
    looked(trainer, opened(trainer), 0)
    with (root / "r1" / "records.jsonl").open("ab") as file:
        file.write(b"{]\n")
    inbox = Inbox(root)
    push = msgspec.json.decode(b'{"records":[' + to_json(record(1, 4)) + b"]}", type=Push)
    assert inbox.keep("r1", push).records == 2


def test_a_password_in_the_address_is_in_no_error_and_no_file(link, trainer, caplog):
    exporter = ServiceExporter("http://ada:hunter2hunter2@service:9465/", token=TOKEN, clock=Clock())
    exporter.open(trainer.info(), trainer)
    looked(trainer, exporter, 0)
    link.is_up = False
    with pytest.raises(ExportError, match=r"the service at http://service:9465 could not be reached") as caught:
        looked(trainer, exporter, 1)
    kept = b"".join(path.read_bytes() for path in trainer.folder.rglob("*") if path.is_file())
    assert "hunter2" not in str(caught.value) + caplog.text + kept.decode()
    with pytest.raises(ConfigError, match="set DRIFTWATCH_TOKEN") as refused:
        ServiceExporter("http://ada:hunter2hunter2@service:9465/")
    assert "hunter2" not in str(refused.value)


def test_a_service_that_says_when_to_come_again_is_left_alone_until_then(trainer, monkeypatch):
    asked, clock = [], Clock()

    def busy(*args, **options):
        asked.append(clock.now)
        return Reply(503, {"Retry-After": "60"}, b"")

    monkeypatch.setattr("driftwatch.exporters.service.send", busy)
    exporter = opened(trainer, clock)
    for now in (0.0, 10.0, 59.0, 60.0):
        clock.now = now
        with contextlib.suppress(ExportError):
            exporter.beat(0.0)
    assert asked == [0.0, 60.0]


def test_an_answer_that_is_no_json_is_no_receipt(trainer, monkeypatch):
    """As a proxy's login page would be: nothing counts as sent."""
    monkeypatch.setattr("driftwatch.exporters.service.send", lambda *args, **options: Reply(200, {}, b"<html>"))
    exporter = opened(trainer)
    with pytest.raises(ExportError, match="something that is not JSON"):
        looked(trainer, exporter, 0)
    assert not (trainer.folder / "service-progress.json").exists()
