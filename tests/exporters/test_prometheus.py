import logging
import shutil
import socket
import subprocess
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from threading import enumerate as enumerate_threads

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.builders import record, run_info

from driftwatch.errors import ConfigError, ExportError
from driftwatch.exporters.exporter import Exporter
from driftwatch.exporters.prometheus import PrometheusExporter
from driftwatch.record.metrics import CATALOGUE, RUN_STATES
from driftwatch.store.run_store import RunStore


@pytest.fixture
def store(tmp_path):
    made = RunStore(tmp_path / "r1")
    made.create(run_info())
    return made


@pytest.fixture
def exporter(store):
    made = PrometheusExporter(port=0)
    made.open(run_info(), store)
    yield made
    made.close_server()


def scrape(exporter):
    with urllib.request.urlopen(f"{exporter.url}/metrics", timeout=5) as reply:
        return reply.read().decode()


def values(text):
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_it_is_an_exporter(exporter):
    assert isinstance(exporter, Exporter)


def test_a_scrape_shows_the_last_look(exporter):
    exporter.export(record(look=1, step=4))
    exporter.export(record(look=2, step=8))
    found = values(scrape(exporter))
    assert found["driftwatch_observed_step", ("run", "r1")] == 8
    key = ("driftwatch_drift_magnitude", ("baseline", "start"), ("probe", "statement"), ("run", "r1"))
    assert found[(*key, ("stance", "oppose"), ("topic", "parks"))] == 0.1
    assert found["driftwatch_observations_total", ("run", "r1")] == 3


def test_a_sign_of_life_reaches_what_outlives_the_process(store, tmp_path):
    """A dead trainer is told from a slow one by the age of the last sign, also between two observations."""
    file = tmp_path / "driftwatch.prom"
    exporter = PrometheusExporter(port=None, textfile=file)
    exporter.open(run_info(), store)
    exporter.export(record(look=1, step=4))
    exporter.beat(1_700_000_123.0)
    found = values(file.read_text())
    assert found["driftwatch_heartbeat_timestamp_seconds", ("run", "r1")] == 1_700_000_123.0
    assert found["driftwatch_observed_step", ("run", "r1")] == 4


def test_who_scrapes_is_told_how_the_run_ended(exporter):
    """A run that vanishes between two scrapes looks like one that crashed."""
    scrape(exporter)
    delivery = Thread(target=exporter.close, args=("finished",), daemon=True)
    delivery.start()
    delivery.join()
    assert not next(thread for thread in enumerate_threads() if thread.name == "driftwatch-linger").daemon
    assert values(scrape(exporter))["driftwatch_run_state", ("run", "r1"), ("state", "finished")] == 1
    linger = next(thread for thread in enumerate_threads() if thread.name == "driftwatch-linger")
    linger.join(timeout=30)
    assert not linger.is_alive()
    assert exporter.url is None


def test_end_of_a_run_that_nobody_scrapes_is_not_waited_for(exporter):
    exporter.close("finished")
    assert exporter.url is None
    assert not any(thread.name == "driftwatch-linger" for thread in enumerate_threads())


def test_next_run_of_the_same_exporter_is_not_closed_with_the_last(exporter, store):
    scrape(exporter)
    exporter.close("finished")
    exporter.open(run_info("r2"), store)
    for thread in enumerate_threads():
        if thread.name == "driftwatch-linger":
            exporter._told.set()
            thread.join(timeout=30)
    assert 'run="r2"' in scrape(exporter)


def test_before_the_first_look_the_run_is_there_and_no_figure_is_invented(exporter):
    found = values(scrape(exporter))
    assert found["driftwatch_run_state", ("run", "r1"), ("state", "running")] == 1
    assert not any(name.startswith("driftwatch_stance") for name, *_ in found)


def test_what_was_not_measured_has_no_series(exporter):
    exporter.export(record(drifts=(), floors=()))
    assert "driftwatch_drift" not in scrape(exporter)


def test_the_final_state_is_handed_over(store, tmp_path):
    file = tmp_path / "driftwatch.prom"
    exporter = PrometheusExporter(port=None, textfile=file)
    exporter.open(run_info(), store)
    exporter.export(record(look=1, step=4))
    exporter.close("finished")
    found = values(file.read_text())
    states = {state: found["driftwatch_run_state", ("run", "r1"), ("state", state)] for state in RUN_STATES}
    assert states == {state: float(state == "finished") for state in RUN_STATES}
    assert found["driftwatch_observed_step", ("run", "r1")] == 4


def test_a_port_in_use_is_not_fatal(store, caplog):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        exporter = PrometheusExporter(port=port)
        with caplog.at_level(logging.INFO):
            exporter.open(run_info(), store)
    try:
        assert f"port {port} on 127.0.0.1 cannot be used" in caplog.text
        assert f"{exporter.url}/metrics" in caplog.text
        assert str(exporter.url) in (store.folder / "endpoint.json").read_text()
        assert "driftwatch_run_info" in scrape(exporter)
    finally:
        exporter.close_server()


def test_two_exporters_in_one_process_do_not_collide(store):
    first, second = PrometheusExporter(port=0), PrometheusExporter(port=0)
    try:
        first.open(run_info("a"), store)
        second.open(run_info("b"), store)
        assert 'run="a"' in scrape(first)
        assert 'run="a"' not in scrape(second)
    finally:
        first.close_server()
        second.close_server()


@pytest.mark.parametrize("port", [-1, 70_000])
def test_an_impossible_port_is_refused_at_construction(port):
    with pytest.raises(ConfigError, match="from 0 to 65535"):
        PrometheusExporter(port=port)


def test_operators_override_address_and_port(store, monkeypatch):
    monkeypatch.setenv("DRIFTWATCH_PORT", "0")
    exporter = PrometheusExporter(port=1)
    exporter.open(run_info(), store)
    try:
        assert "driftwatch_run_info" in scrape(exporter)
    finally:
        exporter.close_server()


def test_a_push_goes_to_the_run_s_own_group(store):
    seen = []

    class Gateway(BaseHTTPRequestHandler):
        def do_POST(self):
            seen.append((self.path, self.rfile.read(int(self.headers["Content-Length"])).decode()))
            self.send_response(202)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Gateway)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        exporter = PrometheusExporter(port=None, pushgateway=f"http://127.0.0.1:{server.server_port}")
        exporter.open(run_info(), store)
        exporter.export(record(look=1, step=4))
        exporter.close("finished")
    finally:
        server.shutdown()
        server.server_close()
    assert [path for path, _ in seen] == ["/metrics/job/driftwatch/run/r1"] * 2
    assert 'driftwatch_run_state{run="r1",state="finished"} 1.0' in seen[-1][1]


@pytest.mark.parametrize(("status", "said"), [(400, "refused a push \\(400\\): inconsistent"), (302, "\\(302\\)")])
def test_a_gateway_that_refuses_is_said_without_its_password_and_no_redirect_is_followed(store, status, said):
    seen = []

    class Gateway(BaseHTTPRequestHandler):
        def do_POST(self):
            seen.append(self.headers["Authorization"])
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.end_headers()
            self.wfile.write(b"inconsistent")

        def do_GET(self):
            seen.append("followed")

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Gateway)
    Thread(target=server.serve_forever, daemon=True).start()
    place = f"127.0.0.1:{server.server_port}"
    try:
        exporter = PrometheusExporter(port=None, pushgateway=f"http://ada:hunter2@{place}/")
        exporter.open(run_info(), store)
        with pytest.raises(ExportError, match=said) as caught:
            exporter.export(record(look=1, step=4))
    finally:
        server.shutdown()
        server.server_close()
    assert seen == ["Basic YWRhOmh1bnRlcjI="]
    assert str(caught.value).startswith(f"the Pushgateway at http://{place} refused")
    assert "hunter2" not in str(caught.value)
    with pytest.raises(ExportError, match="could not be reached \\(Connection refused\\)"):
        exporter.export(record(look=2, step=8))


def test_every_metric_of_the_catalogue_has_a_name_of_its_own_and_a_help():
    assert len({metric.name for metric in CATALOGUE}) == len(CATALOGUE)
    for metric in CATALOGUE:
        assert metric.help.endswith("."), metric.name
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        assert not {"step", "item", "prompt", "job", "instance"} & set(metric.labels), metric.name


@pytest.mark.stack
def test_promtool_finds_nothing_to_say_about_a_scrape(exporter):
    exporter.export(record(look=1, step=4))
    promtool = shutil.which("promtool")
    assert promtool, "this test needs promtool, from the package prometheus"
    done = subprocess.run(
        [promtool, "check", "metrics"], input=scrape(exporter), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
