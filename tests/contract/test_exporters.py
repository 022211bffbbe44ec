"""What every installed exporter must do."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from support.builders import record, run_info

from driftwatch import plugins
from driftwatch.exporters.exporter import Exporter
from driftwatch.store.run_store import RunStore


class Accepting(BaseHTTPRequestHandler):
    """A server that takes whatever it is sent."""

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    do_PUT = do_POST

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def server():
    running = ThreadingHTTPServer(("127.0.0.1", 0), Accepting)
    Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    running.server_close()


@pytest.fixture(params=plugins.names("exporters"))
def exporter(request, monkeypatch, server):
    monkeypatch.setenv("DRIFTWATCH_PORT", "0")
    monkeypatch.setenv("DRIFTWATCH_SERVICE", server)
    monkeypatch.setenv("DRIFTWATCH_TOKEN", "a-token-for-tests")
    monkeypatch.setenv("DRIFTWATCH_WEBHOOK", f"{server}/hook")
    return plugins.made("exporters", request.param)


@pytest.fixture
def store(tmp_path):
    made = RunStore(tmp_path / "r1")
    made.create(run_info())
    return made


def test_it_keeps_the_protocol(exporter):
    assert isinstance(exporter, Exporter)
    assert exporter.name in plugins.names("exporters")


def test_it_lives_through_a_run_and_can_begin_another(exporter, store):
    for _ in range(2):
        exporter.open(run_info(), store)
        exporter.beat(1_700_000_000.0)
        exporter.export(record(look=1, step=4))
        exporter.close("finished")


def test_it_closes_without_having_seen_a_look(exporter, store):
    exporter.open(run_info(), store)
    exporter.close("failed")
