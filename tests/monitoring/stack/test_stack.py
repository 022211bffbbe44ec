"""`driftwatch stack`: up, status, down, and what it says when it cannot."""

import json
import socket
import stat
import subprocess
import sys
import urllib.request
from dataclasses import replace

import pytest
from click.testing import CliRunner
from support.drifting import FLIPPED, drifting_run
from support.servers import wait_for

from driftwatch.cli import group
from driftwatch.errors import ConfigError, StoreError
from driftwatch.monitoring import stack
from driftwatch.monitoring.stack import compose
from driftwatch.monitoring.stack.server import Server, command_line, started, stop, wait_ready
from driftwatch.store.run_store import RunStore


@pytest.fixture
def recorded(tmp_path):
    """The folder of a run that drifted and finished."""
    info, records = drifting_run({"parks": FLIPPED})
    store = RunStore(tmp_path / "runs" / "r1")
    store.create(info)
    store.append_event("begin", attempt=0, step=0)
    for record in records:
        store.append(replace(record, timestamp=1_700_000_000.0 + record.look))
    store.append_event("end", attempt=0, step=450, text="finished")
    return store.folder


def invoke(*arguments):
    return CliRunner().invoke(group, ["stack", *map(str, arguments)])


@pytest.mark.stack
def test_ended_run_shows_its_drift_in_prometheus_alertmanager_and_the_webhook(recorded, start, webhook):
    running = start(runs=[recorded], webhook=webhook.url)
    alert = webhook.wait("ValueDriftBeyondTolerance", seconds=60)
    assert alert["labels"]["topic"] == "parks"
    assert (
        alert["annotations"]["runbook_url"] == f"file://{running.folder}/runbook.md#driftwatchvaluedriftbeyondtolerance"
    )
    fired = {(labels["alertname"], labels.get("topic")) for labels in running.firing()}
    assert ("DriftwatchValueDriftBeyondTolerance", "parks") in fired
    with urllib.request.urlopen(f"{running.alertmanager}/api/v2/alerts", timeout=5) as reply:
        states = {a["labels"]["alertname"]: a["status"]["state"] for a in json.load(reply)}
    assert states["DriftwatchValueDriftBeyondTolerance"] == "active"
    assert states["DriftwatchValueDrift"] == "suppressed", "the material alert says it already"


@pytest.mark.stack
def test_commands_start_show_and_stop_a_stack(recorded, tmp_path, start):
    folder = tmp_path / "mine"
    up = invoke(
        "up",
        "--run",
        recorded,
        "--folder",
        folder,
        "--prometheus-port",
        0,
        "--alertmanager-port",
        0,
        "--with",
        "programs",
    )
    try:
        assert up.exit_code == 0, up.output
        assert "Prometheus    http://127.0.0.1:" in up.output
        pids = [server.pid for server in stack.running(folder).servers]

        def shown():
            status = invoke("status", "--folder", folder)
            return status if "firing DriftwatchValueDrift (warning) run=r1 topic=parks" in status.output else None

        assert "/metrics: up" in wait_for("the alert in the status", shown, seconds=60).output
        with pytest.raises(ConfigError, match="a stack already runs in"):
            stack.up(folder, runs=[recorded], prometheus_port=0, alertmanager_port=0)
    finally:
        down = invoke("down", "--folder", folder, "--forget")
    assert down.output == "stopped\n"
    assert all(not command_line(pid) for pid in pids)
    assert not folder.exists()
    assert invoke("status", "--folder", folder).exit_code == 1
    assert "no stack runs" in invoke("down", "--folder", folder).output


@pytest.mark.stack
def test_server_that_does_not_start_leaves_nothing_running(recorded, tmp_path, start, monkeypatch):
    """Prometheus refuses its configuration; the service and Alertmanager before it are stopped again."""
    monkeypatch.setattr(stack.stack, "files", lambda *a, **k: {**_real_files(*a, **k), "rules.yml": "groups: nonsense"})
    before = _own_children()
    with pytest.raises(ConfigError, match=r"prometheus ended while it was starting: .*error loading config"):
        start(runs=[recorded])
    assert _own_children() == before
    assert stack.running(tmp_path / "stack-0") is None


def _real_files(*arguments, **options):
    from driftwatch.monitoring.stack.settings import files

    return files(*arguments, **options)


def _own_children():
    done = subprocess.run(["ps", "-eo", "stat=,args="], capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if "driftwatch serve" in line or "stack-0" in line]


def test_missing_programs_are_named(recorded, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="prometheus and alertmanager cannot be found on PATH"):
        stack.up(tmp_path / "s", runs=[recorded])
    assert not (tmp_path / "s").exists()


def test_nothing_to_watch_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="pass --run with a run's folder, or --target"):
        stack.up(tmp_path / "s")


def test_folder_without_a_run_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match="found no run in"):
        stack.up(tmp_path / "s", runs=[tmp_path / "empty"])


def test_torn_state_is_said(tmp_path):
    (tmp_path / "stack.json").write_text("{")
    with pytest.raises(StoreError, match="Stop its servers by hand"):
        stack.running(tmp_path)


def test_process_with_our_number_and_another_command_is_never_stopped(tmp_path):
    """Numbers are used again: after a reboot the old one may be anybody's."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        recorded = Server("prometheus", other.pid, ("prometheus", "--config.file=x"), "http://127.0.0.1:9", "/", "log")
        assert not recorded.is_running
        stop(recorded, seconds=0.1)
        assert other.poll() is None
        other.communicate(b"\n")


def test_process_that_ignores_the_request_is_ended(tmp_path):
    code = "import signal,sys,time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    server = started("stubborn", [sys.executable, "-c", code], url="http://127.0.0.1:9", ready="/", folder=tmp_path)
    wait_for("its handler", lambda: "up" in (tmp_path / "stubborn.log").read_text(), seconds=20)
    stop(server, seconds=0.2)
    assert not server.is_running


def test_server_that_dies_while_starting_is_reported_by_its_last_words(tmp_path):
    code = "print('first'); raise SystemExit('no such disk')"
    server = started("dying", [sys.executable, "-c", code], url="http://127.0.0.1:9", ready="/", folder=tmp_path)
    with pytest.raises(ConfigError, match="dying ended while it was starting: no such disk"):
        wait_ready(server)


# Compose: the commands are those that Docker is given; docker itself is a script that notes them.

FAKE_DOCKER = """#!/bin/sh
echo "$@" >> "{log}"
case "$*" in
  *" ps "*) test -f "{flag}" && echo container ;;
  *" up "*) touch "{flag}" ;;
  *" down") rm -f "{flag}" ;;
esac
exit 0
"""


@pytest.fixture
def docker(tmp_path, monkeypatch):
    """A PATH with nothing on it but a docker that notes what it is told."""
    tools = tmp_path / "tools"
    tools.mkdir()
    log = tmp_path / "docker.log"
    script = tools / "docker"
    script.write_text(FAKE_DOCKER.format(log=log, flag=tmp_path / "up"))
    script.chmod(script.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{tools}:/bin:/usr/bin")
    monkeypatch.setattr(stack.stack, "PROGRAMS", {"prometheus": ("no-such",), "alertmanager": ("no-such",)})
    return log


def test_taken_port_is_said_with_the_way_out(recorded, tmp_path, docker):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"port {port} on 127.0.0.1 cannot be used.*--prometheus-port 0"):
            stack.up(tmp_path / "s", runs=[recorded], prometheus_port=port)
    assert not (tmp_path / "s").exists()


def test_compose_is_used_where_there_are_no_programs(recorded, tmp_path, docker):
    folder = tmp_path / "s"
    made = stack.up(folder, targets=["127.0.0.1:9464"], prometheus_port=0, alertmanager_port=0)
    assert made.compose
    assert stack.running(folder) == made
    written = (folder / "compose.yaml").read_text()
    assert f"--web.listen-address={made.prometheus.removeprefix('http://')}" in written
    assert stack.down(folder)
    assert stack.running(folder) is None
    commands = docker.read_text()
    assert f"--file {folder}/compose.yaml up --detach --wait" in commands
    assert f"--file {folder}/compose.yaml down" in commands


def test_docker_that_does_not_answer_is_said(tmp_path, docker, monkeypatch):
    monkeypatch.setattr(compose, "_run", lambda command: subprocess.CompletedProcess(command, 1, "", "no daemon"))
    monkeypatch.setattr(compose, "is_there", lambda: True)
    with pytest.raises(ConfigError, match="Docker does not answer"):
        stack.up(tmp_path / "s", targets=["127.0.0.1:9464"])


def test_compose_that_fails_is_undone_and_reported(tmp_path, docker, monkeypatch):
    calls = []

    def failing(command):
        calls.append(command)
        ok = "up" not in command
        return subprocess.CompletedProcess(command, 0 if ok else 1, "", "" if ok else "pull access denied\n")

    monkeypatch.setattr(compose, "_run", failing)
    with pytest.raises(ConfigError, match="docker compose up failed: pull access denied"):
        stack.up(tmp_path / "s", targets=["127.0.0.1:9464"], prometheus_port=0, alertmanager_port=0)
    assert calls[-1][-1] == "down"
    assert stack.running(tmp_path / "s") is None
