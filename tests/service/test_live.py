"""The page of a run in training: a real monitor on a tiny model, its own endpoint, real requests."""

import json
import socket
import threading
import time
import urllib.error
import urllib.request

import pytest
from support.builders import record, run_info

from driftwatch import plugins
from driftwatch.exporters.prometheus import MetricsServer, PrometheusExporter
from driftwatch.service.app import create_app
from driftwatch.service.library import Library
from driftwatch.service.live import PageServer, serve_page
from driftwatch.store.run_store import RunStore


def get(url, **headers):
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as reply:
        return reply.read().decode()


def status(url, **request):
    """The status of an answer, also of a refusal."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, **request), timeout=10) as reply:
            return reply.status
    except urllib.error.HTTPError as err:
        with err:
            return err.code


class Events:
    """Server-sent events of an address, collected on a thread."""

    def __init__(self, url):
        self.seen = []
        self._reply = urllib.request.urlopen(url, timeout=20)
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        kind = None
        for line in self._reply:
            text = line.decode().rstrip("\n")
            if text.startswith("event: "):
                kind = text[7:]
            elif text.startswith("data: "):
                self.seen.append((kind, json.loads(text[6:])))

    def close(self):
        self.thread.join(timeout=5)
        self._reply.close()

    def wait(self, found, seconds=10.0):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for event in list(self.seen):
                if found(*event):
                    return event
            time.sleep(0.02)
        raise AssertionError(f"the event did not come; seen: {self.seen}")


@pytest.fixture
def watch():
    """Opens streams; they end when their server does, and are closed after it."""
    opened = []
    yield lambda url: opened.append(Events(url)) or opened[-1]
    for events in opened:
        events.close()


@pytest.fixture
def store(root):
    made = RunStore(root / "r1")
    made.create(run_info())
    made.append_event("begin", attempt=0, step=0)
    return made


@pytest.fixture
def exporter(store, watch):
    made = plugins.load("exporters", "prometheus")(port=0)
    made.open(run_info(), store)
    yield made
    made.close_server()


def test_the_name_prometheus_gives_page_and_metrics(exporter):
    assert isinstance(exporter, PrometheusExporter)
    assert "<!doctype html>" in get(f"{exporter.url}/")
    assert 'driftwatch_run_state{run="r1",state="running"} 1.0' in get(f"{exporter.url}/metrics")
    listed = json.loads(get(f"{exporter.url}/api/v1/runs"))
    assert listed["single"] == "r1"


def test_a_look_reaches_an_open_page_without_a_reload(exporter, store, watch):
    events = watch(f"{exporter.url}/api/v1/runs/r1/events")
    events.wait(lambda kind, data: kind == "run")
    store.append(record(0, 7))
    _, row = events.wait(lambda kind, data: kind == "run" and data["step"] == 7)
    assert row["looks"] == 1
    curves = json.loads(get(f"{exporter.url}/api/v1/runs/r1/series"))
    assert curves["columns"]["looks"]["step"] == [7]


def test_an_open_page_is_told_how_training_ended(exporter, watch):
    events = watch(f"{exporter.url}/api/v1/runs/r1/events")
    events.wait(lambda kind, data: kind == "run")
    exporter._state, thread = "finished", exporter._server._thread
    exporter.close_server()
    assert not thread.is_alive(), "an open page does not hold up the end"
    events.wait(lambda kind, data: kind == "ended" and data == {"state": "finished"})


def test_the_page_of_a_run_takes_no_pushes(exporter):
    assert status(f"{exporter.url}/api/v1/runs/r1/records", data=b"{}") == 405


def test_beyond_loopback_the_page_is_shown_with_a_token_only(store, monkeypatch, caplog):
    monkeypatch.delenv("DRIFTWATCH_TOKEN", raising=False)
    exporter = PrometheusExporter(port=0)
    plain = serve_page("0.0.0.0", 0, store, exporter.registry)
    assert isinstance(plain, MetricsServer)
    assert "set DRIFTWATCH_TOKEN" in caplog.text
    plain.close("finished")
    monkeypatch.setenv("DRIFTWATCH_TOKEN", "a-token-for-tests")
    guarded = serve_page("0.0.0.0", 0, store, exporter.registry)
    try:
        assert isinstance(guarded, PageServer)
        address = f"http://127.0.0.1:{guarded.port}"
        assert status(f"{address}/") == 401
        get(f"{address}/metrics")
        assert "<!doctype html>" in get(f"{address}/", Authorization="Bearer a-token-for-tests")
    finally:
        guarded.close("finished")


@pytest.mark.parametrize(
    "line",
    [
        "GET /static/../../../../etc/passwd HTTP/1.1",
        "GET /api/v1/runs/../../etc/passwd HTTP/1.1",
        "GET //etc/passwd HTTP/1.1",
        "GET /" + "a" * 100_000 + " HTTP/1.1",
        "\x00\x01\x02",
        "POST / HTTP/1.1",
    ],
)
def test_raw_nonsense_gets_an_error_and_the_page_stays_up(exporter, line):
    port = int(exporter.url.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as link:
        link.sendall(f"{line}\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = link.recv(200).decode(errors="replace")
    assert answer.split(" ")[1] in ("400", "404", "405", "431")
    assert "<!doctype html>" in get(f"{exporter.url}/")


def test_a_page_that_cannot_be_served_is_logged_and_training_goes_on(store, monkeypatch, caplog):
    monkeypatch.setattr("uvicorn.Server.run", lambda self, sockets: 1 / 0)
    exporter = plugins.load("exporters", "prometheus")(port=0)
    exporter.open(run_info(), store)
    exporter.export(record(0, 0))
    exporter.close("finished")
    assert "training goes on" in caplog.text


def test_many_pages_at_once_are_bounded(serve, root, monkeypatch):
    monkeypatch.setattr("driftwatch.service.stream.MAX_STREAMS", 0)
    reply = serve(root).get("/api/v1/events")
    assert reply.status_code == 503
    assert "streams" in reply.json()["error"]


def test_a_real_run_is_on_its_own_page(tmp_path, watch, tiny_tokenizer, tiny_llama):
    from driftwatch.testing import tiny_pack
    from driftwatch.watch.monitor import Monitor

    exporter = plugins.load("exporters", "prometheus")(port=0)
    monitor = Monitor(tiny_pack(), run="tiny", output_dir=tmp_path, exporters=(exporter,))
    monitor.begin(tiny_llama, tiny_tokenizer)
    url = exporter.url
    try:
        events = watch(f"{url}/api/v1/runs/tiny/events")
        monitor.observe(tiny_llama, 4)
        events.wait(lambda kind, data: kind == "run" and data["step"] == 4)
        detail = json.loads(get(f"{url}/api/v1/runs/tiny"))
        assert [topic["id"] for topic in detail["info"]["topics"]] == ["parks", "noise", "tea"]
        assert "driftwatch_observed_step" in get(f"{url}/metrics")
    finally:
        monitor.close("finished")
        exporter.close_server()  # which would wait for the scraper to come again


def test_the_service_application_starts_and_stops_its_library(root):
    from starlette.testclient import TestClient

    library = Library(root, poll_seconds=0.05)
    with TestClient(create_app(library, hosts=("testserver",))) as client:
        assert client.get("/healthz").text == "ok\n"
    assert not any(thread.name == "driftwatch-library" and thread.is_alive() for thread in threading.enumerate())
